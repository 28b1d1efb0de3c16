"""The tangent kernel from rows of the Jacobian: of all residuals, or of a sample of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ..core.errors import MethodError
from .blocks import Columns
from .gradients import block_gramians
from .residuals import Given, ResidualVector, vectors
from .spectrum import Array
from .tangent import TangentKernel


def tangent_kernel(
    residuals: Mapping[str, Given],
    parameters: Mapping[str, Sequence[Tensor]],
    *,
    rows: int | None = 128,
    generator: torch.Generator | None = None,
) -> TangentKernel:
    """The kernel blocks ``K_kl^b = J_k^b (J_l^b)^T``, block of parameters by block.

    ``J_k^b`` is the Jacobian of ``rho_k`` (the residuals of loss k scaled such that
    ``|rho_k|^2 = L_k``) with respect to block b. Losses with at most ``rows`` residual entries
    are exact. Of the others ``rows`` entries are drawn uniformly without replacement, and scaled
    by ``sqrt(n / rows)``: entries, traces and squared Frobenius norms are then unbiased (those of
    ``K_kk`` with its diagonal and the rest corrected apart, since they are drawn with different
    probabilities); ratios and spectra of such a sample are not, by O(1/rows). Gradients, and what
    follows from them, are always those of all residuals.

    Cost: one backward pass per row, and per loss; ``8 N (2 P + B N)`` bytes for N rows in all, P
    parameters and B blocks. Graphs are retained; ``.grad`` is not touched.
    Source: Wang, Yu, Perdikaris 2022 (arXiv 2007.14527): the blocks ``K_uu``, ``K_ur``, ``K_rr``
    of a PINN's kernel, for two losses and all parameters.
    Differs: any number of losses; divided into parameter blocks; of the scaled residuals, i.e.
    their block times ``1/sqrt(n_k n_l)`` (for a loss with one residual tensor of weight 1), so
    that the numbers do not depend on how many points there are.

    Args:
        residuals: per loss its residual tensor, several tensors, or pairs of tensor and weight
            (``Losses.residuals``), with their graph.
        parameters: per block its parameters, see ``blocks_of``.
        rows: per loss, at least 2; ``None`` for all.
        generator: of the sample, on the CPU; without it a new one with seed 0. The global one is
            not used.

    Raises:
        LossError: residuals that cannot be used; the message names the loss.
        LayoutError: blocks that cannot be used.
        NonFiniteError: an infinite or NaN residual or derivative.
        MethodError: a bad ``rows``.
    """
    if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or rows < 2):
        raise MethodError(f"expected rows as a number from 2, or None for all, found {rows!r}.")
    losses, columns = vectors(residuals), Columns.of(parameters)
    source = generator or torch.Generator(device="cpu").manual_seed(0)
    parts = [_rows(v, columns, rows, source) for v in losses]
    ends = np.cumsum([0, *(len(p) for p in parts)])
    spans = tuple(slice(int(a), int(b)) for a, b in pairwise(ends))
    jacobian = torch.cat(parts)
    matrices = np.stack(
        [(jacobian[:, c] @ jacobian[:, c].T).numpy() for c in columns.blocks.values()]
    )
    sizes = tuple(v.size for v in losses)
    return TangentKernel(
        names=tuple(v.name for v in losses),
        blocks=tuple(columns.blocks),
        sizes=sizes,
        losses=np.array([float(v.values().square().sum()) for v in losses]),
        gramians=block_gramians(losses, columns),
        traces=np.stack([_traces(m, spans) for m in matrices]),
        products=_products(matrices, spans, sizes),
        kind="exact" if len(jacobian) == sum(sizes) else "rows",
        matrices=matrices,
        spans=spans,
    )


def _rows(
    vector: ResidualVector, columns: Columns, most: int | None, generator: torch.Generator
) -> Tensor:
    """``[s, P]`` rows of the Jacobian, scaled by ``sqrt(n / s)``."""
    n = vector.size
    if most is None or n <= most:
        chosen = torch.arange(n, device="cpu")
    else:
        chosen = torch.randperm(n, generator=generator, device="cpu")[:most].sort().values
    found = torch.empty(len(chosen), columns.size, dtype=torch.float64, device="cpu")
    seed = torch.zeros(n, dtype=torch.float64, device="cpu")
    scale = (n / len(chosen)) ** 0.5
    for row, entry in enumerate(chosen.tolist()):
        seed[entry] = 1.0
        found[row] = vector.pull(seed, columns) * scale
        seed[entry] = 0.0
    return found


def _traces(matrix: Array, spans: Sequence[slice]) -> Array:
    diagonal = matrix.diagonal()
    return np.array([diagonal[s].sum() for s in spans])


def _products(matrices: Array, spans: Sequence[slice], sizes: Sequence[int]) -> Array:
    """``[B, B, K, K]`` inner products ``<K_kl^b, K_kl^c>_F``, unbiased over samples of rows."""
    blocks, count = len(matrices), len(spans)
    found = np.empty((blocks, blocks, count, count))
    for k, own in enumerate(spans):
        for j, other in enumerate(spans[: k + 1]):
            part = matrices[:, own, other]
            weights = _inverse_probabilities(sizes[k], part.shape[1]) if j == k else 1.0
            flat = (part * weights).reshape(blocks, -1)
            found[:, :, k, j] = flat @ part.reshape(blocks, -1).T
            found[:, :, j, k] = found[:, :, k, j]
    return found


def _inverse_probabilities(n: int, s: int) -> Array | float:
    """What the squares of ``K_kk``'s scaled entries ``(n/s) K_ij`` are multiplied by.

    A pair of entries is drawn with probability ``s (s-1) / (n (n-1))``, one with ``s / n``.
    """
    if n == s:
        return 1.0
    weights = np.full((s, s), s * (n - 1) / (n * (s - 1)))
    np.fill_diagonal(weights, s / n)
    return weights
