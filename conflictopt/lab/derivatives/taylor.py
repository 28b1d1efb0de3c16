"""Taylor mode: all derivatives travel forward through the network together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...adapters.bank import AdapterBank
from .activations import ACTIVATIONS
from .components import Components, components
from .derivative_error import DerivativeError
from .indices import MultiIndex, Wanted
from .propagation import propagate
from .trunk import Trunk, trunk_of


def derivatives(
    net: nn.Module | Trunk,
    x: Tensor,
    wanted: Wanted,
    weights: Sequence[Tensor] = (),
    apart: bool = False,
) -> tuple[dict[MultiIndex, Tensor], tuple[Tensor, ...]]:
    """Derivatives of a fully connected network's outputs, in one forward pass.

    Exact, as nested reverse mode is; one backward pass through the result gives the gradient with
    respect to the network's parameters (but not with respect to ``x``, and not a second one).
    Source: propagation of Taylor coefficients, Griewank and Walther 2008, chapter 13, in the form
    of mixed partials by the formula of Faa di Bruno; an operator as one component as the
    Laplacian in Li et al. 2023 (arXiv 2307.08214).

    Args:
        net: a fully connected network (see ``trunk_of``), with per-loss adapters or without.
        x: points ``[N, d]``.
        wanted: which derivatives.
        weights: per operator its weights ``[terms, N]`` or ``[terms, 1]``.
        apart: whether every parameter acts by a linear map or a sum of its own, rather than fused
            with others, so that the rows of the Jacobian can be told apart (``RowJacobian``).

    Returns:
        Per partial derivative a tensor ``[N, outputs]``, and per operator one.

    Raises:
        DerivativeError: a network of another form, or weights that do not fit.
    """
    trunk = net if isinstance(net, Trunk) else trunk_of(net)
    parts = components(wanted)
    _check_weights(wanted, weights, x)
    ops = list(zip(wanted.operators, weights, strict=True))
    shaped = tuple(w[: len(op.seconds), :, None] for op, w in ops)
    first = _first_apart if apart else _first
    h = first(trunk, x, parts, [(op.firsts, w[len(op.seconds) :]) for op, w in ops])
    for number, layer in enumerate(trunk.layers):
        bias: Tensor | None = layer.bias
        if number:
            h = _layer(h, layer.weight, trunk.adapters[number], parts, shaped)
        if number < len(trunk.layers) - 1:
            if apart and bias is not None:
                h, bias = torch.cat([h[:1] + bias, h[1:]]), None
            h = propagate(h, bias, trunk.activation, parts, shaped)
    values = dict(zip(parts.partials, h.unbind(), strict=False))
    if trunk.layers[-1].bias is not None:
        values[()] = values[()] + trunk.layers[-1].bias
    found = {p: values[p] for p in wanted.partials}
    return found, tuple(h[len(parts.partials) + i] for i in range(len(ops)))


def _first(
    trunk: Trunk, x: Tensor, parts: Components, slopes: Sequence[tuple[tuple[int, ...], Tensor]]
) -> Tensor:
    """The first layer without its bias: its first derivatives are constant, higher ones zero.

    Args:
        slopes: per operator its first derivatives and their weights ``[m, N]`` or ``[m, 1]``.
    """
    if trunk.adapters[0] is not None:
        raise DerivativeError("Taylor mode does not follow adapters at the network's input.")
    value = (trunk.inputs(x) if trunk.inputs is not None else x) @ trunk.layers[0].weight.t()
    if parts.count == 1:
        return value[None]
    columns = trunk.layers[0].weight.t()
    if trunk.inputs is not None:
        columns = columns / trunk.inputs.half_width[:, None]
    inputs = [p[0] for p in parts.partials[1 : 1 + parts.firsts]]
    blocks = [value[None], columns[inputs][:, None, :].expand(-1, len(x), -1)]
    higher = len(parts.partials) - 1 - parts.firsts
    if higher:
        blocks.append(value.new_zeros(()).expand(higher, *value.shape))
    for firsts, w in slopes:
        if firsts:
            sloped = (w.t() @ columns[list(firsts)]).expand(len(x), -1)
            blocks.append(sloped[None])
        else:
            blocks.append(value.new_zeros(()).expand(1, *value.shape))
    return torch.cat(blocks)


def _first_apart(
    trunk: Trunk, x: Tensor, parts: Components, slopes: Sequence[tuple[tuple[int, ...], Tensor]]
) -> Tensor:
    """The same as one linear map of the inputs and their derivatives."""
    if trunk.adapters[0] is not None:
        raise DerivativeError("Taylor mode does not follow adapters at the network's input.")
    jets = x.new_zeros(parts.count, *x.shape)
    jets[0] = trunk.inputs(x) if trunk.inputs is not None else x
    rates = x.new_ones(x.shape[1]) if trunk.inputs is None else 1 / trunk.inputs.half_width
    for c, (i,) in enumerate(parts.partials[1 : 1 + parts.firsts], start=1):
        jets[c, :, i] = rates[i]
    for c, (firsts, w) in enumerate(slopes, start=len(parts.partials)):
        for i, own in zip(firsts, w, strict=True):
            jets[c, :, i] += own * rates[i]
    return _linear(jets, trunk.layers[0].weight)


def _linear(h: Tensor, weight: Tensor) -> Tensor:
    """``[C, N, w]`` -> ``[C, N, w']``."""
    return (h.reshape(-1, h.shape[-1]) @ weight.t()).view(*h.shape[:-1], -1)


def _layer(
    h: Tensor,
    weight: Tensor,
    adapters: AdapterBank | None,
    parts: Components,
    weights: tuple[Tensor, ...],
) -> Tensor:
    """A layer without its bias, with the adapters before its input or beside it."""
    if adapters is None:
        return _linear(h, weight)
    added = _contribution(adapters, h, parts, weights)
    if adapters.design.beside:
        return _linear(h, weight) + added
    return _linear(h + added, weight)


def _contribution(
    adapters: AdapterBank, h: Tensor, parts: Components, weights: tuple[Tensor, ...]
) -> Tensor:
    down, up = adapters.factors()
    z = _linear(h, down.t())
    if adapters.design.activation != "linear":
        z = propagate(z, None, ACTIVATIONS[adapters.design.activation], parts, weights)
    return _linear(z, up.t())


def _check_weights(wanted: Wanted, weights: Sequence[Tensor], x: Tensor) -> None:
    if len(weights) != len(wanted.operators):
        raise DerivativeError(
            f"expected weights for {len(wanted.operators)} operators, found {len(weights)}."
        )
    for op, w in zip(wanted.operators, weights, strict=True):
        if w.requires_grad:
            raise DerivativeError(
                "expected weights of operators without gradient, found requires_grad=True: the "
                "gradient with respect to them is not computed. Use partial derivatives instead."
            )
        if w.ndim != 2 or len(w) != op.terms or w.shape[1] not in (1, len(x)):
            raise DerivativeError(
                f"expected weights [{op.terms}, {len(x)}] or [{op.terms}, 1] for an operator, "
                f"found {list(w.shape)}."
            )
