"""An activation applied to a value and its derivatives at once, with a backward pass of its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .activations import Activation
from .components import Components, Product


def propagate(
    z: Tensor,
    bias: Tensor | None,
    activation: Activation,
    parts: Components,
    weights: tuple[Tensor, ...],
) -> Tensor:
    """``f(z + b)`` and its derivatives, from z and its derivatives.

    Autograd would record every product; here one node holds them all, which at the sizes of these
    networks is most of the time. The result can be differentiated once.

    Args:
        z: the components ``[C, N, w]``.
        bias: b ``[w]``.
        activation: f.
        parts: which components these are.
        weights: per operator those of its second derivatives, ``[m, N, 1]`` or ``[m, 1, 1]``.
    """
    out: Tensor = _Propagation.apply(z, bias, activation, parts, weights)  # type: ignore[no-untyped-call]
    return out


class _Propagation(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        z: Tensor,
        bias: Tensor | None,
        activation: Activation,
        parts: Components,
        weights: tuple[Tensor, ...],
    ) -> Tensor:
        out = torch.empty_like(z)
        f = list(activation.value_(torch.add(z[0], 0 if bias is None else bias, out=out[0])))
        while len(f) <= parts.order:
            f.append(activation.derivative(f))
        if parts.count > 1:
            torch.mul(z[1:], f[1], out=out[1:])
        _add_second_order(out, z, f, parts, weights)
        for term in parts.products:
            value = f[term.order]
            for c in term.factors:
                value = value * z[c]
            out[term.target].add_(value, alpha=term.count)
        ctx.save_for_backward(z, out, *f[1:], *weights)
        ctx.parts, ctx.activation, ctx.biased = parts, activation, bias is not None
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        parts: Components = ctx.parts
        z, out, *rest = ctx.saved_tensors
        slopes_known = max(parts.order, 1)
        f, weights = [out[0], *rest[:slopes_known]], rest[slopes_known:]
        gz = g * f[1]
        if parts.count > 1:
            f.append(ctx.activation.derivative(f))
            gz[0].addcmul_(_dot(z[1:], g[1:]), f[2])
        _second_order_backward(gz, g, z, f, parts, weights)
        for term in parts.products:
            _product_backward(gz, g[term.target], z, f, term)
        return gz, gz[0].sum(0) if ctx.biased else None, None, None, None


def _add_second_order(
    out: Tensor, z: Tensor, f: list[Tensor], parts: Components, weights: tuple[Tensor, ...]
) -> None:
    s = parts.squares
    if s:
        first = z[1 : 1 + s]
        out[1 + parts.firsts : 1 + parts.firsts + s].addcmul_(first * first, f[2])
    for number, (rows, w) in enumerate(zip(parts.operators, weights, strict=True)):
        if not rows:
            continue
        first = _rows(z, rows)
        out[len(parts.partials) + number].addcmul_(_dot(first * w, first), f[2])


def _second_order_backward(
    gz: Tensor, g: Tensor, z: Tensor, f: list[Tensor], parts: Components, weights: list[Tensor]
) -> None:
    s = parts.squares
    if s:
        first, above = z[1 : 1 + s], g[1 + parts.firsts : 1 + parts.firsts + s]
        pulled = first * above
        gz[1 : 1 + s].addcmul_(pulled, f[2], value=2)
        gz[0].addcmul_(_dot(pulled, first), f[3])
    for number, (rows, w) in enumerate(zip(parts.operators, weights, strict=True)):
        if not rows:
            continue
        above = g[len(parts.partials) + number]
        first = _rows(z, rows)
        pulled = first * w * above
        if _contiguous(rows):
            gz[rows[0] : rows[0] + len(rows)].addcmul_(pulled, f[2], value=2)
        else:
            gz.index_add_(0, torch.tensor(rows, device=gz.device), pulled * f[2], alpha=2)
        gz[0].addcmul_(_dot(pulled, first), f[3])


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """``sum_c a_c b_c``, without the products of all components in memory."""
    total = a[0] * b[0]
    for c in range(1, len(a)):
        total.addcmul_(a[c], b[c])
    return total


def _contiguous(rows: tuple[int, ...]) -> bool:
    return rows == tuple(range(rows[0], rows[0] + len(rows)))


def _rows(z: Tensor, rows: tuple[int, ...]) -> Tensor:
    """Some components; a view if they are neighbours, as they are in a Laplacian."""
    return z[rows[0] : rows[0] + len(rows)] if _contiguous(rows) else z[list(rows)]


def _product_backward(gz: Tensor, above: Tensor, z: Tensor, f: list[Tensor], term: Product) -> None:
    scaled = above * term.count
    inner = scaled * f[term.order]
    whole = scaled * f[term.order + 1]
    for position, c in enumerate(term.factors):
        others = inner
        for other, d in enumerate(term.factors):
            others = others if other == position else others * z[d]
        gz[c].add_(others)
        whole = whole * z[c]
    gz[0].add_(whole)
