"""``auto`` on published DeepXDE scripts as they are, beside plain training.

Usage: python -m benchmarks.script_study FOLDER [--only heat beam] [--seeds 0 1 2] [--workers 2]
       python -m benchmarks.script_study --tables | --check

``scripts.json`` says where each script is from: ``FOLDER/NAME/original.py`` is that file, with the
data that it reads beside it. Each is cut to some 80 CPU seconds, and otherwise run as it is, with
``conflictopt run --method none`` and ``--method auto``. Runs that the records hold are not run
again, unless they failed. ``--tables`` writes them into docs/scripts.md, ``--check`` fails if that
is stale.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from .. import RECORDS, ROOT
from ..documents.studyscript import write_tables
from ..levenberg_marquardt_examples.attempts import run_script
from .scripts import PublicScript, errors, public_scripts
from .tables import sections

OUT, DOCUMENT = RECORDS / "script_study.json", ROOT / "docs" / "scripts.md"
SCRIPT = "python -m benchmarks.script_study"
METHODS = ("none", "auto")
KEPT = ("steps", "train_loss", "metrics", "unknowns", "trained_with", "log")


def attempt(folder: Path, script: PublicScript, method: str, seed: int) -> dict[str, Any]:
    """Run a script in a copy of its folder."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / script.name
        shutil.copytree(folder / script.name, place)
        (place / "script.py").write_text(script.source(place), encoding="utf-8")
        printed, reports = run_script(place, "script.py", method, seed)
        if not reports:
            return {"error": printed}
    found, first = [report["outcome"] for report in reports], reports[0]
    return {
        "errors": errors(printed),
        "cpu_seconds": sum(o["wall_time_s"] for o in found),
        "regime": first.get("diagnosis", {}).get("regime"),
        "plan": first["plan"]["kind"] if found[0]["plan_applied"] else None,
        "models": [{key: o[key] for key in KEPT} for o in found],
    }


def run(folder: Path, only: list[str], seeds: list[int], workers: int) -> None:
    """Do the runs that are not done yet."""
    records = json.loads(OUT.read_text()) if OUT.exists() else {}
    chosen = [s for s in public_scripts() if any(part in s.name for part in only)]
    tasks = [(s, seed, m) for seed in seeds for s in chosen for m in METHODS]
    todo = [
        (s, seed, m)
        for s, seed, m in tasks
        if "errors" not in records.get(s.name, {}).get(f"{m}, seed {seed}", {})
    ]

    def do(script: PublicScript, seed: int, method: str) -> tuple[str, str, dict[str, Any]]:
        return script.name, f"{method}, seed {seed}", attempt(folder, script, method, seed)

    jobs = Parallel(n_jobs=workers, backend="threading", return_as="generator_unordered")
    for name, label, found in jobs(delayed(do)(*task) for task in todo):
        records.setdefault(name, {})[label] = found
        told = found.get("errors") or found["error"][-300:]
        print(f"{name}, {label}: {told} in {found.get('cpu_seconds')} s", flush=True)
        OUT.write_text(json.dumps(records, indent=1, sort_keys=True) + "\n")


def main() -> None:
    """Run what has no record, then write the table; or do one of both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="of the scripts")
    parser.add_argument("--only", nargs="+", default=[""], help="parts of scripts' names")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tables", action="store_true", help="write the table, run nothing")
    parser.add_argument("--check", action="store_true", help="fail if the table is stale")
    given = parser.parse_args()
    if not (given.tables or given.check):
        if given.folder is None:
            parser.error("expected the folder of the scripts, or --tables.")
        run(given.folder, given.only, given.seeds, given.workers)
    write_tables(DOCUMENT, SCRIPT, sections(json.loads(OUT.read_text())), given.check)


if __name__ == "__main__":
    main()
