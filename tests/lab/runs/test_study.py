"""A study does what is to be done, once, and keeps what is done."""

import json
import os

import joblib
import pytest
import torch

from conflictopt.lab.runs import watch
from conflictopt.lab.runs.records import RecordError, read
from conflictopt.lab.runs.stored import load
from conflictopt.lab.runs.study import StudyError, run_study
from conflictopt.lab.runs.tasks import plan_study
from conflictopt.lab.runs.worker import work


@pytest.fixture
def study(standin, training, tmp_path):
    """``study(tasks, ...)``: runs it into a folder, with the stand-ins."""

    def run(tasks, folder="results", workers=1, train=None, **options):
        given = {"identify": standin.identify, **options}
        return run_study(
            tasks, tmp_path / folder, workers=workers, train=train or training(), **given
        )

    return run


@pytest.fixture
def plan(standin, tmp_path):
    """``plan(tasks, ...)``: what is to be done in the folder of ``study``."""
    return lambda tasks, **options: plan_study(
        tasks, tmp_path / "results", identify=standin.identify, **options
    )


def same(folder):
    """Records of a folder, without what may differ from one study to another."""
    free = ("wall_time_s", "started", "machine")
    return [{k: v for k, v in r.items() if k not in free} for r in load(folder)]


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_is_done_once_and_leaves_a_record(standin, training, study, tmp_path, workers):
    tasks = standin.tasks()
    results = study(tasks, workers=workers)
    assert [r.task for r in results] == tasks
    assert {r.status for r in results} == {"ok"}
    assert sorted(training().started()) == sorted(
        (t.problem.id, t.method.label, t.seed) for t in tasks
    )
    found = load(tmp_path / "results")
    assert [r.error for r in results] == [
        record["error"]
        for t in tasks
        for record in found
        if (record["problem"], record["method"], record["seed"])
        == (t.problem.id, t.method.label, t.seed)
    ]


def test_records_do_not_depend_on_the_number_of_workers(standin, study, tmp_path):
    study(standin.tasks(), folder="one", workers=1)
    study(standin.tasks(), folder="two", workers=2)
    assert same(tmp_path / "one") == same(tmp_path / "two")


def test_workers_have_processes_of_their_own(standin, study, tmp_path):
    study(standin.tasks(), workers=2)
    found = {r["machine"]["processor"] for r in load(tmp_path / "results")}
    assert 1 <= len(found) <= 2
    assert str(os.getpid()) not in found


def test_a_complete_study_does_nothing(standin, training, study):
    first = study(standin.tasks())
    told = []
    again = study(standin.tasks(), on_progress=told.append)
    assert len(training().started()) == len(first)
    assert again == first
    assert told == []


def test_a_study_grows(standin, training, study):
    study(standin.tasks(seeds=1))
    study(standin.tasks(seeds=2))
    study(standin.tasks(seeds=2, methods=["none", "ntk", "pcgrad"]))
    started = training().started()
    assert len(started) == len(set(started)) == 12


def test_the_longest_tasks_come_first(standin, training, study):
    weights = {"a": 1.0, "b": 3.0, "c": 2.0}
    study(standin.tasks([standin.Problem(n, weight=w) for n, w in weights.items()], seeds=1))
    assert [p for p, _, _ in training().started()] == ["b", "b", "c", "c", "a", "a"]


