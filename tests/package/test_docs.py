"""What documents say of the code is what the code says now."""

import re
import runpy
from pathlib import Path

import pytest

from conflictopt.methods.registry import METHODS

ROOT = Path(__file__).parents[2]
GENERATE = runpy.run_path(str(ROOT / "docs" / "generate.py"))


@pytest.mark.parametrize("path", GENERATE["SECTIONS"])
def test_sections_are_fresh(path):
    assert GENERATE["refreshed"](path) == (ROOT / path).read_text(encoding="utf-8"), "make docs"


@pytest.mark.parametrize("path", ["README.md", "docs/methods.md"])
def test_tables_list_every_method(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    text = text.partition(GENERATE["BEGIN"])[2].partition(GENERATE["END"])[0]
    assert set(re.findall(r"^\| `(\w+)` \|", text, flags=re.M)) == set(METHODS)


def test_a_stale_table_is_noticed(monkeypatch, tmp_path):
    path = "docs/methods.md"
    (tmp_path / "docs").mkdir()
    stale = (ROOT / path).read_text(encoding="utf-8").replace("`pcgrad`", "`pcgard`")
    (tmp_path / path).write_text(stale, encoding="utf-8")
    refreshed = GENERATE["refreshed"]
    monkeypatch.setitem(refreshed.__globals__, "ROOT", tmp_path)
    assert refreshed(path) != stale
