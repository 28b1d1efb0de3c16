"""Optimizers that evaluate their closure several times per step, and what they need from us.

Only this file knows the state that ``torch.optim.LBFGS`` keeps.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

import torch
from torch import Tensor

from ..core.aggregator import Aggregator, members
from ..core.errors import LineSearchError
from ..core.layout import ParameterLayout
from ..core.torch_internals import forget_size


def searches_lines(optimizer: torch.optim.Optimizer) -> bool:
    """Whether the optimizer is known to compare loss values between points (L-BFGS)."""
    return isinstance(optimizer, torch.optim.LBFGS)


def may_search(optimizer: torch.optim.Optimizer) -> bool:
    """Whether the optimizer may call its closure more than once: L-BFGS, or one not torch's that
    does not say that it ``evaluates_once``.
    """
    if searches_lines(optimizer):
        return True
    known = type(optimizer).__module__.startswith("torch.optim.")
    return not (known or getattr(optimizer, "evaluates_once", False))


def check_scalar(
    optimizer: torch.optim.Optimizer,
    aggregator: Aggregator,
    layout: ParameterLayout,
    coefficients: Tensor | None = None,
) -> None:
    """Check that the update is the gradient of one scalar that may be minimised along a line.

    Args:
        optimizer, aggregator, layout: of the run.
        coefficients: those chosen, once they are: differing between blocks they have no scalar,
            whatever the method says of itself.

    Raises:
        LineSearchError: it is not; the message says why.
    """
    blockwise = coefficients is not None and coefficients.ndim == 2
    if aggregator.has_scalar(layout) and not blockwise:
        return
    # a recorder before the method is none of the user's
    acting = [m.label for m in members(aggregator) if not m.plain]
    blocks = layout.names
    differ = f", or differ between the blocks {', '.join(blocks)}" if len(blocks) > 1 else ""
    raise LineSearchError(
        f"{' -> '.join(acting) or aggregator.label} has no scalar objective here: with its "
        "coefficients frozen, no one weighted sum of the losses is what it minimises (weights may "
        f"be negative{differ}), but {type(optimizer).__name__} compares values of one scalar "
        "between points. Use a reweighting method, 'pcgrad' with blocks='global', or an optimizer "
        "without line search."
    )


def restart_curvature(optimizer: torch.optim.Optimizer) -> None:
    """Make L-BFGS forget gradient differences and scales that belong to another objective.

    After the coefficients changed, ``g_new - g_old`` mixes two objectives. Clearing the pairs and
    zeroing the last step makes torch's update reject that difference (``y . s = 0``); the inverse
    scale becomes that of a first step. Counters stay, because callers such as DeepXDE read them.
    """
    if not searches_lines(optimizer):
        return
    for state in optimizer.state.values():
        if state.get("d") is None:
            # interrupted inside its first step: begin again
            state["n_iter"] = 0
            continue
        state["d"] = torch.zeros_like(state["d"])
        for pairs in ("old_dirs", "old_stps", "ro"):
            state[pairs] = []
        size = _gradient_size(optimizer)
        if 0 < size < float("inf"):
            state["H_diag"] = min(1.0, 1.0 / size)


def fit_parameters(optimizer: torch.optim.Optimizer) -> None:
    """Fit L-BFGS to parameters that were appended after it had stepped, and restart it."""
    if not isinstance(optimizer, torch.optim.LBFGS):
        return
    forget_size(optimizer)
    total = sum(p.numel() for g in optimizer.param_groups for p in g["params"])
    for state in optimizer.state.values():
        for key in ("d", "prev_flat_grad"):
            flat = state.get(key)
            if flat is not None and flat.numel() < total:
                state[key] = torch.cat([flat, flat.new_zeros(total - flat.numel())])
                for pairs in ("old_dirs", "old_stps", "ro"):
                    state[pairs] = []
                state["d"] = torch.zeros_like(state["d"])


def append_parameters(optimizer: torch.optim.Optimizer, params: Sequence[Tensor]) -> None:
    """Add parameters to the first group: its learning rate and schedule hold for them too."""
    group = optimizer.param_groups[0]
    group["params"].extend(params)
    if isinstance(optimizer, torch.optim.Adagrad) and params:
        # torch 2.5 makes its state in the constructor alone
        start = optimizer.defaults["initial_accumulator_value"]
        alike = torch.optim.Adagrad(params, initial_accumulator_value=start, fused=group["fused"])
        optimizer.state.update(alike.state)
    fit_parameters(optimizer)


def remove_parameters(optimizer: torch.optim.Optimizer, gone: Container[int]) -> None:
    """Drop parameters, told by their ids, from all groups, and their state."""
    for group in optimizer.param_groups:
        # the list itself stays: torch.optim.LBFGS keeps it
        group["params"][:] = [p for p in group["params"] if id(p) not in gone]
    for p in [p for p in optimizer.state if id(p) in gone]:
        del optimizer.state[p]
    fit_parameters(optimizer)


class StepUndo:
    """Copies of parameters, to undo a step that failed half way.

    Args:
        params: what to copy.
    """

    def __init__(self, params: Sequence[Tensor]) -> None:
        self._pairs = [(p, p.detach().clone()) for p in params]

    def spoilt(self) -> bool:
        """Whether a parameter is infinite or NaN now."""
        return not all(bool(p.isfinite().all()) for p, _ in self._pairs)

    def restore(self) -> None:
        """Write the copies back."""
        with torch.no_grad():
            for p, copy in self._pairs:
                p.copy_(copy)


def _gradient_size(optimizer: torch.optim.Optimizer) -> float:
    params = [p for g in optimizer.param_groups for p in g["params"]]
    return sum(float(p.grad.abs().sum()) for p in params if p.grad is not None)
