"""How often the verdict on synthetic problems is right, and whether its confidence can be trusted.

Usage: python -m benchmarks.synthetic_regimes [--cases 200] [--near 1500] [--out FILE]
       python -m benchmarks.synthetic_regimes --figure [--out FILE]

Built cases lie well inside their regime; a verdict that is too close or too short counts as not
right. Near cases are quadratics at 0.8 to 1 of the way to a threshold, of 50 to 200 samples;
right is the verdict that the exact distribution of their gradients gives. Every case is trained
with a recorder. Asserts nothing: it prints tables and writes JSON. ``--figure`` draws
docs/figures/regime_reliability.png from that file, prints the tables and measures nothing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from scipy.stats import norm

from conflictopt import diagnose
from conflictopt.lab.synthetic.case import KINDS, REGIMES, Case
from conflictopt.lab.synthetic.training import exact_regime, trained_profile

from . import RECORDS, ROOT
from .documents.drawn import save
from .step_cost.report import circumstances, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OUT = RECORDS / "synthetic_regimes.json"
FIGURE = ROOT / "docs" / "figures" / "regime_reliability.png"
CONFIDENCES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
MARGINS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
FARTHEST = 6.0
FIRST_NEAR_SEED = 10_000
NEAREST, LENGTHS = (0.8, 1.0), (50, 100, 200)
Array = NDArray[np.float64]
Record = dict[str, Any]


def main() -> None:
    """Train and report, or draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=200, help="built cases per regime and kind")
    parser.add_argument("--near", type=int, default=1500, help="cases near a threshold")
    parser.add_argument("--out", type=Path, default=OUT, help="the JSON file")
    parser.add_argument("--figure", action="store_true", help="draw from the JSON file and stop")
    given = parser.parse_args()
    if not given.figure:
        torch.set_num_threads(1)
        record = {**circumstances(), "built": built(given.cases), "near": near(given.near)}
        write(given.out, record)
    record = json.loads(given.out.read_text(encoding="utf-8"))
    show(Console(width=100), record)
    if given.figure:
        draw(record, FIGURE)


def built(count: int) -> Record:
    """Verdicts on cases well inside their regime, seeds 0 to ``count - 1``."""
    found = {}
    for kind in KINDS:
        for regime in REGIMES:
            verdicts = [_verdict(Case(regime, kind, seed)) for seed in range(count)]
            wrong = [{"seed": s, **v} for s, v in enumerate(verdicts) if not _right(v, regime)]
            found[f"{kind}, {regime}"] = {"cases": count, "not_right": wrong}
    return found


def near(count: int) -> dict[str, list[Any]]:
    """Verdicts on cases near a threshold, with the exact regime: one list per column."""
    found: list[Record] = []
    for seed in range(FIRST_NEAR_SEED, FIRST_NEAR_SEED + count):
        random = np.random.default_rng(seed)
        difficulty, samples = float(random.uniform(*NEAREST)), int(random.choice(LENGTHS))
        case = Case(REGIMES[seed % 3], "quadratics", seed, difficulty, samples)
        row = {"seed": seed, "built_as": case.regime, "difficulty": round(difficulty, 4)}
        row |= {"samples": samples, "exact": exact_regime(case)}
        found.append({**row, **_verdict(case)})
    return {key: [row[key] for row in found] for key in found[0]}


def _verdict(case: Case) -> Record:
    d = diagnose(trained_profile(case))
    numbers = {"confidence": d.confidence, "margin": round(d.margin, 4)}
    return {"regime": d.regime, **numbers, "too_short": d.too_short, "too_close": d.too_close}


def _right(verdict: Record, regime: str) -> bool:
    return verdict["regime"] == regime and not verdict["too_short"] and not verdict["too_close"]


# -- the report --------------------------------------------------------------------------------


def columns(record: Record) -> tuple[Array, Array, Array]:
    """Confidence, margin and whether the verdict is right, of all near cases."""
    rows = record["near"]
    right = np.array(rows["regime"]) == np.array(rows["exact"])
    return np.array(rows["confidence"]), np.array(rows["margin"]), right.astype(np.float64)