@pytest.mark.parametrize("workers", [1, 2])
def test_runs_have_one_thread_and_the_callers_setting_returns(standin, training, study, workers):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        study(standin.tasks(seeds=1), workers=workers, train=training(fails=(0,)))
        assert training().threads() == {1}
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("workers", [1, 2])
def test_progress_is_told_of_every_new_run(standin, study, workers):
    study(standin.tasks(seeds=1))
    told = []
    results = study(standin.tasks(seeds=2), workers=workers, on_progress=told.append)
    assert sorted(r.task.label for r in told) == sorted(
        r.task.label for r in results if r.task.seed == 1
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failing_run_does_not_stop_the_others(standin, training, study, workers, tmp_path):
    results = study(standin.tasks(), workers=workers, train=training(fails=(1,)))
    for result in results:
        failed = result.task.seed == 1
        assert result.status == ("failed" if failed else "ok")
        assert result.message == ("ValueError: seed 1 is not to be" if failed else None)
    (record,) = [
        r
        for r in load(tmp_path / "results")
        if (r["problem"], r["method"], r["seed"]) == ("heat", "ntk", 1)
    ]
    whole = read(tmp_path / "results/heat/ntk.smoke.seed0.json")
    assert set(record) == {*whole, "traceback"}
    assert "seed 1 is not to be" in record["traceback"]
    assert (record["error"], record["relative_l2"], record["steps"]) == (None, {}, 0)


def test_failed_runs_count_as_done_unless_asked(standin, training, study):
    study(standin.tasks(), train=training(fails=(1,)))
    assert {r.status for r in study(standin.tasks())} == {"ok", "failed"}
    assert len(training().started()) == 8
    assert {r.status for r in study(standin.tasks(), retry_failed=True)} == {"ok"}
    assert {seed for _, _, seed in training().started()[8:]} == {1}
    assert len(training().started()) == 12


def test_a_diverged_run_counts_as_done(standin, study, plan, tmp_path):
    def diverge(*task):
        return {**standin.train(*task), "status": "diverged", "error": None, "message": "inf"}

    study(standin.tasks(), train=diverge)
    assert {p.kept.status for p in plan(standin.tasks(), retry_failed=True)} == {"diverged"}


def test_a_record_of_another_run_is_a_failure(standin, study):
    def confused(problem, method, seed, budget):
        return standin.train(problem, method, seed + 1, budget)

    (result,) = study(standin.tasks(["heat"], ["ntk"], 1), train=confused)
    assert result.status == "failed"
    assert result.message == (
        "RecordError: the run made a record of another run: seed 1 instead of 0."
    )


def test_a_record_that_json_cannot_say_is_a_failure(standin, study):
    (result,) = study(
        standin.tasks(["heat"], ["ntk"], 1),
        train=lambda *task: {**standin.train(*task), "profile": object()},
    )
    assert result.message == "TypeError: Object of type object is not JSON serializable"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_record_that_cannot_be_written_stops_the_study(standin, study, tmp_path, workers):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/heat").write_text("in the way", encoding="utf-8")
    with pytest.raises(OSError, match="heat"):
        study(standin.tasks(["heat"]), workers=workers)


OTHER_VERSION = {"conflictopt": "0.0.9", "torch": "2.13.0"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"versions": OTHER_VERSION}, 'conflictopt "0.0.9" instead of "0.1.0 to 0.2.0"'),
        ({"digest": {"problem": "ff"}}, 'specification "ff" instead of "0123456789abcdef"'),
        ({"schema": 0}, "schema 0 instead of 1"),
        ({"settings": {"steps": 99, "points": {"pde": 8}}}, "settings.steps 99 instead of 10"),
    ],
)
def test_records_of_another_kind_are_never_replaced_unasked(
    standin, training, study, plan, tmp_path, change, said
):
    study(standin.tasks(seeds=1))
    path = tmp_path / "results/heat/ntk.smoke.seed0.json"
    path.write_text(json.dumps({**read(path), **change}), encoding="utf-8")
    old = path.read_bytes()
    with pytest.raises(RecordError) as error:
        study(standin.tasks(seeds=2))
    message = str(error.value)
    assert message.startswith("1 of 8 runs have a record of another kind in ")
    assert f"heat/ntk.smoke.seed0.json: {said}" in message
    assert message.endswith("Replace them with --replace, or choose another folder with --out.")
    assert path.read_bytes() == old
    assert len(training().started()) == 4
    assert sum(p.kept is None for p in plan(standin.tasks(seeds=1), replace=True)) == 1
    study(standin.tasks(seeds=1), replace=True)
    assert training().started()[4:] == [("heat", "ntk", 0)]
    assert plan(standin.tasks(seeds=1))[1].kept.status == "ok"


