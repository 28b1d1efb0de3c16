"""Evaluates the losses of a PDE problem apart: each from its own rows of the training points.

DeepXDE evaluates the network once on all points and then reads every condition from its rows and
the residuals from theirs. On rows of their own, equation and conditions share no graph, and the
residual is not computed, and thrown away, on the points of the conditions. What a loss *is* stays
DeepXDE's business: its own ``losses`` runs on a view of the problem that holds one part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import deepxde as dde
import torch
from torch import Tensor

from conflictopt.core.torch_internals import NORMS

from .groups import Groups
from .hook import Batch, watched

FUNCTION_OF_RANGE = (
    dde.icbc.DirichletBC,
    dde.icbc.NeumannBC,
    dde.icbc.IC,
    dde.icbc.Interface2DBC,
)
"""Conditions whose ``func`` is called with the points and a range of rows."""
_FUNCTION_OF_POINTS = (dde.icbc.OperatorBC, dde.icbc.PointSetOperatorBC)
"""Conditions whose ``func`` is called with all points that the network was evaluated on."""
_CONDITIONS = (
    *FUNCTION_OF_RANGE,
    *_FUNCTION_OF_POINTS,
    dde.icbc.RobinBC,
    dde.icbc.PeriodicBC,
    dde.icbc.PointSetBC,
)
_FEW_ROWS = 512
"""Up to so many rows, going through them once more costs less than another forward pass."""
_WORTHWHILE = 1 / 8
"""Share of condition rows from which sparing them the residual pays for another forward pass."""


@dataclass(frozen=True)
class Part:
    """Rows that are evaluated on their own.

    Attributes:
        rows: of the training points.
        conditions: indices of the conditions that lie there; none for the equation.
    """

    rows: slice
    conditions: range

    @property
    def is_equation(self) -> bool:
        """Whether the equation is evaluated here, rather than conditions."""
        return not self.conditions


def obstacle(model: Any) -> str | None:
    """What forbids to evaluate a model's losses apart, as far as its parts show; or ``None``."""
    data, kind = model.data, type(model.data)
    if not isinstance(data, dde.data.PDE) or kind.losses is not dde.data.PDE.losses:
        return f"{kind.__name__} computes its losses in a way of its own"
    replaced = {"losses", "losses_train"} & vars(data).keys()
    if replaced or kind.losses_train is not dde.data.PDE.losses_train:
        return f"{kind.__name__} computes its losses in a way of its own"
    for condition in data.bcs:
        own = [c for c in _CONDITIONS if isinstance(condition, c)]
        if not own or type(condition).error is not own[0].error:
            return f"the condition {type(condition).__name__} is not one of DeepXDE's"
    for module in model.net.modules():
        if isinstance(module, NORMS):
            return f"{type(module).__name__} couples the rows of a batch"
    return None


def saves_a_sum(data: Any) -> bool:
    """Whether evaluating apart is cheaper even where no loss is differentiated by itself."""
    return bool(sum(data.num_bcs) >= _WORTHWHILE * len(data.train_x))


def rows_of(data: Any, equations: int) -> list[slice]:
    """Per loss entry its rows of the training points: those of the equations, then conditions."""
    starts = [0]
    for n in data.num_bcs:
        starts.append(starts[-1] + n)
    conditions = [slice(a, b) for a, b in pairwise(starts)]
    return [slice(starts[-1], None)] * equations + conditions


def parts_of(data: Any, owners: Sequence[int], by_loss: bool) -> list[Part]:
    """The equation's rows, then the conditions', in the order of the losses.

    Args:
        data: the problem.
        owners: per condition its loss.
        by_loss: whether conditions of different losses get parts of their own; small ones do not.
    """
    starts = [0]
    for n in data.num_bcs:
        starts.append(starts[-1] + n)
    parts = [Part(slice(starts[-1], None), range(0))] if data.pde is not None else []
    split = by_loss and starts[-1] > _FEW_ROWS
    first = 0
    for i in range(1, len(owners) + 1):
        if i == len(owners) or (split and owners[i] != owners[first]):
            parts.append(Part(slice(starts[first], starts[i]), range(first, i)))
            first = i
    return parts


