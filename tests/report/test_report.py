"""The report folder: everything that was found, readable by machines."""

from __future__ import annotations

import csv
import dataclasses
import json

import numpy as np
import pytest

from conflictopt import Profile, diagnose, select
from conflictopt.diagnosis.profile import ProfileError
from conflictopt.report.content import ReportContent
from conflictopt.report.folder import write_report
from conflictopt.report.parts import ReportTable

from .reporting import cases, findings, profile

FILES = {
    "report.json",
    "report.html",
    "pairs.csv",
    "losses.csv",
    "layers.csv",
    "history.csv",
    "profile.npz",
    "profile.png",
}


def rows(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read(path):
    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_json_has_everything(tmp_path):
    table = ReportTable("Kernel", ("block", "share"), (("pde", "1"),))
    found = findings(cases()["persistent"], tables=(table,), notes=("one thing.",), done="did.")
    write_report(tmp_path / "a" / "b", found, {"outcome": {"steps": 3}})
    assert {p.name for p in (tmp_path / "a/b").iterdir()} == FILES
    report = read(tmp_path / "a/b/report.json")
    diagnosis = report["diagnosis"]
    assert diagnosis["confidence"] == found.diagnosis.confidence
    assert diagnosis["margin"] == found.diagnosis.margin
    assert [c["low"] for c in diagnosis["checks"]] == [c.low for c in found.diagnosis.checks]
    assert [b["name"] for b in diagnosis["blocks"]] == ["layer0", "layer1"]
    assert "profile" not in diagnosis
    assert report["verdict"]["headline"] == "persistent conflict"
    assert report["verdict"]["odds"]["persistent"] == 1
    assert report["verdict"]["situation"] == "persistent"
    assert report["plan"] == found.plan.to_json()
    evidence = report["rule"]["plans"]["persistent"]["evidence"]
    assert evidence == found.rule.evidence["plans.persistent"]
    assert [r["method"] for r in report["replays"]] == [r.method for r in found.replays]
    assert report["advice"]["done"] == "did."
    assert report["advice"]["lines"][0]["text"].startswith("conflictopt run")
    assert (report["notes"], report["tables"][0]["title"]) == (["one thing."], "Kernel")
    assert report["outcome"] == {"steps": 3}


def test_tables(tmp_path):
    found = findings(cases()["many"])
    write_report(tmp_path, found)
    assert len(rows(tmp_path / "pairs.csv")) == 15
    assert len(rows(tmp_path / "losses.csv")) == 6
    layers = rows(tmp_path / "layers.csv")
    assert len(layers) == 2 * 15
    pair = found.diagnosis.blocks[1].pairs[0]
    assert float(layers[15]["cosine_late"]) == pair.cosine_late
    assert (layers[15]["layer"], layers[15]["first"]) == ("layer1", pair.first)
    assert len(rows(tmp_path / "history.csv")) == 60
    kept = Profile.load(tmp_path / "profile.npz")
    assert np.array_equal(kept.gramians, found.diagnosis.profile.gramians)


@pytest.mark.slow
def test_an_earlier_report_is_replaced(tmp_path):
    write_report(tmp_path, findings(cases()["many"]))
    write_report(tmp_path, findings(cases()["benign"]))
    assert rows(tmp_path / "layers.csv") == []
    assert len(rows(tmp_path / "losses.csv")) == 3


@pytest.mark.parametrize("case", ["close", "one", "single sample"])
def test_every_kind_of_verdict_has_a_report(tmp_path, case):
    write_report(tmp_path, findings(cases()[case]))
    assert {p.name for p in tmp_path.iterdir()} == FILES
    assert read(tmp_path / "report.json")["verdict"]["headline"]


def test_a_loss_without_any_gradient(tmp_path):
    silent = profile(("pde", "boundary", "never"), -0.5)
    gramians = silent.gramians.copy()
    gramians[:, 2], gramians[:, :, 2] = 0, 0
    diagnosis = diagnose(dataclasses.replace(silent, gramians=gramians))
    write_report(tmp_path, ReportContent(diagnosis, select(diagnosis)))
    assert read(tmp_path / "report.json")["diagnosis"]["losses"][2]["norm"] == 0
    assert (tmp_path / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("entry", ["losses", "gramians"])
@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_profiles_with_other_than_numbers_are_refused(entry, value):
    broken = profile(("pde", "boundary"), -0.5)
    values = getattr(broken, entry).copy()
    values[3] = value
    with pytest.raises(ProfileError, match="expected finite losses and Gramians"):
        dataclasses.replace(broken, **{entry: values})
