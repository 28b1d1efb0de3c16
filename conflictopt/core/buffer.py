"""RowBuffer: storage for the per-loss gradients of one step, kept from step to step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .layout import ParameterLayout, check_dense
from .torch_internals import copy_all, zero_all


class RowBuffer:
    """``[K, P]`` storage with a view per loss and parameter.

    Args:
        count: K, the number of losses.
        layout: the parameters.

    Attributes:
        rows: ``[K, P]``; row k is the gradient of loss k, 0 where it does not touch a parameter.
        touched: per loss and parameter, whether the loss reaches the parameter at all.
    """

    def __init__(self, count: int, layout: ParameterLayout) -> None:
        self.rows = torch.empty(count, layout.size, dtype=layout.dtype, device=layout.device)
        self._all = [True] * len(layout.params)
        self.touched = [self._all] * count
        self._views = [layout.split(row) for row in self.rows]
        self._layout = layout

    def fits(self, count: int, layout: ParameterLayout) -> bool:
        """Whether this is storage for so many losses and these parameters."""
        return len(self.rows) == count and self._layout is layout

    def reached(self, everything: bool) -> list[bool]:
        """Per parameter whether some loss reaches it; ``everything`` says that all are."""
        if everything or any(t is self._all for t in self.touched):
            return self._all
        return [any(t) for t in zip(*self.touched, strict=True)]

    def write(self, k: int, grads: Sequence[Tensor | None]) -> None:
        """Store the gradient of loss k, given per parameter.

        Raises:
            LayoutError: see ``check_dense``.
        """
        check_dense(grads)
        given, views = [g for g in grads if g is not None], self._views[k]
        self.touched[k] = self._all
        if len(given) < len(views):
            self.touched[k] = touched = [g is not None for g in grads]
            zero_all([v for v, t in zip(views, touched, strict=True) if not t])
            views = [v for v, t in zip(views, touched, strict=True) if t]
        if given:
            copy_all(views, given)
