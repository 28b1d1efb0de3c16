"""The tangent kernel's traces and Frobenius norms from random products, without its matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ..core.errors import MethodError
from .blocks import Columns
from .gradients import block_gramians
from .residuals import Given, ResidualVector, vectors
from .spectrum import Array
from .tangent import TangentKernel


def probed_kernel(
    residuals: Mapping[str, Given],
    parameters: Mapping[str, Sequence[Tensor]],
    *,
    probes: int = 32,
    generator: torch.Generator | None = None,
) -> TangentKernel:
    """Estimates of what ``tangent_kernel`` measures, from all residuals at once.

    Where residuals change smoothly from point to point, a sample of rows is nearer at equal cost.
    Probes are for residuals of which few points decide (shocks, layers): a sample can miss those,
    and nothing in it would show.

    For each loss m random sign vectors ``e_kp`` give ``a_kp = J_k^T e_kp`` (one backward pass
    each). With ``<., .>_b`` the inner product over block b,

        trace K_kk^b         ~ mean over p of      <a_kp, a_kp>_b
        <K_kl^b, K_kl^c>_F   ~ mean over p, q of   <a_kp, a_lq>_b <a_kp, a_lq>_c

    with ``p != q`` where ``k = l``. Both are unbiased (Hutchinson, Commun. Stat. 1989; the second
    is a U-statistic). Variances, with ``A = K_kl`` and ``|.|`` the Frobenius norm: of a trace
    ``2 (|K_kk|^2 - sum_i K_kk[i,i]^2) / m``; of ``|A|^2`` for ``k != l`` at most
    ``4 |A A^T|^2 / m + (2 |A|^4 + 6 |A A^T|^2) / m^2``, for ``k = l`` at most
    ``8 |A^2|^2 / m + (4 |A|^4 + 12 |A^2|^2) / (m (m-1))``. As ``|A A^T| <= |A|^2``, m probes
    give a squared norm to about ``sqrt(8 / m)`` of itself or better. Couplings are ratios of such
    estimates: not unbiased, not bound to [0, 1], but with errors that partly cancel, since norms
    of a loss share its probes. Gradients, and what follows from them, are exact.

    Memory: ``8 m K P`` bytes. Graphs are retained; ``.grad`` is not touched.

    Args:
        residuals, parameters: see ``tangent_kernel``.
        probes: m, at least 2.
        generator: of the signs, on the CPU; without it a new one with seed 0.

    Returns:
        A kernel without matrices and spectra.

    Raises:
        LossError, LayoutError, NonFiniteError: see ``tangent_kernel``.
        MethodError: fewer than 2 probes.
    """
    if isinstance(probes, bool) or not isinstance(probes, int) or probes < 2:
        raise MethodError(f"expected at least 2 probes, found {probes!r}.")
    losses, columns = vectors(residuals), Columns.of(parameters)
    source = generator or torch.Generator(device="cpu").manual_seed(0)
    probed = torch.stack([_probe(v, columns, probes, source) for v in losses])
    products = np.stack([_inner(probed[:, :, c]) for c in columns.blocks.values()])
    return TangentKernel(
        names=tuple(v.name for v in losses),
        blocks=tuple(columns.blocks),
        sizes=tuple(v.size for v in losses),
        losses=np.array([float(v.values().square().sum()) for v in losses]),
        gramians=block_gramians(losses, columns),
        traces=np.einsum("bkkpp->bk", products) / probes,
        products=_pair_means(products),
        kind="probes",
    )


def _probe(
    vector: ResidualVector, columns: Columns, probes: int, generator: torch.Generator
) -> Tensor:
    """``[m, P]`` products of ``J^T`` with random signs."""
    bits = torch.randint(0, 2, (probes, vector.size), generator=generator, device="cpu")
    return torch.stack([vector.pull(e, columns) for e in (2 * bits - 1).double()])


def _inner(probed: Tensor) -> Array:
    """``[K, m, P_b]`` -> inner products ``[K, K, m, m]``."""
    return torch.einsum("kpc,lqc->klpq", probed, probed).numpy()


def _pair_means(products: Array) -> Array:
    """``[B, K, K, m, m]`` -> ``[B, B, K, K]``, without ``p = q`` where ``k = l``."""
    _, count, _, m, _ = products.shape
    found = np.einsum("bklpq,cklpq->bckl", products, products)
    same = np.einsum("bkkpp,ckkpp->bck", products, products)
    k = np.arange(count)
    found[:, :, k, k] -= same
    pairs = np.full((count, count), m * m)
    pairs[k, k] = m * (m - 1)
    means: Array = found / pairs
    return means
