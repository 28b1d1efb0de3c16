"""What tests of several folders share."""

from __future__ import annotations

import pytest

from conflictopt.core import graphs
from conflictopt.selection import rule
from conflictopt.selection.plan_template import PlanTemplate
from conflictopt.selection.rule import Rule


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
    seen, run = [], graphs.run_backward
    monkeypatch.setattr(graphs, "run_backward", lambda *a, **k: (seen.append(1), run(*a, **k))[1])

    def taken():
        count = len(seen)
        seen.clear()
        return count

    return taken
