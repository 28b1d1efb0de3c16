"""Session: one method over the steps of one run, independent of the optimizer that moves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from . import checkpoint
from .core.aggregator import Aggregator, State
from .core.combine import accumulate_rows, backward_total, check_grads
from .core.errors import CheckpointError, LossError, MethodError, NonFiniteError
from .core.gradients import GradientSource
from .core.layout import ParameterLayout
from .core.losses import Losses
from .core.step import Spec, StepView
from .registry import make, to_config

LossForms = Losses | Mapping[str, Tensor] | Sequence[Tensor] | Tensor
Residuals = Mapping[str, Tensor | Sequence[Tensor]]


@dataclass(frozen=True)
class LastStep:
    """What the last completed step saw and chose.

    Attributes:
        names: the K loss names.
        losses: ``[K]`` values before aggregation.
        coefficients: ``[K]`` or ``[K, B]`` (B parameter blocks).
    """

    names: tuple[str, ...]
    losses: Tensor
    coefficients: Tensor


@dataclass(frozen=True)
class _Choice:
    """Coefficients of the step in progress, and the state they lead to."""

    losses: Tensor
    coefficients: Tensor
    plain: bool
    state: State
    random_state: Tensor
    names: tuple[str, ...]


class Session:
    """Chooses coefficients once per step, writes ``.grad``, and keeps the method's state.

    Attributes:
        aggregator: the method.
        state: the method's state; ``None`` before its first step.
        names: the K loss names; ``None`` before the first step.
        equations: which losses are equations; ``None`` for the default rule.
        completed: steps taken.
        last: what the last step saw and chose.
        generator: the run's own random source.
    """

    def __init__(
        self,
        aggregator: Aggregator | str,
        names: Sequence[str] | None,
        equations: Sequence[str] | None,
        seed: int,
    ) -> None:
        self.names = tuple(names) if names is not None else None
        self.equations = tuple(equations) if equations is not None else None
        self.completed = 0
        self.last: LastStep | None = None
        self.generator = torch.Generator().manual_seed(seed)
        self._choice: _Choice | None = None
        self._buffer: Tensor | None = None
        self.use(aggregator)
        Losses.check_names(self.names or ())

    def use(self, aggregator: Aggregator | str) -> None:
        """Go on with another method; its state starts fresh.

        Raises:
            MethodError: unknown name.
            TypeError: neither a name nor an aggregator.
        """
        chosen = make(aggregator) if isinstance(aggregator, str) else aggregator
        if not isinstance(chosen, Aggregator):
            raise TypeError(f"expected an aggregator or its name, found {type(chosen).__name__}.")
        self.aggregator = chosen
        self.state: State | None = None
        self.discard()

    def spec(self, layout: ParameterLayout, names: tuple[str, ...]) -> Spec:
        """What is fixed for a run with these losses.

        Raises:
            LossError: ``equations`` names a loss that does not exist.
        """
        chosen = self.equations
        if chosen is None:
            chosen = tuple(n for n in names if n.startswith("pde")) or names[:1]
        unknown = [n for n in chosen if n not in names]
        if unknown:
            raise LossError(f"equations names {unknown}, but the losses are {names}.")
        return Spec(names, tuple(n in chosen for n in names), layout.dtype, layout.device)

    def read(self, losses: LossForms, residuals: Residuals | None = None) -> Losses:
        """Losses in any accepted form, held against those of the steps before.

        Raises:
            LossError: a form that cannot be read, or other losses than before.
        """
        # Under no_grad even a reshape would cut a loss off its graph.
        with torch.enable_grad():
            read = Losses.of(losses, residuals, self.names)
        if self.names is not None and read.names != self.names:
            raise LossError(
                f"expected the {len(self.names)} losses {self.names} of the steps before, "
                f"found {read.count}: {read.names}."
            )
        return read

    # -- one step -----------------------------------------------------------------------------

    @property
    def pending(self) -> Tensor | None:
        """Coefficients of the step in progress; ``None`` before its first ``accumulate``."""
        return self._choice.coefficients if self._choice is not None else None

    def accumulate(self, losses: Losses, layout: ParameterLayout, trial: bool = False) -> Tensor:
        """Add the aggregated gradient to ``.grad``.

        The first call of a step chooses the coefficients; further calls (a line search, gradient
        accumulation) use the same ones.

        Args:
            losses: of this evaluation.
            layout: the parameters.
            trial: a further point of a line search, which may overshoot into inf or NaN and
                recovers from it by itself: values are handed over unchecked.

        Returns:
            The value whose gradient it is, ``sum_k c_k L_k``; for ``[K, B]`` coefficients, which
            have no such value, the plain sum.

        Raises:
            LossError, NonFiniteError, MethodError: see ``MultiLossOptimizer.step``.
        """
        losses.check(layout.device, layout.dtype, finite=not trial)
        source = GradientSource(losses, layout, self._rows_buffer)
        with torch.enable_grad():
            repeated = self._choice is not None
            if self._choice is None:
                self._choice = self._choose(losses, source, layout)
            c, plain = self._choice.coefficients, self._choice.plain
            if c.ndim == 2 or (self.aggregator.from_rows and not repeated):
                accumulate_rows(source, c)
                value = losses.total(c if c.ndim == 1 else None).detach()
            else:
                value = backward_total(losses, layout, None if plain else c)
        if not trial:
            check_grads(layout, f"the sum of {', '.join(losses.names)}")
        return value

    def commit(self) -> None:
        """The step was taken."""
        assert self._choice is not None
        self.names = self._choice.names
        self.state = self._choice.state
        self.last = LastStep(self.names, self._choice.losses, self._choice.coefficients)
        self.completed += 1
        self._choice = None

    def discard(self) -> None:
        """The step was not taken; state and random source are as before it."""
        if self._choice is not None:
            self.generator.set_state(self._choice.random_state)
        self._choice = None

    def _choose(self, losses: Losses, source: GradientSource, layout: ParameterLayout) -> _Choice:
        spec = self.spec(layout, losses.names)
        state = self.state if self.state is not None else self.aggregator.init(spec)
        values = losses.values()
        view = StepView(values, spec, self.completed, self.generator, layout, source)
        random_state = self.generator.get_state()
        try:
            c, after = self.aggregator.update(view, state)
            self._check_shape(c, losses.count, layout)
            low, high = c.min().item(), c.max().item()
            if not (math.isfinite(low) and math.isfinite(high)):
                raise NonFiniteError(
                    f"{self.aggregator.label} chose the coefficients "
                    f"{c.tolist()} for {losses.names}."
                )
        except Exception:
            self.generator.set_state(random_state)
            raise
        return _Choice(values, c, low == high == 1, after, random_state, losses.names)

    def _check_shape(self, c: Tensor, k: int, layout: ParameterLayout) -> None:
        b = len(layout.blocks)
        if tuple(c.shape) not in ((k,), (k, b)):
            raise MethodError(
                f"expected coefficients [{k}] or [{k}, {b}] from "
                f"{self.aggregator.label}, found {list(c.shape)}."
            )

    def _rows_buffer(self, count: int, layout: ParameterLayout) -> Tensor:
        shape, kind = (count, layout.size), (layout.dtype, layout.device)
        b = self._buffer
        if b is None or tuple(b.shape) != shape or (b.dtype, b.device) != kind:
            b = torch.empty(shape, dtype=layout.dtype, device=layout.device)
            self._buffer = b
        return b

    # -- checkpoints, copies ------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers and strings that ``load_state_dict`` resumes from."""
        return {
            "version": checkpoint.VERSION,
            "method": self.aggregator.label,
            "config": to_config(self.aggregator),
            "names": list(self.names) if self.names is not None else None,
            "completed": self.completed,
            "generator": self.generator.get_state(),
            "state": dict(self.state) if self.state is not None else None,
            "coefficients": self.last.coefficients if self.last is not None else None,
            "losses": self.last.losses if self.last is not None else None,
        }

    def load_state_dict(self, saved: Mapping[str, Any], layout: ParameterLayout) -> bool:
        """Resume: everything if the checkpoint is of this method, else all but the method's state.

        Returns:
            Whether it was this method's.

        Raises:
            CheckpointError: another version, other losses, or a state that does not fit.
        """
        if saved["version"] != checkpoint.VERSION:
            raise CheckpointError(
                f"expected a checkpoint of version {checkpoint.VERSION}, found "
                f"{saved['version']}: it was written by another conflictopt."
            )
        same = bool(saved["method"] == self.aggregator.label)
        names = tuple(saved["names"]) if saved["names"] is not None else None
        if self.names is not None and names is not None and names != self.names:
            raise CheckpointError(
                f"expected the losses {self.names}, found {names} in the checkpoint."
            )
        self.discard()
        self.names = names or self.names
        state = None
        if same and saved["state"] is not None:
            fresh = self.aggregator.init(self.spec(layout, names or ()))
            state = checkpoint.fit_state(saved["state"], fresh)
        self.state = state
        self.completed = saved["completed"]
        self.generator.set_state(saved["generator"].cpu())
        self.last = None
        if saved["coefficients"] is not None and self.names is not None:
            kind = {"device": layout.device, "dtype": layout.dtype}
            last = saved["losses"].to(**kind), saved["coefficients"].to(**kind)
            self.last = LastStep(self.names, *last)
        return same

    def __getstate__(self) -> dict[str, Any]:
        # torch.Generator can be neither copied nor pickled; its state can.
        state = self.generator.get_state()
        return {**self.__dict__, "generator": state, "_buffer": None, "_choice": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.generator = torch.Generator()
        self.generator.set_state(state["generator"])
