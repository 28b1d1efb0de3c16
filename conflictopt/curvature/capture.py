"""Linear maps that keep, in one backward pass, the factors of every outer product it would sum.

A weight's gradient is ``sum_b g_b x_b^T`` over the rows b of a batch. Kept apart, the summands are
the rows of the Jacobian, at the price of one backward pass for all of them. Under nested autograd
(derivatives of the network inside the residuals) the same weight occurs in several such sums, one
for every time that its layer was differentiated, so the maps below differentiate any number of
times, each time into one another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual
from torch.overrides import TorchFunctionMode


@dataclass(frozen=True)
class Factors:
    """Summands of one parameter's gradient: ``sum_b left_b right_b^T``, of a vector ``left_b``.

    Attributes:
        left: ``[B, out]``.
        right: ``[B, in]``; ``None`` of a vector.
    """

    left: Tensor
    right: Tensor | None


class CoupledRowsError(Exception):
    """One pass cannot tell residual rows apart; the message is a clause that says why."""


class Tape:
    """Factors of the parameters, as a backward pass comes by.

    Args:
        params: whose factors are kept; told by identity.
    """

    def __init__(self, params: Sequence[Tensor]) -> None:
        self._numbers = {id(p): i for i, p in enumerate(params)}
        self._found: dict[int, list[Factors]] = {}
        self.recording = False

    def number(self, value: Any) -> int | None:
        """Which of the parameters a value is."""
        return self._numbers.get(id(value)) if isinstance(value, Tensor) else None

    def add(self, number: int | None, left: Tensor, right: Tensor | None) -> None:
        """Keep factors of a parameter.

        Raises:
            CoupledRowsError: they belong to a vectorised map, outside of which they mean nothing.
        """
        if number is not None:
            if not _is_plain(left):
                raise CoupledRowsError("are differentiated by vmap")
            kept = Factors(left.detach(), None if right is None else right.detach())
            self._found.setdefault(number, []).append(kept)

    def record(
        self, differentiate: Callable[[], Sequence[Tensor | None]]
    ) -> tuple[dict[int, list[Factors]], Sequence[Tensor | None]]:
        """What a backward pass comes by.

        Returns:
            Per number of a parameter its factors in the order of the pass, and per parameter the
            gradient that it has besides, from where it is used in another way.
        """
        self._found, self.recording = {}, True
        try:
            rest = differentiate()
        finally:
            self.recording, found, self._found = False, self._found, {}
        return found, rest

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """``x @ weight.T + bias`` for ``x`` ``[..., in]``, with the factors of both kept."""
        numbers = self.number(weight), self.number(bias)
        return _by_rows(x, lambda rows: _apply(_Linear, rows, weight, bias, self, numbers))

    def transposed(self, x: Tensor, weight: Tensor) -> Tensor:
        """``x @ weight`` for ``x`` ``[..., out]``, with the factors of the weight kept."""
        number = self.number(weight)
        return _by_rows(x, lambda rows: _apply(_Transposed, rows, weight, self, number))


class _Linear(torch.autograd.Function):
    """``x W^T + b``."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, tape: Tape, numbers: Any) -> Tensor:
        return torch.nn.functional.linear(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, bias, ctx.tape, ctx.numbers = inputs
        ctx.save_for_backward(x, weight)
        ctx.biased = bias is not None

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (g,) = grads
        x, weight = ctx.saved_tensors
        tape, (own, of_bias) = ctx.tape, ctx.numbers
        need = ctx.needs_input_grad
        back = _apply(_Transposed, g, weight, tape, own) if need[0] else None
        if tape.recording:
            tape.add(own, g, x)
            tape.add(of_bias, g, None)
            return back, None, None, None, None
        gw = g.t() @ x if need[1] else None
        return back, gw, g.sum(0) if ctx.biased and need[2] else None, None, None


class _Transposed(torch.autograd.Function):
    """``g W``, the backward pass of ``_Linear`` towards its input."""

    generate_vmap_rule = True

    @staticmethod
    def forward(g: Tensor, weight: Tensor, tape: Tape, number: Any) -> Tensor:
        return g @ weight

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        g, weight, ctx.tape, ctx.number = inputs
        ctx.save_for_backward(g, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (v,) = grads
        g, weight = ctx.saved_tensors
        tape, number = ctx.tape, ctx.number
        need = ctx.needs_input_grad
        forth = None
        if need[0]:
            forth = _apply(_Linear, v, weight, None, tape, (number, None))
        if tape.recording:
            tape.add(number, g, v)
            return forth, None, None, None
        return forth, g.t() @ v if need[1] else None, None, None


class _Added(torch.autograd.Function):
    """``y + b`` for a vector b, which every row of y gets."""

    generate_vmap_rule = True

    @staticmethod
    def forward(y: Tensor, bias: Tensor, tape: Tape, number: int) -> Tensor:
        return y + bias

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, bias, ctx.tape, ctx.number = inputs
        ctx.shape = bias.shape

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (g,) = grads
        if ctx.tape.recording:
            ctx.tape.add(ctx.number, g.reshape(-1, g.shape[-1]), None)
            return g, None, None, None
        own = g.reshape(-1, g.shape[-1]).sum(0).view(ctx.shape) if ctx.needs_input_grad[1] else None
        return g, own, None, None


def _by_rows(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """A function of a matrix, of which each row of ``x`` ``[..., w]`` is one."""
    if x.ndim == 2:
        return function(x)
    out = function(x.reshape(-1, x.shape[-1]))
    return out.view(*x.shape[:-1], out.shape[-1])


def _plain(function: Any) -> type[torch.autograd.Function]:
    """The same function without a rule for vmap."""

    class Plain(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *inputs: Any) -> Any:
            output = function.forward(*inputs)
            function.setup_context(ctx, inputs, output)
            return output

        backward = staticmethod(function.backward)

    return Plain


_PLAIN: dict[Any, Any] = {f: _plain(f) for f in (_Linear, _Transposed, _Added)}


def _apply(function: Any, *inputs: Any) -> Any:
    """``function.apply(*inputs)``, without its rule for vmap where there is no need of it.

    torch inspects the signature of a function with such a rule at every call: 0.1 ms, more than the
    product of small matrices. Under vmap it refuses one without, before anything is computed.
    """
    try:
        return _PLAIN[function].apply(*inputs)
    except RuntimeError:
        return function.apply(*inputs)


class _Captured(TorchFunctionMode):
    """Has linear maps by the parameters of a tape keep their factors, wherever they are called."""

    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self._tape = tape
        self._transposes: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if not torch.is_grad_enabled():  # inside the maps themselves, too
            return func(*args, **named)
        if func in _MAPS and not named and self._is_parameter(args[1]) and _is_plain(args[0]):
            kept = self._kept(func, args)
            if kept is not None:
                return kept
        result = func(*args, **named)
        if func in _TRANSPOSES and not named and self._tape.number(args[0]) is not None:
            self._transposes[id(result)] = result, args[0]
        return result

    def _kept(self, func: Any, args: tuple[Any, ...]) -> Tensor | None:
        """The value of a map that keeps its factors; ``None`` where it is by no parameter."""
        x, weight, number = args[0], self._weight(args[1]), self._tape.number(args[1])
        if func is torch.nn.functional.linear:
            if number is not None and args[1].ndim == 2:
                return self._tape.linear(*args)
        elif func in _MATMULS and x.ndim >= 2:
            if weight is not None:
                return self._tape.linear(x, weight)
            if number is not None and args[1].ndim == 2:
                return self._tape.transposed(x, args[1])
        elif func in _ADDS and number is not None and _is_row(x, args[1]):
            out: Tensor = _apply(_Added, x, args[1], self._tape, number)
            return out
        return None

    def _is_parameter(self, value: Any) -> bool:
        return self._tape.number(value) is not None or id(value) in self._transposes

    def _weight(self, value: Any) -> Tensor | None:
        """The parameter whose transpose a factor on the right is."""
        known = self._transposes.get(id(value))
        return known[1] if known is not None and known[1].ndim == 2 else None


_MATMULS = {torch.matmul, torch.mm, Tensor.matmul, Tensor.mm, Tensor.__matmul__}
_ADDS = {torch.add, Tensor.add, Tensor.__add__}
_MAPS = {torch.nn.functional.linear, *_MATMULS, *_ADDS}
_TRANSPOSES = {torch.t, Tensor.t, Tensor.T.__get__, Tensor.mT.__get__}  # type: ignore[attr-defined]


def _is_plain(x: Any) -> bool:
    """Whether it is a tensor on which no transform of ``torch.func`` is at work, nor a forward
    derivative: those follow torch's own maps, and the ones above only in part.
    """
    if not isinstance(x, Tensor):
        return False
    try:
        x.untyped_storage()
    except NotImplementedError:  # what a transform wraps has none
        return False
    return unpack_dual(x).tangent is None  # type: ignore[no-untyped-call]


def _is_row(y: Tensor, bias: Tensor) -> bool:
    """Whether ``y + bias`` has the shape of y, and bias is one row."""
    if y.ndim < 2 or bias.ndim == 0:
        return False
    return bias.numel() == bias.shape[-1] == y.shape[-1] and bias.ndim <= y.ndim


@contextmanager
def captured(tape: Tape) -> Iterator[None]:
    """Within it, linear maps by the tape's parameters keep their factors."""
    with _Captured(tape):
        yield
