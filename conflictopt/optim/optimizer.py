"""MultiLossOptimizer: any torch optimizer, fed with the aggregated gradients of several losses."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..core.aggregator import Aggregator
from ..core.errors import LossError, MethodError, NonFiniteError
from ..core.layout import LayoutCache
from ..core.objective import Objective
from ..core.reports import Reports
from . import line_search as linesearch
from . import run_checkpoint
from .actual_update import UpdateMode, watched
from .block_rates import RelativeRates, check_rate
from .block_wrapper import BlockWrapper
from .closure import Evaluations
from .compatibility import (
    check_fixed,
    check_inner,
    check_reads_gradients,
    check_watched,
    reads_residuals,
    warn_of_trust,
)
from .conflict_counts import ConflictCounts
from .control import Control, controlled
from .controlled_run import ControlledRun
from .guarded_soap import note_step
from .last_step import LastStep
from .named_optimizer import with_named_optimizer
from .nonfinite import NonFiniteSteps, SkippingRun
from .options import StepOptions, without_align
from .residual_step import ResidualEvaluations, load_best
from .session import LossForms, Residuals, Session
from .wrapper import with_step_hooks


class MultiLossOptimizer(ControlledRun, SkippingRun, BlockWrapper):
    """Wraps an optimizer so that each step takes K losses instead of one.

    A true ``torch.optim.Optimizer``: parameter groups, state, schedulers, hooks and checkpoints
    are those of the wrapped optimizer. With ``"sum"`` every step is bitwise the plain one.
    ``state_dict`` adds the key ``"conflictopt"``; loading it resumes bitwise. A checkpoint of the
    plain optimizer, or of another method, loads too: the wrapped optimizer resumes, the method
    starts fresh, and a warning says so.

    Args:
        optimizer: any torch optimizer.
        aggregator: a method, or a method expression: a name of the registry, with options
            (``"ntk:cap=10"``), in a chain (``"ntk+pcgrad"``), with SOAP (``"soap+ntk"``, see
            ``GuardedSOAP``); or ``"auto"``: profile the first steps, reach a verdict, go on.
        names: names for losses given as a sequence or tensor; mappings bring their own.
        equations: which losses are equations (PDE residuals) rather than conditions; some methods
            treat them differently. Without it: those whose name starts with ``pde``, else the
            first.
        blocks: named parameter blocks beside the network, e.g. ``{"physics": [nu]}`` or
            ``adapters.blocks()``. Without ``"physics"``, 0-dimensional parameters form it.
        model: the network, where ``"auto"`` may attach adapters to it.
        options: how each step is taken (``StepOptions``), and for ``"auto"`` how a plan is reached
            (``TrainingOptions``).
        choices: fields of those options by name, e.g. ``every=10`` or ``profile_steps=500``.

    Attributes:
        inner: the wrapped optimizer.
        session: the method, its state, and what the last step chose.
        blocks: the named blocks; may be changed between steps.
        rates: learning rates of blocks, relative to that of the wrapped optimizer's step; those
            of adapters are set by ``add_adapters``.
        nonfinite: what is done with infinite and NaN losses and gradients.
        control: what chooses the method while the run trains; ``None`` of a fixed method.
        watching: what is done with the wrapped optimizer's update, and how.

    Raises:
        TypeError: not a torch optimizer or an aggregator.
        MethodError: unknown method or option, a bad value of one, or a method that does not go
            with the wrapped optimizer.

    >>> import torch, conflictopt
    >>> net = torch.nn.Linear(1, 1)
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.Adam(net.parameters()), "pcgrad")
    >>> x = torch.ones(4, 1)
    >>> opt.step({"pde": net(x).square().mean(), "bc": (net(0 * x) - 1).square().mean()})
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        aggregator: Aggregator | Control | str,
        *,
        names: Sequence[str] | None = None,
        equations: Sequence[str] | None = None,
        blocks: Mapping[str, Sequence[Tensor]] | None = None,
        model: nn.Module | None = None,
        options: StepOptions | None = None,
        **choices: Any,
    ) -> None:
        optimizer, aggregator = with_named_optimizer(optimizer, aggregator)
        super().__init__(optimizer, blocks)
        self.control = controlled(aggregator, model, options, choices)
        if self.control is None:
            aggregator, chosen = without_align(aggregator, options, choices)
        else:
            aggregator, chosen = self.control.first(), self.control.options
        check_fixed(optimizer, self.control)
        check_watched(optimizer, chosen.update)
        self.watching = chosen.watching
        args = chosen.seed, chosen.engine, chosen.every, chosen.alone
        self.session = Session(cast("Aggregator | str", aggregator), names, equations, *args)
        check_inner(self.inner, self.aggregator)
        self.nonfinite, self.takes_closure = NonFiniteSteps(chosen.on_nonfinite), False

    # -- the method ---------------------------------------------------------------------------

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear gradients, and forget a ``backward`` whose step was never taken."""
        self.inner.zero_grad(set_to_none)
        self._forget()

    @property
    def aggregator(self) -> Aggregator:
        """The method in use."""
        return self.session.aggregator

    def set_aggregator(self, aggregator: Aggregator | str) -> None:
        """Go on with another method; its state starts fresh.

        Raises:
            MethodError: unknown name; the plan of ``"auto"`` takes the steps, on residuals.
            TypeError: neither a name nor an aggregator.
        """
        if self.in_stage:
            raise MethodError("expected no set_aggregator in steps on residuals, found it there.")
        self.session.use(aggregator, partial(check_inner, self.inner))

    @property
    def last(self) -> LastStep | None:
        """Names, losses and coefficients of the last completed step."""
        return self.session.last

    @property
    def reports(self) -> Reports:
        """Bounds that acted and fallbacks that were taken, by kind, each with its count."""
        return self.session.reports

    @property
    def completed(self) -> int:
        """Number of steps taken."""
        return self.session.completed

    def rewrap(
        self,
        optimizer: torch.optim.Optimizer,
        blocks: Mapping[str, Sequence[Tensor]] | None = None,
    ) -> MultiLossOptimizer:
        """The same run, continued with another optimizer (say, L-BFGS after Adam).

        The session goes on: method, state, random source, step count. The other optimizer's own
        state starts as it is.

        Args:
            optimizer: to go on with.
            blocks: other named blocks than the present ones.
        """
        new = MultiLossOptimizer(
            optimizer, self.aggregator, blocks=self.blocks if blocks is None else blocks
        )
        check_fixed(optimizer, self.control)
        for rate in self.rates.values():
            check_rate(optimizer, rate)
        new.session, new.rates, new.control = self.session, self.rates, self.control
        new.nonfinite = self.nonfinite.between_steps()
        new.watching, new.takes_closure = self.watching, self.takes_closure
        check_watched(optimizer, new.update)
        new.session.join()
        if new.update != self.watching.mode:
            warn_of_trust(optimizer, self.watching.mode)
        if new.control is not None:
            new.control.rewrapped(new)
        return new

    @property
    def update(self) -> UpdateMode:
        """What is done with the wrapped optimizer's actual update; one that it finds by values of
        the losses is trusted.
        """
        return "trust" if self.by_values else self.watching.mode

    @property
    def by_values(self) -> bool:
        """Whether the wrapped optimizer's steps follow values of the losses, or residuals."""
        return linesearch.searches_lines(self.inner) or reads_residuals(self.inner)

    @property
    def looks(self) -> bool:
        """Whether the update of this step is looked at: for that, or for a method that asks."""
        if self.by_values:
            return False
        return self.watching.mode != "trust" or self.session.asks_for_update

    @property
    def conflicts(self) -> ConflictCounts:
        """How often losses conflicted, by stage, in steps whose update was looked at."""
        return self.session.conflicts

    def _forget(self) -> None:
        self.session.discard()
        self.nonfinite.forget()

    # -- stepping -----------------------------------------------------------------------------

    @with_step_hooks
    def step(
        self,
        losses: LossForms | Callable[[], LossForms] | None = None,
        residuals: Residuals | None = None,
        points: Residuals | None = None,
    ) -> Any:
        """Take one step. Given losses or a closure, earlier gradients are cleared first.

        Args:
            losses: the K losses of this step, as a mapping name -> scalar, a sequence, a ``[K]``
                tensor (the slowest: its entries share one graph), a ``Losses`` or an
                ``Objective``; or a closure that returns one of them and calls no backward (for
                L-BFGS and other line searches: coefficients are chosen at its first call and
                frozen for the step); or nothing after ``backward(losses)``.
            residuals: per loss name the residual tensor(s) whose mean square is the loss, for
                methods that need them. A closure returns ``Losses.of(losses, residuals)``.
            points: per loss name the collocation points of its residual tensor(s), one row for
                each row of the residual, for point-wise methods.

        Returns:
            With a closure, what the wrapped optimizer returns; else ``None``.

        Raises:
            LossError: losses that cannot be used; the message names the loss.
            NonFiniteError: with ``on_nonfinite="raise"``, on an infinite or NaN loss or gradient.
            LineSearchError: a line search with a method that has no scalar objective.
            MethodError: the method lacks what it needs.
        """
        if self.aggregator.steps_itself:
            check_inner(self.inner, self.aggregator)  # a schedule may have added momentum
        if not callable(losses):
            check_reads_gradients(self, "a step without one")
        self.begin_step(losses)
        if callable(losses):
            if residuals is not None or points is not None:
                raise LossError(
                    "residuals beside a closure belong to none of its evaluations; "
                    "return Losses.of(losses, residuals) from it."
                )
            return self.step_in_stage(losses) if self.in_stage else self._step_closure(losses)
        if losses is not None:
            self.clear_grads()
            self._forget()
            self.backward(losses, residuals, points)
        if self.nonfinite.waiting is not None:
            self._settle(self.nonfinite.waiting)
        if self.session.pending is None and not self.nonfinite.skips:
            raise LossError(
                "step() found no losses: pass them, step(losses), or call backward(losses) first "
                "(a plain loss.backward() bypasses the method)."
            )
        if not self.nonfinite.skips:
            rates = RelativeRates(self.blocks, self.rates)
            try:
                with watched(self.session, self.inner, self.watching):
                    self.inner.step()
                    rates.apply()
            except BaseException:
                # an interrupt among them: a checkpoint that is written now is of the step before
                self._forget()
                raise
        self._finish()
        return None

    def backward(
        self,
        losses: LossForms,
        residuals: Residuals | None = None,
        points: Residuals | None = None,
    ) -> None:
        """Add the aggregated gradient to ``.grad``, as ``loss.backward()`` does for one loss.

        Several calls before one ``step()`` accumulate; the coefficients of the first hold for
        all of them, and the method's state advances once. Weights of points hold for the same
        points; without ``points``, row by row.

        After infinite or NaN losses or gradients every ``.grad`` is NaN. ``step()`` raises or
        skips, as ``on_nonfinite`` says; a ``torch.amp.GradScaler`` leaves it out and backs off.

        Raises:
            LossError, MethodError: see ``step``.
        """
        check_reads_gradients(self, "backward(losses)")
        held = [p for g in self.param_groups for p in g["params"]]
        if self.nonfinite.is_stale(held):
            self._forget()
        if self.nonfinite.spoilt:
            return
        if self.update != "trust" and self.session.pending is not None:
            raise MethodError(
                f"update='{self.update}' compares with the gradients of one evaluation of the "
                "losses, and this step has a second one. Call backward() once per step."
            )
        try:
            # Under no_grad even a reshape would cut a loss off its graph.
            with torch.enable_grad():
                objective = self.read(losses, residuals, points)
                keep = self.looks and self.session.pending is None
                self.session.source = None  # an update is of all that was accumulated
                aligns = keep and self.update == "align"
                self.session.accumulate(objective, self.layout(), False, False, keep, aligns)
        except NonFiniteError as error:
            self.session.discard()
            self.nonfinite.wait(error, held, objective.together())

    def read(
        self,
        losses: LossForms,
        residuals: Residuals | None = None,
        points: Residuals | None = None,
    ) -> Objective:
        """The losses of a step in one form, held against those of the steps before.

        Raises:
            LossError, MethodError: see ``step``.
        """
        objective = self.session.read(losses, residuals, points)
        if self.control is not None:
            self.control.examine(objective)
        return objective

    def _step_closure(self, closure: Callable[[], LossForms]) -> Any:
        self.session.discard()
        by_residuals = reads_residuals(self.inner)
        evaluations = (ResidualEvaluations if by_residuals else Evaluations)(self, closure)
        result = None
        try:
            result = self.inner.step(evaluations)  # type: ignore[arg-type]
            evaluations.finish()
        except BaseException as error:
            evaluations.undo()
            if not isinstance(error, NonFiniteError):
                self.zero_grad()
                raise
            self._settle(error)
            result = None
        self._finish()
        return result

    def _settle(self, error: NonFiniteError) -> None:
        self.zero_grad()
        told = self.nonfinite.settle(error, self.inner)
        if told is not None:
            # last: a warning may be an error
            self.reports.add([("optimizer", told)], self.completed)

    def _finish(self) -> None:
        if self.nonfinite.finish():
            note_step(self.inner, self.session)
            self.session.commit()
            if self.control is not None:
                self.control.after_step(self)

    def load_best(self, closure: Callable[[], LossForms]) -> None:
        """After the last step: see ``LevenbergMarquardt.load_best``; losses have their weights.

        Raises:
            LossError, MethodError: unusable losses; an optimizer that keeps no best parameters.
        """
        if self.control is not None and self.in_stage:
            self.control.load_best(closure)
        else:
            load_best(self, closure)

    # -- checkpoints, copies ------------------------------------------------------------------

    def _save(self) -> dict[str, Any]:
        return run_checkpoint.save(self)

    def _load(self, given: dict[str, Any]) -> None:
        message = run_checkpoint.load(self, given)
        if message is not None:
            warnings.warn(message, stacklevel=3)

    def __getstate__(self) -> dict[str, Any]:
        # Hooks and scheduler wrappers stay behind, as with every torch optimizer.
        kept = ["inner", "session", "control", "blocks", "rates", "watching", "takes_closure"]
        fresh = {"nonfinite": self.nonfinite.between_steps(), "_layouts": LayoutCache()}
        return {k: self.__dict__[k] for k in kept} | fresh

    def __repr__(self) -> str:
        return f"MultiLossOptimizer({self.aggregator!r}, {self.inner!r})"
