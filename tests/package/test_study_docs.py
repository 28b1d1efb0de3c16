"""The tables that studies write into documents are those of the committed records."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "script",
    [
        "adapter_ablation",
        "auto_study",
        "curvature_study",
        "first_order_cost",
        "first_order_examples",
        "first_order_study",
        "learning_rates",
        "loop_study",
        "plan_screen",
        "script_study",
        "suite_regimes",
    ],
)
def test_tables_are_fresh(script):
    command = [sys.executable, "-m", f"benchmarks.{script}", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"write the tables of {script} anew\n{done.stderr}"
