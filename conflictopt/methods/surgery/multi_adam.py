"""Adam's moments for each loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ...core.aggregator import RowTransform, State
from ...core.errors import MethodError, NonFiniteError
from ...core.step import Spec, StepView
from ..moments import check_betas


@dataclass(frozen=True)
class MultiAdam(RowTransform):
    """The mean of the Adam updates that the losses would make alone.

    Formula: ``d = 1/n sum_i m_i' / (sqrt(v_i') + eps)`` over n groups of losses, with Adam's
    bias-corrected moments ``m_i'``, ``v_i'`` of the summed gradient of group i.
    Shapes: state twice ``[n, P]``; the direction ``[P]``.
    Source: Yao et al., ICML 2023, arXiv 2306.02816, algorithm 1, in the form of its code.
    Differs: groups are the losses themselves, or, as in the authors' benchmark, all equations and
    all conditions. For one group this is Adam. Entry by entry no geometry is involved, so it
    applies to all blocks alike. The wrapped optimizer must be SGD without momentum, with the
    learning rate meant for Adam; refuses line searches and ``every`` > 1.

    Args:
        betas: of first and second moment, each in [0, 1).
        eps: added to the root.
        groups: ``"each"`` loss or ``"kind"``: equations and conditions.

    Raises:
        MethodError: bad hyper-parameters, or another optimizer than plain SGD.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([0.0, 0.0]))
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=1.0), "multi_adam")
    >>> opt.step({"a": 3 * w[0], "b": w[0] - 5 * w[1]})      # mean of (1, 0) and (1, -1)
    >>> [round(x, 6) for x in (-w).tolist()]
    [1.0, -0.5]
    """

    betas: tuple[float, float] = (0.99, 0.99)
    eps: float = 1e-8
    groups: Literal["each", "kind"] = "each"

    source = "Yao et al. 2023 (arXiv 2306.02816), algorithm 1"
    claim = "does not depend on the scale of any group's loss, up to eps; Adam for one group"
    passes = "K"
    steps_itself = True
    per_parameter = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", check_betas(self.betas))
        if not self.eps > 0:
            raise MethodError(f"expected eps > 0, found {self.eps}.")
        if self.groups not in ("each", "kind"):
            raise MethodError(f"expected groups='each' or 'kind', found {self.groups!r}.")

    def _members(self, spec: Spec) -> list[list[int]]:
        if self.groups == "each":
            return [[k] for k in range(spec.count)]
        kinds = [[k for k, e in enumerate(spec.equations) if e is kind] for kind in (True, False)]
        return [members for members in kinds if members]

    def init(self, spec: Spec) -> State:
        shape = len(self._members(spec)), spec.size
        return {
            "first": torch.zeros(shape, dtype=spec.dtype, device=spec.device),
            "second": torch.zeros(shape, dtype=spec.dtype, device=spec.device),
            "age": torch.zeros((), dtype=torch.int64, device="cpu"),
        }

    def direction(self, view: StepView, state: State) -> tuple[Tensor, State]:
        b1, b2 = self.betas
        rows, members = view.rows(), self._members(view.spec)
        if not bool(rows.isfinite().all()):
            # it would stay in the moments for ever
            raise NonFiniteError("expected finite gradients, found inf or nan.")
        if len(members) < view.count:
            rows = torch.stack([rows[m].sum(dim=0) for m in members])
        age = state["age"] + 1
        t = int(age)
        first = torch.lerp(state["first"], rows, 1 - b1)
        second = b2 * state["second"] + (1 - b2) * rows.square()
        roots = (second / (1 - b2**t)).sqrt_().add_(self.eps)
        d = (first / roots).mean(dim=0) / (1 - b1**t)
        return d, {"first": first, "second": second, "age": age}