def test_another_number_of_steps_is_another_run(standin, study, plan):
    study(standin.tasks(steps=10))
    with pytest.raises(RecordError, match=r"settings.steps 10 instead of 20"):
        plan(standin.tasks(steps=20))
    assert all(p.kept is None for p in plan(standin.tasks(name="cpu", steps=20)))


def test_an_option_that_came_later_stands_at_its_default(standin, study, plan, tmp_path):
    """Records of a version without it stay; with another value than the default they do not."""
    study(standin.tasks(["heat"], ["ntk"], 1))
    path = tmp_path / "results/heat/ntk.smoke.seed0.json"
    record = read(path)
    del record["options"]["ntk"]["refresh"]
    path.write_text(json.dumps(record), encoding="utf-8")
    assert plan(standin.tasks(["heat"], ["ntk"], 1))[0].kept is not None
    record["options"]["ntk"]["refresh"] = 1
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(RecordError, match=r"options\.ntk"):
        plan(standin.tasks(["heat"], ["ntk"], 1))


def test_a_damaged_record_is_not_replaced_unasked(standin, study, plan, tmp_path):
    study(standin.tasks())
    (tmp_path / "results/heat/ntk.smoke.seed0.json").write_text("{", encoding="utf-8")
    with pytest.raises(RecordError, match=r"heat/ntk.smoke.seed0.json: damaged, or no record"):
        plan(standin.tasks())
    assert sum(p.kept is None for p in plan(standin.tasks(), replace=True)) == 1


def test_many_records_of_another_kind_are_summed_up(standin, study, plan):
    study(standin.tasks(seeds=4))
    with pytest.raises(RecordError) as error:
        plan(standin.tasks(seeds=4, steps=11))
    assert str(error.value).startswith("16 of 16 runs")
    assert "\n  and 11 more\n" in str(error.value)


def test_two_tasks_with_one_record(standin, plan):
    twice = [*standin.tasks(["heat"]), *standin.tasks([standin.Problem("heat", digest="ff")])]
    with pytest.raises(RecordError) as error:
        plan(twice)
    assert "heat, none, seed 0; heat, none, seed 0" in str(error.value)


def test_a_folder_that_is_not_shared_is_noticed(standin, study, monkeypatch):
    monkeypatch.setattr(watch, "_HIDDEN_SECONDS", 0.3)
    monkeypatch.setattr("conflictopt.lab.runs.study.work", lambda train, planned: None)
    with pytest.raises(StudyError, match="must be visible to all workers under this path"):
        study(standin.tasks())


def dies(*task):
    import os

    os._exit(1)


def test_a_worker_that_dies_is_reported_and_what_is_done_is_kept(standin, study, tmp_path):
    tasks = standin.tasks()
    study(tasks[:3], workers=1)
    with pytest.raises(StudyError, match="a worker process died"):
        study(tasks, workers=2, train=dies)
    assert len(load(tmp_path / "results")) == 3


def test_an_interrupt_keeps_what_is_done(standin, study, tmp_path):
    def interrupted(problem, method, seed, budget):
        if (problem.id, method.label, seed) == ("wave", "none", 0):
            raise KeyboardInterrupt
        return standin.train(problem, method, seed, budget)

    told = []
    with pytest.raises(KeyboardInterrupt):
        study(standin.tasks(), train=interrupted, on_progress=told.append)
    assert len(load(tmp_path / "results")) == len(told) == 4


def test_a_backend_of_the_caller_is_used(standin, study, tmp_path):
    with joblib.parallel_config(backend="threading"):
        study(standin.tasks(), workers=2)
    assert len({r["machine"]["processor"] for r in load(tmp_path / "results")}) == 1


def test_a_task_can_be_worked_on_anywhere(standin, plan, training):
    planned = plan(standin.tasks(["heat"], ["ntk"], 1))[0]
    work(training(), planned)
    assert read(planned.path)["status"] == "ok"
