"""SOAP and aligned updates in DeepXDE's own examples, at the CPU time of the scripts as they are.

Usage: python -m benchmarks.first_order_examples PATH_TO_DEEPXDE/examples --commit HASH
           [--only Burgers Euler] [--workers 2]
       python -m benchmarks.first_order_examples --tables | --check

Nine scripts, three seeds, cut to 3000 iterations (and 100 of L-BFGS where a script has it). A
method has as many iterations as fit in the CPU time of the script's own, by the cost of an
iteration in a short run of each before. Runs that the records hold are not run again, unless they
failed. ``--tables`` writes them into docs/first_order.md, ``--check`` fails if that is stale.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from conflictopt.lab.study_report.markdown import code, table
from conflictopt.lab.study_report.statistics.pairing import geometric_mean
from conflictopt.wording import number

from . import RECORDS, ROOT
from .documents.studyscript import write_tables
from .levenberg_marquardt_examples.__main__ import ratio
from .levenberg_marquardt_examples.attempts import attempt, identity
from .levenberg_marquardt_examples.scripts import Example

OUT, DOCUMENT = RECORDS / "first_order_examples.json", ROOT / "docs" / "first_order.md"
SCRIPT, SECTION = "python -m benchmarks.first_order_examples", "examples"
ITERATIONS, SEARCHED, PROBE = 3000, 100, 300
SEEDS = (0, 1, 2)
METHODS = ("soap+ntk", "soap+ntk+align", "ntk+pcgrad", "ntk+pcgrad+align")
EXAMPLES = (
    Example("pinn_forward/Burgers.py", ITERATIONS, SEARCHED),
    Example("pinn_forward/Euler_beam.py", ITERATIONS),
    Example("pinn_forward/Poisson_Neumann_1d.py", ITERATIONS),
    Example("pinn_forward/Poisson_PointSetOperator_1d.py", ITERATIONS),
    Example("pinn_forward/Poisson_Robin_1d.py", ITERATIONS),
    Example("pinn_forward/ode_system.py", ITERATIONS),
    Example("pinn_inverse/Lorenz_inverse.py", ITERATIONS, SEARCHED, unknowns=(10.0, 15.0, 8 / 3)),
    Example("pinn_inverse/brinkman_forchheimer.py", ITERATIONS, unknowns=(1e-3, 1e-3)),
    Example("pinn_inverse/diffusion_reaction_rate.py", ITERATIONS),
)

Records = dict[str, Any]


class RefusedError(Exception):
    """A script that a method does not train: surgery beside unknowns refuses L-BFGS, for one."""


def cost(examples: Path, example: Example, method: str) -> float:
    """CPU seconds of an iteration, without L-BFGS.

    Raises:
        RefusedError: the method does not train it.
    """
    short = replace(example, iterations=PROBE, searched=1 if example.searched else 0)
    # steps of the script's own Adam, which goes first, are few in a whole run
    run = attempt(examples, short, method.replace("soap", "soap:warm=0"))
    if "error" in run:
        raise RefusedError(run["error"])
    return float(run["cpu_seconds"]) / PROBE


def runs_of(examples: Path, example: Example, seed: int, known: Records) -> Records:
    """All runs of a script and a seed, those that are known as they are."""
    found = {m: run for m, run in known.items() if "error" not in run}
    own = None
    for method in ("none", *METHODS):
        if method in found:
            continue
        own = own or cost(examples, example, "none")
        try:
            relative = 1.0 if method == "none" else cost(examples, example, method) / own
        except RefusedError as error:
            found[method] = {"error": str(error)}
            print(f"{example.name}, {method}, seed {seed}: {error}", flush=True)
            continue
        cut = replace(example, iterations=round(ITERATIONS / relative))
        run = attempt(examples, cut, method, seed=seed)
        found[method] = {**run, "iterations": cut.iterations}
        print(f"{example.name}, {method}, seed {seed}: {run.get('errors', run)}", flush=True)
    return found


def summary(records: Records) -> str:
    """Per script and method the ratios of errors, those on which the first method loses first."""
    rows = []
    for name, of in records.items():
        ratios = {m: list(_ratios(of["runs"], m)) for m in METHODS}
        means = [geometric_mean(found) if found else None for found in ratios.values()]
        plain = [statistics.median(r["errors"].values()) for r in _plain(of["runs"])]
        error = statistics.median(plain) if plain else None
        rows.append((means, name, error, ratios, _costs(of["runs"])))
    rows.sort(key=lambda row: -(row[0][0] or 0.0))
    heads = ["script", "error as it is", *map(code, METHODS), "CPU time"]
    lines = [
        [name, number(plain, 2), *map(_told, means, ratios.values()), costs]
        for means, name, plain, ratios, costs in rows
    ]
    columns = [[row[0][i] for row in rows if row[0][i] is not None] for i in range(len(METHODS))]
    every = [number(geometric_mean(column), 2) if column else "-" for column in columns]
    return table(heads, [*lines, ["**all**", "", *every, ""]], "lr" + "r" * len(METHODS) + "r")


def _plain(runs: Records) -> Iterator[Records]:
    return (of["none"] for of in runs.values() if "error" not in of.get("none", {"error": ""}))


def _ratios(runs: Records, method: str) -> Iterator[float]:
    for of in runs.values():
        if "none" in of and method in of:
            found = ratio(of[method], of["none"])
            if found is not None:
                yield found


def _costs(runs: Records) -> str:
    """CPU time of the methods over that of the script as it is: from the least to the most."""
    found = [
        of[m]["cpu_seconds"] / of["none"]["cpu_seconds"]
        for of in runs.values()
        for m in METHODS
        if all("error" not in of.get(name, {"error": ""}) for name in ("none", m))
    ]
    return f"{min(found):.2f} to {max(found):.2f}" if found else "-"


def _told(mean: float | None, ratios: list[float]) -> str:
    return "-" if mean is None else f"{number(mean, 2)} ({number(max(ratios), 2)})"


def run(examples: Path, commit: str, only: list[str], workers: int) -> None:
    """Do the runs that are not done yet, script by script and seed by seed."""
    records = json.loads(OUT.read_text()) if OUT.exists() else {}
    chosen = [e for e in EXAMPLES if any(part in e.name for part in only)]
    for example in chosen:
        of = identity(examples, example, commit)
        before = records.get(example.name, of)
        records[example.name] = before if {**of, "runs": 0} == {**before, "runs": 0} else of
    tasks = [(e, seed) for seed in SEEDS for e in chosen]

    def do(example: Example, seed: int) -> tuple[str, int, Records]:
        known = records[example.name]["runs"].get(str(seed), {})
        return example.name, seed, runs_of(examples, example, seed, known)

    jobs = Parallel(n_jobs=workers, backend="threading", return_as="generator_unordered")
    for name, seed, found in jobs(delayed(do)(*task) for task in tasks):
        records[name]["runs"][str(seed)] = found
        OUT.write_text(json.dumps(records, indent=1) + "\n")


def main() -> None:
    """Run what has no record, then write the table; or do one of both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("examples", type=Path, nargs="?", help="DeepXDE's folder of examples")
    parser.add_argument("--commit", help="of DeepXDE, that the examples are from")
    parser.add_argument("--only", nargs="+", default=[""], help="parts of scripts' names")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tables", action="store_true", help="write the table, run nothing")
    parser.add_argument("--check", action="store_true", help="fail if the table is stale")
    given = parser.parse_args()
    if not (given.tables or given.check):
        if given.examples is None or given.commit is None:
            parser.error("expected DeepXDE's folder of examples and --commit, or --tables.")
        run(given.examples, given.commit, given.only, given.workers)
    records = json.loads(OUT.read_text())
    write_tables(DOCUMENT, SCRIPT, [(SECTION, summary(records))], given.check)


if __name__ == "__main__":
    main()
