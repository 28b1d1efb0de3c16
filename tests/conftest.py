"""What tests of several folders share."""

from __future__ import annotations

import pytest

from conflictopt.core import graphs


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
