"""A study that is killed, or interrupted, and started again."""

import collections
import os
import signal
import subprocess
import time
from functools import partial

import pytest

from conflictopt.lab.runs.stored import load

WORDS = ("suite", "run", "--methods", "none,ntk,pcgrad", "--seeds", "2", "--budget", "smoke")


@pytest.fixture
def start(standin, environment, tmp_path):
    """``start(seconds)``: the study in a process group of its own, each run taking that long."""
    began = []

    def launch(seconds, workers):
        words = (*WORDS, "--workers", workers, "--out", tmp_path / "results")
        line = standin.command(tmp_path / "notes.txt", *words, seconds=seconds)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        # a shell starts what runs in its background with interrupts ignored, and that is inherited
        heed = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(
            line, env=environment, start_new_session=True, preexec_fn=heed, **pipes
        )
        began.append(process)
        return process

    yield launch
    for process in began:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def when_done(tmp_path):
    """``when_done(count)``: waits until so many records are there."""

    def wait(count):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if len(list(tmp_path.glob("results/*/*.seed?.json"))) >= count:
                return
            time.sleep(0.02)
        raise TimeoutError

    return wait


def by_task(tmp_path):
    """The records there are, by problem, method and seed."""
    return {(r["problem"], r["method"], r["seed"]): r for r in load(tmp_path / "results")}


@pytest.mark.slow
def test_only_runs_in_flight_are_lost_to_a_kill(start, when_done, training, tmp_path):
    process = start(0.2, workers=2)
    when_done(5)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = by_task(tmp_path)
    first = collections.Counter(training().started())
    assert set(first.values()) == {1}
    in_flight = set(first) - set(before)
    assert len(in_flight) <= 2
    out, err = start(0.0, workers=1).communicate(timeout=120)
    assert f"24 runs, budget smoke: {len(before)} done already" in out, err
    second = collections.Counter(training().started())
    assert {task for task, count in second.items() if count == 2} == in_flight
    after = by_task(tmp_path)
    assert len(after) == sum(second.values()) - len(in_flight) == 24
    assert {task: after[task] for task in before} == before


@pytest.mark.slow
def test_an_interrupt_from_the_terminal_stops_cleanly(start, when_done, training, tmp_path):
    process = start(0.2, workers=2)
    when_done(3)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out.endswith("Stopped. Finished runs are kept; the same command goes on from here.\n")
    assert "Traceback" not in err
    started, kept = training().started(), by_task(tmp_path)
    assert len(set(started) - set(kept)) <= 2
    time.sleep(0.5)
    assert training().started() == started  # nobody works on
