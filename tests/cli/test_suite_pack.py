"""``conflictopt suite pack``: what it writes, says and refuses; what reads the file."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from conflictopt.cli.suite_app import app
from conflictopt.lab.runs.packs import write_pack
from conflictopt.lab.runs.place import record_path
from conflictopt.lab.runs.records import write
from conflictopt.lab.runs.stored import load

RECORD = {
    "schema": 1,
    "problem": "heat_1d",
    "method": "none",
    "options": {},
    "seed": 0,
    "budget": "smoke",
    "family": "param_varying",
    "K": 3,
    "status": "ok",
    "error": 0.1,
    "settings": {"steps": 20},
    "versions": {"conflictopt": "0.1.0", "torch": "2.13.0"},
    "digest": {"problem": "0123456789abcdef"},
    "profile": {"steps": [0]},
}
FOLDER, PACKED = Path("results"), Path("results.jsonl.gz")


@pytest.fixture
def invoke(monkeypatch, tmp_path):
    """``invoke(*words)``: the command, in a folder of its own."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(app, [str(w) for w in words])


@pytest.fixture
def records(invoke):
    made = [{**RECORD, "seed": seed} for seed in range(3)]
    for record in made:
        write(record_path(FOLDER, record), record)
    return made


def test_it_says_what_it_did(invoke, records):
    done = invoke("pack", FOLDER)
    assert done.exit_code == 0, done.output
    assert done.stdout == "3 records, 3 of them new, in results.jsonl.gz (0.0 MB).\n"
    done = invoke("pack", PACKED, "--remove")
    assert done.stdout == (
        "3 records, 0 of them new, in results.jsonl.gz (0.0 MB); 3 removed from the folder.\n"
    )
    assert not FOLDER.exists()
    assert load(FOLDER) == records


def test_options_reach_it(invoke, records):
    done = invoke("pack", FOLDER, "--out", "a/mine.jsonl.gz", "--without-profiles")
    assert done.exit_code == 0, done.output
    assert [r["profile"] for r in load(Path("a/mine"))] == [None] * 3
    write_pack(PACKED, [{**records[0], "error": 2.0}])
    assert invoke("pack", FOLDER).exit_code == 2
    assert invoke("pack", FOLDER, "--replace").exit_code == 0
    assert load(PACKED) == records


def test_refusals_exit_with_2(invoke, records):
    (FOLDER / "heat_1d/notes.txt").write_text("mine")
    for words, message in (
        ((FOLDER,), "expected nothing but records"),
        (("nowhere",), "none to pack"),
        ((FOLDER, "--out", "mine.json"), "named *.jsonl.gz"),
    ):
        done = invoke("pack", *words)
        assert done.exit_code == 2, done.output
        assert message in done.stderr


@pytest.mark.parametrize("given", [FOLDER, PACKED])
def test_a_report_of_packed_records(invoke, records, given):
    assert invoke("report", FOLDER, "--out", "first").exit_code == 0
    assert invoke("pack", FOLDER, "--remove").exit_code == 0
    done = invoke("report", given)
    assert done.exit_code == 0, done.output
    assert "Report: results/report/" in done.stdout
    text = [Path(f, "report.md").read_text(encoding="utf-8") for f in ("first", "results/report")]
    assert text[0] == text[1]


def test_a_run_goes_on_from_packed_records(invoke):
    words = ("run", "heat_1d", "--methods", "none", "--seeds", 1, "--workers", 1)
    words = (*words, "--budget", "smoke")
    assert invoke(*words).exit_code == 0
    assert invoke("pack", FOLDER, "--remove").exit_code == 0
    for out in (FOLDER, PACKED):
        done = invoke(*words, "--out", out)
        assert "1 done already, 0 to do" in done.stdout, done.output
    assert not FOLDER.exists()
    assert [r["problem"] for r in load(PACKED)] == ["heat_1d"]
