"""Weights from the traces of the neural tangent kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from ...core.aggregator import Needs
from ...core.checks import check_count
from ...core.layout import TRUNK
from ...core.step import StepView
from ._periodic import PeriodicReweighting


@dataclass(frozen=True)
class NTK(PeriodicReweighting):
    """Balance the rates at which the losses converge, by their tangent-kernel traces.

    Formula: ``w_k = mean_j(t_j) / t_k`` with ``t_k = tr(K_kk) / N_k`` and
    ``K_kk = J_k J_k^T`` the kernel block of the residuals of loss k at its ``N_k`` points;
    ``t_k`` is computed entry by entry, or estimated by ``probes`` random-sign products
    (Hutchinson).
    Shapes: weights ``[K]``; residuals of any shape.
    Source: Wang, Yu, Perdikaris, J. Comput. Phys. 449 (2022), arXiv 2007.14527, algorithm 1;
    mean form and momentum as in jaxpi (Wang et al. 2023, arXiv 2308.08468).
    Differs: traces are estimated by default (unbiased; exact for one point); a loss made of
    several residual sets adds their traces, each with its weight; over the network's parameters
    only, not the unknowns of an inverse problem; a loss without trace is left out of the mean and
    keeps weight 1; bounded by ``cap``.

    Args:
        momentum, refresh, cap: see ``PeriodicReweighting``.
        probes: random-sign products per loss and refresh, each one backward pass; or
            ``"exact"``: one backward pass for every entry of every residual, N in all.

    Raises:
        MethodError: bad hyper-parameters; at run time, losses without residuals or that are not
            the mean square of them.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    >>> r = {"pde": 3.0 * w[:1], "bc": w[1:]}      # traces 9 and 1, mean 5
    >>> method = conflictopt.make("ntk", momentum=0.0)
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=0.0), method)
    >>> opt.step({k: v.square().mean() for k, v in r.items()}, residuals=r)
    >>> [round(c, 4) for c in opt.last.coefficients.tolist()]
    [0.5556, 5.0]
    """

    probes: int | Literal["exact"] = 4

    needs = Needs.RESIDUALS
    source = "Wang, Yu, Perdikaris 2022 (arXiv 2007.14527), algorithm 1"
    claim = "weighted traces are equal: all losses converge at one rate in the kernel regime"
    passes = "1 + (N if probes == 'exact' else K * probes) / refresh"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.probes != "exact":
            check_count("probes", self.probes)

    def target(self, view: StepView, weights: Tensor) -> Tensor:
        probes = None if self.probes == "exact" else self.probes
        traces = view.residual_traces(probes, TRUNK)
        return traces[traces > 0].mean() / traces
