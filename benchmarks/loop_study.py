"""``auto`` in published torch loops, and in the README's, beside plain training.

Usage: python -m benchmarks.loop_study FOLDER [--seeds 0 1 2] [--workers 2]
       python -m benchmarks.loop_study --tables | --check

``loops.json`` says where each loop is from, and what is changed: ``cut`` in both runs (a seed, a
clock, no output), ``auto`` for conflictopt. ``FOLDER/NAME`` is the file of the loop of that name.
``--tables`` writes the records into docs/auto.md, ``--check`` fails if that is stale.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from conflictopt.lab.study_report.markdown import table
from conflictopt.lab.study_report.statistics.pairing import geometric_mean
from conflictopt.wording import number

from . import RECORDS, ROOT
from .documents.studyscript import write_tables
from .levenberg_marquardt_examples.attempts import ONE_THREAD
from .readme_loop import ReadmeLoop
from .script_study.scripts import ADDRESS

OUT, DOCUMENT = RECORDS / "loop_study.json", ROOT / "docs" / "auto.md"
LIST, SCRIPT = Path(__file__).with_name("loops.json"), "python -m benchmarks.loop_study"
RUNS = ("plain", "auto")
_PRINTED = re.compile(r"^(cpu seconds|l2 relative error): ([0-9.e+-]+)$", re.MULTILINE)
Pairs = Sequence[Sequence[str]]


@dataclass(frozen=True)
class PublicLoop:
    """A loop, where it is from, and what is changed.

    Attributes:
        name, equation: what it solves.
        repository, commit, path, sha256: of its file, a notebook.
        cut: replaced in both runs.
        ends_before: what comes from here on is left out.
        measure: lines after its end that print the error.
        auto: replaced for conflictopt, a pair for each place.
    """

    name: str
    equation: str
    repository: str
    commit: str
    path: str
    sha256: str
    cut: Pairs
    ends_before: str
    measure: str
    auto: Pairs

    @property
    def address(self) -> str:
        """Of the file."""
        return ADDRESS.format(repository=self.repository, commit=self.commit, path=self.path)

    def source(self, folder: Path, run: str, seed: int) -> str:
        """What is run.

        Raises:
            SystemExit: it is another file than that of the records, or lacks what is replaced.
        """
        raw = (folder / self.name).read_bytes()
        if hashlib.sha256(raw).hexdigest() != self.sha256:
            raise SystemExit(f"{self.name}: expected the file at {self.address}, found another.")
        cells = [c["source"] for c in json.loads(raw)["cells"] if c["cell_type"] == "code"]
        text = "\n".join("".join(cell) for cell in cells)
        for old, new in (*self.cut, *(self.auto if run == "auto" else ())):
            if text.count(old) != 1:
                raise SystemExit(f"{self.name}: expected {old!r} once, to be replaced.")
            text = text.replace(old, new)
        text = text[: text.index(self.ends_before)] + self.measure
        return text.replace("SEED", str(seed))


Loop = PublicLoop | ReadmeLoop


def loops() -> list[Loop]:
    """All of them."""
    public = [PublicLoop(**entry) for entry in json.loads(LIST.read_text(encoding="utf-8"))]
    return [*public, ReadmeLoop()]


def attempt(loop: Loop, folder: Path, run: str, seed: int) -> dict[str, float]:
    """Train once, on one thread."""
    done = subprocess.run(
        [sys.executable, "-c", loop.source(folder, run, seed)],
        env={**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = {name: float(value) for name, value in _PRINTED.findall(done.stdout)}
    print(f"{loop.name}, {run}, seed {seed}: {found}", flush=True)
    return found


def run(folder: Path, seeds: Sequence[int], workers: int) -> None:
    """Train all of them anew."""
    tasks = [(loop, seed, kind) for loop in loops() for seed in seeds for kind in RUNS]
    jobs = Parallel(n_jobs=workers, backend="threading")
    results = jobs(delayed(attempt)(loop, folder, kind, seed) for loop, seed, kind in tasks)
    records: dict[str, Any] = {}
    for (loop, seed, kind), found in zip(tasks, results, strict=True):
        records.setdefault(loop.name, {}).setdefault(str(seed), {})[kind] = found
    OUT.write_text(json.dumps(records, indent=1, sort_keys=True) + "\n")


def sections(records: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The table."""
    heads = ["loop", "what", "places changed", "error as it is", "ratio", "CPU time"]
    rows = [_row(loop, list(records[loop.name].values())) for loop in loops()]
    yield "loops", table(heads, rows, "llrrrr")


def _row(loop: Loop, pairs: list[dict[str, dict[str, float]]]) -> list[str]:
    def ratios(name: str) -> list[float]:
        return [pair["auto"][name] / pair["plain"][name] for pair in pairs]

    error = ratios("l2 relative error")
    plain = statistics.median(pair["plain"]["l2 relative error"] for pair in pairs)
    return [
        f"[{loop.name}]({loop.address})",
        loop.equation,
        str(len(loop.auto)),
        number(plain, 2),
        f"{number(geometric_mean(error), 2)} ({number(max(error), 2)})",
        f"{statistics.median(ratios('cpu seconds')):.2f}",
    ]


def main() -> None:
    """Run them, then write the table; or do one of both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="of the files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tables", action="store_true", help="write the table, run nothing")
    parser.add_argument("--check", action="store_true", help="fail if the table is stale")
    given = parser.parse_args()
    if not (given.tables or given.check):
        if given.folder is None:
            parser.error("expected the folder of the files, or --tables.")
        run(given.folder, given.seeds, given.workers)
    write_tables(DOCUMENT, SCRIPT, sections(json.loads(OUT.read_text())), given.check)


if __name__ == "__main__":
    main()
