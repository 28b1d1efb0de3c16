"""The losses of one step: K names, the scalars behind them, and optionally their residuals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from .errors import LossError, MethodError, NonFiniteError

FIXED = -1
"""Group index of a term that is added with coefficient 1 and takes no part in aggregation."""

_NEAR, _ROUNDINGS = 1e-3, 4
"""How far a loss may be from the mean square of its residuals, relatively; and in rounding errors
of the coarsest of their floats, as a loss in bfloat16 has two digits."""
Residual = tuple[Tensor, float]


@dataclass(frozen=True)
class Losses:
    """K named losses, made of R >= K scalar terms that still carry their graph.

    Attributes:
        names: the K loss names, in order.
        terms: the R terms, either one ``[R]`` tensor or R scalars. Their total is formed just as
            the plain run forms it (``terms.sum()``, or left to right), so that unit coefficients
            give its value and gradient bitwise.
        groups: for every term the index of its loss, or ``FIXED`` (a regulariser).
        residuals: per loss name, pairs ``(r, w)`` of a residual tensor and its weight such that
            the loss is ``sum_i w_i * mean(r_i ** 2)``. Only methods that need residuals read it.
        points: per loss name, per residual, the ``[N, d]`` collocation points at which it was
            taken, ``None`` where that is not known. Only point-wise methods read it.
        graphs: for every term the number of the graph that it lies in, where that is known:
            terms of different graphs share only parameters.
        unstacked: gives, for a ``[R]`` tensor that a host has stacked, the R scalars that it is
            made of. Differentiating an entry of the stack would walk the graphs of all of them.
    """

    names: tuple[str, ...]
    terms: Tensor | tuple[Tensor, ...]
    groups: tuple[int, ...]
    residuals: Mapping[str, tuple[Residual, ...]] = field(default_factory=dict)
    points: Mapping[str, tuple[Tensor | None, ...]] = field(default_factory=dict)
    graphs: tuple[int, ...] | None = None
    unstacked: Callable[[], tuple[Tensor, ...]] | None = None

    @classmethod
    def of(
        cls,
        losses: Losses | Mapping[str, Tensor] | Sequence[Tensor] | Tensor,
        residuals: Mapping[str, Tensor | Sequence[Tensor]] | None = None,
        names: Sequence[str] | None = None,
        points: Mapping[str, Tensor | Sequence[Tensor]] | None = None,
    ) -> Losses:
        """Read the losses of one step from any of the accepted forms.

        Args:
            losses: a mapping ``name -> scalar``, a sequence of scalars, a ``[K]`` tensor, or a
                ``Losses`` (returned as it is).
            residuals: per loss name, the residual tensor (or tensors) whose mean square (or sum
                of mean squares) is that loss.
            names: names for the sequence and tensor forms; ``loss0, loss1, ...`` without.
            points: per loss name, the collocation points of its residual tensor(s), one row each.

        Raises:
            LossError: on a form, a name or a shape that does not fit; the message names the loss.
        """
        if isinstance(losses, Losses):
            if residuals is not None or points is not None:
                raise LossError("a Losses carries its own residuals: Losses.of(losses, residuals).")
            return losses
        terms: Tensor | tuple[Tensor, ...]
        if isinstance(losses, Tensor):
            if losses.ndim != 1 or losses.numel() == 0:
                raise LossError(
                    f"expected a [K] tensor of losses, found shape {tuple(losses.shape)}. "
                    "Pass the losses before summing them: a mapping, a sequence or torch.stack."
                )
            terms, count = losses, losses.shape[0]
        elif isinstance(losses, Mapping):
            given = tuple(losses)
            known = names is not None and (names == given or set(names) == set(given))
            names = tuple(names) if known and names is not None else given
            terms, count = tuple([losses[n] for n in names]), len(given)
        elif isinstance(losses, Sequence) and not isinstance(losses, str):
            terms, count = tuple(losses), len(losses)
        else:
            raise LossError(
                "expected losses as a mapping name -> scalar, a sequence or a [K] tensor, "
                f"found {type(losses).__name__}."
            )
        if count == 0:
            raise LossError("expected at least one loss, found none.")
        names = tuple(names) if names is not None else tuple(f"loss{k}" for k in range(count))
        cls.check_names(names)
        if len(names) != count:
            raise LossError(f"expected {len(names)} losses {names}, found {count}.")
        if not isinstance(terms, Tensor):
            terms = tuple([_scalar(n, t) for n, t in zip(names, terms, strict=True)])
        pairs = _residual_pairs(names, residuals)
        return cls(names, terms, tuple(range(count)), pairs, _points(names, pairs, points))

    @classmethod
    def of_residuals(cls, residuals: Mapping[str, Tensor | Sequence[Tensor]]) -> Losses:
        """The mean squares of residuals, with the residuals themselves.

        Args:
            residuals: per loss name its residual tensor, or several, whose mean squares add up.

        Raises:
            LossError: see ``of``.
        """
        squares = {
            name: _left_sum([r.square().mean() for r in _several(rs)])
            for name, rs in residuals.items()
        }
        return cls.of(squares, residuals)

    @staticmethod
    def check_names(names: Sequence[str]) -> None:
        """Check loss names.

        Raises:
            LossError: a name that is not a string, or one that occurs twice.
        """
        odd = [n for n in names if not isinstance(n, str)]
        if odd or len(set(names)) != len(names):
            raise LossError(f"expected loss names as different strings, found {tuple(names)!r}.")

    @property
    def count(self) -> int:
        """K, the number of losses."""
        return len(self.names)

    def scalars(self) -> tuple[Tensor, ...]:
        """The R terms as scalars with graph."""
        if self.unstacked is not None:
            return self.unstacked()
        return tuple(self.terms.unbind()) if isinstance(self.terms, Tensor) else self.terms

    @cached_property
    def numbers(self) -> list[float]:
        """Values of the R terms. Few numbers are copied sooner than tensors are stacked."""
        if isinstance(self.terms, Tensor):
            return self.terms.tolist()
        devices = {t.device for t in self.terms}
        if len(devices) > 1 or self.terms[0].device.type == "cpu":
            return [t.item() for t in self.terms]
        return torch.stack([t.detach() for t in self.terms]).tolist()

    def values(self) -> list[float]:
        """Values of the K losses (sums over their terms)."""
        if self._one_each:
            return self.numbers
        sums = [0.0] * (self.count + 1)
        for value, g in zip(self.numbers, self.groups, strict=True):
            sums[g] += value  # FIXED is -1: the last
        return sums[:-1]

    @cached_property
    def _one_each(self) -> bool:
        return self.groups == tuple(range(self.count))

    def graphs_by_loss(self) -> dict[int, set[int]] | None:
        """Per loss, by index, the numbers of the graphs that it lies in, where they are known."""
        if self.graphs is None:
            return None
        found: dict[int, set[int]] = {}
        for number, g in zip(self.graphs, self.groups, strict=True):
            found.setdefault(g, set()).add(number)
        return found

    def by_loss(self) -> dict[int, Tensor]:
        """Every loss as a scalar with graph, by index; ``FIXED`` is the sum of the fixed terms."""
        members: dict[int, list[Tensor]] = {}
        for term, g in zip(self.scalars(), self.groups, strict=True):
            members.setdefault(g, []).append(term)
        return {k: _left_sum(terms) for k, terms in members.items()}

    def total(self, coefficients: Tensor | None = None) -> Tensor:
        """``sum_k c_k L_k`` plus the fixed terms; without coefficients the plain sum."""
        if coefficients is None:
            return self.terms.sum() if isinstance(self.terms, Tensor) else _left_sum(self.terms)
        c = coefficients
        if not self._one_each:
            # FIXED is -1: the one appended at the end
            c = torch.cat([c, c.new_ones(1)])[list(self.groups)]
        if isinstance(self.terms, Tensor):
            return self.terms.to(c) @ c
        # under autocast, and beside parameters of several kinds, losses need not be of one
        return torch.stack([term.to(c) for term in self.terms]) @ c

    def residual_pairs(self, k: int) -> tuple[Residual, ...]:
        """The residuals of loss k with their weights.

        Raises:
            MethodError: there are none, a weight is negative, or the loss is not their mean square.
        """
        name = self.names[k]
        pairs = self.residuals.get(name)
        if not pairs:
            raise MethodError(
                f"this method needs the residuals of every loss and got none for '{name}'. In a "
                "torch loop pass step(losses, residuals={'" + name + "': residual_tensor, ...})."
            )
        if any(w < 0 for _, w in pairs):
            raise MethodError(f"loss '{name}' has a negative weight; traces need weights >= 0.")
        square = sum(w * float(r.detach().double().square().mean()) for r, w in pairs)
        value = self.values()[k]
        terms = [self.terms] if isinstance(self.terms, Tensor) else self.terms
        coarsest = max(torch.finfo(t.dtype).eps for t in (*terms, *(r for r, _ in pairs)))
        near = max(_NEAR, _ROUNDINGS * coarsest)
        if abs(square - value) > near * max(abs(square), abs(value)) + 1e-30:
            raise MethodError(
                f"this method is defined for mean-square losses; loss '{name}' is {value:.6g}, but "
                f"the mean square of its residuals is {square:.6g}. Pass residuals scaled such "
                "that mean(r**2) is the loss."
            )
        return pairs

    def check(self, finite: bool = True) -> None:
        """Check that every term can be differentiated.

        Entries of a ``[K]`` tensor share one graph, so a detached one cannot be told apart there.

        Args:
            finite: whether infinite or NaN terms are refused.

        Raises:
            LossError: on a loss without a term, or a term without graph or with complex values.
            NonFiniteError: on an infinite or NaN term.
        """
        empty = [] if self._one_each else set(range(self.count)) - set(self.groups)
        if empty:
            listed = ", ".join(f"'{self.names[k]}'" for k in sorted(empty))
            raise LossError(f"expected at least one term for every loss, found none for {listed}.")
        stacked = self.terms if isinstance(self.terms, Tensor) else None
        for i, term in enumerate((stacked,) if stacked is not None else self.scalars()):
            if not term.requires_grad or term.is_meta or term.is_complex():
                name = ", ".join(self.names) if stacked is not None else self._term_name(i)
                raise _unusable(name, term)
        if not finite:
            return
        values = self.numbers
        bad = [i for i, v in enumerate(values) if not math.isfinite(v)]
        if bad:
            listed = ", ".join(f"'{self._term_name(i)}' = {values[i]}" for i in bad)
            raise NonFiniteError(f"expected finite losses, found {listed}.")

    def _term_name(self, i: int) -> str:
        group = self.groups[i]
        return "regularisation" if group == FIXED else self.names[group]


def _unusable(name: str, term: Tensor) -> LossError:
    if not term.requires_grad:
        return LossError(
            f"loss '{name}' has no graph (requires_grad is False): it does not depend on any "
            "trainable parameter. Was it detached, or computed under no_grad?"
        )
    if term.is_meta:
        return LossError(f"expected losses with values, found loss '{name}' on the device meta.")
    return LossError(
        f"expected real losses, found loss '{name}' of {term.dtype}: only real numbers can be "
        "minimised. Take its real part, or the square of its absolute value."
    )


def _left_sum(terms: Sequence[Tensor]) -> Tensor:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _scalar(name: str, loss: Tensor) -> Tensor:
    if isinstance(loss, Tensor) and loss.ndim == 0:
        return loss
    if not isinstance(loss, Tensor):
        raise LossError(f"expected loss '{name}' as a tensor, found {type(loss).__name__}.")
    if loss.numel() != 1:
        raise LossError(
            f"expected loss '{name}' as a scalar, found shape {tuple(loss.shape)}. "
            "Reduce it first, e.g. with .mean()."
        )
    return loss.reshape(())


def _residual_pairs(
    names: tuple[str, ...], residuals: Mapping[str, Tensor | Sequence[Tensor]] | None
) -> dict[str, tuple[Residual, ...]]:
    if residuals is None:
        return {}
    unknown = [n for n in residuals if n not in names]
    if unknown:
        raise LossError(f"residuals given for {unknown}, but the losses are {names}.")
    return {n: tuple((r, 1.0) for r in _several(rs)) for n, rs in residuals.items()}


def _several(tensors: Tensor | Sequence[Tensor]) -> Sequence[Tensor]:
    return (tensors,) if isinstance(tensors, Tensor) else tensors


def _points(
    names: tuple[str, ...],
    residuals: Mapping[str, tuple[Residual, ...]],
    points: Mapping[str, Tensor | Sequence[Tensor]] | None,
) -> dict[str, tuple[Tensor | None, ...]]:
    found: dict[str, tuple[Tensor | None, ...]] = {}
    for n, given in (points or {}).items():
        found[n] = (given,) if isinstance(given, Tensor) else tuple(given)
        if n not in names:
            raise LossError(f"points given for '{n}', but the losses are {names}.")
        if len(found[n]) != len(residuals.get(n, ())):
            raise LossError(
                f"expected points for each of the {len(residuals.get(n, ()))} residuals of loss "
                f"'{n}', found {len(found[n])}: pass residuals and points alike."
            )
    return found
