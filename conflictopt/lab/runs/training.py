"""One run: a problem, a method, a seed, a budget; out comes its record."""

from __future__ import annotations

import warnings
from datetime import datetime, timezone
from typing import Any

import torch

from ...adapters import AdapterDesign, attach
from ...auto.host import LoopHost
from ...core.errors import ConflictOptWarning, LayoutError, MethodError, NonFiniteError
from ...methods.expression import MethodExpression
from ...optim.optimizer import MultiLossOptimizer
from ..problems.network import parameter_count
from ..problems.problem import Problem
from .budget import Budget
from .curve import Curve, Stopwatch, noted_steps
from .loop import RunLoop
from .phases import Phases, options_of
from .provenance import machine, source_digest, versions
from .records import SCHEMA
from .summaries import (
    conflict_of,
    outcome_of,
    parameter_counts,
    reports_of,
    rounded,
    verdict_of,
)
from .timed.drivers import kind_of, timed_settings
from .timed.run import TimedRun


def plan_identity(
    problem: Problem, method: MethodExpression, seed: int, budget: Budget
) -> dict[str, Any]:
    """What the record of a run says of which run it is, without training.

    Args:
        problem, method, seed, budget: of the run.

    Raises:
        MethodError: adapters that would be attached, or methods that would begin, after the last
            step; adapters that do not go with the network; a profile of ``auto`` that would end
            after the last step.
    """
    _check_verdicts(method, budget)
    adapters = method.adapters
    if adapters is not None and adapters.attach >= budget.steps:
        raise MethodError(
            f"'{method.label}': expected attach below the run's {budget.steps} steps, found "
            f"{adapters.attach}."
        )
    if method.after >= budget.steps:
        raise MethodError(
            f"'{method.label}': expected after:steps below the run's {budget.steps} steps, found "
            f"{method.after}."
        )
    if adapters is not None:
        _adapter_parameters(problem, adapters.design, budget, method.label)
    sizes = _sizes(problem, method, budget)
    counts = problem.counts(budget.small_points, budget.point_scale)
    return {
        "schema": SCHEMA,
        "problem": problem.id,
        "method": method.label,
        "options": method.options,
        "seed": seed,
        "budget": budget.name,
        "settings": {**budget.settings(counts, sizes), **timed_settings(method)},
        "versions": versions(),
        "digest": {"problem": problem.digest, "source": source_digest()},
    }


def _check_verdicts(method: MethodExpression, budget: Budget) -> None:
    if method.auto is None:
        return
    steps = options_of(method, budget, 0).profile_steps
    if steps >= budget.steps:
        raise MethodError(
            f"'{method.label}': expected profile_steps below the run's {budget.steps} steps, found "
            f"{steps}."
        )


def train(problem: Problem, method: MethodExpression, seed: int, budget: Budget) -> dict[str, Any]:
    """Train once.

    The points, the initial network, the schedule and the number of steps depend on the problem,
    the seed and the budget alone, so all methods have the same; ``wide`` has a wider network. A
    method that names an optimizer has the CPU time of as many plain steps in place of the steps.

    Returns:
        The record. A run whose losses, gradients or errors become infinite has the status
        ``diverged``.

    Raises:
        ConflictOptError: a method that does not go with the problem.
    """
    identity = plan_identity(problem, method, seed, budget)
    kind = _Run if kind_of(method) is None else TimedRun
    with warnings.catch_warnings():
        # counted in the record instead, under "reports"
        warnings.simplefilter("ignore", ConflictOptWarning)
        run = kind(problem, method, seed, budget)
        message = run.loop()
    return {**identity, **run.outcome(message)}


def _sizes(problem: Problem, method: MethodExpression, budget: Budget) -> list[int]:
    sizes = problem.sizes(budget.width(problem.spec.network.width))
    if method.wide is None:
        return sizes
    adapters = _adapter_parameters(problem, method.wide.design, budget, method.label)
    return problem.sizes(sizes[1], parameters=parameter_count(sizes) + adapters)


