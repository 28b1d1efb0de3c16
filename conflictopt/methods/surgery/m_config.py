"""Conflict-free gradients by momentum: one backward pass per step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...core.aggregator import Needs, RowTransform, State
from ...core.errors import MethodError, NonFiniteError
from ...core.gramian import gramian
from ...core.layout import TRUNK
from ...core.step import Spec, StepView
from ..moments import check_betas
from ..small_linalg import equal_cosines
from ._normal_form import NormalForm, normal_form


@dataclass(frozen=True)
class MConFIG(RowTransform):
    """ConFIG on each loss's momentum, of which one is renewed per step, with Adam's scaling.

    Formula: step t renews ``m_k <- b1 m_k + (1 - b1) g_k`` of the loss ``k = t mod K``. From the
    first step that has seen all losses, with ``m_k' = m_k / (1 - b1^{t_k})`` after ``t_k``
    renewals, ``d = ConFIG(m_1', ..., m_K')``; ``F_t = (1 - b1^t) d``; the gradient that this
    momentum implies, ``(F_t - b1 F_{t-1}) / (1 - b1)``, goes into the second moment v; the update
    is ``d / (sqrt(v / (1 - b2^t)) + eps)``. Before, it is 0.
    Shapes: state ``[K, P]`` and twice ``[P]``; the direction ``[P]``.
    Source: Liu, Chu, Thuerey, ICLR 2025, arXiv 2408.11104, algorithm 1, in the form of its code.
    Differs: ConFIG looks at the trunk's momenta; unknowns and adapters get the plain sum of
    theirs, with the same scaling. For one loss this is Adam. Zero momenta are left out. Parameters
    that no loss reaches have a zero gradient rather than none.
    The wrapped optimizer must be SGD without momentum, with the learning rate meant for Adam;
    refuses line searches and ``every`` > 1.

    Args:
        betas: of first and second moment, each in [0, 1).
        eps: added to the root.

    Raises:
        MethodError: bad hyper-parameters, or another optimizer than plain SGD.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([0.0, 0.0]))
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=1.0), "m_config")
    >>> for _ in range(2):
    ...     opt.step({"a": 3 * w[0], "b": w[1]})     # 0, then the sign of (2, 2)
    >>> [round(x, 6) for x in (-w).tolist()]
    [1.0, 1.0]
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    needs = Needs.ROW
    source = "Liu, Chu, Thuerey 2025 (arXiv 2408.11104), algorithm 1"
    claim = "equal positive cosines to all momenta, before scaling; Adam for K = 1"
    steps_itself = True
    per_parameter = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", check_betas(self.betas))
        if not self.eps > 0:
            raise MethodError(f"expected eps > 0, found {self.eps}.")

    def init(self, spec: Spec) -> State:
        flat = torch.zeros(spec.size, dtype=spec.dtype, device=spec.device)
        return {
            "first": flat.repeat(spec.count, 1),
            "implied": flat,
            "second": flat.clone(),
            "renewals": torch.zeros(spec.count, dtype=torch.int64, device="cpu"),
            "age": torch.zeros((), dtype=torch.int64, device="cpu"),
        }

    def direction(self, view: StepView, state: State) -> tuple[Tensor, State]:
        b1, b2 = self.betas
        renewals = state["renewals"].clone()
        k = int(renewals.sum()) % view.count
        first, row = state["first"].clone(), view.row(k)
        if not bool(row.isfinite().all()):
            # it would stay in the momentum for ever
            name = view.spec.names[k]
            raise NonFiniteError(f"expected a finite gradient of '{name}', found inf or nan.")
        first[k].lerp_(row, 1 - b1)
        renewals[k] += 1
        after = {**state, "first": first, "renewals": renewals}
        if int(renewals.min()) == 0:
            return torch.zeros_like(state["implied"]), after
        age = state["age"] + 1
        t = int(age)
        scale = [1 / (1 - b1**n) for n in renewals.tolist()]
        d = self._combined(view, first, scale)
        implied = d * (1 - b1**t)
        gradient = (implied - b1 * state["implied"]) / (1 - b1)
        second = b2 * state["second"] + (1 - b2) * gradient.square()
        after.update(implied=implied, second=second, age=age)
        return d / ((second / (1 - b2**t)).sqrt() + self.eps), after

    def _combined(self, view: StepView, first: Tensor, scale: list[float]) -> Tensor:
        """ConFIG of the corrected momenta over the trunk, their sum elsewhere."""
        ones = torch.tensor(scale, dtype=first.dtype, device=first.device)
        d = ones @ first
        trunk = view.layout.columns(TRUNK)
        factors = torch.tensor(scale, dtype=torch.float64, device="cpu")
        gram = factors[:, None] * gramian(first[:, trunk]) * factors
        rounding = torch.finfo(view.spec.dtype).eps
        problem = NormalForm(*normal_form(gram, rounding), view)
        if len(problem.active) < 2:
            return d
        c = equal_cosines(problem.unit, problem.norms) or problem.stationary()
        weights = [0.0] * len(scale)
        for i, x in zip(problem.active, c, strict=True):
            weights[i] = x * scale[i]
        d[trunk] = torch.tensor(weights, dtype=d.dtype, device=d.device) @ first[:, trunk]
        return d
