"""MultiLossOptimizer: any torch optimizer, fed with the aggregated gradients of several losses."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor

from . import checkpoint, linesearch
from .core.aggregator import Aggregator, State
from .core.combine import accumulate_rows, backward_total, check_grads
from .core.errors import LineSearchError, LossError, MethodError, NonFiniteError
from .core.gradients import GradientSource
from .core.layout import ADAPTER, ParameterLayout
from .core.losses import Losses
from .core.step import Spec, StepView
from .registry import make

LossForms = Losses | Mapping[str, Tensor] | Sequence[Tensor] | Tensor
Residuals = Mapping[str, Tensor | Sequence[Tensor]]

MAX_SKIPS = 100
"""Steps that may be skipped in a row before ``on_nonfinite="skip"`` gives up and raises."""


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
    losses: Tensor
    coefficients: Tensor
    state: State


class MultiLossOptimizer(torch.optim.Optimizer):
    """Wraps an optimizer so that each step takes K losses instead of one.

    A true ``torch.optim.Optimizer``: parameter groups, state, schedulers, hooks and checkpoints
    are those of the wrapped optimizer. With ``"sum"`` every step is bitwise the plain one.

    Args:
        optimizer: any torch optimizer.
        aggregator: a method, or its name in the registry.
        names: names for losses given as a sequence or tensor; mappings bring their own.
        equations: which losses are equations (PDE residuals) rather than conditions; some methods
            treat them differently. Without it: those whose name starts with ``pde``, else the
            first.
        blocks: named parameter blocks beside the network, e.g. ``{"physics": [nu]}`` or
            ``adapters.blocks()``. Without ``"physics"``, 0-dimensional parameters form it.
        seed: seed of the run's own random generator.
        on_nonfinite: on an infinite or NaN loss or gradient, ``"raise"``, or ``"skip"`` the step;
            either way parameters and state stay as they were.

    Raises:
        TypeError: not a torch optimizer or an aggregator.
        MethodError: unknown method name or ``on_nonfinite``.

    >>> import torch, conflictopt
    >>> net = torch.nn.Linear(1, 1)
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.Adam(net.parameters()), "pcgrad")
    >>> x = torch.ones(4, 1)
    >>> opt.step({"pde": net(x).square().mean(), "bc": (net(0 * x) - 1).square().mean()})
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        aggregator: Aggregator | str,
        *,
        names: Sequence[str] | None = None,
        equations: Sequence[str] | None = None,
        blocks: Mapping[str, Sequence[Tensor]] | None = None,
        seed: int = 0,
        on_nonfinite: Literal["raise", "skip"] = "raise",
    ) -> None:
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise TypeError(f"expected a torch optimizer, found {type(optimizer).__name__}.")
        if on_nonfinite not in ("raise", "skip"):
            raise MethodError(f"expected on_nonfinite='raise' or 'skip', found {on_nonfinite!r}.")
        self.inner = optimizer
        self.names = tuple(names) if names is not None else None
        self.equations = tuple(equations) if equations is not None else None
        self.blocks = dict(blocks or {})
        self.on_nonfinite = on_nonfinite
        self.last: LastStep | None = None
        self.completed = 0
        self.skipped = 0
        self._skips_in_a_row = 0
        self._skip = False
        self._choice: _Choice | None = None
        self._layout: ParameterLayout | None = None
        self._layout_key: tuple[Any, ...] = ()
        self._buffer: Tensor | None = None
        self._generator = torch.Generator().manual_seed(seed)
        self.set_aggregator(aggregator)
        # The base's own restore path: sets up hooks and profiling without owning parameters.
        super().__setstate__({})

    # -- what belongs to the wrapped optimizer ------------------------------------------------

    @property
    def param_groups(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The wrapped optimizer's groups themselves, so that schedulers reach them."""
        return self.inner.param_groups

    @param_groups.setter
    def param_groups(self, groups: list[dict[str, Any]]) -> None:
        self.inner.param_groups = groups

    @property
    def state(self) -> Any:  # type: ignore[override]
        """The wrapped optimizer's state."""
        return self.inner.state

    @state.setter
    def state(self, value: Any) -> None:
        self.inner.state = value

    @property
    def defaults(self) -> dict[str, Any]:  # type: ignore[override]
        """The wrapped optimizer's defaults."""
        return self.inner.defaults

    @defaults.setter
    def defaults(self, value: dict[str, Any]) -> None:
        self.inner.defaults = value

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group to the wrapped optimizer."""
        self.inner.add_param_group(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear gradients, and forget a ``backward`` whose step was never taken."""
        self.inner.zero_grad(set_to_none)
        self._choice, self._skip = None, False

    # -- the method ---------------------------------------------------------------------------

    @property
    def aggregator(self) -> Aggregator:
        """The method in use."""
        return self._aggregator

    def set_aggregator(self, aggregator: Aggregator | str, state: State | None = None) -> None:
        """Change the method; its state starts fresh, or from ``state``.

        Raises:
            MethodError: unknown name.
            TypeError: neither a name nor an aggregator.
        """
        chosen = make(aggregator) if isinstance(aggregator, str) else aggregator
        if not isinstance(chosen, Aggregator):
            raise TypeError(
                f"expected an aggregator or its name, found {type(aggregator).__name__}."
            )
        self._aggregator = chosen
        self.method_state = state
        self._choice = None

    def rewrap(self, optimizer: torch.optim.Optimizer) -> MultiLossOptimizer:
        """This run, continued with another optimizer (say, L-BFGS after Adam).

        Method state, names, blocks, random generator and step count go on; the other optimizer's
        own state starts as it is.
        """
        new = MultiLossOptimizer(
            optimizer,
            self._aggregator,
            names=self.names,
            equations=self.equations,
            blocks=self.blocks,
            on_nonfinite=self.on_nonfinite,
        )
        new.method_state, new.last = self.method_state, self.last
        new.completed, new.skipped = self.completed, self.skipped
        new._generator.set_state(self._generator.get_state())
        return new

    def layout(self) -> ParameterLayout:
        """The present parameters as blocks; follows groups that were added or replaced."""
        params = [p for g in self.param_groups for p in g["params"]]
        named = tuple((n, tuple(map(id, ps))) for n, ps in self.blocks.items())
        key = (tuple((id(p), p.requires_grad, p.dtype, p.device) for p in params), named)
        if self._layout is None or key != self._layout_key:
            self._layout = ParameterLayout.build(params, self.blocks)
            self._layout_key = key
        return self._layout

    def spec(self) -> Spec:
        """Names, equation flags, dtype and device of this run.

        Raises:
            LossError: ``equations`` names a loss that does not exist, or no step was taken yet.
        """
        if self.names is None:
            raise LossError("the losses are unknown before the first step; pass names=.")
        chosen = self.equations
        if chosen is None:
            chosen = tuple(n for n in self.names if n.startswith("pde")) or self.names[:1]
        unknown = [n for n in chosen if n not in self.names]
        if unknown:
            raise LossError(f"equations names {unknown}, but the losses are {self.names}.")
        layout = self.layout()
        flags = tuple(n in chosen for n in self.names)
        return Spec(self.names, flags, layout.dtype, layout.device)

    # -- stepping -----------------------------------------------------------------------------

    def step(  # type: ignore[override]
        self,
        losses: LossForms | Callable[[], LossForms] | None = None,
        residuals: Residuals | None = None,
    ) -> Any:
        """Take one step.

        Args:
            losses: the K losses of this step, as a mapping name -> scalar, a sequence, a ``[K]``
                tensor or a ``Losses``; or a closure that returns one of them and calls no
                backward (for L-BFGS and other line searches: coefficients are chosen at its
                first call and frozen for the step); or nothing after ``backward(losses)``.
            residuals: per loss name the residual tensor(s) whose mean square is the loss, for
                methods that need them. A closure returns ``Losses.of(losses, residuals)``.

        Returns:
            With a closure, what the wrapped optimizer returns; else ``None``.

        Raises:
            LossError: losses that cannot be used; the message names the loss.
            NonFiniteError: with ``on_nonfinite="raise"``, on an infinite or NaN loss or gradient.
            LineSearchError: a line search with a method that has no scalar objective.
            MethodError: the method lacks what it needs.
        """
        if callable(losses) and not isinstance(losses, Losses):
            return self._step_closure(losses)
        if losses is not None:
            self.zero_grad()
            self.backward(losses, residuals)
        if self._choice is None and not self._skip:
            raise LossError(
                "step() found no losses: pass them, step(losses), or call backward(losses) first "
                "(a plain loss.backward() bypasses the method)."
            )
        if not self._skip:
            self.inner.step()
        self._finish()
        return None

    def backward(self, losses: LossForms, residuals: Residuals | None = None) -> None:
        """Add the aggregated gradient to ``.grad``, as ``loss.backward()`` does for one loss.

        Several calls before one ``step()`` accumulate; the coefficients of the first hold for
        all of them, and the method's state advances once.

        Raises:
            See ``step``.
        """
        try:
            self._accumulate(self._read(losses, residuals))
        except NonFiniteError:
            self._give_up_or_skip()

    def _step_closure(self, closure: Callable[[], LossForms]) -> Any:
        self.zero_grad()
        before = linesearch.Snapshot(self.layout().params)
        calls = 0

        def evaluate() -> Tensor:
            nonlocal calls
            calls += 1
            with torch.enable_grad():
                losses = self._read(closure(), None)
            self.inner.zero_grad()
            previous = self.last
            value = self._accumulate(losses)
            assert self._choice is not None
            c = self._choice.coefficients
            if c.ndim == 2 and (calls > 1 or linesearch.searches_lines(self.inner)):
                raise self._no_scalar()
            if calls == 1 and previous is not None and not torch.equal(previous.coefficients, c):
                linesearch.restart_curvature(self.inner)
            return value

        result = None
        try:
            result = self.inner.step(evaluate)  # type: ignore[arg-type]
        except (NonFiniteError, LineSearchError) as error:
            if calls > 1:
                before.restore()
                linesearch.restart_curvature(self.inner)
            if isinstance(error, LineSearchError):
                self.zero_grad()
                raise
            self._give_up_or_skip()
        self._finish()
        return result

    def _read(self, losses: LossForms, residuals: Residuals | None) -> Losses:
        read = Losses.of(losses, residuals, self.names)
        if self.names is None:
            self.names = read.names
        elif read.names != self.names:
            raise LossError(
                f"expected the {len(self.names)} losses {self.names} of the steps before, "
                f"found {read.count}: {read.names}."
            )
        return read

    def _accumulate(self, losses: Losses) -> Tensor:
        layout = self.layout()
        losses.check(layout.device, layout.dtype)
        source = GradientSource(losses, layout, self._rows_buffer(losses.count, layout))
        with torch.enable_grad():
            repeated = self._choice is not None
            if self._choice is None:
                self._choice = self._choose(losses, source, layout)
            c = self._choice.coefficients
            if self._aggregator.from_rows and not (repeated and c.ndim == 1):
                accumulate_rows(source, c)
                value = losses.total(c if c.ndim == 1 else None).detach()
            else:
                plain = bool((c == 1).all())
                value = backward_total(losses, layout, None if plain else c)
        check_grads(layout, f"the sum of {', '.join(losses.names)}")
        return value

    def _choose(self, losses: Losses, source: GradientSource, layout: ParameterLayout) -> _Choice:
        spec = self.spec()
        if self.method_state is None:
            self.method_state = self._aggregator.init(spec)
        values = losses.values()
        view = StepView(values, spec, self.completed, self._generator, layout, source)
        random_state = self._generator.get_state()
        try:
            c, state = self._aggregator.update(view, self.method_state)
            if not bool(c.isfinite().all()):
                raise NonFiniteError(
                    f"{checkpoint.method_name(self._aggregator)} chose the coefficients "
                    f"{c.tolist()} for {losses.names}."
                )
        except NonFiniteError:
            self._generator.set_state(random_state)
            raise
        return _Choice(values, c, state)

    def _rows_buffer(self, count: int, layout: ParameterLayout) -> Tensor:
        shape, kind = (count, layout.size), (layout.dtype, layout.device)
        b = self._buffer
        if b is None or tuple(b.shape) != shape or (b.dtype, b.device) != kind:
            b = torch.empty(shape, dtype=layout.dtype, device=layout.device)
            self._buffer = b
        return b

    def _give_up_or_skip(self) -> None:
        """Inside an ``except``: raise again, or mark the step as skipped."""
        self.zero_grad()
        if self.on_nonfinite == "raise" or self._skips_in_a_row + 1 >= MAX_SKIPS:
            raise
        self._skip = True

    def _finish(self) -> None:
        if self._skip:
            self.skipped += 1
            self._skips_in_a_row += 1
        else:
            assert self._choice is not None and self.names is not None
            self.method_state = self._choice.state
            self.last = LastStep(self.names, self._choice.losses, self._choice.coefficients)
            self.completed += 1
            self._skips_in_a_row = 0
        self._choice, self._skip = None, False

    def _no_scalar(self) -> LineSearchError:
        layout = self.layout()
        return LineSearchError(
            f"{checkpoint.method_name(self._aggregator)} gives each parameter block "
            f"({', '.join(layout.names)}) its own combination of the losses, so its update is "
            f"not the gradient of any one scalar, which the line search of "
            f"{type(self.inner).__name__} must compare between points. Use a reweighting method, "
            "surgery with blocks='global', or an optimizer without line search."
        )

    # -- checkpoints, copies ------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The wrapped optimizer's ``state_dict`` plus the key ``"conflictopt"``."""
        for pre in self._optimizer_state_dict_pre_hooks.values():
            pre(self)
        result: dict[str, Any] = {**self.inner.state_dict(), checkpoint.KEY: self._extras()}
        for post in self._optimizer_state_dict_post_hooks.values():
            replaced = post(self, result)
            result = replaced if replaced is not None else result
        return result

    def _extras(self) -> dict[str, Any]:
        return {
            "version": checkpoint.VERSION,
            "method": checkpoint.method_name(self._aggregator),
            "names": list(self.names) if self.names is not None else None,
            "completed": self.completed,
            "skipped": self.skipped,
            "generator": self._generator.get_state(),
            "state": dict(self.method_state) if self.method_state is not None else None,
            "coefficients": self.last.coefficients if self.last is not None else None,
            "losses": self.last.losses if self.last is not None else None,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Resume from ``state_dict()``; training continues bitwise.

        A checkpoint of the plain optimizer, or of another method, loads too: the wrapped
        optimizer resumes, the method starts fresh, and a warning says so.

        Raises:
            CheckpointError: the method state does not fit the losses.
            ValueError: the wrapped optimizer refuses its part.
        """
        given = dict(state_dict)
        for pre in self._optimizer_load_state_dict_pre_hooks.values():
            replaced = pre(self, given)
            given = dict(replaced) if replaced is not None else given
        adapters = [p for n, ps in self.blocks.items() if n.startswith(ADAPTER) for p in ps]
        self.inner.load_state_dict(checkpoint.without_extras(given, self.param_groups, adapters))
        self._load_extras(given.get(checkpoint.KEY))
        for post in self._optimizer_load_state_dict_post_hooks.values():
            post(self)

    def _load_extras(self, extras: dict[str, Any] | None) -> None:
        mine = checkpoint.method_name(self._aggregator)
        found = extras["method"] if extras is not None else "the plain optimizer"
        if extras is None or found != mine:
            self.method_state, self._choice = None, None
            warnings.warn(
                f"the checkpoint is of {found}; {mine} starts with fresh state.", stacklevel=3
            )
            return
        names = tuple(extras["names"]) if extras["names"] is not None else None
        if self.names is not None and names is not None and names != self.names:
            raise checkpoint.CheckpointError(
                f"expected the losses {self.names}, found {names} in the checkpoint."
            )
        self.names = names or self.names
        self.completed, self.skipped = extras["completed"], extras["skipped"]
        self._generator.set_state(extras["generator"].cpu())
        self.method_state = None
        if extras["state"] is not None:
            fresh = self._aggregator.init(self.spec())
            self.method_state = checkpoint.fit_state(extras["state"], fresh)
        if extras["coefficients"] is not None:
            layout = self.layout()
            kind = {"device": layout.device, "dtype": layout.dtype}
            last = (extras["losses"].to(**kind), extras["coefficients"].to(**kind))
            self.last = LastStep(cast(tuple[str, ...], names), *last)

    def __getstate__(self) -> dict[str, Any]:
        mine = {
            k: v
            for k, v in self.__dict__.items()
            # hooks and scheduler wrappers stay behind, as with every torch optimizer
            if not k.startswith("_optimizer_") and k not in ("step", "_zero_grad_profile_name")
        }
        mine.update(_generator=self._generator.get_state(), _layout=None, _buffer=None)
        mine["_choice"] = None
        return mine

    def __setstate__(self, state: dict[str, Any]) -> None:
        random_state = state["_generator"]
        super().__setstate__({**state, "_generator": torch.Generator()})
        self._generator.set_state(random_state)

    def __repr__(self) -> str:
        return f"MultiLossOptimizer({self._aggregator!r}, {self.inner!r})"
