"""``conflictopt calibrate``: what it prints and writes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from conflictopt.cli.calibrate_app import calibrate
from conflictopt.lab.calibration import calibrate as fitted
from conflictopt.lab.problems.halves import problems_of
from conflictopt.lab.runs.packing import pack
from conflictopt.lab.runs.place import record_path
from conflictopt.lab.runs.records import write
from conflictopt.selection.rule import SITUATIONS, Rule

ROOT = Path(__file__).parents[3]
EFFECTS = {
    "relobralo": {"persistent": 0.3, "magnitude": 1.3},
    "ntk": {"persistent": 1.2, "magnitude": 0.2},
    "rba": 1.0,
}


@pytest.fixture
def invoke(monkeypatch, tmp_path):
    """``invoke(*words)``: the command, with its output and exit code."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    app.command()(calibrate)
    return lambda *words: CliRunner().invoke(app, [str(w) for w in words])


@pytest.fixture
def folder(tmp_path, records_of):
    """Records of six problems per regime, half of them of the suite's calibration half."""
    records = records_of(EFFECTS, {"persistent": 6, "magnitude": 7}, seeds=2)
    names = sorted({r["problem"] for r in records})
    renamed = dict(zip(names[:5], problems_of("calibration"), strict=False))
    for r in records:
        r["problem"] = renamed.get(r["problem"], r["problem"])
        write(record_path(tmp_path / "results", r), r)
    return tmp_path / "results"


def test_table_rule_and_file(invoke, folder, tmp_path):
    done = invoke(folder, "--out", tmp_path / "mine.json")
    assert done.exit_code == 0, done.output
    for part in (
        "104 records of 13 problems and 2 seeds",
        "left out: rba (no plan weights points",
        "persistent: relobralo; ",
        "takes its place",
        "too_close: ntk; ",
        "always the default (ntk)",
        "with hindsight",
        "note: ntk, relobralo: from the first step on",
        "The rule beats always choosing ntk.",
        "mine.json",
    ):
        assert part in done.output
    rule = Rule.load(tmp_path / "mine.json")
    assert rule.plans["persistent"].reweighting == "relobralo"
    assert rule.about.startswith(f"made by 'conflictopt calibrate {folder}' from 104 records")


def test_options_change_what_is_used(invoke, folder, tmp_path):
    done = invoke(folder, "--methods", "none,ntk", "--half", "calibration")
    assert done.exit_code == 0, done.output
    assert "left out: relobralo (not asked for)" in done.output
    assert "8 problems are not in the calibration half" in done.output
    rule = Rule.load(tmp_path / "rule.json")
    assert "--half calibration --methods none,ntk'" in rule.about
    assert rule.plans["persistent"].reweighting != "relobralo"


def test_errors_exit_with_2(invoke, folder, tmp_path):
    for words, message in (
        ((tmp_path / "nothing",), "expected the records of a study"),
        ((folder, "--half", "reporting"), "found none among"),
        ((folder, "--methods", "none,dwa"), "expected runs of dwa"),
        ((folder, "--methods", "nothing"), "unknown method"),
        ((folder, "--budget", "paper"), "expected records"),
    ):
        done = invoke(*words)
        assert done.exit_code == 2, done.output
        assert message in done.output
    assert not (tmp_path / "rule.json").exists()


def test_mixed_versions(invoke, folder):
    path = next(folder.glob("*/ntk.cpu.seed0.json"))
    path.write_text(path.read_text().replace('"conflictopt": "0.1.0"', '"conflictopt": "0.0.9"'))
    assert "--mixed" in invoke(folder).output
    done = invoke(folder, "--mixed")
    assert done.exit_code == 0
    assert "note: 2 versions" in done.output


@pytest.mark.slow
def test_packed_records_give_the_same_rule(invoke, folder, tmp_path):
    assert invoke(folder, "--out", tmp_path / "first.json").exit_code == 0
    packed = pack(folder, remove=True).path
    for given in (folder, packed):
        assert invoke(given, "--out", tmp_path / "second.json").exit_code == 0
        found = [(tmp_path / f"{name}.json").read_text() for name in ("first", "second")]
        assert found[0].replace(f"'conflictopt calibrate {folder}'", "") == found[1].replace(
            f"'conflictopt calibrate {given}'", ""
        )


@pytest.mark.slow
def test_the_line_of_the_readme_works_on_the_records_that_come_with_it(
    invoke, tmp_path, monkeypatch
):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    study, out = re.search(r"conflictopt calibrate (\S+) --out (\S+)`", text).groups()
    # the settings of thresholds that it tries are all tried elsewhere
    monkeypatch.setattr(sys.modules[fitted.__module__], "grid", lambda base: ())
    done = invoke(ROOT / study, "--out", tmp_path / out)
    assert done.exit_code == 0, done.output
    assert "2515 records of 85 problems and 3 seeds" in done.output
    assert "left out: ntk+pcgrad+after (no run on 68 of 85 problems" in done.output
    assert set(Rule.load(tmp_path / out).plans) == set(SITUATIONS)


def test_a_rule_is_judged(invoke, folder, tmp_path):
    assert invoke(folder).exit_code == 0
    done = invoke(folder, "--rule", "rule.json")
    assert done.exit_code == 0, done.output
    for part in ("none (plain training)", "always ntk", "magnitude 14, persistent 12"):
        assert part in done.output
    done = invoke(folder, "--rule", "rule.json", "--out", "other.json")
    assert done.exit_code == 2
    assert "--rule fits nothing" in done.output
    done = invoke(folder, "--rule", "rule.json", "--methods", "ntk")
    assert done.exit_code == 2
    assert "expected runs of the rule's plan for 'persistent'" in done.output
    assert invoke(folder, "--rule", "none.json").exit_code == 2
