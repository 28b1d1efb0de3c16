"""Patch: trains one DeepXDE model through conflictopt, and decides when the method is auto."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from conflictopt.adapters import AdapterDesign, Adapters, attached, saved_adapters
from conflictopt.auto.controller import Course, Rules
from conflictopt.auto.decision import Decision
from conflictopt.auto.random_states import RandomStates
from conflictopt.core.aggregator import Aggregator
from conflictopt.core.reports import Reports
from conflictopt.diagnosis.diagnosis import Diagnosis
from conflictopt.diagnosis.profile import Profile
from conflictopt.kernel import TangentKernel, blocks_of_layout, tangent_kernel
from conflictopt.optim.checkpoint import KEY as CHECKPOINT_KEY
from conflictopt.optim.line_search import check_scalar, searches_lines
from conflictopt.optim.optimizer import MultiLossOptimizer
from conflictopt.selection.plan import Plan

from .chosen_method import Method
from .errors import PatchError
from .groups import Grouping, Groups
from .heldout import HeldOutPoints
from .hook import Batch, Hook
from .host import ModelHost
from .losses import LossReader, check_mean_square
from .preflight import Examination
from .remarks import differ, weights_remark
from .unknowns import adopt_unknowns


class Patch:
    """What ``patch`` puts on ``model.conflictopt``: the method, its optimizer, the decision.

    Attributes:
        model: the patched model.
        optimizer: the ``MultiLossOptimizer`` in use; ``None`` before the model is compiled.
        adapters: the per-loss adapters, once attached.
        stage_end: number of steps at the end of the present ``train`` call, if it is known.
        log: decisions and adoptions, one sentence each.
        on_step, on_diagnosis: callbacks ``f(patch)``, after each step and at the diagnosis
            (before the plan is applied).
    """

    def __init__(
        self,
        model: Any,
        method: Method,
        groups: Grouping,
        optimizer_options: Mapping[str, Any],
    ) -> None:
        self.model = model
        self.method = method
        self.optimizer: MultiLossOptimizer | None = None
        self.stage_end: int | None = None
        self.log: list[str] = []
        self.on_step: list[Callable[[Patch], None]] = []
        self.on_diagnosis: list[Callable[[Patch], None]] = []
        self._optimizer_options = dict(optimizer_options)
        self._hook = Hook(model, self)
        self._reader = LossReader(self._hook, groups, self.note)
        self._held_out = HeldOutPoints(self._hook)
        self._examination = Examination(self, self._reader, self._held_out)
        self._host = ModelHost(self, self._held_out, optimizer_options["seed"])
        self._course = self._make_course()

    def _make_course(self) -> Course:
        method, t = self.method, self.method.treatment
        treat = self._treat if method.auto else None
        rules = Rules(t.diagnose, self._select, treat, self._usual)
        made = Course(self._host, method.recorder, rules, method.course, self.note)
        made.trained_with.append((0, method.start().label))
        made.on_diagnosis.append(self._diagnosed)
        return made

    def _select(self, diagnosis: Diagnosis) -> Plan:
        return self.method.treatment.select(diagnosis, differ(self._weights()))

    def _usual(self) -> str | None:
        """The reweighting for races; none where the user's weights stay."""
        treatment = self.method.treatment
        return None if treatment.rests(differ(self._weights())) else treatment.usual

    def _treat(self, plan: Plan) -> Aggregator:
        """The method of a plan under the optimizer in use."""
        searching = self.optimizer is not None and searches_lines(self.optimizer.inner)
        return self.method.treatment.method(plan, searching)

    @property
    def profile(self) -> Profile | None:
        """Of the first steps; ``None`` until it is complete."""
        return self._course.profile

    @property
    def diagnosis(self) -> Diagnosis | None:
        """Of that profile."""
        return self._course.diagnosis

    @property
    def plan(self) -> Plan | None:
        """The plan in force, or, until it is applied, the one selected."""
        return self._course.plan

    @property
    def plan_applied(self) -> bool:
        """Whether ``auto`` carried a plan out."""
        return self._course.applied

    @property
    def decisions(self) -> list[Decision]:
        """Every verdict of ``auto``, with what became of it."""
        return self._course.decisions

    @property
    def trained_with(self) -> list[tuple[int, str]]:
        """The methods in use, each with the step from which on."""
        return self._course.trained_with

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
    def reports(self) -> Reports:
        """Bounds that acted and fallbacks that were taken, by kind; see ``MultiLossOptimizer``."""
        return self.optimizer.reports if self.optimizer is not None else Reports()

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader of the verdict should know of the model, in sentences."""
        weights = self._weights()
        return (weights_remark(weights),) if differ(weights) else ()

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
        scheduled = self.model.lr_scheduler is not None
        adopted = adopt_unknowns(inner, hook.trainable_unknowns(), scheduled)
        if adopted is not None:
            self.log.append(adopted)
            warnings.warn(adopted, stacklevel=2)
        if self.optimizer is None:
            self.optimizer = MultiLossOptimizer(
                inner, self.method.start(), **self._optimizer_options
            )
        else:
            self.optimizer = self.optimizer.rewrap(inner)
        self.optimizer.blocks = self._blocks()
        self._course.refit(f"as {type(inner).__name__} trains now")
        if searches_lines(inner) and self.groups is not None and len(self.groups.names) > 1:
            check_scalar(inner, self.optimizer.aggregator, self.optimizer.layout())
        self._examination.compiled()
        self._held_out.compiled()
        hook.install(self.optimizer, self._train_step)

    def _blocks(self) -> dict[str, list[Tensor]]:
        blocks: dict[str, list[Tensor]] = {}
        unknowns = self._hook.trainable_unknowns()
        if unknowns:
            blocks["physics"] = unknowns
        if self.adapters is not None:
            blocks.update(self.adapters.blocks())
        return blocks

    # -- training -----------------------------------------------------------------------------

    def _train_step(self, inputs: Any, targets: Any, auxiliary: Any) -> None:
        self._host.batch = inputs, targets, auxiliary
        self.take_step(self._host.batch)
        if self.method.records:
            self._course.after_step()
        for listener in self.on_step:
            listener(self)

    def take_step(self, batch: Batch) -> None:
        """One step of the optimizer and the schedule, and nothing else."""
        assert self.optimizer is not None
        self.optimizer.step(lambda: self._examination.objective(batch))
        self._hook.schedule()

    # -- the decision -------------------------------------------------------------------------

    def _diagnosed(self) -> None:
        """The first profile was diagnosed, and its plan is not applied yet."""
        for listener in self.on_diagnosis:
            listener(self)
        found, plan = self.diagnosis, self.plan
        if self.method.auto and found is not None and found.too_short and found.pairs:
            assert plan is not None
            warnings.warn(f"conflictopt: {plan.reason}", stacklevel=2)

    def conclude(self) -> Diagnosis | None:
        """Diagnose from the samples there are; ``None`` without any."""
        return self._course.conclude() if self.optimizer is not None else None

    def tangent_kernel(self, rows: int | None = 32) -> TangentKernel:
        """The tangent kernel between the losses, at the present parameters and the last batch.

        Changes nothing in the model; one backward pass for each row.

        Args:
            rows: residual entries per loss, drawn at random where a loss has more; ``None`` for
                all of them.

        Raises:
            PatchError: before the first step, or with losses that are not mean squares.
        """
        batch = self._host.batch
        if self.optimizer is None or batch is None:
            raise PatchError("expected at least one training step before a tangent kernel.")
        before = RandomStates()
        try:
            losses = self._reader.read(batch, True).together(residuals=True)
        finally:
            before.restore()
        check_mean_square(losses)
        blocks = blocks_of_layout(self.optimizer.layout())
        return tangent_kernel(losses.residuals, blocks, rows=rows)

    def note(self, message: str) -> None:
        """Add a sentence to the log, with the step."""
        self.log.append(f"step {self.steps}: {message}")

    def training(self, iterations: int | None) -> None:
        """A call of ``train`` begins."""
        self.stage_end = self.steps + iterations if iterations is not None else None
        profile = self.method.recorder.steps
        if not self.method.auto or self.diagnosis is not None or self._course.applied:
            return
        if self.stage_end is not None and self.stage_end < profile:
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
            rate = self.method.treatment.adapter_design.learning_rate
            self.attach(losses, replace(design, learning_rate=rate))
        extras = saved.get("optimizer_state_dict", {}).get(CHECKPOINT_KEY) or {}
        planned = self.method.planned(extras) if self.diagnosis is None else None
        if planned is not None:
            # saved after the decision of an earlier run: go on with what it decided
            self._course.adopt(*planned, "restored from a checkpoint")

    def attach(self, losses: tuple[str, ...], design: AdapterDesign) -> None:
        """Give each of these losses adapters of a design, and note it."""
        count = self._host.attach_design(losses, design)
        self.note(f"attached adapters, {count} parameters.")

    def remove(self) -> None:
        """Undo the patch; see ``unpatch``."""
        self._hook.remove()
        if self.model.__dict__.get("conflictopt") is self:
            del self.model.conflictopt
