"""Run DeepXDE's own example scripts, unmodified but for fewer iterations, under conflictopt.

Usage: python -m benchmarks.deepxde_examples PATH_TO_DEEPXDE/examples --out FILE [--iterations 3000]
[--seeds 0 1 2] [--methods none auto] [--only Burgers Euler] [--workers 2]

For every script, method and seed ``conflictopt run``, on a copy in which iteration counts and
L-BFGS limits are reduced (as DeepXDE's own example tests do). Writes verdicts and outcomes as
JSON; what the file holds is not run again, unless it failed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

TIMEOUT = 3600
SCRIPTS = (
    "pinn_forward/Beltrami_flow.py",
    "pinn_forward/Burgers.py",
    "pinn_forward/Euler_beam.py",
    "pinn_forward/Helmholtz_Dirichlet_2d.py",
    "pinn_forward/Klein_Gordon.py",
    "pinn_forward/Kovasznay_flow.py",
    "pinn_forward/Laplace_disk.py",
    "pinn_forward/Lotka_Volterra.py",
    "pinn_forward/Poisson_Dirichlet_1d.py",
    "pinn_forward/Poisson_Lshape.py",
    "pinn_forward/Poisson_Neumann_1d.py",
    "pinn_forward/Poisson_PointSetOperator_1d.py",
    "pinn_forward/Poisson_Robin_1d.py",
    "pinn_forward/Poisson_periodic_1d.py",
    "pinn_forward/american_put.py",
    "pinn_forward/diffusion_1d.py",
    "pinn_forward/diffusion_1d_resample.py",
    "pinn_forward/elasticity_plate.py",
    "pinn_forward/heat_resample.py",
    "pinn_forward/ode_2nd.py",
    "pinn_forward/ode_system.py",
    "pinn_forward/wave_1d.py",
    "pinn_inverse/Lorenz_inverse.py",
    "pinn_inverse/Navier_Stokes_inverse.py",
    "pinn_inverse/brinkman_forchheimer.py",
    "pinn_inverse/diffusion_1d_inverse.py",
    "pinn_inverse/diffusion_reaction_rate.py",
    "pinn_inverse/elliptic_inverse_field.py",
    "pinn_inverse/elliptic_inverse_field_batch.py",
    "pinn_inverse/reaction_inverse.py",
)
PRINTED = re.compile(r"(?im)^l2 relative error[^:\n]*:\s*([0-9.e+-]+)\s*$")


def reduced(source: str, iterations: int) -> str:
    """The script with fewer iterations and a short L-BFGS; nothing else changes."""
    source = re.sub(r"\b(iterations|epochs)\s*=\s*\d+", rf"\1={iterations}", source)
    # DeepXDE derives iter_per_step from maxiter only once, at import
    limit = "dde.optimizers.config.LBFGS_options.update(maxiter=40, iter_per_step=20)\n"
    return re.sub(r"(^import deepxde as dde\n)", r"\1" + limit, source, count=1, flags=re.M)


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python."""
    one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    backends = {"DDEBACKEND": "pytorch", "MPLBACKEND": "Agg"}
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, **one_thread, **backends},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )


def attempt(examples: Path, name: str, method: str, iterations: int, seed: int) -> dict[str, Any]:
    """Run one script in a scratch copy of the examples."""
    script = Path(name)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "examples"
        folder = root / script.parent
        folder.mkdir(parents=True)
        if (examples / "dataset").is_dir():
            shutil.copytree(examples / "dataset", root / "dataset")
        copy = folder / script.name
        copy.write_text(reduced((examples / script).read_text(), iterations))
        chosen, *options = method.split(":")
        command = ["-m", "conflictopt", "run", copy.name, "--method", chosen]
        command += [word for option in options for word in ("--option", option)]
        command += ["--script-seed", str(seed)]
        command += ["--profile-steps", str(min(1000, iterations // 2))]
        identity = {"script": name, "method": method, "seed": seed, "iterations": iterations}
        try:
            done = run(command, folder)
            if done.returncode:
                plainly = run([copy.name], folder)
                *_, error = ["no message", *done.stderr.strip().splitlines()]
                return {**identity, "error": error, "plain python fails": bool(plainly.returncode)}
        except subprocess.TimeoutExpired:
            return {**identity, "error": f"no end after {TIMEOUT} s"}
        report = json.loads((folder / "report" / "report.json").read_text())
        if "diagnosis" not in report:
            return {**identity, "error": "no verdict"}
        printed = [float(error) for error in PRINTED.findall(done.stdout)]
        return {**identity, **_found(report), "printed": printed}


def _found(report: dict[str, Any]) -> dict[str, Any]:
    diagnosis, plan, outcome = report["diagnosis"], report["plan"], report["outcome"]
    kept = ("steps", "wall_time_s", "train_loss", "metrics", "best", "unknowns", "trained_with")
    return {
        "losses": [entry["name"] for entry in diagnosis["losses"]],
        "regime": diagnosis["regime"],
        "norm_ratio": diagnosis["norm_ratio"],
        "plan": plan["kind"],
        **{key: outcome[key] for key in kept},
    }


def main() -> None:
    """Run all scripts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("examples", type=Path)
    parser.add_argument("--iterations", type=int, default=3000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the scripts")
    told = "names, with options as in auto:reweighting=ntk"
    parser.add_argument("--methods", nargs="+", default=["none", "auto:curvature=False"], help=told)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", default=[""], help="parts of scripts' names")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    results = json.loads(given.out.read_text()) if given.out.exists() else []
    keys = ("script", "method", "seed", "iterations")
    results = [r for r in results if "error" not in r]
    known = {tuple(r[k] for k in keys) for r in results}
    wanted = [
        (name, method, given.iterations, seed)
        for seed in given.seeds
        for name in SCRIPTS
        if any(part in name for part in given.only)
        for method in given.methods
        if (name, method, seed, given.iterations) not in known
    ]
    jobs = (delayed(attempt)(given.examples, *task) for task in wanted)
    for r in Parallel(n_jobs=given.workers, return_as="generator_unordered")(jobs):
        told = r.get("error") or f"{r['losses']}: {r['regime']}, plan {r['plan']}"
        print(f"{r['script']}, {r['method']}, seed {r['seed']}: {told}", flush=True)
        results = sorted([*results, r], key=lambda r: [str(r[k]) for k in keys])
        given.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
