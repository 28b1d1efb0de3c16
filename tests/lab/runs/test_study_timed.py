"""A study with timed runs, from the command line to the report."""

import json

from typer.testing import CliRunner

from conflictopt.cli.suite_app import app
from conflictopt.lab.runs.packs import read_pack

METHODS = "none,levenberg_marquardt+ntk,lbfgs"


def invoke(*words):
    found = CliRunner().invoke(app, list(words))
    assert found.exit_code == 0, found.output
    return found.output


def test_a_study_is_run_taken_up_reported_and_packed(tmp_path):
    out = tmp_path / "study"
    words = ["run", "heat_1d", "--seeds", "1", "--budget", "smoke", "--out", str(out)]
    words += ["--workers", "1", "--methods"]
    assert "ok: 3" in invoke(*words, METHODS) or "3 ok" in invoke(*words, METHODS)
    again = invoke(*words, METHODS)
    assert "3 done already, 0 to do" in again
    assert "0 done already, 1 to do" in invoke(*words, "lbfgs:share=0.3")
    records = [json.loads(p.read_text()) for p in sorted(out.glob("*/*.json"))]
    assert sum("timed" in r for r in records) == 3
    invoke("report", str(out))
    text = (out / "report" / "report.md").read_text(encoding="utf-8")
    assert "`levenberg_marquardt+ntk`" in text
    invoke("pack", str(out), "--out", str(tmp_path / "all.jsonl.gz"))
    packed = read_pack(tmp_path / "all.jsonl.gz")
    assert {r["method"] for r in packed.values()} == {r["method"] for r in records}
