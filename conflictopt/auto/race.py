"""The second look: plans continue from one state, are judged on held-out points, and one wins."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ..core.errors import ConflictOptWarning, MethodError, NonFiniteError
from ..selection.plan import Plan
from ..selection.plan_template import named
from .host import HeldOut, RacingHost

MARGIN = 0.1
"""Relative losses nearer than this are a tie; conditions may be worse than plain by this part.

A stated value, not a calibrated one: held-out losses within a tenth of each other do not tell
plans apart, since two runs that differ by rounding only may end further apart.
"""

Score = Callable[[HeldOut], float]
Status = Literal["ok", "vetoed", "diverged"]


@dataclass(frozen=True)
class Branch:
    """How one plan did.

    Attributes:
        plan: its kind.
        reweighting, surgery: its methods, if it has any.
        status: ``ok``; ``vetoed``, its conditions were worse than plain; or ``diverged``.
        score: of the held-out losses at its end; lower is better.
        conditions: sum of its held-out condition losses.
        losses: the held-out losses.
    """

    plan: str
    reweighting: str | None
    surgery: str | None
    status: Status
    score: float
    conditions: float
    losses: Mapping[str, float]

    @property
    def name(self) -> str:
        """The plan with its method: two plans of a race may be of one kind."""
        return named(self.plan, self.reweighting, self.surgery)


@dataclass(frozen=True)
class RaceOutcome:
    """A race and what it cost.

    Attributes:
        branches: one per plan, in the order of the race.
        winner: the plan that goes on. Ties are won by that of the first branch.
        steps: of each branch.
        extra_steps: of all of them; none is among the steps of the run.
        seconds: wall time of the race.
        reason: one sentence with the deciding numbers.
    """

    branches: tuple[Branch, ...]
    winner: Plan
    steps: int
    extra_steps: int
    seconds: float
    reason: str

    @property
    def cost(self) -> str:
        """Steps and time, in words."""
        return f"{self.extra_steps} extra steps, {self.seconds:.1f} s"

    def to_json(self) -> dict[str, Any]:
        """The outcome as plain data."""
        parts = ("kind", "reweighting", "surgery")
        return {**asdict(self), "winner": {part: getattr(self.winner, part) for part in parts}}


def race(
    host: RacingHost,
    plans: Sequence[Plan],
    enter: Callable[[Plan], None],
    steps: int,
    score: Score,
    margin: float = MARGIN,
) -> RaceOutcome:
    """Try plans from the present state; afterwards the run is bitwise where it was.

    Every plan continues for ``steps`` steps and is judged on held-out points. It is vetoed if the
    sum of its held-out condition losses exceeds that of the plain branch by more than ``margin``:
    weights that run away drop the conditions, whatever they do to the score. Of the others the
    lowest score wins, but the favourite wins ties: another must be better by more than ``margin``,
    so that noise does not decide. If all diverge, the favourite goes on.

    The winner starts where the race began, so that schedule and number of steps are untouched;
    the steps of the race are spent.

    Args:
        host: of the run.
        plans: the favourite first; one of kind ``none`` among them.
        enter: takes up a plan in the present state.
        steps: of each branch.
        score: of held-out losses, a logarithm; lower is better.
        margin: as said, relative.

    Raises:
        MethodError: no plain plan to compare with.
    """
    if all(p.kind != "none" for p in plans):
        raise MethodError(f"expected a plan 'none' in a race, found {[p.kind for p in plans]}.")
    began, before = time.perf_counter(), host.snapshot()
    found: list[HeldOut | None] = []
    for plan in plans:
        try:
            with warnings.catch_warnings():
                # what a branch that is undone reports is nothing that happened to the run
                warnings.simplefilter("ignore", ConflictOptWarning)
                enter(plan)
                host.advance(steps)
                found.append(host.held_out())
        except NonFiniteError:
            found.append(None)
        finally:
            before.restore()
    plain = found[[p.kind for p in plans].index("none")]
    branches = tuple(
        _judged(plan, own, plain, score, margin) for plan, own in zip(plans, found, strict=True)
    )
    best = _best(branches, margin)
    winner = plans[branches.index(best)]
    seconds = time.perf_counter() - began
    reason = _reason(branches, best)
    return RaceOutcome(branches, winner, steps, steps * len(plans), seconds, reason)


def _judged(
    plan: Plan, own: HeldOut | None, plain: HeldOut | None, score: Score, margin: float
) -> Branch:
    name = plan.kind, plan.reweighting, plan.surgery
    value = score(own) if own is not None else math.inf
    if own is None or math.isnan(value) or value == math.inf:
        losses = dict(own.losses) if own is not None else {}
        return Branch(*name, "diverged", math.inf, math.inf, losses)
    limit = plain.condition_sum if plain is not None else math.inf
    # a plain branch that diverged vetoes nothing
    limit = math.inf if math.isnan(limit) else limit * (1 + margin)
    status: Status = "vetoed" if own.condition_sum > limit else "ok"
    return Branch(*name, status, value, own.condition_sum, dict(own.losses))


def _best(branches: Sequence[Branch], margin: float) -> Branch:
    favourite = branches[0]
    able = [b for b in branches if b.status == "ok"]
    if not able:
        return favourite
    best = min(able, key=lambda b: b.score)
    tie = favourite.status == "ok" and favourite.score <= best.score + math.log1p(margin)
    return favourite if tie else best


def _reason(branches: Sequence[Branch], best: Branch) -> str:
    def told(b: Branch) -> str:
        if b.status == "diverged":
            return f"'{b.name}' diverged"
        veto = ", vetoed by its conditions" if b.status == "vetoed" else ""
        return f"'{b.name}' {b.score:.3g}{veto}"

    listed = "; ".join(map(told, branches))
    lowest = min((b.score for b in branches if b.status == "ok"), default=best.score)
    tie = ", as near to the lowest as a tie, which the plan at hand wins" * (best.score > lowest)
    return f"'{best.name}' won the race{tie} (log of the relative held-out losses: {listed})."
