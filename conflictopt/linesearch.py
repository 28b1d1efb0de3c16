"""Optimizers that evaluate their closure several times per step, and what they need from us."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def searches_lines(optimizer: torch.optim.Optimizer) -> bool:
    """Whether the optimizer is known to compare loss values between points (L-BFGS)."""
    return isinstance(optimizer, torch.optim.LBFGS)


def restart_curvature(optimizer: torch.optim.Optimizer) -> None:
    """Make L-BFGS forget gradient differences that belong to another objective.

    After the coefficients changed, ``g_new - g_old`` mixes two objectives. Clearing the pairs and
    zeroing the last step makes torch's update reject that difference (``y . s = 0``); iteration
    counters stay, because callers such as DeepXDE read them.
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


class Snapshot:
    """Copies of parameters, to undo a step that failed half way."""

    def __init__(self, params: Sequence[Tensor]) -> None:
        self._pairs = [(p, p.detach().clone()) for p in params]

    def restore(self) -> None:
        """Write the copies back."""
        with torch.no_grad():
            for p, copy in self._pairs:
                p.copy_(copy)
