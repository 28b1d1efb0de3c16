"""Weights given by the user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

from ...core.aggregator import Needs, Reweighting, State
from ...core.errors import MethodError
from ...core.step import Spec, StepView


@dataclass(frozen=True)
class Constant(Reweighting):
    """Fixed weights per loss, by name or in order.

    Formula: ``w_k`` as given; losses that a mapping does not name keep 1.
    Shapes: weights ``[K]``.
    Source: common practice (static loss weights).
    Differs: nothing.

    Args:
        weights: mapping name -> weight, or K weights in order; all finite and >= 0.

    Raises:
        MethodError: a negative or non-finite weight, an unknown name, or a wrong number.

    >>> import torch, conflictopt
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> method = conflictopt.make("constant", weights={"bc": 10.0})
    >>> opt = conflictopt.MultiLossOptimizer(torch.optim.SGD([w], lr=0.01), method)
    >>> opt.step({"pde": w.sum(), "bc": w.sum()})
    >>> round(w.item(), 6)
    0.89
    """

    weights: Mapping[str, float] | Sequence[float]

    needs = Needs.LOSSES
    source = "common practice"
    claim = "the weights you gave"

    def __post_init__(self) -> None:
        given = self.weights
        if not isinstance(given, (Mapping, Sequence)) or isinstance(given, str):
            raise MethodError(
                f"expected weights as a mapping name -> weight or a sequence, found {given!r}."
            )
        # a copy: what the caller does to the original later must not change the method
        own = dict(given) if isinstance(given, Mapping) else tuple(given)
        object.__setattr__(self, "weights", own)
        values = list(given.values()) if isinstance(given, Mapping) else list(given)
        for w in values:
            if not (isinstance(w, Real) and 0 <= w < float("inf")):
                raise MethodError(f"expected finite weights >= 0, found {w!r} in {given!r}.")

    def bound(self, count: int) -> float:
        given = self.weights.values() if isinstance(self.weights, Mapping) else self.weights
        return max(1.0, *given)

    def init(self, spec: Spec) -> State:
        if isinstance(self.weights, Mapping):
            unknown = [n for n in self.weights if n not in spec.names]
            if unknown:
                raise MethodError(f"weights given for {unknown}, but the losses are {spec.names}.")
        elif len(self.weights) != spec.count:
            raise MethodError(
                f"expected {spec.count} weights for the losses {spec.names}, "
                f"found {len(self.weights)}."
            )
        if isinstance(self.weights, Mapping):
            chosen = [self.weights.get(n, 1.0) for n in spec.names]
        else:
            chosen = list(self.weights)
        return {"weights": torch.tensor(chosen, dtype=spec.dtype, device=spec.device)}

    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        return state["weights"], state
