"""What ``auto`` did to scripts of DeepXDE, beside their plain runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from conflictopt.lab.study_report.markdown import code, table
from conflictopt.lab.study_report.statistics.pairing import geometric_mean
from conflictopt.wording import number

from ...documents.sections import DocumentSection, Number, Part

UNKNOWNS = {"pinn_inverse/Lorenz_inverse.py": (10.0, 15.0, 8 / 3)}
"""True values in scripts that compute no error."""
PLAIN, AUTO, ASKED = "none", "auto:curvature=False", "auto:reweighting=ntk"
"""The last is asked for in scripts that weight their losses, where ``auto`` rests."""
SPIKE = 3.0
HEADS = (
    *("script", "steps", "plan", "at the last step", "plain", "ratio", "of each seed"),
    "at the best step",
)


@dataclass(frozen=True)
class Example:
    """A script at a number of steps: of every seed the plain run, and another."""

    script: str
    runs: tuple[tuple[Mapping[str, Any], Mapping[str, Any]], ...]

    @property
    def ratios(self) -> list[float]:
        """The error over that of the plain run, of every seed."""
        return [self._error(treated) / self._error(plain) for plain, treated in self.runs]

    @property
    def ratio(self) -> float:
        """Their geometric mean."""
        return geometric_mean(self.ratios)

    def _measure(self) -> str:
        run, _ = self.runs[0]
        if self.measured:
            return next(iter(run["metrics"])).replace("_", " ")
        if run["printed"]:
            return "printed errors"
        return "error of unknowns" if self.script in UNKNOWNS else "train loss"

    def _error(self, run: Mapping[str, Any]) -> float:
        """By what the script itself has: a metric, errors it prints, known unknowns, losses."""
        measure = self._measure()
        if measure == "printed errors":
            return geometric_mean(run["printed"])
        if measure == "error of unknowns":
            pairs = zip(run["unknowns"], UNKNOWNS[self.script], strict=True)
            return geometric_mean([abs(found - true) / true for found, true in pairs])
        return next(iter(run["metrics"].values()), sum(run["train_loss"].values()))

    @property
    def measured(self) -> bool:
        """Whether the script has a metric, known at DeepXDE's best step too."""
        return bool(self.runs[0][0]["metrics"])

    def _best(self, run: Mapping[str, Any]) -> float:
        return next(iter(run["best"]["metrics"].values()))

    def _at_best(self) -> str:
        """The ratio of a metric at the steps that DeepXDE calls best."""
        if not self.measured:
            return "-"
        found = [self._best(treated) / self._best(plain) for plain, treated in self.runs]
        return f"{geometric_mean(found):.2f}"

    def spikes(self, which: int) -> int:
        """Runs of one kind that end with more than ``SPIKE`` times the error of their best step."""
        runs = [pair[which] for pair in self.runs]
        return sum(self._error(run) > SPIKE * self._best(run) for run in runs)

    def row(self) -> list[str]:
        """Of the table."""
        plans = sorted({treated["plan"] for _, treated in self.runs})
        plain = geometric_mean([self._error(run) for run, _ in self.runs])
        told = ", ".join(f"{r:.2g}" for r in self.ratios)
        cells = [code(self.script), str(self.runs[0][0]["steps"]), " or ".join(plans)]
        return [
            *cells,
            self._measure(),
            number(plain, 2),
            f"{self.ratio:.2f}",
            told,
            self._at_best(),
        ]


def deepxde_examples(results: Path) -> Iterator[Part]:
    """Tables and numbers of docs/evidence.md."""
    records = json.loads((results / "deepxde_examples.json").read_text(encoding="utf-8"))
    done = [r for r in records if "error" not in r]
    weighted = {r["script"] for r in done if r["method"] == ASKED}
    for name, method in (("deepxde examples", AUTO), ("weighted deepxde examples", ASKED)):
        found = [e for e in _examples(done, method) if (e.script in weighted) == (method == ASKED)]
        rows = [example.row() for example in found]
        yield DocumentSection("docs/evidence.md", name, table(list(HEADS), rows, "l"))
        ratios = [example.ratio for example in found]
        yield Number(name, str(len(found)))
        yield Number(f"{name}: scripts", str(len({example.script for example in found})))
        yield Number(f"{name}: ratio", f"{geometric_mean(ratios):.2f}")
        yield Number(f"{name}: median", f"{median(ratios):.2f}")
        measured = [example for example in found if example.measured]
        yield Number(f"{name}: runs with a metric", str(sum(len(e.runs) for e in measured)))
        for which, kind in enumerate((PLAIN, method)):
            yield Number(f"{name}: spikes, {kind}", str(sum(e.spikes(which) for e in measured)))


def _examples(records: list[dict[str, Any]], method: str) -> list[Example]:
    """One per script and number of steps."""
    by_key = {(r["script"], r["iterations"], r["method"], r["seed"]): r for r in records}
    pairs: dict[tuple[str, int], list[tuple[Any, Any]]] = {}
    for (script, iterations, used, seed), plain in by_key.items():
        treated = by_key.get((script, iterations, method, seed))
        if used == PLAIN and treated is not None:
            pairs.setdefault((script, iterations), []).append((plain, treated))
    return [Example(script, tuple(runs)) for (script, _), runs in pairs.items()]
