"""Who is timed: our methods, and torchjd's aggregators of the same names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torchjd import aggregation as jd

import conflictopt
from conflictopt.core.gramian import gramian

from .matrices import Gradients

Call = Callable[[], Tensor]


@dataclass(frozen=True)
class SolverContender:
    """A method of ours and its counterpart.

    Attributes:
        name: of our method.
        peer: makes torchjd's aggregator, given K.
        options: of our method.
        mean: whether torchjd has the mean where we have the sum: its update is shorter by K.
        random: above how many losses the update depends on random draws, which are not the same.
        promises: whether the update conflicts with no gradient.
    """

    name: str
    peer: Callable[[int], jd.Aggregator]
    options: dict[str, Any] = field(default_factory=dict)
    mean: bool = False
    random: float = float("inf")
    promises: bool = False

    def ours(self, gradients: Gradients) -> Call:
        """A step of ours: from gradients whose Gramian is not known to the update."""
        method = conflictopt.make(self.name, **self.options)
        state = method.init(gradients.spec)
        generator = torch.Generator().manual_seed(0)
        rows = gradients.rows

        def call() -> Tensor:
            nonlocal state
            chosen = method.choose(gradients.view(generator), state)
            state = chosen.state
            return chosen.coefficients @ rows if chosen.direction is None else chosen.direction

        return call

    def theirs(self, gradients: Gradients) -> Call:
        """The same step of torchjd's."""
        aggregator, rows = self.peer(len(gradients.rows)), gradients.rows
        return lambda: aggregator(rows)


class GramianProduct(SolverContender):
    """What every method of the Gramian pays, and nothing solved: the product, one combination.

    Ours is accumulated in float64, torchjd's is one float32 product.
    """

    def ours(self, gradients: Gradients) -> Call:
        rows = gradients.rows
        return lambda: gramian(rows)[0].to(rows.dtype) @ rows

    def theirs(self, gradients: Gradients) -> Call:
        rows = gradients.rows
        return lambda: (rows @ rows.T)[0] @ rows


CONTENDERS = [
    SolverContender("sum", lambda k: jd.Sum()),
    GramianProduct("gramian", lambda k: jd.Sum()),
    SolverContender("pcgrad", lambda k: jd.PCGrad(), random=2),
    SolverContender("gradvac", lambda k: jd.GradVac(), random=2),
    SolverContender("graddrop", lambda k: jd.GradDrop(), random=1),
    SolverContender("config", lambda k: jd.ConFIG(), promises=True),
    SolverContender("imtl_g", lambda k: jd.IMTLG()),
    SolverContender("mgda", lambda k: jd.MGDA(), promises=True),
    SolverContender("cagrad", lambda k: jd.CAGrad(c=0.5), {"c": 0.5}, mean=True),
    SolverContender("nash_mtl", lambda k: jd.NashMTL(k), promises=True),
    SolverContender("aligned_mtl", lambda k: jd.AlignedMTL(), mean=True),
    SolverContender("upgrad", lambda k: jd.UPGrad(), mean=True, promises=True),
    SolverContender("dualproj", lambda k: jd.DualProj(), mean=True, promises=True),
]
"""NashMTL starts each call from its last solution; on the same rows, from this one's."""
