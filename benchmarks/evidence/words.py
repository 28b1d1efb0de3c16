"""Numbers as the documents write them."""

from __future__ import annotations

from conflictopt.lab.study_report.statistics.ratios import Ratio

from .goals import Share
from .grid import ADAPTERS, AUTO, PLAN, SHORT, WIDE

TITLES = {
    "none": "plain Adam",
    "grad_norm:form=one_sided": "`grad_norm`, one-sided",
    ADAPTERS: "adapters, `ntk`",
    WIDE: "equal-size trunk, `ntk`",
    AUTO: "`auto`, its rule alone",
    SHORT: "`auto`, its rule alone, profile of 300 steps",
    PLAN: "`ntk+pcgrad` after 1000 steps",
}


def title(method: str) -> str:
    """What the tables call a method."""
    return TITLES.get(method, f"`{method}`")


def ratio(found: Ratio | None) -> str:
    """``0.54 [0.35, 0.81]``; a dash where nothing can be compared."""
    if found is None:
        return "-"
    ends = f" [{found.interval.low:.2f}, {found.interval.high:.2f}]" if found.interval else ""
    return f"{found.value:.2f}{ends}"


def share(found: Share) -> str:
    """``61 % [46, 74] (27 of 44)``."""
    low, high = (round(100 * end) for end in found.interval)
    return f"{found.value:.0%} [{low}, {high}] ({found.count} of {found.total})".replace("%", " %")


def reached(is_reached: bool, interval: tuple[float, float] | None, aim: float) -> str:
    """Whether an aim is reached, and whether that is within the noise of the measurement."""
    said = "reached" if is_reached else "not reached"
    near = interval is not None and interval[0] <= aim <= interval[1]
    return f"{said}, within the noise" if near else said
