"""Levenberg-Marquardt in DeepXDE's own examples, at the CPU time of the scripts as they are.

Usage: python -m benchmarks.levenberg_marquardt_examples PATH_TO_DEEPXDE/examples --commit HASH
           [--out records/levenberg_marquardt_examples.json] [--only Burgers Euler]
           [--methods levenberg_marquardt auto]
       python -m benchmarks.levenberg_marquardt_examples --tables | --check

Runs every script, cut to two CPU minutes, as it is (``--method none``: Adam, then L-BFGS
where the script says so), and then with each method for as many CPU seconds, or with
``auto``, which measures them by itself. Runs that the records hold are not run
again, unless they failed. ``--tables`` writes them into docs/deepxde.md,
``--check`` fails if that is stale.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

from conflictopt.methods.expression import MethodExpression

from ..documents.sections import refreshed
from .attempts import attempt, identity
from .scripts import EXAMPLES

ROOT = Path(__file__).parents[2]
OUT = ROOT / "records" / "levenberg_marquardt_examples.json"
DOCUMENT = ROOT / "docs" / "deepxde.md"
SCRIPT = "python -m benchmarks.levenberg_marquardt_examples"
SECTION = "levenberg-marquardt examples"


def ratio(run: dict[str, Any], plain: dict[str, Any]) -> float | None:
    """The geometric mean of a run's errors over those of the script as it is."""
    if "error" in run or "error" in plain:
        return None
    pairs = [(run["errors"][name], before) for name, before in plain["errors"].items()]
    return math.exp(sum(math.log(a / b) for a, b in pairs) / len(pairs))


def table(records: dict[str, Any]) -> str:
    """The records as Markdown."""
    lines = [
        "| script | CPU s | error of the script as it is | method | CPU s | error | ratio |",
        "| --- | ---: | ---: | --- | ---: | ---: | ---: |",
    ]
    for name, of in records.items():
        plain = of["runs"]["none"]
        for method, run in of["runs"].items():
            if method == "none" or "error" in run:
                continue
            cells = (name, f"{plain['cpu_seconds']:.0f}", _told(plain["errors"]), f"`{method}`")
            found = ratio(run, plain)
            cells += (f"{run['cpu_seconds']:.0f}", _told(run["errors"]), f"{found:.2g}")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _told(errors: dict[str, float]) -> str:
    return ", ".join(f"{value:.2g}" for value in errors.values())


def main() -> None:
    """Run what was asked for, or print what was recorded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("examples", type=Path, nargs="?", help="DeepXDE's folder of examples")
    parser.add_argument("--commit", help="of DeepXDE, that the examples are from")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--only", nargs="+", default=[""], help="parts of scripts' names")
    parser.add_argument("--methods", nargs="*", default=["levenberg_marquardt"])
    told = "with options as in 'levenberg_marquardt --no-fresh-points'"
    parser.add_argument("--again", action="store_true", help="run what the records hold, too")
    parser.add_argument("--tables", action="store_true", help="write the table, run nothing")
    parser.add_argument("--check", action="store_true", help="fail if the table is stale")
    parser.epilog = f"methods are expressions, {told}"
    given = parser.parse_args()
    records = json.loads(given.out.read_text()) if given.out.exists() else {}
    if given.tables or given.check:
        text = refreshed(DOCUMENT, SCRIPT, [(SECTION, table(records))])
        if given.check:
            sys.exit(int(text != DOCUMENT.read_text(encoding="utf-8")))
        DOCUMENT.write_text(text, encoding="utf-8")
        return
    if given.examples is None or given.commit is None:
        parser.error("expected DeepXDE's folder of examples and --commit, or --tables.")
    for example in EXAMPLES:
        if not any(part in example.name for part in given.only):
            continue
        of = identity(given.examples, example, given.commit)
        before = records.get(example.name, of)
        same = {**of, "runs": None} == {**before, "runs": None}
        records[example.name] = of = before if same else of
        for label in ("none", *given.methods):
            known = of["runs"].get(label, {"error": ""})
            if "error" not in known and not (given.again and label != "none"):
                continue
            method, *more = label.split()
            seconds = of["runs"].get("none", {}).get("cpu_seconds")
            if method != "none" and seconds is None:
                continue
            # auto measures the time of the script's iterations by itself
            timed = MethodExpression.parse(method).recounts
            limit = seconds if timed else None
            of["runs"][label] = run = attempt(given.examples, example, method, limit, more)
            told = run.get("error") or f"{_told(run['errors'])} in {run['cpu_seconds']} s"
            print(f"{example.name}, {label}: {told}", flush=True)
            given.out.write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
