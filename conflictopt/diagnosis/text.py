"""The verdict for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from .regime import Diagnosis
from .selection import Plan

_COLOURS = {"persistent": "red", "magnitude": "yellow", "benign": "green"}
_MEANING = {
    "persistent": "persistent directional conflict: gradients keep pointing against each other",
    "magnitude": "magnitude imbalance: gradient norms differ by orders",
    "benign": "low or transient conflict: nothing needs to be done",
}


def verdict(diagnosis: Diagnosis, plan: Plan) -> Iterator[RenderableType]:
    """What to print: tables, the regime, the checks behind it, the plan and its reason."""
    if diagnosis.pairs:
        yield _pair_table(diagnosis)
    yield _loss_table(diagnosis)
    regime = Text.assemble(
        "Regime: ",
        (_MEANING[diagnosis.regime], f"bold {_COLOURS[diagnosis.regime]}"),
        ".",
    )
    yield regime
    for check in diagnosis.checks:
        yield Text(f"  {check}", style="dim")
    if diagnosis.too_short:
        enough = diagnosis.thresholds.enough_samples
        yield Text(
            f"The profile has {diagnosis.samples} samples; fewer than {enough} are too short to "
            "rely on. Train longer or sample more often (--every).",
            style="bold yellow",
        )
    method = f" ({plan.reweighting})" if plan.reweighting else ""
    yield Text.assemble("Plan: ", (plan.kind + method, "bold"), f", because {plan.reason}")


def _pair_table(diagnosis: Diagnosis) -> Table:
    title = f"Conflict per pair of losses ({diagnosis.samples} samples; all | last half)"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("pair", no_wrap=True)
    for heading in ("conflicting", "mean cosine", "longest run"):
        table.add_column(heading, justify="right", no_wrap=True)
    for p in diagnosis.pairs:
        table.add_row(
            f"{p.first} / {p.second}",
            f"{p.conflict:.0%} | {p.conflict_late:4.0%}",
            f"{p.cosine:+.2f} | {p.cosine_late:+.2f}",
            str(p.longest_run),
        )
    return table


def _loss_table(diagnosis: Diagnosis) -> Table:
    caption = f"largest / smallest gradient norm, geometric mean: {diagnosis.norm_ratio:.3g}"
    table = Table(
        title="Per loss",
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("loss", no_wrap=True)
    for heading in ("first value", "last value", "gradient norm", "last half"):
        table.add_column(heading, justify="right", no_wrap=True)
    for s in diagnosis.losses:
        cells = (s.first, s.last, s.norm, s.norm_late)
        table.add_row(s.name, *(f"{v:.3g}" for v in cells))
    return table
