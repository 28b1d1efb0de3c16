"""Real runs are the same, digit by digit, wherever they are made."""

import os
import subprocess
import sys

import pytest

from conflictopt.lab.runs.stored import load

PROBLEMS = ("heat_1d", "inverse_wave_1d_noise2", "kuramoto_sivashinsky")
METHODS = "none,ntk,adapters+pcgrad"
TIMES = ("wall_time_s", "cpu_time_s", "started")


def records(folder, *options, **environment):
    command = [sys.executable, "-m", "conflictopt", "suite", "run", *PROBLEMS, "--methods", METHODS]
    command += ["--seeds", "1", "--budget", "smoke", "--out", str(folder), *options]
    given = {**os.environ, "CONFLICTOPT_CACHE": str(folder.parent / "cache"), **environment}
    subprocess.run(command, env=given, check=True, capture_output=True)
    found = load(folder)
    for record in found:
        for key in TIMES:
            record.pop(key)
        record["curve"].pop("cpu_time_s")
    return found


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return records(tmp_path_factory.mktemp("study") / "processes", PYTHONHASHSEED="1")


@pytest.mark.slow
def test_there_are_all_records(reference):
    assert len(reference) == 9
    assert {r["status"] for r in reference} == {"ok"}


@pytest.mark.slow
def test_a_dask_cluster_of_two_makes_the_same_records(reference, tmp_path):
    options = ("--backend", "dask", "--workers", "2")
    assert records(tmp_path / "dask", *options, PYTHONHASHSEED="2") == reference


@pytest.mark.slow
def test_one_process_makes_the_same_records(reference, tmp_path):
    assert records(tmp_path / "alone", "--workers", "1", PYTHONHASHSEED="3") == reference
