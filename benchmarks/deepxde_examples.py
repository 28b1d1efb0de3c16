"""Run DeepXDE's own example scripts, unmodified but for fewer iterations, under conflictopt.

Usage: python benchmarks/deepxde_examples.py PATH_TO_DEEPXDE/examples [--iterations 300] [--out F]

For every script: ``conflictopt diagnose`` and ``conflictopt run --method auto --against none``,
each in a process of its own, on a copy in which iteration counts and L-BFGS limits are reduced (as
DeepXDE's own example tests do). Prints a table and writes verdicts and outcomes as JSON.
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
import time
from pathlib import Path

TIMEOUT = 900
SCRIPTS = (
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
    "pinn_forward/diffusion_1d.py",
    "pinn_forward/diffusion_1d_resample.py",
    "pinn_forward/heat_resample.py",
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
    "pinn_forward/elasticity_plate.py",
    "pinn_forward/Beltrami_flow.py",
)


def reduced(source: str, iterations: int) -> str:
    """The script with fewer iterations and a short L-BFGS; nothing else changes."""
    source = re.sub(r"\b(iterations|epochs)\s*=\s*\d+", rf"\1={iterations}", source)
    # DeepXDE derives iter_per_step from maxiter only once, at import
    limit = "dde.optimizers.config.LBFGS_options.update(maxiter=40, iter_per_step=20)\n"
    return re.sub(r"(^import deepxde as dde\n)", r"\1" + limit, source, count=1, flags=re.M)


def run(command: list[str], folder: Path) -> str | None:
    """Run Python; ``None`` when it succeeds, else the last line it printed."""
    environment = {**os.environ, "DDEBACKEND": "pytorch", "MPLBACKEND": "Agg"}
    try:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        return f"no end after {TIMEOUT} s"
    return done.stderr.strip().splitlines()[-1] if done.returncode else None


def outcomes(path: Path) -> dict[str, object]:
    """Per method the script's own metrics, and the sum of its losses, at the last step."""
    compared = json.loads(path.read_text())
    return {
        method: {"metrics": found["metrics"], "train loss": sum(found["train_loss"].values())}
        for method, found in compared.items()
    }


def attempt(script: Path, examples: Path, iterations: int, seed: int) -> dict[str, object]:
    """Diagnose and run one script in a scratch copy of the examples."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "examples"
        folder = root / script.parent
        folder.mkdir(parents=True)
        if (examples / "dataset").is_dir():
            shutil.copytree(examples / "dataset", root / "dataset")
        copy = folder / script.name
        copy.write_text(reduced((examples / script).read_text(), iterations))
        profile = ["--profile-steps", str(min(1000, iterations // 2))]
        result: dict[str, object] = {"script": str(script), "seed": seed}
        trained = ["--method", "auto", "--against", "none", "--script-seed", str(seed)]
        for command in (["diagnose", copy.name], ["run", copy.name, *trained]):
            began = time.perf_counter()
            failure = run(["-m", "conflictopt", *command, *profile], folder)
            result[command[0]] = {"seconds": round(time.perf_counter() - began, 1)}
            if failure:
                plainly = run([copy.name], folder)
                return {**result, "error": failure, "error under plain python": plainly}
        report = json.loads((folder / "report" / "report.json").read_text())
        diagnosis, plan = report["diagnosis"], report["plan"]
        result |= {
            "losses": [entry["name"] for entry in diagnosis["losses"]],
            "regime": diagnosis["regime"],
            "norm_ratio": diagnosis["norm_ratio"],
            "plan": plan["kind"],
            "reason": plan["reason"],
            "steps": report["outcome"]["steps"],
            "outcomes": outcomes(folder / "report" / "comparison.json"),
        }
        return result


def main() -> None:
    """Run all scripts and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("examples", type=Path)
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0, help="of the scripts")
    parser.add_argument("--out", type=Path, default=Path("deepxde_examples.json"))
    parser.add_argument("--only", nargs="+", default=[""], help="parts of scripts' names")
    arguments = parser.parse_args()
    results = []
    for name in SCRIPTS:
        if not any(part in name for part in arguments.only):
            continue
        chosen = Path(name), arguments.examples, arguments.iterations, arguments.seed
        results.append(attempt(*chosen))
        r = results[-1]
        if "error" in r:
            verdict = f"{r['error']} (under plain python: {r['error under plain python']})"
        else:
            verdict = f"{r['losses']}: {r['regime']} -> {r['plan']} ({r['steps']} steps)"
        print(f"{name}: {verdict}", flush=True)
        arguments.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
