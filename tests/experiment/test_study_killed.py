"""A study that is killed, or interrupted, and started again."""

import collections
import os
import signal
import subprocess
import sys
import time

import pytest

from conflictopt.experiment.records import load

WORDS = ("suite", "run", "--methods", "none,ntk,pcgrad", "--seeds", "2", "--budget", "smoke")
RUNS = 24  # four problems


@pytest.fixture
def start(standin, environment, tmp_path):
    """``start(seconds)``: the study in a process group of its own, each run taking that long."""
    began = []

    def launch(seconds, workers=2):
        words = (*WORDS, "--workers", workers, "--out", tmp_path / "results")
        line = standin.command(tmp_path / "notes.txt", *words, seconds=seconds)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(line, env=environment, start_new_session=True, **pipes)
        began.append(process)
        return process

    yield launch
    for process in began:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def when_done(tmp_path):
    """``when_done(count)``: waits until so many records are there; their names."""

    def wait(count):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = {str(p) for p in tmp_path.glob("results/*/*.seed?.json")}
            if len(found) >= count:
                return found
            time.sleep(0.02)
        raise TimeoutError

    return wait


def counted(training):
    return collections.Counter(training().started())


@pytest.mark.parametrize("workers", [1, 2])
def test_only_runs_in_flight_are_lost_to_a_kill(start, when_done, training, tmp_path, workers):
    process = start(0.15, workers)
    when_done(5)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = {(r["problem"], r["method"], r["seed"]): r for r in load(tmp_path / "results")}
    first = counted(training)
    assert set(first.values()) == {1}
    in_flight = set(first) - set(before)
    assert len(in_flight) <= workers
    out, err = start(0.0).communicate(timeout=120)
    assert f"24 runs, budget smoke: {len(before)} done already" in out, err
    assert {task for task, count in counted(training).items() if count == 2} == in_flight
    after = {(r["problem"], r["method"], r["seed"]): r for r in load(tmp_path / "results")}
    assert len(after) == RUNS
    assert {task: after[task] for task in before} == before


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_from_the_terminal_stops_cleanly(
    start, when_done, training, tmp_path, workers
):
    process = start(0.2, workers)
    when_done(3)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out.endswith("Stopped. Finished runs are kept; the same command goes on from here.\n")
    assert "Traceback" not in err
    kept = {(r["problem"], r["method"], r["seed"]) for r in load(tmp_path / "results")}
    started = counted(training)
    assert len(set(started) - kept) <= workers
    time.sleep(0.5)
    assert counted(training) == started  # nobody works on
    process = start(0.0)
    assert process.communicate(timeout=120) and process.returncode == 0
    assert not any(counted(training)[task] > 1 for task in kept)


def test_workers_end_with_a_parent_that_is_killed(start, when_done, training):
    process = start(0.2)
    when_done(2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(1.0)
    started = counted(training)
    time.sleep(0.6)
    assert counted(training) == started
    assert sum(started.values()) < RUNS
    if sys.platform == "linux":
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and _group(process.pid):
            time.sleep(0.2)
        assert not _group(process.pid)


def _group(leader):
    """Processes of a group that still live."""
    listed = subprocess.run(["ps", "-eo", "pgid,stat"], capture_output=True, text=True, check=True)
    lines = [line.split() for line in listed.stdout.splitlines()[1:]]
    return [stat for group, stat in lines if int(group) == leader and "Z" not in stat]
