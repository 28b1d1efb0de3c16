"""TangentKernel: how the losses are coupled through each block of parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import LayoutError, MethodError
from ..core.layout import TRUNK, ParameterBlock
from .spectrum import Array, Spectrum

ADAPTERS = "adapters"
"""Stands for every adapter block."""


@dataclass(frozen=True, eq=False)
class TangentKernel:
    """The blockwise tangent kernel of K losses over B blocks of parameters.

    ``rho_k`` are the residuals of loss k scaled such that ``|rho_k|^2 = L_k``, ``J_k^b`` their
    Jacobian with respect to block b, and ``K_kl^b = J_k^b (J_l^b)^T``. Over several blocks kernels
    add up. Wherever a method takes ``block``: the name of one, ``"trunk"`` or ``"adapters"`` for
    all of that kind (none of them gives zeros), or ``None`` for all blocks.

    Attributes:
        names: the K losses.
        blocks: the B blocks.
        sizes: per loss its number of residual entries.
        losses: ``[K]`` values ``L_k``.
        gramians: ``[B, K, K]`` inner products of the losses' gradients over each block,
            ``4 rho_k^T K_kl^b rho_l``.
        traces: ``[B, K]``, of ``K_kk^b``.
        products: ``[B, B, K, K]``, ``<K_kl^b, K_kl^c>_F``.
        kind: ``exact``; ``rows``: traces and products are estimated from a sample of rows; or
            ``probes``: from random products.
        matrices: ``[B, N, N]`` the kernels of all losses' (sampled, scaled) rows, unless probed.
        spans: per loss its rows in them.
    """

    names: tuple[str, ...]
    blocks: tuple[str, ...]
    sizes: tuple[int, ...]
    losses: Array
    gramians: Array
    traces: Array
    products: Array
    kind: Literal["exact", "rows", "probes"]
    matrices: Array | None = None
    spans: tuple[slice, ...] = ()

    def members(self, block: str | None = None) -> list[int]:
        """Numbers of the blocks that a name stands for.

        Raises:
            LayoutError: unknown block.
        """
        kinds = [ParameterBlock(b, slice(0)) for b in self.blocks]
        if block == TRUNK:
            return [i for i, b in enumerate(kinds) if b.in_trunk]
        if block == ADAPTERS:
            return [i for i, b in enumerate(kinds) if b.owner is not None]
        if block is not None and block not in self.blocks:
            raise LayoutError(
                f"expected one of the blocks {self.blocks}, '{TRUNK}' or '{ADAPTERS}', found "
                f"{block!r}."
            )
        return [i for i, b in enumerate(self.blocks) if block in (None, b)]

    # -- the kernel itself --------------------------------------------------------------------

    def trace(self, block: str | None = None) -> Array:
        """``[K]``, ``trace K_kk``: the mean over the points of the squared gradient."""
        found: Array = self.traces[self.members(block)].sum(axis=0)
        return found

    def norm(self, block: str | None = None) -> Array:
        """``[K, K]`` Frobenius norms ``|K_kl|``.

        An estimate over several blocks can be below zero in square; its norm is then 0.
        """
        own = self.members(block)
        squares = self.products[np.ix_(own, own)].sum(axis=(0, 1))
        found: Array = np.sqrt(squares.clip(min=0.0))
        return found

    def coupling(self, block: str | None = None) -> Array:
        """``[K, K]``, ``|K_kl|_F / sqrt(|K_kk|_F |K_ll|_F)``, in [0, 1] unless estimated.

        0: no step for loss k moves any residual of loss l through these parameters. 1: both
        losses are sensitive to the same directions, ``J_k^T J_k`` and ``J_l^T J_l`` being
        multiples of each other. It has no sign: whether coupled losses agree or conflict at
        present is what the gradients say. 0 for a loss that does not reach the block.

        Bound: ``|K_kl|_F^2 = tr(J_k^T J_k J_l^T J_l)``, the Frobenius inner product of two
        matrices of norms ``|K_kk|_F`` and ``|K_ll|_F``; Cauchy-Schwarz. Its square is the
        uncentred linear kernel alignment of the Jacobians (Cristianini et al., NeurIPS 2001).
        """
        norm = self.norm(block)
        return _normalised(norm, norm.diagonal())

    def coupling_shares(self) -> Array:
        """``[B, K, K]``, ``<K_kl^b, K_kl>_F / |K_kl|_F^2``: what each block contributes.

        They sum to 1 over the blocks; nan where ``K_kl`` is zero. A share is negative where a
        block's kernel works against that of all blocks.
        """
        return _shares(self.products.sum(axis=1))

    def matrix(self, first: str, second: str, block: str | None = None) -> Array:
        """``K_kl`` ``[n_k, n_l]``, of the sampled rows where ``kind`` is ``rows``.

        Raises:
            MethodError: a probed kernel has no matrix.
            LayoutError: unknown block.
        """
        if self.matrices is None:
            raise MethodError(
                "a probed kernel has no matrix; use tangent_kernel(..., rows=...) for one."
            )
        k, j = self.spans[self._index(first)], self.spans[self._index(second)]
        found: Array = self.matrices[self.members(block), k, j].sum(axis=0)
        return found

    def spectrum(self, loss: str, block: str | None = None) -> Spectrum:
        """The spectrum of ``K_kk``; of a sample of rows it is that of the sample.

        Raises:
            MethodError, LayoutError: see ``matrix``.
        """
        return Spectrum.of(self.matrix(loss, loss, block))

    # -- what it says about a step ------------------------------------------------------------

    def gramian(self, block: str | None = None) -> Array:
        """``[K, K]`` inner products of the gradients; over ``"trunk"`` the profile's Gramian.

        Under the gradient flow of loss l alone, ``d L_k / dt = -G_kl``: negative entries are
        conflict.
        """
        found: Array = self.gramians[self.members(block)].sum(axis=0)
        return found

    def cosines(self, block: str | None = None) -> Array:
        """``[K, K]``, ``G_kl^b / (|g_k| |g_l|)`` with the norms over all blocks.

        What the blocks contribute to the cosine of two gradients; over all of them the cosine.
        """
        return _normalised(self.gramian(block), self.gramian().diagonal())

    def gradient_shares(self) -> Array:
        """``[B, K, K]``, ``G_kl^b / G_kl``: each block's signed share, of sum 1; nan for 0 / 0.

        Where blocks nearly cancel, shares are large: read ``cosines`` beside them.
        """
        return _shares(self.gramians)

    def routed(self, others: float = 0.0) -> Array:
        """``[K, B]`` coefficients of routed adapters: ``C[k, b] = others`` where another owns b.

        Args:
            others: 0 for exclusive routing, 1 for shared, between for mixed.
        """
        owners = [ParameterBlock(b, slice(0)).owner for b in self.blocks]
        rows = [[1.0 if o in (None, n) else others for o in owners] for n in self.names]
        return np.array(rows)

    def effective(self, coefficients: ArrayLike | None = None) -> Array:
        """``[K, K]``, ``E_kl = sum_b C[l, b] G_kl^b``: what a step for loss l does to loss k.

        A gradient step of size h, ``theta_b -= h sum_l C[l, b] g_l^b``, lowers loss k by
        ``h sum_l E_kl + O(h^2)``. Symmetric where all rows of C are the same.

        Args:
            coefficients: C, ``[K]`` or ``[K, B]``, blocks in the order of ``blocks``; without it
                all ones.

        Raises:
            MethodError: another shape.
        """
        count = len(self.names)
        c = np.ones(count) if coefficients is None else np.asarray(coefficients, dtype=np.float64)
        if c.shape not in ((count,), (count, len(self.blocks))):
            raise MethodError(
                f"expected coefficients [{count}] or [{count}, {len(self.blocks)}], found "
                f"{list(c.shape)}."
            )
        by_block = c[:, None] if c.ndim == 1 else c
        wide = np.broadcast_to(by_block, (count, len(self.blocks)))
        found: Array = np.einsum("lb,bkl->kl", wide, self.gramians)
        return found

    def interference(self, coefficients: ArrayLike | None = None) -> Array:
        """``[K, K]``, ``E_kl / sqrt(E_kk E_ll)``, see ``effective``.

        With equal coefficients the cosines of the gradients; otherwise not bound to [-1, 1].
        nan where a loss does not lower itself.
        """
        effect = self.effective(coefficients)
        own = effect.diagonal()
        with np.errstate(invalid="ignore", divide="ignore"):
            root = np.sqrt(own)
            found: Array = effect / root[:, None] / root[None, :]
        return np.where(np.isfinite(found), found, np.nan)

    def _index(self, loss: str) -> int:
        if loss not in self.names:
            raise MethodError(f"expected one of the losses {self.names}, found {loss!r}.")
        return self.names.index(loss)


def _normalised(values: Array, diagonal: Array) -> Array:
    """``v_kl / sqrt(d_k d_l)``, 0 where one of them is 0."""
    root = np.sqrt(diagonal)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = values / root[:, None] / root[None, :]
    reached = root > 0
    return np.where(np.logical_and.outer(reached, reached), found, 0.0)


def _shares(parts: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = parts / parts.sum(axis=0)
    return np.where(np.isfinite(found), found, np.nan)
