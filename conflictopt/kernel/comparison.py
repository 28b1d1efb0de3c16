"""What adapters change in the coupling between losses."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..core.errors import LayoutError, LossError
from ..core.layout import TRUNK, ParameterBlock
from ..diagnosis.defaults import default_thresholds
from .tangent import ADAPTERS, TangentKernel

CONFLICT: float = default_thresholds()["conflict_below"]
"""Two losses are said to conflict below this cosine: above, noise decides the sign."""
SAME = 1e-4
"""Change of the gradients' inner products, relative to their norms, up to which two kernels are
those of one network: rounding in float32, far below what a training step does."""


@dataclass(frozen=True)
class PairChange:
    """One pair of losses before and after adapters.

    Attributes:
        first, second: the losses.
        coupling_before, coupling: ``|K_kl| / sqrt(|K_kk| |K_ll|)``, over all blocks.
        coupling_trunk, coupling_adapters: the same after, within these blocks alone.
        cosine_before, cosine: of the gradients, over all blocks.
        from_adapters: what the adapter blocks contribute to ``cosine``.
        on_first, on_second: under exclusive routing, what a step for the second loss does to the
            first and the reverse, as ``TangentKernel.interference``; under shared routing both
            are ``cosine``.
    """

    first: str
    second: str
    coupling_before: float
    coupling: float
    coupling_trunk: float
    coupling_adapters: float
    cosine_before: float
    cosine: float
    from_adapters: float
    on_first: float
    on_second: float

    @property
    def conflicts(self) -> bool:
        """Whether the losses conflict with adapters and shared routing."""
        return self.cosine < CONFLICT

    @property
    def freed(self) -> bool:
        """Whether they conflict with shared routing, and with exclusive routing in no direction."""
        return self.conflicts and min(self.on_first, self.on_second) >= CONFLICT

    @property
    def eased(self) -> bool:
        """Whether they are freed in one direction only."""
        better = max(self.on_first, self.on_second) >= CONFLICT
        return self.conflicts and better and not self.freed


@dataclass(frozen=True, eq=False)
class Comparison:
    """The kernels of one problem before and after adapters; see ``compare``.

    Attributes:
        before, after: the kernels.
        pairs: every pair of losses.
    """

    before: TangentKernel
    after: TangentKernel
    pairs: tuple[PairChange, ...]

    @property
    def fresh(self) -> bool:
        """Whether adapters were attached and nothing was trained: other gradients are as before."""
        if self.before.members(ADAPTERS):
            return False
        old = self.before.gramian()
        new = self.after.gramian() - self.after.gramian(ADAPTERS)
        root = np.sqrt(old.diagonal())
        return bool((np.abs(new - old) <= SAME * np.outer(root, root)).all())

    def adapter_share(self) -> tuple[float, ...]:
        """Per loss, the share of the adapter blocks in its squared gradient norm; 0 for 0 / 0."""
        own = self.after.cosines(ADAPTERS).diagonal()
        return tuple(float(v) for v in own)


def compare(before: TangentKernel, after: TangentKernel) -> Comparison:
    """What adapters changed in the coupling between the losses.

    What to expect at attach, when up-projections are zero. Adapter j adds
    ``s f(h D_j) U_j`` to activations h, so the derivative with respect to ``D_j`` is zero and that
    with respect to ``U_j`` has the features ``s f(h D_j)``:

    1. The other blocks' kernels do not change, and adapters add positive semi-definite blocks.
    2. ``K_kl^j`` is built from ``s^2 <f(h D_j), f(h' D_j)>`` for every pair (k, l): which loss owns
       adapter j plays no role. For linear f before the head it is a random rank-r sketch of the
       head's own weight kernel, so adapters couple losses about as the head does already.
    3. Shared routing: ``E = G_other + sum_j G^j``, the gradients' Gramian with one more block of
       rank K r, i.e. that of a larger network.
    4. Exclusive routing: ``E_kl = G_other,kl + G_kl^l``. Loss k still feels the step that loss l
       takes in its own adapter, since the output is shared. The ``D_j`` are drawn alike, so over
       draws the mean of every ``G^j`` is the same, and that of E is
       ``G_other + (1/K) sum_j G^j``: the adapters' part of shared routing divided by K, for a
       loss itself as for the others. Relative to each other, conflicts in it stay.

    Only training can make adapters differ by owner, and ``after`` may be measured at any time.
    The derivation is ours.

    Args:
        before: the kernel without adapters (or with adapters, earlier).
        after: the kernel with adapters, of the same losses and other blocks.

    Raises:
        LossError: different losses.
        LayoutError: no adapter blocks in ``after``, or other blocks beside them than before.
    """
    if before.names != after.names:
        raise LossError(
            f"expected kernels of the same losses, {before.names}, found {after.names}."
        )
    if not after.members(ADAPTERS):
        raise LayoutError(
            f"expected adapter blocks in the second kernel, found {after.blocks}. Take "
            "blocks_of(network) again after attach(network, losses)."
        )
    if _others(before) != _others(after):
        raise LayoutError(
            f"expected the same blocks beside adapters, found {_others(before)} before and "
            f"{_others(after)} after."
        )
    count = len(after.names)
    pairs = tuple(_pair(before, after, k, j) for k, j in combinations(range(count), 2))
    return Comparison(before, after, pairs)


def _others(kernel: TangentKernel) -> list[str]:
    return [b for b in kernel.blocks if ParameterBlock(b, slice(0)).owner is None]


def _pair(before: TangentKernel, after: TangentKernel, k: int, j: int) -> PairChange:
    exclusive = after.interference(after.routed())
    values = (
        before.coupling()[k, j],
        after.coupling()[k, j],
        after.coupling(TRUNK)[k, j],
        after.coupling(ADAPTERS)[k, j],
        before.cosines()[k, j],
        after.cosines()[k, j],
        after.cosines(ADAPTERS)[k, j],
        exclusive[k, j],
        exclusive[j, k],
    )
    return PairChange(after.names[k], after.names[j], *map(float, values))
