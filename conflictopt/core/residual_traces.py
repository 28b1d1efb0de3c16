"""Traces of the tangent kernel ``K_kk = J_k J_k^T`` of the residuals of one loss.

``J_k`` is the Jacobian of ``rho``, which stacks the residuals of loss k scaled such that
``|rho|^2 = L_k``; a trace is therefore an average over the points.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .errors import MethodError
from .graphs import asked_by_name, gradient
from .layout import ParameterLayout
from .losses import Residual

_AT_ONCE = 64
"""Entries whose gradients are taken in one vectorised pass."""


def probed_trace(
    pairs: Sequence[Residual],
    layout: ParameterLayout,
    columns: slice,
    probes: int,
    generator: torch.Generator,
) -> float:
    """The mean over ``probes`` of ``|grad sum_n e_n rho_n|^2`` with random signs ``e``.

    Unbiased (Hutchinson, Commun. Stat. 1989). One backward pass per probe; graphs are retained.
    """
    total = 0.0
    for _ in range(probes):
        signed = [(r.reshape(-1) @ _signs(r, generator)) * (w / r.numel()) ** 0.5 for r, w in pairs]
        grads = gradient(torch.stack(signed).sum(), layout.params, retain_graph=True)
        total += float(layout.flatten(grads)[columns].double().square().sum())
    return total / probes


def exact_trace(pairs: Sequence[Residual], layout: ParameterLayout, columns: slice) -> float:
    """``sum_n |grad rho_n|^2``: one backward pass per entry, vectorised; graphs are retained.

    Raises:
        MethodError: an operation of the graph cannot be vectorised.
    """
    total = 0.0
    for r, w in pairs:
        flat = r.reshape(-1)
        if not r.requires_grad:
            continue  # it does not depend on the parameters
        for start in range(0, len(flat), _AT_ONCE):
            stop = min(start + _AT_ONCE, len(flat))
            seeds = torch.zeros(stop - start, len(flat), dtype=r.dtype, device=r.device)
            seeds[:, start:stop].fill_diagonal_(1.0)
            try:
                with asked_by_name(layout.params):
                    grads = torch.autograd.grad(
                        flat, layout.params, seeds, True, allow_unused=True, is_grads_batched=True
                    )
            except RuntimeError as error:
                raise MethodError(
                    "probes='exact' cannot vectorise these residuals' gradients; choose a number "
                    f"of probes. torch says: {error}"
                ) from error
            total += w / len(flat) * _squares(grads, layout, columns)
    return total


def _squares(grads: Sequence[Tensor | None], layout: ParameterLayout, columns: slice) -> float:
    starts = zip(grads, layout.offsets, strict=True)
    inside = (g for g, s in starts if g is not None and columns.start <= s < columns.stop)
    return sum(float(g.double().square().sum()) for g in inside)


def _signs(like: Tensor, generator: torch.Generator) -> Tensor:
    """Random signs drawn on the CPU, so that a run is the same on every device."""
    bits = torch.randint(0, 2, (like.numel(),), generator=generator, device="cpu")
    return (bits * 2 - 1).to(device=like.device, dtype=like.dtype)
