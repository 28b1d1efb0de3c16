"""What tests of several folders share."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from conflictopt import Profile
from conflictopt.core import graphs
from conflictopt.selection import rule
from conflictopt.selection.plan_template import PlanTemplate
from conflictopt.selection.rule import Rule

# The same examples every time. 'make test' takes few of them (--hypothesis-profile=quick).
settings.register_profile("thorough", max_examples=25, deadline=None, derandomize=True)
settings.register_profile("quick", max_examples=5, deadline=None, derandomize=True)
settings.load_profile("thorough")

GRID = 5
"""Of a test marked grid, one combination in so many is quick; prime to the lengths of its axes."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """All but a spread of a grid's combinations are slow."""
    seen = Counter()
    for item in items:
        if item.get_closest_marker("grid") is not None:
            name = item.nodeid.partition("[")[0]
            if seen[name] % GRID:
                item.add_marker(pytest.mark.slow)
            seen[name] += 1


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
    seen, run = [], graphs.run_backward
    monkeypatch.setattr(graphs, "run_backward", lambda *a, **k: (seen.append(1), run(*a, **k))[1])

    def taken():
        count = len(seen)
        seen.clear()
        return count

    return taken


@pytest.fixture(scope="session")
def profile_of_rows():
    """``profile_of_rows(rows)``: a profile from the gradients ``[T, K, P]`` themselves."""

    def build(rows, losses=None):
        rows = np.asarray(rows, dtype=np.float64)
        t, k = rows.shape[:2]
        losses = np.ones((t, k)) if losses is None else np.asarray(losses, dtype=np.float64)
        gramians = rows @ rows.swapaxes(1, 2)
        return Profile(tuple("abcdef"[:k]), 10 * np.arange(t), losses, gramians)

    return build


@pytest.fixture(scope="session")
def profile_of_pair(profile_of_rows):
    """``profile_of_pair(cosines, ratio)``: two losses at these cosines, norms 1 and ``ratio``."""

    def build(cosines, ratio=1.0):
        c = np.asarray(cosines, dtype=np.float64)
        one = np.stack([np.ones_like(c), np.zeros_like(c)], axis=1)
        other = ratio * np.stack([c, np.sqrt(1 - c**2)], axis=1)
        return profile_of_rows(np.stack([one, other], axis=1))

    return build
