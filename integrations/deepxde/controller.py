"""Patch: trains one DeepXDE model through conflictopt, and decides when the method is auto."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from conflictopt.adapters import AdapterDesign, Adapters, attach, attached, saved_adapters
from conflictopt.checkpoint import KEY as CHECKPOINT_KEY
from conflictopt.core.aggregator import Aggregator, Needs
from conflictopt.core.reports import Reports
from conflictopt.diagnosis.profile import Profile
from conflictopt.diagnosis.recorder import profile_of, recorder_state
from conflictopt.diagnosis.regime import Diagnosis, Thresholds, diagnose
from conflictopt.diagnosis.selection import Plan, select
from conflictopt.linesearch import check_scalar, searches_lines
from conflictopt.optimizer import MultiLossOptimizer

from .attach import Batch, Hook, layers_of
from .errors import PatchError
from .groups import Grouping, Groups
from .method import Method
from .reader import LossReader, ModelObjective, check_mean_square


class Patch:
    """What ``patch`` puts on ``model.conflictopt``: the method, its optimizer, the decision.

    Attributes:
        model: the patched model.
        optimizer: the ``MultiLossOptimizer`` in use; ``None`` before the model is compiled.
        profile, diagnosis, plan: of the first steps; ``None`` until the profile is complete.
        adapters: the per-loss adapters, once attached.
        plan_applied: whether ``auto`` carried the plan out.
        trained_with: the methods in use, each with the step from which on.
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
        thresholds: Thresholds | None,
        optimizer_options: Mapping[str, Any],
    ) -> None:
        self.model = model
        self.method = method
        self.optimizer: MultiLossOptimizer | None = None
        self.profile: Profile | None = None
        self.diagnosis: Diagnosis | None = None
        self.plan: Plan | None = None
        self.plan_applied = False
        self.trained_with = [(0, method.start().label)]
        self.stage_end: int | None = None
        self.log: list[str] = []
        self.on_step: list[Callable[[Patch], None]] = []
        self.on_diagnosis: list[Callable[[Patch], None]] = []
        self._thresholds = thresholds
        self._optimizer_options = dict(optimizer_options)
        self._checked = False
        self._hook = Hook(model, self)
        self._reader = LossReader(self._hook, groups, self._note)

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
        self._adopt_unknowns(inner, hook.trainable_unknowns())
        if self.optimizer is None:
            self.optimizer = MultiLossOptimizer(
                inner, self.method.start(), **self._optimizer_options
            )
        else:
            self.optimizer = self.optimizer.rewrap(inner)
        self.optimizer.blocks = self._blocks()
        if searches_lines(inner) and self.groups is not None and len(self.groups.names) > 1:
            check_scalar(inner, self.optimizer.aggregator, self.optimizer.layout())
        self._checked = False
        self._reader.compiled()
        hook.install(self.optimizer, self._train_step)

    def _adopt_unknowns(self, optimizer: torch.optim.Optimizer, unknowns: list[Tensor]) -> None:
        """DeepXDE drops the unknowns when it is given an optimizer instance; take them in."""
        held = {id(p) for g in optimizer.param_groups for p in g["params"]}
        missing = [v for v in unknowns if id(v) not in held]
        if not missing:
            return
        if isinstance(optimizer, torch.optim.LBFGS) or self.model.lr_scheduler is not None:
            raise PatchError(
                f"{len(missing)} external_trainable_variables are not among the parameters of "
                f"the {type(optimizer).__name__} instance, so DeepXDE would not train them. "
                "Create the optimizer with list(net.parameters()) + external_trainable_variables."
            )
        optimizer.add_param_group({"params": missing, "weight_decay": 0})
        message = (
            f"added {len(missing)} external_trainable_variables to the "
            f"{type(optimizer).__name__} instance: DeepXDE would not have trained them."
        )
        self.log.append(message)
        warnings.warn(message, stacklevel=2)

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
        assert self.optimizer is not None
        self.optimizer.step(lambda: self._objective((inputs, targets, auxiliary)))
        self._hook.schedule()
        self._advance()
        for listener in self.on_step:
            listener(self)

    def _objective(self, batch: Batch) -> ModelObjective:
        assert self.optimizer is not None
        session, known = self.optimizer.session, self.groups
        wanted = not self._checked and self._wants_residuals()
        objective = self._reader.read(batch, wanted)
        met = self.groups
        if met is not known and met is not None:
            session.names = session.names or met.names
            session.equations = met.equations or None
            if self.method.adapters and self.adapters is None:
                self._attach_adapters(met.names, self.method.design)
                objective = self._reader.read(batch, wanted)
        # Fail before the first step rather than after the profile; one loss needs no balance.
        if wanted and not (objective.count == 1 and self.method.auto):
            check_mean_square(objective.together(residuals=True))
        self._checked = self._checked or wanted
        return objective

    def _wants_residuals(self) -> bool:
        """Whether the method, or one that may be planned, reads residuals."""
        assert self.optimizer is not None
        reads = Needs.RESIDUALS | Needs.POINTS
        if self.optimizer.aggregator.needs & reads:
            return True
        undecided = self.method.auto and self.diagnosis is None
        return undecided and bool(self.method.balance.needs & reads)

    # -- the decision -------------------------------------------------------------------------

    def _advance(self) -> None:
        """Diagnose once the profile is complete; under auto, apply the plan."""
        if self.diagnosis is not None or not self.method.records:
            return
        assert self.optimizer is not None
        state = self._recorder_state()
        if state is None or int(state["age"]) < self.method.recorder.steps:
            return
        self.conclude()
        for listener in self.on_diagnosis:
            listener(self)
        if self.method.auto:
            assert self.plan is not None
            if self.diagnosis is not None and self.diagnosis.too_short and self.diagnosis.pairs:
                warnings.warn(f"conflictopt: {self.plan.reason}", stacklevel=2)
            self._apply(self.plan)

    def conclude(self) -> Diagnosis | None:
        """Diagnose from the samples there are; ``None`` without any."""
        if self.diagnosis is None:
            state = self._recorder_state()
            if state is None or int(state["samples"]) == 0:
                return None
            assert self.optimizer is not None and self.optimizer.session.names is not None
            self.profile = profile_of(state, self.optimizer.session.names)
            self.diagnosis = diagnose(self.profile, self._thresholds)
            self.plan = select(self.diagnosis, self.method.balance_name)
            found = "too short" if self.diagnosis.too_short else self.diagnosis.regime
            self._note(f"{found}, so {self.plan.kind}: {self.plan.reason}")
        return self.diagnosis

    def _note(self, message: str) -> None:
        self.log.append(f"step {self.steps}: {message}")

    def _recorder_state(self) -> dict[str, Tensor] | None:
        if self.optimizer is None:
            return None
        return recorder_state(self.optimizer.aggregator, self.optimizer.session.state)

    def _apply(self, plan: Plan) -> None:
        assert self.optimizer is not None
        if plan.adapters and self.groups is not None:
            self._attach_adapters(self.groups.names, self.method.design)
        self._use(self.method.of_plan(plan), "as planned")
        self.plan_applied = True

    def _use(self, aggregator: Aggregator, why: str) -> None:
        assert self.optimizer is not None
        self.optimizer.set_aggregator(aggregator)
        self.trained_with.append((self.steps, aggregator.label))
        self._note(f"{aggregator.label}, {why}.")

    def training(self, iterations: int | None) -> None:
        """A call of ``train`` begins."""
        self.stage_end = self.steps + iterations if iterations is not None else None

    def restoring(self, path: str) -> None:
        """A checkpoint with adapters loads into a network that has them."""
        if self.optimizer is None:
            return
        saved = torch.load(path, map_location="cpu", weights_only=True)
        found = saved_adapters(saved.get("model_state_dict", {}))
        if found is not None and self.adapters is None:
            self._attach_adapters(*found)
        config = (saved.get("optimizer_state_dict", {}).get(CHECKPOINT_KEY) or {}).get("config")
        planned = self.method.planned(config) if self.diagnosis is None else None
        if planned is not None:
            # saved after the decision of an earlier run: go on with what it decided
            self._use(planned, "restored from a checkpoint")

    def _attach_adapters(self, losses: tuple[str, ...], design: AdapterDesign) -> None:
        assert self.optimizer is not None
        if self.adapters is None:
            seed = self._optimizer_options["seed"]
            found = layers_of(self.model.net, design)
            adapters = attach(self.model.net, losses, found, seed=seed)
            self.optimizer.add_adapters(adapters)
            count = sum(adapters.count_parameters().values())
            self._note(f"attached adapters, {count} parameters.")
        self.optimizer.blocks = self._blocks()

    def remove(self) -> None:
        """Undo the patch; see ``unpatch``."""
        self._hook.remove()
        if self.model.__dict__.get("conflictopt") is self:
            del self.model.conflictopt
