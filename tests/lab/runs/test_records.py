"""Records are written whole or not at all, read with care, and have one place each."""

import json
import math
import os
import string
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conflictopt.core.plain_data import plain_data
from conflictopt.lab.runs.identity import check_comparable, differences, identity, version
from conflictopt.lab.runs.place import record_path, slug
from conflictopt.lab.runs.records import RecordError, read, write
from conflictopt.lab.runs.stored import load


@pytest.fixture
def record(standin):
    """``record(task fields)``: a finished one."""

    def make(problem="heat", method="ntk", seed=0, **changes):
        (task,) = standin.tasks([problem], [method], 1)
        made = standin.train(task.problem, task.method, seed, task.budget)
        return {**made, **changes}

    return make


@pytest.fixture
def saved(tmp_path, record):
    """``saved(task fields)``: the path of a record that was written."""

    def make(*fields, **changes):
        made = record(*fields, **changes)
        path = record_path(tmp_path, made)
        write(path, made)
        return path

    return make


def test_a_record_comes_back_as_json_gives_it(record, tmp_path):
    made = record()
    write(tmp_path / "a/b.json", made)
    assert read(tmp_path / "a/b.json") == plain_data(made, "null")
    assert json.loads((tmp_path / "a/b.json").read_text(encoding="utf-8")) == plain_data(
        made, "null"
    )


def test_numbers_that_json_lacks_are_null(record, tmp_path):
    made = record(error=math.nan, curve={"a": (1.0, math.inf, [-math.inf])})
    write(tmp_path / "r.json", made)
    back = read(tmp_path / "r.json")
    assert back["error"] is None
    assert back["curve"] == {"a": [1.0, None, [None]]}


def test_what_json_cannot_say_is_refused_and_nothing_is_left(record, tmp_path):
    with pytest.raises(TypeError):
        write(tmp_path / "r.json", record(curve={1, 2}))
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_keeps_the_old_record(record, tmp_path, monkeypatch):
    path = tmp_path / "r.json"
    write(path, record(error=1.0))

    def interrupted(handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(path, record(error=2.0))
    assert read(path)["error"] == 1.0
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_is_killed_leaves_no_record(record, tmp_path):
    made = tmp_path / "made.json"
    made.write_text(json.dumps(plain_data(record(), "null")), encoding="utf-8")
    code = (
        "import os, signal, sys, json; from pathlib import Path\n"
        "from conflictopt.lab.runs.records import write\n"
        "os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"write(Path({str(tmp_path / 'study/heat/ntk.smoke.seed0.json')!r}), "
        f"json.loads(Path({str(made)!r}).read_text()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    (leftover,) = (tmp_path / "study/heat").iterdir()
    assert leftover.name.startswith(".ntk.smoke.seed0.json.")
    with pytest.raises(RecordError, match="no run has finished"):
        load(tmp_path / "study")
    assert leftover.exists()  # somebody may be writing it
    os.utime(leftover, (0, 0))
    write(tmp_path / "study/heat/ntk.smoke.seed0.json", record())
    assert len(load(tmp_path / "study")) == 1
    assert not leftover.exists()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is no JSON"),
        ('{"schema": 1, "prob', "it is no JSON"),
        ("\x00\xff", "it is no JSON"),
        ("[1, 2]", "it holds a list, not an object"),
        ('{"a": 1}', "it has no schema, problem, method, options, seed"),
    ],
)
def test_a_damaged_or_foreign_file_is_named(saved, text, why):
    path = saved()
    path.write_text(text, encoding="latin-1")
    with pytest.raises(RecordError) as error:
        load(path.parents[1])
    assert f"'{path}' is not the record of a run: {why}" in str(error.value)


def test_a_foreign_file_among_records_is_named(saved):
    path = saved().with_name("notes.json")
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(RecordError, match=r"notes.json' is not the record of a run"):
        load(path.parents[1])


def test_a_folder_without_records_is_not_looked_at(saved, tmp_path):
    saved()
    (tmp_path / "report").mkdir()
    (tmp_path / "report/findings.json").write_text("{}", encoding="utf-8")
    (tmp_path / "study.json").write_text("{}", encoding="utf-8")
    assert len(load(tmp_path)) == 1


def test_a_copy_does_not_count_twice(saved, tmp_path):
    path = saved()
    path.with_name("ntk.smoke.seed1.json").write_bytes(path.read_bytes())
    with pytest.raises(RecordError, match=r"seed1.json' is not .*seed0.json', of which it may be"):
        load(tmp_path)


def test_nothing_to_load(tmp_path):
    with pytest.raises(RecordError, match=r"found neither a folder .* nor a file"):
        load(tmp_path / "nowhere")
    with pytest.raises(RecordError, match=r"expected records in .* no run has finished"):
        load(tmp_path)


def test_records_are_loaded_in_one_order(saved, tmp_path):
    for task in (("wave", "ntk", 1), ("heat", "pcgrad", 0), ("heat", "ntk", 2)):
        saved(*task)
    order = [(r["problem"], r["method"], r["seed"]) for r in load(tmp_path)]
    assert order == [("heat", "ntk", 2), ("heat", "pcgrad", 0), ("wave", "ntk", 1)]


def test_the_place_of_a_record(record, tmp_path):
    path = record_path(tmp_path, record("heat", "adapters+ntk", 7))
    assert path == tmp_path / "heat/adapters+ntk.smoke.seed7.json"
    path = record_path(tmp_path, record("heat", "adapters:rank=8+ntk", 7))
    assert path.name.startswith("adapters-rank=8+ntk~")


LABELS = st.text(st.sampled_from(string.ascii_letters + string.digits + " _-+=:,.~/('\"é\n"))


@given(first=LABELS, second=LABELS)
def test_slugs_do_not_collide(first, second):
    a, b = slug(first), slug(second)
    assert (a == b) == (first == second)
    # nor on file systems that ignore case
    assert (a.lower() == b.lower()) == (first == second)


@given(label=st.text())
def test_slugs_are_file_names(label):
    name = slug(label)
    assert Path(name).name == name
    assert 0 < len(name.encode()) < 100
    assert not set(name) - set(string.ascii_lowercase + string.digits + "_=+-~")


def test_a_slug_cannot_be_forged():
    forged = slug("ntk:cap=10")
    assert slug(forged) != forged


def test_identity_and_version(record):
    made = record()
    keys = ["problem", "method", "options", "seed", "budget", "settings", "specification"]
    assert list(identity(made)) == keys
    assert version(made) == {"schema": 1, "conflictopt": "0.1.0 to 0.2.0", "torch": "2.13.0"}
    assert differences(record(error=5.0, status="diverged"), made) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"schema": 0}, "schema 0 instead of 1"),
        ({"digest": {"problem": "aa"}}, 'specification "aa" instead of "0123456789abcdef"'),
        ({"settings": {"steps": 9, "points": {"pde": 8}}}, "settings.steps 9 instead of 10"),
        ({"options": {}}, "options.ntk null instead of {"),
        (
            {"versions": {"conflictopt": "9", "torch": "2.13.0"}},
            'conflictopt "9" instead of "0.1.0 to 0.2.0"',
        ),
        ({"versions": {"conflictopt": "0.1.0", "torch": "1"}}, 'torch "1" instead of "2.13.0"'),
    ],
)
def test_differences_say_what_differs(record, change, line):
    (found,) = differences(record(**change), record())
    assert found.startswith(line)


