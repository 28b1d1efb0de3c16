"""Per-loss gradients of one step, computed when first asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .errors import NonFiniteError
from .layout import ParameterLayout
from .losses import FIXED, Losses

_CHUNK = 1 << 16
"""Columns promoted to float64 at a time, so that the Gramian needs no second [K, P] buffer."""


class GradientSource:
    """One backward pass per loss through the losses' own graphs, on demand.

    Args:
        losses: the losses of this step.
        layout: the parameters to differentiate for.
        buffer: gives ``[K, P]`` storage for the rows; called only when rows are asked for.
    """

    def __init__(
        self,
        losses: Losses,
        layout: ParameterLayout,
        buffer: Callable[[int, ParameterLayout], Tensor],
    ) -> None:
        self.losses = losses
        self.layout = layout
        self._buffer = buffer
        self._rows: Tensor | None = None
        self._touched: Tensor | None = None
        self._gramians: dict[str | None, Tensor] = {}

    def rows(self) -> Tensor:
        """``[K, P]``: row k is the gradient of loss k; 0 where it does not touch a parameter.

        Raises:
            NonFiniteError: a gradient is infinite or NaN; the message names its loss.
        """
        if self._rows is None:
            rows = self._buffer(self.losses.count, self.layout)
            touched = []
            for k in range(self.losses.count):
                grads = self._backward(self.losses.loss(k))
                self.layout.write(grads, rows[k])
                touched.append([g is not None for g in grads])
            self._touched = torch.tensor(touched, device="cpu")
            _check_rows(rows, self.losses.names)
            self._rows = rows
        return self._rows

    def touched(self) -> Tensor:
        """``[K, number of parameters]`` bool: whether loss k reaches the parameter at all."""
        self.rows()
        assert self._touched is not None
        return self._touched

    def gramian(self, block: str | None) -> Tensor:
        """``[K, K]`` float64 Gramian of the rows, over one block or over all columns."""
        if block not in self._gramians:
            rows = self.rows()[:, self.layout.columns(block)]
            total = torch.zeros(rows.shape[0], rows.shape[0], dtype=torch.float64, device="cpu")
            for chunk in torch.split(rows, _CHUNK, dim=1):
                wide = chunk.double()
                total += (wide @ wide.T).cpu()
            self._gramians[block] = total
        return self._gramians[block]

    def fixed_row(self) -> Tensor | None:
        """``[P]`` gradient of the fixed terms, or ``None`` when there are none."""
        if not self.losses.has_fixed:
            return None
        row = self._new_row()
        self.layout.write(self._backward(self.losses.loss(FIXED)), row)
        return row

    def residual_trace(
        self, k: int, probes: int, block: str | None, generator: torch.Generator
    ) -> float:
        """Trace of loss k's tangent-kernel block, averaged over its points, by random signs ``e``.

        The mean over ``probes`` of ``|grad sum_n e_n rho_n|^2``, where ``rho`` stacks the residuals
        scaled such that ``|rho|^2 = L_k`` (Hutchinson, Commun. Stat. 1989). Unbiased.

        Raises:
            MethodError: see ``Losses.residual_pairs``.
        """
        pairs = self.losses.residual_pairs(k)
        row, total = self._new_row(), 0.0
        for _ in range(probes):
            signed = [
                (r.reshape(-1) @ _signs(r, generator)) * (w / r.numel()) ** 0.5 for r, w in pairs
            ]
            self.layout.write(self._backward(torch.stack(signed).sum()), row)
            total += float(row[self.layout.columns(block)].double().square().sum())
        return total / probes

    def _new_row(self) -> Tensor:
        layout = self.layout
        return torch.empty(layout.size, dtype=layout.dtype, device=layout.device)

    def _backward(self, scalar: Tensor) -> Sequence[Tensor | None]:
        grads: Sequence[Tensor | None] = torch.autograd.grad(
            scalar, self.layout.params, retain_graph=True, allow_unused=True
        )
        return grads


def _signs(like: Tensor, generator: torch.Generator) -> Tensor:
    """Random signs drawn on the CPU, so that a run is the same on every device."""
    bits = torch.randint(0, 2, (like.numel(),), generator=generator, device="cpu")
    return (bits * 2 - 1).to(device=like.device, dtype=like.dtype)


def _check_rows(rows: Tensor, names: tuple[str, ...]) -> None:
    largest = torch.linalg.vector_norm(rows, float("inf"), dim=1)
    if not bool(largest.isfinite().all()):
        bad = [n for n, ok in zip(names, largest.isfinite().tolist(), strict=True) if not ok]
        listed = ", ".join(f"'{n}'" for n in bad)
        raise NonFiniteError(f"expected finite gradients, found inf or nan in that of {listed}.")
