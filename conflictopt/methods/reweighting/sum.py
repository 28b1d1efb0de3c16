"""The plain sum."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...core.aggregator import Needs, Reweighting, State
from ...core.step import StepView


@dataclass(frozen=True)
class Sum(Reweighting):
    """Do nothing: every loss keeps weight 1, and the step is bitwise the plain one.

    Formula: ``w_k = 1``.
    Shapes: weights ``[K]``.
    Source: the baseline every other method is compared with.
    Differs: nothing.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=0.1), "sum")
    >>> opt.step({"a": w[0] ** 2, "b": 3 * w[1]})
    >>> w.tolist()
    [0.800000011920929, 1.7000000476837158]
    """

    needs = Needs.LOSSES
    source = "baseline"
    claim = "bitwise the plain step"
    plain = True

    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        return view.ones(), state
