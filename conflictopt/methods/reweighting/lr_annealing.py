"""Learning-rate annealing by gradient statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ...core.aggregator import Needs
from ...core.errors import MethodError
from ...core.layout import TRUNK
from ...core.step import StepView
from ._entry_statistics import entries
from ._periodic import PeriodicReweighting


def _largest(values: Tensor) -> Tensor:
    return values.max() if values.numel() else values.new_tensor(torch.nan)


@dataclass(frozen=True)
class LRAnnealing(PeriodicReweighting):
    """Lift conditions by the ratio of the equations' largest gradient entry to their mean entry.

    Formula: equations keep weight 1; a condition gets
    ``"weighted"``: ``max|g_eq| / mean|w_k g_k|`` (the authors' code; fixed point
    ``sqrt(max/mean)``), ``"raw"``: ``max|g_eq| / mean|g_k|`` (the paper's equation),
    ``"mean"``: ``mean|g_eq| / mean|g_k|``.
    Shapes: weights ``[K]``; statistics over the network's parameters that loss k reaches.
    Source: Wang, Teng, Perdikaris, SIAM J. Sci. Comput. 43 (2021), arXiv 2001.04536, eq. (40).
    Differs: one mean over all parameters, biases included, where the authors average the means
    of the weight matrices; several equations share their largest (mean) statistic; bounded by
    ``cap``; while no equation has a gradient, conditions keep 1.

    Args:
        momentum, refresh, cap: see ``PeriodicReweighting``; defaults 0.9 and 10 as the authors.
        variant: ``"weighted"``, ``"raw"`` or ``"mean"``.

    Raises:
        MethodError: bad hyper-parameters.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    >>> method = conflictopt.make("lr_annealing", momentum=0.0)
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=0.0), method)
    >>> opt.step({"pde": 3 * w[0] + w[1], "bc": w.mean()})      # max 3, mean 0.5
    >>> opt.last.coefficients.tolist()
    [1.0, 6.0]
    """

    refresh: int = 10
    cap: float = 1e3
    variant: Literal["weighted", "raw", "mean"] = "weighted"

    needs = Needs.ROWS
    source = "Wang, Teng, Perdikaris 2021 (arXiv 2001.04536), eq. 40"
    claim = "equations keep weight 1; conditions follow the ratio of gradient statistics"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variant not in ("weighted", "raw", "mean"):
            raise MethodError(
                f"expected variant='weighted', 'raw' or 'mean', found {self.variant!r}."
            )

    def target(self, view: StepView, weights: Tensor) -> Tensor:
        sizes = [g.abs() for g in entries(view, TRUNK)]
        mean = torch.stack([g.mean() for g in sizes])
        equation = torch.tensor(view.spec.equations, device="cpu")
        largest = torch.stack([g.max() if len(g) else g.new_zeros(()) for g in sizes])
        statistic = (mean if self.variant == "mean" else largest)[equation]
        # NaN without an active equation: nothing to compare with, so conditions keep 1.
        reference = statistic.mean() if self.variant == "mean" else _largest(statistic)
        reference = torch.where(reference > 0, reference, torch.nan)
        if self.variant == "weighted":
            mean = mean * weights
        return torch.where(equation, torch.ones_like(mean), reference / mean)