def bins(values: Array, right: Array, edges: tuple[float, ...]) -> list[tuple[float, float, int]]:
    """Mean value, share of right verdicts and number of cases of every bin that is not empty.

    The last edge belongs to the last bin, and so does everything above it.
    """
    index = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    groups = [index == i for i in range(len(edges) - 1)]
    return [
        (float(values[g].mean()), float(right[g].mean()), int(g.sum())) for g in groups if g.any()
    ]


def show(console: Console, record: Record) -> None:
    """Print accuracies, the reliability table and its two scores."""
    table = Table("built cases", box=SIMPLE_HEAD)
    table.add_column("right", justify="right")
    for name, row in record["built"].items():
        right = row["cases"] - len(row["not_right"])
        table.add_row(name, f"{right} of {row['cases']} ({right / row['cases']:.1%})")
    console.print(table)
    confidence, margin, right = columns(record)
    for name, values, edges in (
        ("confidence", confidence, CONFIDENCES),
        ("margin", margin, MARGINS),
    ):
        table = Table(f"near cases by {name}", box=SIMPLE_HEAD)
        for heading in ("mean", "right", "cases"):
            table.add_column(heading, justify="right")
        for value, share, count in bins(values, right, edges):
            table.add_row("", f"{value:.3f}", f"{share:.3f}", str(count))
        console.print(table)
    brier, error = scores(confidence, right)
    sure = confidence >= 0.9
    console.print(f"Near cases right: {right.mean():.1%} of {len(right)}; Brier score {brier:.4f}")
    console.print(f"(of a constant {right.var():.4f}),")
    console.print(f"expected calibration error {error:.4f}. Not too close: {sure.mean():.1%}, of ")
    console.print(
        f"which {right[sure].mean():.1%} right; too close: {right[~sure].mean():.1%} right."
    )


def scores(confidence: Array, right: Array) -> tuple[float, float]:
    """Brier score, and the mean distance from the diagonal of the bins weighted by their cases."""
    found = bins(confidence, right, CONFIDENCES)
    error = sum(abs(value - share) * count for value, share, count in found) / len(right)
    return float(np.mean((confidence - right) ** 2)), error


def draw(record: Record, path: Path) -> None:
    """Write the figure."""
    save(figure_of(record), path)


def figure_of(record: Record) -> Figure:
    """Share of right verdicts against confidence and against margin, with 95 % intervals."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    confidence, margin, right = columns(record)
    figure = Figure(figsize=(9, 3.9), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    left, second = figure.subplots(1, 2)
    line = np.linspace(0.4, 1.0, 50)
    left.plot(line, line, color="0.6", lw=1, ls="--", label="confidence is exact")
    _points(left, bins(confidence, right, CONFIDENCES))
    left.set(xlim=(0.4, 1.03), xlabel="confidence of the verdict", ylabel="share of right verdicts")
    line = np.linspace(0.0, FARTHEST, 300)
    second.plot(line, norm.cdf(line), color="0.6", lw=1, ls="--", label="normal distribution")
    _points(second, bins(np.minimum(margin, FARTHEST), right, MARGINS))
    second.set(xlabel=f"margin of the verdict, in standard errors (at most {FARTHEST:g})")
    for axes in (left, second):
        axes.set_ylim(0.3, 1.06)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="lower right", frameon=False, fontsize=8)
    figure.suptitle(f"{len(right)} synthetic problems near a threshold", fontsize=11)
    return figure


def _points(axes: Any, found: list[tuple[float, float, int]]) -> None:
    x, share, count = np.array(found).T
    low, high = _wilson(share, count)
    spread = np.clip([share - low, high - share], 0, None)
    label = "verdicts, 95 % interval"
    axes.errorbar(x, share, spread, fmt="o", ms=5, lw=1.2, color="#0b62a4", label=label)
    for xi, top, n in zip(x, high, count, strict=True):
        axes.annotate(
            f"{n:.0f}", (xi, top), (0, 5), textcoords="offset points", ha="center", fontsize=7
        )


def _wilson(share: Array, count: Array) -> tuple[Array, Array]:
    """Wilson's 95 % interval of a share."""
    z = norm.ppf(0.975)
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return centre - half, centre + half


if __name__ == "__main__":
    main()