@dataclass(frozen=True)
class Apart:
    """Losses evaluated apart, in DeepXDE's order.

    Attributes:
        entries: the unweighted losses.
        graphs: per entry the number of its part; parts share only parameters.
        residuals: the residual behind every entry, if asked for.
    """

    entries: list[Tensor]
    graphs: list[int]
    residuals: list[Tensor] | None


def evaluate_apart(
    model: Any, batch: Batch, groups: Groups, loss_fn: Any, by_loss: bool, residuals: bool
) -> Apart:
    """The losses of a batch, each from its own rows.

    Args:
        model: the model.
        batch: all training points.
        groups: which losses belong together.
        loss_fn: the loss function, or one per entry.
        by_loss: whether the losses will be differentiated one by one, rather than their sum.
        residuals: whether to note the residuals.
    """
    data, net = model.data, model.net
    equations = len(groups.entries) - len(data.bcs)
    owners = groups.members[equations : equations + len(data.bcs)]
    seen: list[Tensor] = []
    found = Apart([], [], seen if residuals else None)
    if not net.training:
        net.train()
    for number, part in enumerate(parts_of(data, owners, by_loss)):
        chosen = loss_fn
        if isinstance(loss_fn, (list, tuple)):
            places = range(equations) if part.is_equation else part.conditions
            first = 0 if part.is_equation else equations
            chosen = [loss_fn[first + i] for i in places]
        losses = _evaluate(model, batch, part, watched(chosen, seen) if residuals else chosen)
        found.entries.extend(losses)
        found.graphs.extend([number] * len(losses))
    if batch[2] is not None:
        net.auxiliary_vars = torch.as_tensor(batch[2])
    return found


def _evaluate(model: Any, batch: Batch, part: Part, loss_fn: Any) -> list[Tensor]:
    return losses_of_view(model, _view(model.data, batch[0], part), batch, part.rows, loss_fn)


def losses_of_view(model: Any, view: Any, batch: Batch, rows: Any, loss_fn: Any) -> list[Tensor]:
    """The losses of a view of the problem, which lies on some of the training points.

    Args:
        model: the model.
        view: a copy of its problem that holds what belongs to these points.
        batch: all training points.
        rows: which of them, as numpy takes it.
        loss_fn: the loss function, or one per entry of the view.
    """
    points, _, auxiliary = batch
    net = model.net
    net.auxiliary_vars = None if auxiliary is None else torch.as_tensor(auxiliary[rows])
    inputs = torch.as_tensor(points[rows]).requires_grad_()
    outputs = net(inputs)
    aux = [net] if dde.config.autodiff == "forward" else None
    losses: list[Tensor] = view.losses(None, outputs, loss_fn, inputs, model, aux=aux)
    dde.gradients.clear()
    return losses


def _view(data: Any, points: Any, part: Part) -> Any:
    """The problem reduced to one part; a copy of today's, so that changes to it are followed."""
    view = copied(data)
    if part.is_equation:
        view.bcs, view.num_bcs = [], []
        return view
    view.pde = None
    view.bcs, view.num_bcs = ([xs[i] for i in part.conditions] for xs in (data.bcs, data.num_bcs))
    if part.rows.start or any(isinstance(c, _FUNCTION_OF_POINTS) for c in view.bcs):
        view.train_x = points[part.rows]
        view.bcs = [_shifted(c, points, part.rows.start) for c in view.bcs]
    return view


def copied(original: Any) -> Any:
    """``copy.copy`` of an object that is its attributes; it takes a tenth of the time."""
    made = object.__new__(type(original))
    made.__dict__.update(original.__dict__)
    return made


def _shifted(condition: Any, points: Any, start: int) -> Any:
    """A condition whose rows are counted from ``start``.

    DeepXDE remembers values and normals by the identity of the points and the range, so they are
    asked for with the original points and range: same numbers, and nothing is remembered twice.
    """
    moved = copied(condition)
    names = ["func"] if isinstance(condition, FUNCTION_OF_RANGE) else []
    names += ["boundary_normal"] if hasattr(condition, "boundary_normal") else []
    for name in names:
        original = getattr(condition, name)

        def at(_: Any, begin: int, end: int, aux: Any, original: Any = original) -> Any:
            return original(points, begin + start, end + start, aux)

        setattr(moved, name, at)
    return moved
