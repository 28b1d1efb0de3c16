"""The examples of Levenberg-Marquardt at full length: errors and CPU seconds beside Adam's.

Usage: python -m benchmarks.curvature_examples [NAME ...] [--out FILE] [--quick]

NAME is one of propped_beam, lotka_volterra, rotating_hill; all of them without. Each runs in a
process of its own on one thread, minutes long, and replaces what FILE has of it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from conflictopt.lab.runs.provenance import machine, versions

ROOT = Path(__file__).parents[1]
NAMES = ("propped_beam", "lotka_volterra", "rotating_hill")
RECORD = ROOT / "records" / "curvature_examples.json"
_LINE = re.compile(r"^(.+): +error (\S+) after (\S+) CPU seconds$", re.MULTILINE)
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run(name: str, quick: bool) -> str:
    """What an example prints."""
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), *["--quick"] * quick]
    env = {**os.environ, **dict.fromkeys(_THREADS, "1")}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


def read(text: str) -> list[dict[str, Any]]:
    """The runs that an example printed.

    Raises:
        SystemExit: it printed none.
    """
    found = _LINE.findall(text)
    if not found:
        raise SystemExit(f"expected lines 'NAME: error E after S CPU seconds', found: {text!r}")
    return [{"run": r, "error": float(e), "cpu_time_s": float(s)} for r, e, s in found]


def entry(text: str) -> dict[str, Any]:
    """The record of one example, from what it printed on this machine."""
    return {"runs": read(text), "versions": versions(), "machine": machine()}


def main() -> None:
    """Run, print and keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--out", type=Path, default=RECORD, help="the record; it is added to")
    parser.add_argument("--quick", action="store_true", help="few steps: does it run?")
    given = parser.parse_args()
    unknown = sorted(set(given.names) - set(NAMES))
    if unknown:
        parser.error(f"expected {', '.join(NAMES)}, found {', '.join(unknown)}")
    kept = json.loads(given.out.read_text(encoding="utf-8")) if given.out.is_file() else {}
    for name in given.names or NAMES:
        text = run(name, given.quick)
        print(f"{name}\n{text}", flush=True)
        kept[name] = entry(text)
        given.out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
