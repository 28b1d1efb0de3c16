"""One timed run; out comes what its record says."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

import torch

from ....core.errors import NonFiniteError
from ....methods.expression import MethodExpression
from ....optim.last_step import LastStep
from ...problems.problem import Problem
from ..budget import Budget
from ..curve import Curve, Stopwatch
from ..provenance import machine
from ..summaries import (
    conflict_of,
    outcome_of,
    parameter_counts,
    reports_of,
    rounded,
    verdict_of,
)
from .clock import PlainClock
from .driver import Ending
from .drivers import kind_of
from .marks import Marks, beyond, noted_fractions
from .plain_step import PlainSteps


class TimedRun:
    """A run that ends when it has taken its CPU time.

    The time is told in plain steps, which are measured right before it and along with it: however
    fast the machine is at present, the plain run and this one have the same.

    Args:
        problem, method, seed, budget: of the run; the method names an optimizer.
    """

    def __init__(
        self, problem: Problem, method: MethodExpression, seed: int, budget: Budget
    ) -> None:
        self._began = datetime.now(timezone.utc)
        self._problem, self._method, self._budget = problem, method, budget
        kind = kind_of(method)
        assert kind is not None
        setup = kind.setup(problem, seed, budget, method)
        # once for nothing: what a process sets up once is no method's time
        with suppress(NonFiniteError):  # the run will come by it
            tried = kind.make(setup.copy(), method, seed, budget)
            tried.advance(0.0)
            tried.advance(1.0)  # what comes after Adam, where it goes first
        self._driver = kind.make(setup, method, seed, budget)
        self._clock = PlainClock(PlainSteps(problem, seed, budget).measure, budget.steps)
        self._horizon = 1.0 if method.optimizer is None else method.optimizer.horizon
        self._marks = Marks(noted_fractions(self._horizon, budget.curve_points))
        self._curve = Curve(problem.loss_names, lambda: problem.relative_l2(setup.net))
        self._watch = Stopwatch()
        self._done, self._ended = 0, "time"
        self._parts: list[float] = []

    def loop(self) -> str | None:
        """Take steps until the time is over or none follows; a message if the run diverged."""
        self._note()
        try:
            while True:
                ending, took = self._advance()
                # the step to come, if it is like the last one, would end beyond
                soon = self._clock.spent + took
                over = ending or beyond(self._horizon, soon)
                if self._marks.passed(soon) or over:
                    self._note()
                if over:
                    break
        except NonFiniteError as error:
            self._ended = "diverged"
            return f"step {self._done}: {error}"
        self._ended = ending or "time"
        return None

    def _advance(self) -> tuple[Ending | None, float]:
        """Take a step: why none follows, and the part of the plain run's time that it took."""
        before = self._watch.cpu_s
        with self._watch.running():
            ending = self._driver.advance(self._clock.spent)
        self._done += 1
        return ending, self._clock.add(self._watch.cpu_s - before)

    def _note(self) -> None:
        """Note the present state; its losses are those at all points, not at those of a step."""
        last = self._driver.optimizer.last
        none = torch.full((self._problem.K,), float("nan"))
        weights = none if last is None else last.coefficients
        with self._driver.best():
            names, values = self._problem.loss_names, self._driver.setup.losses()
            self._curve.note(self._done, LastStep(names, values, weights, ()), self._watch.cpu_s)
        self._parts.append(round(self._clock.spent, 5))

    def outcome(self, message: str | None) -> dict[str, Any]:
        """The rest of the record."""
        optimizer = self._driver.optimizer
        with self._driver.best():
            setup = self._driver.setup
            ending = outcome_of(self._problem, setup.net, setup.unknowns, message)
        return {
            **ending,
            "steps": self._done,
            "wall_time_s": round(self._watch.wall_s, 3),
            "cpu_time_s": round(self._watch.cpu_s, 3),
            "parameters": parameter_counts(self._driver.setup.net),
            "curve": {**self._curve.to_json(), "plain_runs": self._parts},
            "coefficients": self._curve.coefficients(),
            **self._decided(),
            "reports": reports_of(optimizer),
            "conflicts": optimizer.conflicts.state_dict(),
            "profile": None,
            "machine": machine(),
            "started": self._began.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "timed": self._timed(),
        }

    def _decided(self) -> dict[str, Any]:
        """What ``auto`` decided, if it was that."""
        optimizer = self._driver.optimizer
        diagnosis, plan = optimizer.diagnosis, optimizer.plan
        once = [(0, optimizer.aggregator.label)]
        return {
            "conflict": conflict_of(diagnosis) if diagnosis else None,
            "diagnosis": verdict_of(diagnosis) if diagnosis else None,
            "plan": plan.to_json() if plan else None,
            "trained_with": getattr(optimizer.control, "trained_with", once),
            "decisions": [d.to_json() for d in optimizer.decisions],
        }

    def _timed(self) -> dict[str, Any]:
        """The record's key ``timed``."""
        clock = self._clock
        return {
            "horizon": self._horizon,
            "spent": clock.spent,
            "plain_run_s": clock.plain_run_s,
            "plain_step_s": clock.plain_run_s / self._budget.steps,
            "measured_steps_s": rounded(clock.measured),
            "ended": self._ended,
            **self._driver.notes(),
        }
