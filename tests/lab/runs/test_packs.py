"""A packed study is the same study: read everywhere, gone on with, never mixed up."""

import gzip
import json
import os

import pytest

from conflictopt.lab.runs.packing import pack
from conflictopt.lab.runs.packs import folder_of, pack_of, read_pack, write_pack
from conflictopt.lab.runs.place import record_path
from conflictopt.lab.runs.records import RecordError, read, write
from conflictopt.lab.runs.stored import load
from conflictopt.lab.runs.study import run_study
from conflictopt.lab.runs.tasks import plan_study

PROFILE = {"names": ["pde", "bc"], "steps": [0], "losses": [[1.0, 2.0]]}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "study"


@pytest.fixture
def packed(folder):
    return folder.with_name("study.jsonl.gz")


@pytest.fixture
def saved(folder, standin):
    """``saved(problem, method, seed, **changes)``: a record in the folder."""

    def make(problem="heat", method="ntk", seed=0, **changes):
        (task,) = standin.tasks([problem], [method], 1)
        made = {**standin.train(task.problem, task.method, seed, task.budget), **changes}
        write(record_path(folder, made), made)
        return made

    return make


@pytest.fixture
def three(saved):
    return [saved("wave", "ntk", 1), saved("heat", "pcgrad", 0), saved("heat", "ntk", 2)]


def names(records):
    return [(r["problem"], r["method"], r["seed"]) for r in records]


def test_a_study_has_one_name_for_its_folder_and_its_file(tmp_path):
    for given in (tmp_path / "learning_rates/0.001", tmp_path / "learning_rates/0.001.jsonl.gz"):
        assert folder_of(given) == tmp_path / "learning_rates/0.001"
        assert pack_of(given) == tmp_path / "learning_rates/0.001.jsonl.gz"


def test_records_come_back_in_the_same_order(folder, packed, three):
    before = load(folder)
    made = pack(folder)
    assert (made.path, made.records, made.added, made.removed) == (packed, 3, 3, 0)
    assert len(list(folder.glob("*/*.json"))) == 3
    assert load(folder) == load(packed) == list(read_pack(packed).values()) == before
    pack(folder, remove=True)
    assert not folder.exists()
    assert load(folder) == load(packed) == before


def test_one_line_per_record_and_the_same_bytes(folder, packed, three, tmp_path, monkeypatch):
    pack(folder)
    first = packed.read_bytes()
    lines = gzip.decompress(first).decode().splitlines()
    assert names(map(json.loads, lines)) == names(load(folder))
    monkeypatch.setattr("time.time", lambda: 0.0)
    write_pack(tmp_path / "other.jsonl.gz", reversed(three))
    assert (tmp_path / "other.jsonl.gz").read_bytes() == first
    assert first[4:8] == bytes(4)  # the header's time


