"""The same study on dask."""

import os

import pytest

from conflictopt import ConflictOptError
from conflictopt.core import extras
from conflictopt.lab.runs.cluster import dask_backend
from conflictopt.lab.runs.stored import load
from conflictopt.lab.runs.study import run_study

FREE = ("wall_time_s", "started", "machine")


def same(folder):
    return [{k: v for k, v in r.items() if k not in FREE} for r in load(folder)]


@pytest.mark.slow
def test_dask_makes_the_records_that_processes_make(standin, training, tmp_path):
    def study(folder):
        told = []
        train = training(seconds=0.1, fails=(1,))
        given = {"workers": 2, "identify": standin.identify, "on_progress": told.append}
        return run_study(standin.tasks(), tmp_path / folder, train=train, **given), told

    ours, _ = study("loky")
    with dask_backend(2):
        theirs, told = study("dask")
    assert same(tmp_path / "loky") == same(tmp_path / "dask")
    assert [(r.status, r.message, r.error) for r in theirs] == [
        (r.status, r.message, r.error) for r in ours
    ]
    assert len(told) == 8
    assert training().threads() == {1}
    assert str(os.getpid()) not in {r["machine"]["processor"] for r in load(tmp_path / "dask")}


def test_an_address_and_what_workers_must_be(standin, training, tmp_path):
    distributed = pytest.importorskip("distributed")
    options = {"processes": False, "memory_limit": 0, "dashboard_address": None}
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, **options) as two_threads,
        pytest.raises(ConflictOptError, match=r"found one with 2\. On a cluster"),
        dask_backend(1, two_threads.scheduler_address),
    ):
        pass
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, **options) as good:
        with dask_backend(1, good.scheduler_address):
            given = {"workers": 1, "identify": standin.identify}
            run_study(standin.tasks(), tmp_path, train=training(), **given)
        assert good.status.name == "running"
    assert len(load(tmp_path)) == 8


def test_one_worker_is_too_few():
    with (
        pytest.raises(ConflictOptError, match="expected at least two dask workers"),
        dask_backend(1),
    ):
        pass


def test_nobody_at_the_address(monkeypatch):
    import dask

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "0.3s"}),
        pytest.raises(OSError, match=r"Timed out trying to connect"),
        dask_backend(2, "tcp://127.0.0.1:1"),
    ):
        pass


def test_without_dask(monkeypatch):
    monkeypatch.setattr(extras, "_found", lambda name: name != "distributed")
    with (
        pytest.raises(ConflictOptError, match=r"pip install 'conflictopt\[dask\]'"),
        dask_backend(2),
    ):
        pass
