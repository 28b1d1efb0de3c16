"""The multiple-gradient descent algorithm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from ...core.errors import MethodError
from ._base import Claim, GramianSurgery, NormalForm


@dataclass(frozen=True)
class MGDA(GramianSurgery):
    """The shortest convex combination of the gradients.

    Formula: ``d = sum_k a_k g_k`` with ``a`` in the simplex minimising ``|d|``; then
    ``g_k . d >= |d|^2`` for all k, with equality where ``a_k > 0``. ``normalize`` first divides
    ``g_k`` by ``s_k``: ``"norm"``: ``|g_k|``; ``"loss"``: ``L_k``; ``"loss+norm"``: their product.
    Shapes: coefficients ``[K]``, or ``[K, B]`` by blocks.
    Source: Désidéri, C. R. Math. 350 (2012); Sener, Koltun, NeurIPS 2018, arXiv 1810.04650,
    eq. (3).
    Differs: exact (an active-set method), where the authors take Frank-Wolfe steps; a zero
    gradient is left out and keeps coefficient 1 (taken literally, one satisfied loss stops all
    training). The update is as small as the smallest gradient allows: without normalisation
    training is slow when norms differ by orders. Zero, and reported, where no direction lowers
    all losses. Coefficients are ``a_k / s_k``.

    Args:
        blocks, verify: see ``GramianSurgery``.
        normalize: ``"none"``, ``"norm"``, ``"loss"`` or ``"loss+norm"``.

    Raises:
        MethodError: bad hyper-parameters; at run time ``"loss"`` with a loss that is not positive.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([0.0, 0.0]))
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=1.0), "mgda")
    >>> opt.step({"a": 2 * w[0], "b": w[1]})         # the point of the segment nearest to 0
    >>> [round(x, 6) for x in (-w).tolist()]
    [0.4, 0.8]
    """

    normalize: Literal["none", "norm", "loss", "loss+norm"] = "none"

    source = "Désidéri 2012; Sener, Koltun 2018 (arXiv 1810.04650), eq. 3"
    claim = "no conflict; 0 only where no direction lowers all losses"
    raises_none = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.normalize not in ("none", "norm", "loss", "loss+norm"):
            raise MethodError(
                "expected normalize='none', 'norm', 'loss' or 'loss+norm', found "
                f"{self.normalize!r}."
            )

    @property
    def claims(self) -> Claim:  # type: ignore[override]
        return Claim.MINIMUM_NORM if self.normalize == "none" else Claim.NOTHING

    def solve(self, problem: NormalForm, memory: Tensor) -> list[float]:
        from ..cone import least

        norms = problem.norms
        scales = self._scales(problem)
        # up to its length the update is the shortest x with (g_k / s_k) . x >= 1
        found = least(problem.gramian, [s / n for s, n in zip(scales, norms, strict=True)])
        if found is None:
            return problem.stationary()
        a = [b / n * s for b, n, s in zip(found.tolist(), norms, scales, strict=True)]
        total = sum(a)
        return [x / total / s for x, s in zip(a, scales, strict=True)]

    def _scales(self, problem: NormalForm) -> list[float]:
        scales = [1.0] * len(problem.norms)
        if "loss" in self.normalize:
            scales = problem.losses
            if min(scales) <= 0:
                raise MethodError(
                    f"normalize='{self.normalize}' needs positive losses, found {scales} for "
                    f"{problem.names}."
                )
        if "norm" in self.normalize:
            scales = [s * n for s, n in zip(scales, problem.norms, strict=True)]
        return scales
