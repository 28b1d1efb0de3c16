"""The only file that wraps or replaces parts of a DeepXDE model; contract tests pin it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import deepxde as dde
import torch
from torch import Tensor

from .pace import Pace
from .patch_errors import PatchError

TrainStep = Callable[[Any, Any, Any], None]
_SEARCHES = ("L-BFGS", "L-BFGS-B")
Batch = tuple[Any, Any, Any]
"""Inputs, targets and auxiliary variables, as DeepXDE hands them to its training step."""


def check_supported(model: Any) -> None:
    """Check that a model can be patched at all.

    Raises:
        PatchError: not a DeepXDE model, another backend, or mixed precision.
    """
    if not isinstance(model, dde.Model):
        raise PatchError(f"expected a deepxde.Model, found {type(model).__name__}.")
    backend = dde.backend.backend_name
    if backend != "pytorch":
        raise PatchError(
            f"expected DeepXDE's PyTorch backend, found '{backend}'. "
            "Set DDEBACKEND=pytorch before importing deepxde."
        )
    if getattr(dde.config, "mixed", False):
        raise PatchError(
            "DeepXDE's mixed precision runs backward passes in autocast without a gradient "
            "scaler; per-loss gradients underflow there. Use float32 or float64."
        )


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of a model's losses.

    Attributes:
        vector: ``[R]`` weighted losses with graph; an L1 penalty is its last entry.
        entries: the scalars it is stacked from, unweighted and without the penalty.
        loss_fn: the loss function, or one per entry, that the model was compiled with.
        residuals: the residual behind every entry, if asked for.
    """

    vector: Tensor
    entries: list[Tensor]
    loss_fn: Any
    residuals: list[Tensor] | None


class Listener(Protocol):
    """Who is told what the user does with a model."""

    def compiled(self) -> None:
        """After every compile; at once by ``Hook.start`` if the model is compiled already."""

    def restoring(self, path: str) -> None:
        """Before the model restores a checkpoint."""

    def training(self, call: TrainCall) -> Pace | None:
        """Before a call of ``train``; how long it goes on, if not as it asks."""

    def trained(self) -> None:
        """After it."""


@dataclass(frozen=True)
class TrainCall:
    """What a call of ``train`` asks for.

    Attributes:
        iterations: of the optimizer that the model was compiled with; of L-BFGS at most.
        counted: whether they are steps: L-BFGS takes many in one.
        display_every: steps between two displays.
        display: evaluates the model and shows it.
    """

    iterations: int | None
    counted: bool
    display_every: int
    display: Callable[[], None]