def test_an_interrupted_packing_keeps_the_old_file(folder, packed, three, saved, monkeypatch):
    pack(folder)
    first = packed.read_bytes()
    saved(seed=7)

    def interrupted(handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pack(folder, remove=True)
    assert packed.read_bytes() == first
    assert len(list(folder.glob("*/*.json"))) == 4
    assert not list(folder.parent.glob(".*"))


def test_what_does_not_come_back_is_not_said_to_be_done(folder, packed, three, monkeypatch):
    monkeypatch.setattr("conflictopt.lab.runs.packs.read_pack", lambda path: {})
    with pytest.raises(RecordError, match="did not come back as it was written"):
        pack(folder, remove=True)
    assert not packed.exists()
    assert len(list(folder.glob("*/*.json"))) == 3


def test_packing_again_adds(folder, packed, three, saved):
    pack(folder, remove=True)
    saved("heat", "ntk", 0)
    assert names(load(folder))[0] == ("heat", "ntk", 0)
    made = pack(folder)
    assert (made.records, made.added) == (4, 1)
    assert (pack(packed).records, pack(packed).added) == (4, 0)


def test_a_study_goes_on_from_its_packed_file(folder, packed, standin, training):
    options = {"workers": 1, "train": training(), "identify": standin.identify}
    run_study(standin.tasks(seeds=1), folder, **options)
    done = len(load(folder))
    pack(folder, remove=True)
    for given in (folder, packed):
        planned = plan_study(standin.tasks(seeds=2), given, identify=standin.identify)
        assert [p.kept is not None for p in planned].count(True) == done
        assert {p.path.parents[1] for p in planned} == {folder.resolve()}
    found = run_study(standin.tasks(seeds=2), packed, **options)
    assert len(found) == len(load(packed)) == 2 * done
    assert len(list(folder.glob("*/*.json"))) == done


def test_a_record_in_both_must_be_alike(folder, packed, three, saved, standin):
    pack(folder)
    assert len(load(folder)) == 3
    saved("heat", "ntk", 2, error=9.0)
    message = r"found others in '.*study' than in '.*study.jsonl.gz': heat/ntk.smoke.seed2.json"
    for action in (load, pack):
        with pytest.raises(RecordError, match=message):
            action(folder)
    tasks = [t for t in standin.tasks(["heat"], ["ntk"], 3) if t.seed == 2]
    with pytest.raises(RecordError, match="not like the packed record of the same run"):
        plan_study(tasks, folder, identify=standin.identify)
    (planned,) = plan_study(tasks, folder, identify=standin.identify, replace=True)
    assert planned.kept.error == 9.0
    assert pack(folder, replace=True).added == 0
    assert next(r for r in load(packed) if r["seed"] == 2)["error"] == 9.0


def test_a_packed_run_of_another_kind_is_done_again_when_asked(folder, packed, saved, standin):
    saved(settings={"steps": 1})
    pack(folder, remove=True)
    (task,) = standin.tasks(["heat"], ["ntk"], 1)
    with pytest.raises(RecordError, match="have a record of another kind"):
        plan_study([task], folder, identify=standin.identify)
    options = {"workers": 1, "train": standin.train, "identify": standin.identify}
    run_study([task], folder, replace=True, **options)
    pack(folder, replace=True, remove=True)
    (planned,) = plan_study([task], packed, identify=standin.identify)
    assert planned.kept is not None


def test_profiles_can_be_left_out(folder, packed, saved):
    whole = saved(profile=PROFILE)
    pack(folder, profiles=False)
    assert read_pack(packed)[record_path(packed, whole).relative_to(packed)]["profile"] is None
    # the two are of one run, and the whole one counts
    assert load(folder)[0]["profile"] == PROFILE
    pack(folder, remove=True)
    assert load(folder)[0]["profile"] == PROFILE
    write(record_path(folder, whole), {**whole, "profile": None})
    assert load(folder)[0]["profile"] == PROFILE
    pack(folder, profiles=False, remove=True)
    assert load(folder)[0]["profile"] is None


def test_other_profiles_are_other_records(folder, saved):
    whole = saved(profile=PROFILE)
    pack(folder)
    other = {**whole, "profile": {**PROFILE, "steps": [1]}}
    write(record_path(folder, whole), other)
    with pytest.raises(RecordError, match="one record of each run"):
        load(folder)


@pytest.mark.parametrize("place", ["notes.txt", "heat/notes.txt", "heat/notes.json"])
def test_what_is_no_record_is_not_left_behind(folder, packed, three, place):
    (folder / place).write_text("{}", encoding="utf-8")
    with pytest.raises(RecordError, match=r"notes"):
        pack(folder, remove=True)
    assert not packed.exists()
    assert len(list(folder.glob("*/*.seed*.json"))) == 3


def test_a_report_beside_the_records_stays(folder, three):
    (folder / "report").mkdir()
    (folder / "report/report.md").write_text("# Report", encoding="utf-8")
    assert pack(folder, remove=True).removed == 3
    assert [p.name for p in folder.iterdir()] == ["report"]
    assert len(load(folder)) == 3


def test_another_file_holds_this_study_alone(folder, three, saved, tmp_path):
    out = tmp_path / "elsewhere/mine.jsonl.gz"
    assert pack(folder, out).path == out
    assert not pack_of(folder).exists()
    saved("wave", "pcgrad", 4)
    assert pack(folder, out).records == 4
    write_pack(out, [{**three[0], "seed": 9}])
    with pytest.raises(RecordError, match=r"found 1 records that are not of this one"):
        pack(folder, out)
    with pytest.raises(RecordError, match=r"named \*.jsonl.gz, found '.*mine.json'"):
        pack(folder, tmp_path / "mine.json")


def test_nothing_to_pack(folder):
    for make in (lambda: None, folder.mkdir):
        make()
        with pytest.raises(RecordError, match=r"expected records of a study in .* none to pack"):
            pack(folder)


def test_damaged_files_are_named(folder, packed, three):
    pack(folder, remove=True)
    whole = packed.read_bytes()
    for text in (whole[:-20], whole[:40], b"no gzip at all", whole[:60] + bytes(20) + whole[80:]):
        packed.write_bytes(text)
        with pytest.raises(RecordError, match=r"study.jsonl.gz"):
            load(folder)
    packed.write_bytes(gzip.compress(b'{"schema": 1}\n'))
    with pytest.raises(RecordError, match=r"line 1' is not the record of a run: it has no problem"):
        load(folder)
    packed.write_bytes(gzip.compress(gzip.decompress(whole) * 2))
    with pytest.raises(RecordError, match="expected every run once"):
        load(folder)


def test_records_replaced_meanwhile_are_not_removed(folder, three, monkeypatch):
    path = record_path(folder, three[0])

    def read_other(asked):
        return {**read(asked), "error": 1e9} if asked == path else read(asked)

    monkeypatch.setattr("conflictopt.lab.runs.packing.read", read_other)
    assert pack(folder, remove=True).removed == 2
    assert list(folder.glob("*/*.json")) == [path]