def _adapter_parameters(problem: Problem, design: AdapterDesign, budget: Budget, label: str) -> int:
    """How many parameters the adapters of a design have on the network of a problem.

    Raises:
        MethodError: they do not go with it.
    """
    sizes = problem.sizes(budget.width(problem.spec.network.width))
    if design.rank > sizes[-2]:
        raise MethodError(
            f"'{label}': expected a rank up to the width of '{problem.id}', {sizes[-2]}, found "
            f"{design.rank}."
        )
    try:
        adapters = attach(problem.network(sizes, 0), problem.loss_names, design)
    except LayoutError as error:
        raise MethodError(f"'{label}' on '{problem.id}': {error}") from error
    return sum(adapters.count_parameters().values())


class _Run:
    def __init__(
        self, problem: Problem, method: MethodExpression, seed: int, budget: Budget
    ) -> None:
        self._began = datetime.now(timezone.utc)
        self._problem, self._budget, self._method = problem, budget, method
        counts = problem.counts(budget.small_points, budget.point_scale)
        self._equations = problem.losses(problem.draw(counts, seed))
        self._net = problem.network(_sizes(problem, method, budget), seed)
        self._unknowns = problem.unknowns()
        host = LoopHost(self._net, seed)
        self._phases = Phases(method, budget, seed, host)
        controller = self._phases.controller
        # methods with moments of their own take the plain step of their direction
        kind = torch.optim.SGD if controller.first().steps_itself else torch.optim.Adam
        inner = kind(
            [*self._net.parameters(), *self._unknowns.values()],
            lr=budget.learning_rate,
        )
        self._optimizer = MultiLossOptimizer(inner, controller, equations=problem.equations)
        schedule = torch.optim.lr_scheduler.LambdaLR(self._optimizer, budget.rate)
        self._loop = RunLoop(
            problem,
            self._equations,
            self._net,
            self._unknowns,
            self._optimizer,
            schedule,
            host,
        )
        self._phases.begin(self._loop)
        self._curve = Curve(problem.loss_names, lambda: problem.relative_l2(self._net))
        self._watch = Stopwatch()
        self._done = 0

    def loop(self) -> str | None:
        """Take all steps; a message if the run diverged."""
        self._loop.warm_up()
        try:
            for stop in noted_steps(self._budget.steps, self._budget.curve_points):
                with self._watch.running():
                    while self._done < stop:
                        self._loop.advance()
                        self._done += 1
                        self._phases.after(self._done)
                assert self._optimizer.last is not None
                self._curve.note(stop, self._optimizer.last, self._watch.cpu_s)
        except NonFiniteError as error:
            return f"step {self._done}: {error}"
        return None

    def outcome(self, message: str | None) -> dict[str, Any]:
        """The rest of the record."""
        controller = self._phases.controller
        controller.conclude(self._optimizer)
        profile, diagnosis = controller.profile, controller.diagnosis
        plan = controller.plan if controller.applied else None
        plain = self._method.label == "none" and profile is not None
        return {
            **outcome_of(self._problem, self._net, self._unknowns, message),
            "steps": self._done,
            "wall_time_s": round(self._watch.wall_s, 3),
            "cpu_time_s": round(self._watch.cpu_s, 3),
            "parameters": parameter_counts(self._net),
            "curve": self._curve.to_json(),
            "coefficients": self._curve.coefficients(),
            "conflict": conflict_of(diagnosis) if diagnosis else None,
            "diagnosis": verdict_of(diagnosis) if diagnosis else None,
            "plan": plan.to_json() if plan else None,
            "trained_with": controller.trained_with,
            "decisions": [d.to_json() for d in controller.decisions],
            "reports": reports_of(self._optimizer),
            "conflicts": self._optimizer.conflicts.state_dict(),
            "profile": rounded(profile.to_json()) if plain and profile else None,
            "machine": machine(),
            "started": self._began.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