def test_tuples_and_lists_are_one_thing(record):
    assert differences(record(settings={"a": (1, 2)}), record(settings={"a": [1, 2]})) == []


def versions(**changes):
    return {"conflictopt": "0.1.0", "torch": "2.13.0", **changes}


def test_records_of_one_kind_can_be_compared(record):
    same = [record(seed=s, method=m) for s in range(2) for m in ("none", "ntk")]
    assert check_comparable(same) == []
    assert check_comparable(same, mixed=True) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"versions": versions(conflictopt="0.0.9")},
            "2 versions: schema 1, conflictopt 0.0.9, torch 2.13.0 (1 records); "
            "schema 1, conflictopt 0.1.0 to 0.2.0, torch 2.13.0 (2 records)",
        ),
        ({"versions": versions(torch="2.5.0")}, "torch 2.5.0 (1 records)"),
        (
            {"digest": {"problem": "ffff"}},
            "2 specifications of problem 'heat': 0123456789abcdef (2 records); ffff (1 records)",
        ),
        (
            {"settings": {"steps": 20}},
            "2 numbers of steps in budget 'smoke' of problem 'heat': 10 (2 records); 20 (1 rec",
        ),
    ],
)
def test_records_of_several_kinds_are_not_compared_unless_asked(record, change, said):
    several = [record(seed=0), record(seed=1), record(seed=2, **change)]
    with pytest.raises(RecordError) as error:
        check_comparable(several)
    assert said in str(error.value)
    assert "--mixed" in str(error.value)
    (note,) = check_comparable(several, mixed=True)
    assert said in note


def test_another_schema_cannot_be_reported_at_all(record):
    several = [record(), record(seed=1, schema=2)]
    for mixed in (False, True):
        with pytest.raises(RecordError, match=r"expected records of schema 1, found 2 \(1 record"):
            check_comparable(several, mixed=mixed)
