"""Who is timed: every way to take one step, ours and the peers', as a common record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import conflictopt

from . import peers
from .problems import Method, Step, StepProblem

CYCLE = 10
"""Steps timed in a row where only some steps do the work."""


@dataclass(frozen=True)
class StepContender:
    """One way to take a step.

    Attributes:
        name: what the tables call it.
        maker: ``"torch"`` (the plain step), ``"conflictopt"``, or the peer's package.
        start: makes the step, given a fresh problem.
        pairs: timed steps per round.
        refresh: steps per refresh; above 1, a round's steps are a cycle that begins with the
            refresh, and its sample is the cost per step at this many steps per refresh.
        rival: the contender of ours that does the same; for peers.
    """

    name: str
    maker: str
    start: Callable[[StepProblem], Step]
    pairs: int
    refresh: int = 1
    rival: str = ""


def ours(
    name: str, method: Method, refresh: int = 1, pairs: int = CYCLE, **options: Any
) -> StepContender:
    """A method of conflictopt, as its users call it."""

    def start(problem: StepProblem) -> Step:
        problem.treat(method, **{"engine": "auto", "every": 1, **options})
        return problem.step

    return StepContender(name, "conflictopt", start, pairs, refresh)


def plain(pairs: int = CYCLE) -> StepContender:
    """The plain step of a second model: how far from 1.0 noise alone gets."""
    return StepContender("plain", "torch", lambda problem: problem.step, pairs)


def constant(count: int) -> StepContender:
    """Constant weights, none of them 1: what reweighting costs between refreshes."""
    weights = [1.5 + k for k in range(count)]
    return ours("constant weights", conflictopt.make("constant", weights=weights))


def surgery(pairs: int = CYCLE) -> list[StepContender]:
    """Both surgery methods, every step."""
    return [ours(method, method, pairs=pairs) for method in ("pcgrad", "config")]


def profile() -> StepContender:
    """The profile: the plain step, and per-loss gradients every tenth step.

    Longer than the default 1000 steps, lest it fill up and stop while it is timed.
    """
    recorder = conflictopt.Recorder(steps=10_000, every=CYCLE)
    return ours("profile (every 10)", recorder, refresh=CYCLE)


def refreshed() -> list[StepContender]:
    """Reweighting methods at their default steps per refresh, timed at one refresh in ten."""
    ntk = conflictopt.make("ntk", refresh=CYCLE)
    return [
        ours("grad_norm", conflictopt.make("grad_norm", refresh=CYCLE), refresh=100),
        ours("ntk", ntk, refresh=100),
        ours("lr_annealing", conflictopt.make("lr_annealing", refresh=CYCLE), refresh=10),
        ours(
            "ntk + adapters",
            conflictopt.Chain(ntk, conflictopt.make("adapters")),
            refresh=100,
        ),
    ]


def aligned() -> list[StepContender]:
    """Updates aligned in the optimizer's metric, at every step."""
    return [ours(f"{method}, aligned", method, update="align") for method in ("sum", "pcgrad")]


def variants() -> list[StepContender]:
    """PCGrad by each engine, and with coefficients from every tenth step."""
    return [
        ours("pcgrad, every=10", "pcgrad", refresh=CYCLE, every=CYCLE),
        ours("pcgrad, engine=graph", "pcgrad", pairs=3, engine="graph"),
        ours("pcgrad, engine=batched", "pcgrad", pairs=3, engine="batched"),
    ]


def rivals(apart: bool, more: bool = False) -> list[StepContender]:
    """The peers, in each of the ways they can be called that may be the cheapest.

    Args:
        apart: whether the losses have forward passes of their own, so that each can be
            differentiated before the next one's is taken.
        more: also their other aggregators.
    """
    torchjd = {
        "PCGrad, one by one": peers.torchjd_together("PCGrad", 1),
        "PCGrad, batched": peers.torchjd_together("PCGrad", None),
    }
    conflictfree = {"ConFIG, loss by loss": peers.conflictfree_apart("ConFIG")}
    if apart:
        torchjd["PCGrad, loss by loss"] = peers.torchjd_apart("PCGrad")
    else:
        conflictfree["ConFIG, one by one"] = peers.conflictfree_together("ConFIG")
    if more and apart:
        torchjd["UPGrad, loss by loss"] = peers.torchjd_apart("UPGrad")
        conflictfree["PCGrad, loss by loss"] = peers.conflictfree_apart("PCGrad")
    elif more:
        torchjd["UPGrad, one by one"] = peers.torchjd_together("UPGrad", 1)
        conflictfree["PCGrad, one by one"] = peers.conflictfree_together("PCGrad")
    return [*_peers("torchjd", torchjd), *_peers("conflictfree", conflictfree)]


def _peers(maker: str, ways: dict[str, Callable[[StepProblem], Step]]) -> list[StepContender]:
    rivals = {"PCGrad": "pcgrad", "UPGrad": "pcgrad", "ConFIG": "config"}
    return [
        StepContender(
            f"{maker} {name}", maker, start, pairs=3, rival=rivals[name.partition(",")[0]]
        )
        for name, start in ways.items()
    ]
