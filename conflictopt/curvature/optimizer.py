"""Levenberg-Marquardt on the residuals of all losses, as a torch optimizer."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..core.choices import changed
from ..core.distributed import check_optimizer_alone
from ..core.errors import ConflictOptWarning, LossError, MethodError, NonFiniteError
from .batch import Batched, draw
from .best import BestIterate
from .growth import first_rows, grow
from .jacobian import RowJacobian
from .noise import MeasuredLosses
from .options import CurvatureOptions
from .problem import StepProblem, evaluated
from .residuals import ResidualClosure, ResidualSet, check_finite
from .search import CurvatureStep, distrusted, next_damping, remembered, search
from .system import NormalEquations

_CONVERGED = 1e-26
"""Loss on a step's rows from which its residuals are rounding errors in float64."""

_STUCK = 12
"""Steps in a row of which no trial lowered the loss."""

_SEEDS_APART = 1_000_003


class LevenbergMarquardt(torch.optim.Optimizer):
    """Steps ``d = -J^T (J J^T + lambda I)^-1 r`` on the residuals of all losses together.

    ``r`` stacks the residual entries of the step's rows, each scaled by ``sqrt(w / n)``, so that
    ``|r|^2`` is the weighted sum of the mean squares; ``J`` is its Jacobian. The step is a linear
    combination of the gradients of single residual entries, in whose metric losses do not conflict.
    A step is a problem of its own: rows are drawn anew for each, and a trial is taken if it lowers
    the loss on these rows.

    A true ``torch.optim.Optimizer``. Alone, ``step(closure)`` takes a closure that returns
    residuals; inside ``MultiLossOptimizer(LevenbergMarquardt(net), "ntk")`` losses are weighted by
    the method. Arithmetic of its own is in float64 whatever the network's dtype; train the network
    in float64 too where you can, since float32 residuals end the progress at about 1e-7 of their
    first size. Frozen parameters stay. ``.grad`` is neither read nor written.

    Cost: one evaluation of the residuals with a backward pass that gives the rows, up to N^2 P
    multiplications for the Gram matrix of N rows and P parameters, and two evaluations a trial;
    ``docs/cost.md`` has times.

    Source: Levenberg 1944, Marquardt 1963; on PINNs with fewer residuals than parameters
    arXiv 2505.12149 (by way of ``J J^T``) and 2505.21404 (with geodesic acceleration, Transtrum and
    Sethna 2012).
    Differs: rows are a batch that is accepted by its own loss, damping follows success (5 down,
    1.5 up) and not a gain ratio; no momentum.

    Args:
        params: a module, parameters or groups of them.
        lr: share of each step that is taken; schedulers change it.
        options: how steps are taken; or, by name,
        choices: fields of them.

    Attributes:
        options: how steps are taken.
        last: what the last step did; ``None`` before the first.

    Raises:
        MethodError: a bad option.

    >>> import torch, conflictopt
    >>> net = torch.nn.Linear(1, 1).double()
    >>> opt = conflictopt.LevenbergMarquardt(net)
    >>> x = torch.linspace(0, 1, 8, dtype=torch.float64)[:, None]
    >>> for _ in range(20):
    ...     loss = opt.step(lambda: {"data": net(x) - 2 * x, "bc": (net(0 * x[:1]), 10.0)})
    >>> opt.last.after < 1e-12
    True
    """

    reads_residuals = True
    """``MultiLossOptimizer`` hands over residuals, not gradients."""

    def __init__(
        self,
        params: nn.Module | Iterable[Any],
        *,
        lr: float = 1.0,
        options: CurvatureOptions | None = None,
        **choices: Any,
    ) -> None:
        self.options = changed(options or CurvatureOptions(), choices)
        if not (isinstance(lr, (int, float)) and math.isfinite(lr) and lr >= 0):
            raise MethodError(f"expected lr as a number >= 0, found {lr!r}.")
        given = params.parameters() if isinstance(params, nn.Module) else params
        super().__init__(given, {"lr": lr})
        self.last: CurvatureStep | None = None
        self._passing()

    def _passing(self) -> None:
        """What a copy begins without: it can be found out again."""
        self._jacobian: RowJacobian | None = None
        self._buffer: Tensor | None = None

    @property
    def trained(self) -> list[Tensor]:
        """The parameters that are not frozen."""
        return [p for g in self.param_groups for p in g["params"] if p.requires_grad]

    @property
    def notes(self) -> list[str]:
        """What was found out of how rows can be differentiated, one sentence each."""
        return list(self._jacobian.notes) if self._jacobian is not None else []

    @property
    def converged(self) -> bool:
        """Whether the residuals of the last step are rounding errors."""
        return self.last is not None and self.last.after <= _CONVERGED

    @property
    def stuck(self) -> bool:
        """Whether steps have led nowhere for long: another optimizer should go on."""
        return bool(self._memory["refused_in_a_row"] >= _STUCK)

    def forget_refused(self) -> None:
        """Go on as if no step had been refused: something else has changed."""
        self._memory["refused_in_a_row"] = 0

    @property
    def _memory(self) -> dict[str, Any]:
        """State of the whole run, kept with the first parameter as ``torch.optim.LBFGS`` does."""
        memory: dict[str, Any] = self.state[self.param_groups[0]["params"][0]]
        if not memory:
            memory.update(damping=None, steps=0, refused_in_a_row=0)
            memory.update(first_rows(self.options))
        return memory

    @torch.no_grad()
    def step(self, closure: ResidualClosure | None = None) -> float:  # type: ignore[override]
        """Take one step.

        Args:
            closure: returns residuals ``{name: r}``, ``{name: (r, weight)}`` or several of these in
                a list; the loss of each is ``weight * mean(r ** 2)``. ``r`` is ``[n]`` or
                ``[n, m]``, one row for each collocation point. It is called several times a step,
                and must return the same residuals as long as the parameters are the same. Where it
                has a method ``batch`` (see ``batch.Batched``), only the rows of the step are
                evaluated.

        Returns:
            The loss on the step's rows before it.

        Raises:
            LossError: no closure, or one that returns no residuals.
            NonFiniteError: an infinite or NaN residual or derivative; the parameters are as before.
            MethodError: see ``RowJacobian``.
        """
        if closure is None:
            raise LossError("expected step(closure), whose closure returns the residuals by loss.")
        if not self.options.alone:
            check_optimizer_alone("LevenbergMarquardt")
        before = {p: dict(of_one) for p, of_one in self.state.items()}
        try:
            return self._advance(closure)
        except BaseException:
            for p, of_one in self.state.items():
                of_one.clear()
                of_one.update(before.get(p, {}))
            raise

    def _advance(self, closure: ResidualClosure) -> float:
        engine = self._engine(self.trained)
        problem, sets = self._begin(closure, engine.evaluate, self._memory)
        check_finite(sets)
        r = problem.batch.residuals(sets)
        jacobian = problem.batch.jacobian(sets, engine, partial(self._space, device=r.device))
        del sets  # and with them the graph
        if self.options.keep_best:
            BestIterate(self.state, self.trained).judge(problem, float(r @ r))
        self._move(problem, NormalEquations(jacobian), r)
        assert self.last is not None
        return self.last.before

    @torch.no_grad()
    def load_best(self, closure: ResidualClosure) -> None:
        """Give the parameters the values that did best on fresh rows; see ``best.BestIterate``.

        Call it after the last step. The present values are held against the best before once more,
        on the rows of the step that would follow; where they do as well, or their residuals are
        rounding errors, they stay.

        Args:
            closure: see ``step``.

        Raises:
            LossError: one that returns no residuals.
        """
        best = BestIterate(self.state, self.trained)
        if self.converged or not best.values:
            return
        problem, sets = self._begin(closure, evaluated, dict(self._memory))
        r = problem.batch.residuals(sets)
        if best.beat(problem, float(r @ r)):
            best.load()

    def _begin(
        self,
        closure: ResidualClosure,
        evaluate: Callable[[ResidualClosure], tuple[ResidualSet, ...]],
        memory: dict[str, Any],
    ) -> tuple[StepProblem, tuple[ResidualSet, ...]]:
        """Draw rows: what a step solves, and the residuals where it begins."""
        generator = torch.Generator(device="cpu")
        generator.manual_seed(self.options.seed * _SEEDS_APART + memory["steps"])
        rows = self._rows(sum(p.numel() for p in self.trained))
        if isinstance(closure, Batched):
            closure, rows = closure.batch(rows, generator), None
        sets = evaluate(closure)
        measured = MeasuredLosses(self.options.measured)
        weigh = partial(measured.weighted, weight=measured.weight(sets, memory))
        sets = weigh(sets)
        batch = draw(sets, rows, generator)
        return StepProblem(closure, batch, weigh, self.trained, self._rates()), sets

    def _move(self, problem: StepProblem, equations: NormalEquations, r: Tensor) -> None:
        memory, scale = self._memory, equations.scale
        if not math.isfinite(scale):
            raise NonFiniteError("expected finite derivatives of the residuals, found inf or nan.")
        if memory["damping"] is None:
            memory["damping"] = self.options.damping * (scale or 1.0)
        if self.options.fresh_damping:
            memory["damping"] = distrusted(memory, float(r @ r), scale)
        try:
            self.last = search(problem, equations, r, memory["damping"], self.options)
        except BaseException:
            problem.restore()
            raise
        memory["damping"] = next_damping(self.last, scale, self.options)
        memory.update(remembered(self.last, memory) if self.options.fresh_damping else {})
        memory["steps"] += 1
        in_a_row = 0 if self.last.taken else memory["refused_in_a_row"] + 1
        memory["refused_in_a_row"] = in_a_row
        if not self.last.taken and self._jacobian is not None:
            self._jacobian.doubt()
        grow(memory, self.last.before, self.options)

    def _rates(self) -> list[float]:
        return [g["lr"] for g in self.param_groups for p in g["params"] if p.requires_grad]

    def _engine(self, params: list[Tensor]) -> RowJacobian:
        known = self._jacobian
        if known is None or list(map(id, known.params)) != list(map(id, params)):
            if not params:
                raise LossError("expected parameters to train, found all of them frozen.")
            self._jacobian = known = RowJacobian(params, self.options.engine)
        return known

    def _rows(self, size: int) -> int | None:
        """How many rows fit."""
        most = max(1, int(self.options.memory / (8 * size)))
        rows = self._memory["rows"]
        return most if rows is None else min(rows, most)

    def _space(self, rows: int, size: int, *, device: torch.device) -> Tensor:
        """``[rows, size]`` float64; the same memory at every step."""
        known = self._buffer
        if known is None or known.numel() < rows * size or known.device != device:
            self._buffer = torch.empty(rows * size, dtype=torch.float64, device=device)
        assert self._buffer is not None
        return self._buffer[: rows * size].view(rows, size)

    # -- checkpoints, copies ------------------------------------------------------------------

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint; the state of another kind of optimizer is left where it is."""
        known = state_dict["state"].values()
        if known and not any("damping" in of_one for of_one in known):
            told = "expected the state of a LevenbergMarquardt, found another optimizer's"
            warnings.warn(f"{told}: the damping starts afresh.", ConflictOptWarning, stacklevel=2)
            return
        super().load_state_dict(state_dict)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "options": self.options, "last": self.last}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "options" in state:  # torch calls this with groups and state alone, too
            self._passing()
