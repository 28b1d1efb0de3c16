"""The README's Python runs as printed, and its method table is the registry's."""

import re
from pathlib import Path

from conflictopt.registry import METHODS

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_python_blocks_run(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    assert len(blocks) == 2
    namespace = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)
    assert "pde / ic" in capsys.readouterr().out


def test_method_table_matches_the_registry():
    assert set(re.findall(r"^\| `(\w+)` \|", README, flags=re.M)) == set(METHODS)
