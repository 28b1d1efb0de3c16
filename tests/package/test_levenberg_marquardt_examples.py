"""The benchmark on DeepXDE's examples: what is cut, what an error is, and a fresh table."""

import json

import pytest

from benchmarks.documents.sections import refreshed
from benchmarks.levenberg_marquardt_examples.__main__ import (
    DOCUMENT,
    OUT,
    SCRIPT,
    SECTION,
    ratio,
    table,
)
from benchmarks.levenberg_marquardt_examples.scripts import Example


def test_scripts_are_cut_and_nothing_else_changes():
    source = "import deepxde as dde\nmodel.train(iterations=15000)\nx = 15000\n"
    assert Example("a/b.py", 20).cut(source) == source.replace("=15000", "=20")
    searched = Example("a/b.py", 20, 30).cut(source)
    assert "update(maxiter=30, iter_per_step=30)\nmodel.train(iterations=20)" in searched


def test_errors_are_those_printed_and_measured_and_of_unknowns():
    outcome = {"metrics": {"l2": 0.5}, "unknowns": [[3.0], 1.0]}
    example = Example("a/b.py", 1, unknowns=(2.0, 1.0))
    found = example.errors("L2 relative error in u: 0.25\n", outcome)
    expected = {"L2 relative error in u": 0.25, "l2": 0.5, "unknown 1": 0.5, "unknown 2": 0.0}
    assert found == expected


def test_a_ratio_is_the_geometric_mean():
    plain, run = {"errors": {"a": 1.0, "b": 4.0}}, {"errors": {"a": 0.1, "b": 0.04}}
    assert ratio(run, plain) == pytest.approx(0.1**1.5)
    assert ratio({"error": "failed"}, plain) is None


def test_the_table_is_fresh():
    text = refreshed(DOCUMENT, SCRIPT, [(SECTION, table(json.loads(OUT.read_text())))])
    assert text == DOCUMENT.read_text(encoding="utf-8")
