"""Which problems are measured, with which contenders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from . import contenders as by
from .contenders import StepContender
from .equations import burgers, kovasznay, poisson10d
from .loops import burgers_loop, regression
from .problems import StepProblem


@dataclass(frozen=True)
class StepCase:
    """A problem and who is timed on it.

    Attributes:
        name: what the report calls it.
        build: a fresh problem, always the same.
        contenders: who is timed.
        seconds: time to spend on rounds.
    """

    name: str
    build: Callable[[], StepProblem]
    contenders: list[StepContender]
    seconds: float


class _Main(NamedTuple):
    build: Callable[[], StepProblem]
    count: int
    apart: bool  # a forward pass per loss

    def essential(self) -> list[StepContender]:
        return [
            by.plain(),
            by.ours("sum", "sum"),
            by.constant(self.count),
            by.profile(),
            *by.surgery(),
            *by.rivals(self.apart),
        ]

    def everything(self) -> list[StepContender]:
        return [
            by.plain(),
            by.ours("sum", "sum"),
            by.constant(self.count),
            by.profile(),
            *by.refreshed(),
            *by.surgery(),
            *by.variants(),
            *by.rivals(self.apart, more=True),
        ]


_MAIN = {
    "burgers": _Main(burgers, 3, apart=False),
    "kovasznay": _Main(kovasznay, 6, apart=False),
    "poisson10d": _Main(poisson10d, 2, apart=False),
    "torch_loop": _Main(burgers_loop, 3, apart=True),
    "torch_loop_width_50": _Main(partial(burgers_loop, 50), 3, apart=True),
}


def quick_cases() -> list[StepCase]:
    """The five problems with the essential contenders: about four minutes."""
    return [StepCase(name, m.build, m.essential(), seconds=22) for name, m in _MAIN.items()]


def full_cases() -> list[StepCase]:
    """Every problem and contender: about 25 minutes."""
    extra = {"kovasznay": [by.ours("pcgrad, groups=kind", "pcgrad", groups="kind")]}
    main = [
        StepCase(name, m.build, [*m.everything(), *extra.get(name, [])], seconds=150)
        for name, m in _MAIN.items()
    ]
    widths = [
        StepCase(
            f"burgers_width_{w}",
            partial(burgers, w),
            [*_MAIN["burgers"].essential(), *by.refreshed()],
            seconds=60,
        )
        for w in (50, 128)
    ]
    return [*main, *widths, *_scaling()]


def _scaling() -> list[StepCase]:
    """In losses, in parameters, in points; a forward pass per loss."""
    who = [by.plain(pairs=3), *by.surgery(pairs=3), *by.rivals(apart=True)]
    losses = {f"losses_{k}": partial(regression, count=k) for k in (2, 4, 8, 16)}
    widths = {"1e4": 98, "1e5": 314, "1e6": 998, "1e7": 3160}
    parameters = {f"parameters_{p}": partial(regression, width=w) for p, w in widths.items()}
    rows = {f"rows_{n}": partial(regression, rows=n) for n in (100, 1000, 10_000)}
    return [
        StepCase(name, build, who, seconds=20)
        for name, build in {**losses, **parameters, **rows}.items()
    ]
