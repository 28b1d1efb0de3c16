"""Runs of single scripts, whose seconds are CPU time."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .scripts import Example

ROOT = Path(__file__).parents[2]
ADDRESS = "https://github.com/lululxvi/deepxde/blob/{commit}/examples/{path}"
TIMEOUT = 3600
KEPT = ("steps", "train_loss", "metrics", "best", "unknowns", "log")
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}


def attempt(
    examples: Path,
    example: Example,
    method: str,
    seconds: float | None = None,
    more: Sequence[str] = (),
    seed: int = 0,
) -> dict[str, Any]:
    """Run one script in a scratch copy of the examples.

    Args:
        examples: DeepXDE's.
        example: the script.
        method: to train it with.
        seconds: of CPU time for an optimizer that the method names.
        more: options of the command.
        seed: of the script.
    """
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "examples"
        folder = root / Path(example.path).parent
        folder.mkdir(parents=True)
        if (examples / "dataset").is_dir():
            shutil.copytree(examples / "dataset", root / "dataset")
        script = folder / Path(example.path).name
        script.write_text(example.cut((examples / example.path).read_text()))
        limit = ["--seconds", f"{seconds:.2f}"] if seconds is not None else []
        printed, reports = run_script(folder, script.name, method, seed, (*more, *limit))
        if not reports:
            return {"error": printed}
        outcome = reports[0]["outcome"]
    return {
        "errors": example.errors(printed, outcome),
        "cpu_seconds": outcome["wall_time_s"],
        **{key: outcome[key] for key in KEPT},
    }


def run_script(
    folder: Path, script: str, method: str, seed: int, more: Sequence[str] = ()
) -> tuple[str, list[dict[str, Any]]]:
    """Run one by ``conflictopt run`` on one thread, by CPU time.

    Args:
        folder: where it is, and where its report goes.
        script: its file.
        method: to train it with.
        seed: of the script.
        more: options of the command.

    Returns:
        What it printed, and a report of every model; the end of its errors, and none, if it failed.
    """
    command = [sys.executable, "-m", "benchmarks.levenberg_marquardt_examples.cpu_clock"]
    command += ["run", script, "--method", method, "--script-seed", str(seed), *more]
    environment = {**os.environ, **ONE_THREAD, "DDEBACKEND": "pytorch", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    if done.returncode:
        return done.stderr.strip()[-2000:], []
    reports = sorted((folder / "report").rglob("report.json"))
    return done.stdout, [json.loads(path.read_text()) for path in reports]


def identity(examples: Path, example: Example, commit: str) -> dict[str, Any]:
    """Which script it was, so that anyone can look it up."""
    return {
        "script": ADDRESS.format(commit=commit, path=example.path),
        "sha256": hashlib.sha256((examples / example.path).read_bytes()).hexdigest(),
        "iterations": example.iterations,
        "iterations of L-BFGS": example.searched,
        "tf.exp and tf.sin replaced by torch's": example.tensorflow,
        "runs": {},
    }
