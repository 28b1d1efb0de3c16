"""What tests of several folders share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from conflictopt.core import graphs
from conflictopt.selection import rule
from conflictopt.selection.plan_template import PlanTemplate
from conflictopt.selection.rule import Rule

STANDINS = str(Path(__file__).parent / "lab" / "runs")
"""The folder of ``standin.py``, importable here and in worker processes."""


@pytest.fixture(scope="session")
def standin():
    """The module of stand-ins."""
    sys.path.insert(0, STANDINS)
    import standin

    yield standin
    sys.path.remove(STANDINS)


@pytest.fixture
def environment():
    """Of a process that can import the stand-ins."""
    found = [STANDINS, os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in found if p), "COLUMNS": "200"}


@pytest.fixture
def training(standin, tmp_path):
    """``training(...)``: one that notes its starts in a file of the test's folder."""
    return lambda **kwargs: standin.Training(tmp_path / "notes.txt", **kwargs)


@pytest.fixture
def papers_rule(monkeypatch):
    """The rule by default: the plans that the paper recommends, whatever records say by now."""
    reweighting = PlanTemplate("reweighting", "ntk")
    plans = {
        "persistent": PlanTemplate("adapters + reweighting", "ntk"),
        "magnitude": reweighting,
        "benign": PlanTemplate("none"),
        "too_close": reweighting,
    }
    made = Rule(Rule.default().thresholds, plans, about="The rule of a test.")
    monkeypatch.setattr(rule, "_default", lambda: made)
    return made


@pytest.fixture
def passes(monkeypatch):
    """How many backward passes there were since it was asked before."""
    seen, run = [], graphs._engine_run_backward
    monkeypatch.setattr(
        graphs, "_engine_run_backward", lambda *a, **k: (seen.append(1), run(*a, **k))[1]
    )

    def taken():
        count = len(seen)
        seen.clear()
        return count

    return taken
