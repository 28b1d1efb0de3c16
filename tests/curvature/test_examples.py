"""The scripts of ``examples/`` that train with Levenberg-Marquardt, cut short."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "examples"


@pytest.fixture
def run(capsys):
    """``run(name)``: errors by title, of an example with few steps; torch is left as it was."""
    dtype, state = torch.get_default_dtype(), torch.get_rng_state()

    def of(name):
        runpy.run_path(str(FOLDER / f"{name}.py"))["main"](steps=20)
        found = re.findall(
            r"^(.+): +error (\S+) after \S+ CPU seconds$", capsys.readouterr().out, re.M
        )
        return {title: float(error) for title, error in found}

    yield of
    torch.set_default_dtype(dtype)
    torch.set_rng_state(state)


def test_the_propped_beam_runs(run):
    errors = run("propped_beam")
    assert list(errors) == ["Adam, 20 steps", "Levenberg-Marquardt", "Levenberg-Marquardt, ntk"]
    assert all(error < 2 for error in errors.values())


@pytest.mark.parametrize("name", ["lotka_volterra", "rotating_hill"])
def test_the_others_run(run, name):
    errors = run(name)
    assert list(errors) == ["Adam, 20 steps", "Levenberg-Marquardt"]
    assert all(error < 2 for error in errors.values())