class Hook:
    """Stays attached to a model through every ``compile``.

    Args:
        model: the DeepXDE model.
        listener: is told of compile, train and restore.
    """

    def __init__(self, model: Any, listener: Listener) -> None:
        self.model = model
        self._listener = listener
        self._plain_step: TrainStep | None = None
        self._plain_opt: torch.optim.Optimizer | None = None
        self._plain_name: Any = None
        self.metric_names: tuple[str, ...] = ()

    def start(self) -> None:
        """Watch ``compile``, and attach now if the model is compiled already."""
        compile_plainly = self.model.compile

        def compile_and_attach(*args: Any, **kwargs: Any) -> Any:
            result = compile_plainly(*args, **kwargs)
            self._compiled()
            return result

        restore_plainly, train_plainly = self.model.restore, self.model.train

        def train(*args: Any, **kwargs: Any) -> Any:
            call = inspect.signature(train_plainly).bind(*args, **kwargs)
            if call.arguments.get("model_restore_path") is not None:
                # what a checkpoint is of decides how long the call goes on
                self._listener.restoring(call.arguments["model_restore_path"])
            pace = self._listener.training(self._asked(call))
            if pace is not None:
                call.arguments["iterations"] = pace.iterations
                call.arguments["callbacks"] = [pace, *(call.arguments.get("callbacks") or ())]
            result = train_plainly(*call.args, **call.kwargs)
            self._listener.trained()
            return result

        def restore(save_path: str, *args: Any, **kwargs: Any) -> Any:
            self._listener.restoring(save_path)
            return restore_plainly(save_path, *args, **kwargs)

        self.model.compile = compile_and_attach
        self.model.restore = restore
        self.model.train = train
        if self.model.opt is not None:
            self._compiled()

    def _asked(self, call: inspect.BoundArguments) -> TrainCall:
        call.apply_defaults()
        given = call.arguments
        searches = self._plain_name in _SEARCHES
        iterations = given["iterations"] if given["iterations"] is not None else given["epochs"]
        verbose = given["verbose"]
        return TrainCall(
            dde.optimizers.LBFGS_options["maxiter"] if searches else iterations,
            not searches,
            given["display_every"],
            lambda: self.model._test(verbose=verbose),
        )

    def _compiled(self) -> None:
        check_supported(self.model)
        if self.model.opt_name == "NNCG":
            raise PatchError(
                "NNCG differentiates its closure's value twice by itself; conflictopt hands over "
                "gradients, not a graph. Use Adam or L-BFGS, or leave this model unpatched."
            )
        self._plain_step = self.model.train_step
        self._plain_opt = self.model.opt
        self._plain_name = self.model.opt_name
        self.metric_names = tuple(getattr(m, "__name__", repr(m)) for m in self.model.metrics)
        self._listener.compiled()

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer that ``compile`` made."""
        assert self._plain_opt is not None
        return self._plain_opt

    def install(
        self, optimizer: torch.optim.Optimizer, train_step: TrainStep, name: str | None = None
    ) -> None:
        """Give the model another optimizer object and another training step.

        Args:
            optimizer: of the model from now on.
            train_step: that takes its steps.
            name: by which DeepXDE knows the optimizer from now on, where it is of another kind:
                DeepXDE trains with L-BFGS in a loop of its own.
        """
        self.model.opt = optimizer
        self.model.train_step = train_step
        if name is not None:
            self.model.opt_name = name

    @property
    def compiled_with(self) -> str:
        """Name of the optimizer that the model was compiled with."""
        name = self._plain_name
        return name if isinstance(name, str) else type(self._plain_opt).__name__

    def plain_step(self, batch: Batch) -> None:
        """A step of the optimizer that the model was compiled with, without its schedule."""
        assert self._plain_step is not None
        model = self.model
        installed = model.opt, model.lr_scheduler
        model.opt, model.lr_scheduler = self._plain_opt, None
        try:
            self._plain_step(*batch)
        finally:
            model.opt, model.lr_scheduler = installed

    def remove(self) -> None:
        """Undo everything."""
        for name in ("compile", "restore", "train"):
            self.model.__dict__.pop(name, None)
        if self._plain_opt is not None:
            self.model.opt = self._plain_opt
            self.model.train_step = self._plain_step
            self.model.opt_name = self._plain_name

    def evaluate(self, batch: Batch, residuals: bool) -> Evaluation:
        """The losses of a batch, exactly as the plain step computes them.

        DeepXDE passes its loss functions to ``data.losses_train`` on each call and stacks what it
        returns; for the duration that method is wrapped. Values and graph stay what they were.
        """
        data, seen = self.model.data, []  # type: Any, list[Tensor]
        original, own = data.losses_train, "losses_train" in vars(data)
        call: dict[str, Any] = {}

        def losses_train(targets: Any, outputs: Any, loss_fn: Any, *rest: Any, **named: Any) -> Any:
            used = watched(loss_fn, seen) if residuals else loss_fn
            losses = original(targets, outputs, used, *rest, **named)
            call.update(loss_fn=loss_fn, entries=losses if isinstance(losses, list) else [losses])
            return losses

        data.losses_train = losses_train
        try:
            vector = self.model.outputs_losses_train(*batch)[1]
        finally:
            if own:
                data.losses_train = original
            else:
                del data.losses_train
        return Evaluation(vector, call["entries"], call["loss_fn"], seen if residuals else None)

    def schedule(self) -> None:
        """What the plain step does after the optimizer's step."""
        if self.model.lr_scheduler is not None:
            self.model.lr_scheduler.step()

    def loss_weights(self, count: int) -> list[float]:
        """The user's weights at this moment, one per unregularised entry."""
        weights = self.model.loss_weights
        if weights is None:
            return [1.0] * count
        flat = torch.as_tensor(weights, dtype=torch.float64, device="cpu").reshape(-1)
        return flat.expand(count).tolist() if flat.numel() == 1 else flat.tolist()

    def weighted(self, entries: list[Tensor]) -> tuple[Tensor, ...]:
        """Entries times the user's weights."""
        if self.model.loss_weights is None:
            return tuple(entries)
        pairs = zip(entries, self.loss_weights(len(entries)), strict=True)
        return tuple(entry * w for entry, w in pairs)

    def penalty(self) -> Tensor:
        """The L1 penalty that DeepXDE appends to the losses of a network regularised so."""
        net = self.model.net
        size = torch.stack([p.abs().sum() for p in net.parameters()]).sum()
        penalty: Tensor = net.regularizer[1] * size
        return penalty

    def trainable_unknowns(self) -> list[Tensor]:
        """The model's ``external_trainable_variables``."""
        return [v for v in self.model.external_trainable_variables if v.requires_grad]


def watched(loss_fn: Any, seen: list[Tensor]) -> Any:
    """DeepXDE's loss function(s), noting the residual (prediction minus target) of every call."""

    def watch(fn: Callable[[Any, Any], Tensor]) -> Callable[[Any, Any], Tensor]:
        def loss(target: Any, prediction: Any) -> Tensor:
            if isinstance(prediction, Tensor):
                seen.append(prediction - target)
            return fn(target, prediction)

        return loss

    if isinstance(loss_fn, (list, tuple)):
        return [watch(f) for f in loss_fn]
    return watch(loss_fn)
