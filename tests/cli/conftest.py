"""Tiny DeepXDE scripts, and the command line that runs them."""

from __future__ import annotations

import os

os.environ["DDE_BACKEND"] = os.environ["DDEBACKEND"] = "pytorch"

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deepxde as dde
import pytest
import torch
from typer.testing import CliRunner

from conflictopt.cli.app import app

MODEL = """
import deepxde as dde
import numpy as np

def build():
    dde.config.set_random_seed(0)
    line = dde.geometry.Interval(0, 1)
    wall = dde.icbc.DirichletBC(line, lambda x: 1, lambda _, on: on)
    data = dde.data.PDE(line, lambda x, u: u, [wall], num_domain=8, num_boundary=2,
                        solution=lambda x: 0 * x)
    model = dde.Model(data, dde.nn.FNN([1, 8, 1], "tanh", "Glorot normal"))
    model.compile("adam", lr=1e-2, metrics=["mean squared error"])
    return model

model = build()
"""


@pytest.fixture(autouse=True)
def _process(monkeypatch, tmp_path):
    """Each test in an empty folder; the process's environment and options return afterwards."""
    for name in ("DDE_BACKEND", "DDEBACKEND"):
        monkeypatch.setenv(name, "pytorch")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    dde.config.set_default_float("float32")
    dde.optimizers.set_LBFGS_options()


@pytest.fixture
def script(tmp_path) -> Callable[..., Path]:
    """``script(lines)``: a file that builds the tiny model ``model``, followed by those lines."""

    def write(lines: str, name: str = "heat.py", start: str = MODEL) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(start + lines + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def unseeded(script) -> Path:
    """A script that trains the tiny model and seeds nothing, as most do."""
    path = script("model.train(iterations=30)")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("dde.config.set_random_seed(0)", "pass"), encoding="utf-8")
    return path


@pytest.fixture
def invoke() -> Callable[..., Any]:
    """``invoke(*words)``: the command line in this process, with its output and exit code."""

    def run(*words: object):
        return CliRunner().invoke(app, [str(w) for w in words])

    return run


@pytest.fixture
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """``command(*words)``: ``python -m conflictopt`` in a process of its own."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "conflictopt", *map(str, words)]
        return subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)

    return run
