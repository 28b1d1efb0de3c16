"""The stand-ins of ``standin.py``, importable here and in worker processes."""

import os
import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)


@pytest.fixture(scope="session")
def standin():
    """The module of stand-ins."""
    sys.path.insert(0, HERE)
    import standin

    yield standin
    sys.path.remove(HERE)


@pytest.fixture
def environment():
    """Of a process that can import the stand-ins."""
    found = [HERE, os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in found if p), "COLUMNS": "200"}


@pytest.fixture
def training(standin, tmp_path):
    """``training(...)``: one that notes its starts in a file of the test's folder."""
    return lambda **kwargs: standin.Training(tmp_path / "notes.txt", **kwargs)
