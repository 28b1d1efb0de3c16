"""Patch: trains one DeepXDE model through conflictopt."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from conflictopt.adapters import AdapterDesign, Adapters, attached, detach, saved_adapters
from conflictopt.adapters.attachment import attach_once
from conflictopt.auto.chosen_method import ChosenMethod
from conflictopt.auto.closures import Deferred
from conflictopt.auto.controller import Controller
from conflictopt.auto.decision import Decision
from conflictopt.auto.options import TrainingOptions
from conflictopt.core.reports import Reports
from conflictopt.diagnosis.diagnosis import Diagnosis
from conflictopt.diagnosis.profile import Profile
from conflictopt.kernel import TangentKernel, blocks_of_layout, tangent_kernel
from conflictopt.optim.compatibility import reads_residuals
from conflictopt.optim.line_search import check_scalar, searches_lines
from conflictopt.optim.optimizer import MultiLossOptimizer
from conflictopt.selection.curvature_case import CurvatureCase
from conflictopt.selection.plan import Plan

from .budget import Budget
from .curvature_obstacles import curvature_case, model_obstacle
from .groups import Grouping, Groups
from .hook import Batch, Hook, TrainCall
from .loss_weights import differ, weights_remark
from .losses import LossReader
from .pace import ENDLESS, Pace
from .patch_errors import PatchError
from .plain_cost import iteration_seconds
from .preflight import Preflight
from .replacement import Replacement, apart, check_no_fresh_points, check_residual_steps
from .residual_training import ResidualTraining
from .row_batches import RowBatches
from .unknowns import adopt_unknowns


class Patch:
    """What ``patch`` puts on ``model.conflictopt``: the method, its optimizer, the decision.

    Attributes:
        model: the patched model.
        controller: decides what the model trains with.
        optimizer: the ``MultiLossOptimizer`` in use; ``None`` before the model is compiled.
        before_step, on_step, on_diagnosis: callbacks ``f(patch)``, before and after each step, and
            at the diagnosis (before the plan is applied).
    """

    def __init__(
        self,
        model: Any,
        method: Any,
        groups: Grouping,
        options: TrainingOptions,
        fresh_points: bool | None = None,
    ) -> None:
        self.model = model
        self._replacement, method = apart(method)
        self.controller = Controller(method, options, self)
        self.controller.on_diagnosis.append(self._diagnosed)
        self.optimizer: MultiLossOptimizer | None = None
        self._asked: int | None = None
        self._taken = 0
        self.before_step: list[Callable[[Any], None]] = []
        self.on_step: list[Callable[[Any], None]] = []
        self.on_diagnosis: list[Callable[[Any], None]] = []
        self._hook = Hook(model, self)
        self._reader = LossReader(self._hook, groups, self.note)
        self._fresh_points = fresh_points
        rows = RowBatches(model, self._reader, fresh_points, self.note)
        self._preflight = Preflight(self, self._reader, rows)
        self._batch: Batch | None = None
        self._residual_training = ResidualTraining(self._hook, self.note)

    @property
    def method(self) -> ChosenMethod:
        """The choice of method, resolved."""
        return self.controller.method

    @property
    def profile(self) -> Profile | None:
        """Of the first steps; ``None`` until it is complete."""
        return self.controller.profile

    @property
    def diagnosis(self) -> Diagnosis | None:
        """Of that profile."""
        return self.controller.diagnosis

    @property
    def plan(self) -> Plan | None:
        """The plan in force, or, until it is applied, the one selected."""
        return self.controller.plan

    @property
    def plan_applied(self) -> bool:
        """Whether ``auto`` carried a plan out."""
        return self.controller.applied

    @property
    def decisions(self) -> list[Decision]:
        """Every verdict of ``auto``, with what became of it."""
        return self.controller.decisions

    @property
    def trained_with(self) -> list[tuple[int, str]]:
        """The methods in use, each with the step from which on."""
        return self.controller.trained_with

    @property
    def log(self) -> list[str]:
        """Decisions and adoptions, one sentence each."""
        return self.controller.log

    @property
    def groups(self) -> Groups | None:
        """How the loss vector's entries form named losses; ``None`` before the first step."""
        return self._reader.groups

    @property
    def adapters(self) -> Adapters | None:
        """The adapters of the model's network, if attached."""
        return attached(self.model.net)

    @property
    def steps(self) -> int:
        """Optimizer steps taken through this patch, over all compiles."""
        return self.optimizer.completed if self.optimizer is not None else 0

    @property
    def stage_end(self) -> int | None:
        """Number of steps at the end of the present ``train`` call, if it is known."""
        return None if self._asked is None else self.steps + self._asked - self._taken

    @property
    def reports(self) -> Reports:
        """Bounds that acted and fallbacks that were taken, by kind; see ``MultiLossOptimizer``."""
        return self.optimizer.reports if self.optimizer is not None else Reports()

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader of the verdict should know of the model, in sentences."""
        weights = self._weights()
        return (weights_remark(weights),) if differ(weights) else ()

    def weighted(self) -> bool:
        """Whether the user weights the losses; see ``conflictopt.auto.host.Host``."""
        return differ(self._weights())

    def _weights(self) -> list[float]:
        """The user's weights of the losses; none before the first step."""
        return self._hook.loss_weights(len(self.groups.entries)) if self.groups is not None else []

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of the metrics the model was compiled with."""
        return self._hook.metric_names

    # -- attaching ----------------------------------------------------------------------------

    def start(self) -> None:
        """Hook into the model, now and at every later compile."""
        self._hook.start()

    def compiled(self) -> None:
        """The model has a new optimizer: wrap it."""
        hook = self._hook
        inner = hook.optimizer
        if isinstance(inner, MultiLossOptimizer):
            raise PatchError(
                "the model was compiled with a MultiLossOptimizer; patch() wraps the optimizer "
                "itself. Compile with the plain optimizer."
            )
        inner = self._prepared(inner)
        if self.optimizer is None:
            self.optimizer = MultiLossOptimizer(inner, self.controller, blocks=self._blocks())
        else:
            self.optimizer = self.optimizer.rewrap(inner, self._blocks())
        if searches_lines(inner) and self.groups is not None and len(self.groups.names) > 1:
            check_scalar(inner, self.optimizer.aggregator, self.optimizer.layout())
        self._preflight.compiled()
        name = type(inner).__name__ if self._recounts else None
        hook.install(self.optimizer, self._train_step, name)

    def _prepared(self, compiled: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """The optimizer to wrap: what the model was compiled with, or what replaces it."""
        unknowns, inner = self._hook.trainable_unknowns(), compiled
        if not self._recounts:
            scheduled = self.model.lr_scheduler is not None
            adopted = adopt_unknowns(inner, unknowns, scheduled)
            if adopted is not None:
                self.log.append(adopted)
                warnings.warn(adopted, stacklevel=3)
        if self._replacement is not None:
            inner = self._replacement.of(compiled, unknowns)
        if reads_residuals(inner):
            check_residual_steps(self.model, inner, self.method.auto)
        elif self._replacement is None:
            check_no_fresh_points(self._fresh_points, inner)
        elif inner is compiled and self._fresh_points:
            self.note(f"{type(inner).__name__} keeps its place, on the script's own points.")
        return inner

    def _blocks(self) -> dict[str, list[Tensor]]:
        blocks: dict[str, list[Tensor]] = {}
        unknowns = self._hook.trainable_unknowns()
        if unknowns:
            blocks["physics"] = unknowns
        if self.adapters is not None:
            blocks.update(self.adapters.blocks())
        return blocks

    def curvature(self, optimizer: MultiLossOptimizer) -> CurvatureCase:
        """Whether the model can be trained by steps on residuals; see ``Host``."""
        return curvature_case(self._hook, self._reader, optimizer, self._batch, self._left)

    def obstacle(self, optimizer: MultiLossOptimizer) -> str | None:
        """Why another optimizer ends such steps; see ``Host``."""
        return model_obstacle(self._hook, optimizer)

    def unreadable(self) -> bool:
        """Whether residuals cannot be read any more; see ``Host``."""
        if self._batch is None or self.optimizer is None:
            return False
        found = curvature_case(self._hook, self._reader, self.optimizer, self._batch, 0)
        return found.unreadable

    def plain_seconds(self) -> float | None:
        """What a step of the script as it is takes; see ``Host``."""
        return None if self._batch is None else iteration_seconds(self._hook, self._batch)

    @property
    def _left(self) -> int:
        return 0 if self._asked is None else self._asked - self._taken

    def calls_left(self, completed: int) -> int | None:
        """Steps that the present call of ``train`` is yet to take; see ``Host``."""
        return None if self._asked is None else self._left

    def staged(self, begins: bool) -> None:
        """Steps on residuals begin, or there are none now; see ``Host``."""
        if self.optimizer is not None:
            self._preflight.compiled()

    def attach(self, losses: Sequence[str], design: AdapterDesign) -> Adapters:
        """Attach adapters of a design, unless there are some; see ``conflictopt.auto.host.Host``.

        Raises:
            LayoutError: the design does not go with the network.
        """
        return attach_once(self.model.net, losses, design, self.controller.options.seed)

    def detach(self) -> bool:
        """Detach the adapters, if there are any; see ``conflictopt.auto.host.Host``."""
        had = self.adapters is not None
        if had:
            detach(self.model.net)
        return had

    def attach_own(self, losses: tuple[str, ...]) -> None:
        """Attach the adapters of a fixed method, one for each of these losses."""
        self._attach_and_train(losses, self.method.policy.adapter_design)

    def examined(self) -> None:
        """The losses were looked at, before the first step after a compile."""
        if not isinstance(self._replacement, Replacement) or self.groups is None:
            return
        told = self._replacement.weigh_measurements(self.groups, self._hook.trainable_unknowns())
        if told is not None:
            self.note(told)

    def _attach_and_train(self, losses: tuple[str, ...], design: AdapterDesign) -> None:
        assert self.optimizer is not None
        adapters = self.attach(losses, design)
        self.optimizer.add_adapters(adapters)
        count = sum(adapters.count_parameters().values())
        self.note(f"attached adapters, {count} parameters.")

    # -- training -----------------------------------------------------------------------------

    def _train_step(self, inputs: Any, targets: Any, auxiliary: Any) -> None:
        assert self.optimizer is not None
        batch = self._batch = inputs, targets, auxiliary
        for listener in self.before_step:
            listener(self)
        self._taken += 1
        closure = partial(self._preflight.closure, batch)
        if self._by_residuals:
            self._residual_training.step(self.optimizer, closure(), batch)
        else:
            self.optimizer.step(Deferred(closure) if self.optimizer.in_stage else closure())
        if not self._recounts:
            self._hook.schedule()
        for listener in self.on_step:
            listener(self)

    def _diagnosed(self) -> None:
        """The first profile was diagnosed, and its plan is not applied yet."""
        for listener in self.on_diagnosis:
            listener(self)

    def conclude(self) -> Diagnosis | None:
        """Diagnose from the samples there are; ``None`` without any."""
        return self.controller.conclude(self.optimizer) if self.optimizer is not None else None

    def tangent_kernel(self, rows: int | None = 32) -> TangentKernel:
        """The tangent kernel between the losses, at the present parameters and the last batch.

        Changes nothing in the model; one backward pass for each row.

        Args:
            rows: residual entries per loss, drawn at random where a loss has more; ``None`` for
                all of them.

        Raises:
            PatchError: before the first step, or with losses that are not mean squares.
        """
        if self.optimizer is None or self._batch is None:
            raise PatchError("expected at least one training step before a tangent kernel.")
        losses = self._reader.with_residuals(self._batch)
        blocks = blocks_of_layout(self.optimizer.layout())
        return tangent_kernel(losses.residuals, blocks, rows=rows)

    def note(self, message: str) -> None:
        """Add a sentence to the log, with the step."""
        self.controller.tell(message, self.steps)

    def training(self, call: TrainCall) -> Pace | None:
        """A call of ``train`` begins; how long it goes on, if not as it asks."""
        pace = self._residual_training.begin(call) if self._by_residuals else None
        known = call.counted or self._recounts
        endless = pace is not None and pace.iterations == ENDLESS
        self._asked, self._taken = (call.iterations if known and not endless else None), 0
        self._warn_of_short_calls()
        return pace

    def trained(self) -> None:
        """A call of ``train`` is over."""
        if self.optimizer is None:
            return
        self._residual_training.end(self.optimizer)
        if self.optimizer.in_stage and self._left and self._batch is not None:
            self.optimizer.load_best(self._preflight.closure(self._batch))  # ended by a callback
            assert self.controller.stage is not None
            self.controller.stage.interrupted()

    @property
    def _recounts(self) -> bool:
        """Whether the method names an optimizer whose steps the script does not count."""
        return self._replacement is not None and self._replacement.by_residuals

    @property
    def _by_residuals(self) -> bool:
        """Whether steps are made of residuals, rather than of gradients."""
        return self.optimizer is not None and reads_residuals(self.optimizer.inner)

    def allow(self, budget: Budget) -> None:
        """Have an optimizer that the method names train for seconds, rather than for iterations."""
        if self._recounts:
            self._residual_training.budget = budget

    def _warn_of_short_calls(self) -> None:
        profile = self.method.recorder.steps
        if not self.method.auto or self.controller.decided or self.stage_end is None:
            return
        if self.stage_end < profile:
            self.note(
                f"this call of train ends at step {self.stage_end}, before the profile of "
                f"{profile} steps: nothing is decided in it. profile_steps= makes it shorter."
            )

    def restoring(self, path: str) -> None:
        """A checkpoint with adapters loads into a network that has them."""
        if self.optimizer is None:
            return
        saved = torch.load(path, map_location="cpu", weights_only=True)
        found = saved_adapters(saved.get("model_state_dict", {}))
        if found is not None and self.adapters is None:
            losses, design = found
            rate = self.method.policy.adapter_design.learning_rate
            self._attach_and_train(losses, replace(design, learning_rate=rate))

    def remove(self) -> None:
        """Undo the patch; see ``unpatch``."""
        self._hook.remove()
        if self.model.__dict__.get("conflictopt") is self:
            del self.model.conflictopt
