"""Gradient sign dropout."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...core.aggregator import RowTransform, State
from ...core.errors import MethodError
from ...core.step import StepView


@dataclass(frozen=True)
class GradDrop(RowTransform):
    """Keep, in every entry, the gradients of one sign, drawn by how much speaks for each.

    Formula: per entry ``P = (1 + sum_k g_k / sum_k |g_k|) / 2`` and ``U`` uniform in [0, 1), one
    for all losses; keep positive entries if ``U < P``, else negative ones:
    ``d = sum_k (leak + (1 - leak) M_k) g_k`` with the mask M.
    Shapes: rows ``[K, P]`` to the direction ``[P]``.
    Source: Chen et al., NeurIPS 2020, arXiv 2010.06808, algorithm 1.
    Differs: masks the gradients of parameters, as later users of the method do, where the authors
    mask those of an activation layer; entries without gradient stay 0. Entry by entry no geometry
    is involved, so it applies to all blocks alike. Not the gradient of one scalar: refuses line
    searches and ``every`` > 1.

    Args:
        leak: share of the dropped entries that is let through, in [0, 1].

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([0.0, 0.0]))
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=1.0), "graddrop")
    >>> opt.step({"a": w[0] + w[1], "b": 2 * w[1]})      # no entry has both signs: the sum
    >>> (-w).tolist()
    [1.0, 3.0]
    """

    leak: float = 0.0

    source = "Chen et al. 2020 (arXiv 2010.06808), algorithm 1"
    claim = "every entry has contributions of one sign only, at leak = 0"
    passes = "K"

    def __post_init__(self) -> None:
        if not 0 <= self.leak <= 1:
            raise MethodError(f"expected leak in [0, 1], found {self.leak}.")

    def direction(self, view: StepView, state: State) -> tuple[Tensor, State]:
        rows = view.rows()
        total = rows.sum(dim=0)
        share = total / rows.abs().sum(dim=0)
        draw = torch.rand(total.shape, generator=view.generator, dtype=total.dtype, device="cpu")
        up = 2 * draw.to(total.device) - 1 < share  # U < P
        kept = torch.where(up, rows.clamp_min(0).sum(dim=0), rows.clamp_max(0).sum(dim=0))
        return torch.lerp(kept, total, self.leak), state
