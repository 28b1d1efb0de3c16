"""Importing conflictopt stays light, and its names are those it promises."""

import subprocess
import sys

import conflictopt

HEAVY = ("deepxde", "matplotlib", "typer", "rich", "scipy")


def test_import_leaves_heavy_libraries_alone():
    code = f"import sys, conflictopt; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_the_deepxde_integration_does_not_import_deepxde():
    code = "import sys, conflictopt.integrations.deepxde.script; print('deepxde' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_all_names_exist():
    for name in conflictopt.__all__:
        assert getattr(conflictopt, name) is not None
