"""Which methods go with which wrapped optimizers."""

from __future__ import annotations

import warnings
from typing import Any, Protocol

import torch

from ..core.aggregator import Aggregator, Needs, members, weights_whole_losses
from ..core.distributed import check_optimizer_alone
from ..core.errors import ConflictOptWarning, LossError, MethodError
from .control import Control
from .line_search import searches_lines
from .metrics.metric import known_metric


def reads_residuals(optimizer: torch.optim.Optimizer) -> bool:
    """Whether an optimizer steps by residuals, as ``LevenbergMarquardt`` does."""
    return bool(getattr(optimizer, "reads_residuals", False))


class Run(Protocol):
    """What steps: a ``MultiLossOptimizer``."""

    inner: torch.optim.Optimizer

    session: Any

    @property
    def in_stage(self) -> bool: ...


def check_reads_gradients(run: Run, found: str) -> None:
    """Check that a run can step without a closure.

    Raises:
        LossError: it evaluates the losses several times a step.
        MethodError: it goes by losses of one process of several.
    """
    if hasattr(run.inner, "given_back") and not run.session.alone:
        check_optimizer_alone("SOAP, which gives back by the losses")
    if run.in_stage or reads_residuals(run.inner):
        name = "the plan of 'auto'" if run.in_stage else type(run.inner).__name__
        raise LossError(
            f"expected a closure with {name}, found {found}: it steps by residuals, which it "
            "evaluates several times, and reads no gradients. Call "
            "step(lambda: Losses.of_residuals({name: residuals}))."
        )


def warn_of_trust(optimizer: torch.optim.Optimizer, update: str) -> None:
    """Say that the update of an optimizer is not looked at, although that was asked for."""
    warnings.warn(
        f"update='{update}' does not apply to {type(optimizer).__name__}, whose update follows "
        "values of the losses: it is trusted.",
        ConflictOptWarning,
        stacklevel=3,
    )


def check_watched(optimizer: torch.optim.Optimizer, update: str) -> None:
    """Check that an optimizer's update can be looked at, and aligned if that is wished.

    Raises:
        MethodError: it cannot.
    """
    if update == "trust":
        return
    expected = f"expected update='trust' with {type(optimizer).__name__}, found '{update}'"
    if searches_lines(optimizer):
        raise MethodError(
            f"{expected}: its update is the end of a search along values of the loss."
        )
    if reads_residuals(optimizer):
        raise MethodError(f"{expected}: it steps by residuals, and takes no per-loss gradients.")
    if update == "align":
        known_metric(optimizer)


def check_weights_alone(optimizer: torch.optim.Optimizer, aggregator: Aggregator) -> None:
    """Check that a method goes with an optimizer that reads residuals: one weight for each loss.

    Raises:
        MethodError: it does not.
    """
    if not reads_residuals(optimizer):
        return
    for m in members(aggregator):
        if m.plain or weights_whole_losses(m):
            continue
        why = "a step on the residuals themselves has no gradients to choose between"
        if m.needs & Needs.POINTS:
            why = "the rows of a step are drawn anew, and weights of points would not follow them"
        raise MethodError(
            f"expected a reweighting with {type(optimizer).__name__}, found {m.label}: {why}. Use "
            "'sum', or one that weights whole losses, such as 'ntk'."
        )


def check_fixed(optimizer: torch.optim.Optimizer, control: Control | None) -> None:
    """Check that a run whose method is chosen as it trains begins with gradients.

    Raises:
        MethodError: its optimizer reads residuals.
    """
    if control is not None and control.auto and reads_residuals(optimizer):
        raise MethodError(
            f"expected a fixed method with {type(optimizer).__name__}, found 'auto': it profiles a "
            "run of gradient steps, and its plans may choose between per-loss gradients. Use "
            "'sum', or a reweighting of whole losses such as 'ntk'."
        )


def check_without_method(optimizer: Any) -> None:
    """Check that an optimizer has no method of ours yet.

    Raises:
        TypeError: it is a ``MultiLossOptimizer``.
    """
    if hasattr(optimizer, "set_aggregator"):
        raise TypeError(
            f"expected a torch optimizer, found a {type(optimizer).__name__}. To have several "
            "methods chain them around the optimizer that it wraps: "
            "MultiLossOptimizer(optimizer.inner, 'ntk+pcgrad')."
        )


def check_inner(inner: torch.optim.Optimizer, aggregator: Aggregator) -> None:
    """Check that a method goes with the wrapped optimizer.

    One that makes the update itself must be left to; one that reads residuals takes weights alone.

    Raises:
        MethodError: it does not.
    """
    check_weights_alone(inner, aggregator)
    if not aggregator.steps_itself:
        return
    groups = inner.param_groups
    if isinstance(inner, torch.optim.SGD) and not any(
        g["momentum"] or g["maximize"] for g in groups
    ):
        return
    raise MethodError(
        f"expected torch.optim.SGD without momentum around {aggregator.label}, found "
        f"{type(inner).__name__}: the method keeps moments of its own and scales the update as "
        "Adam does. Give SGD the learning rate that you would give Adam (under DeepXDE: "
        "model.compile('sgd', lr=...)), and schedules cycle_momentum=False."
    )
