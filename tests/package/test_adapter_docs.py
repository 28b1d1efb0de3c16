"""The tables of docs/adapters.md are those of the committed records."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_tables_are_fresh():
    command = [sys.executable, "benchmarks/adapter_ablation.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run {' '.join(command[1:-1])} --tables\n{done.stderr}"
