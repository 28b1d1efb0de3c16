"""torchjd's aggregators and weightings as methods of conflictopt.

Aggregators whose weights need the Gramian alone are asked for weights, the others for the update.
Their own state (of ``GradVac``, ``NashMTL`` and others) stays inside the object: it is not in our
checkpoints, and a step that is discarded has advanced it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchjd.aggregation import Aggregator as TorchJDAggregator
from torchjd.aggregation import (
    CRMOGMWeighting,
    GramianWeightedAggregator,
    MoDoWeighting,
    SDMGradWeighting,
    WeightedAggregator,
    Weighting,
)

from conflictopt.core.aggregator import Aggregator, Needs, RowTransform, State, Surgery
from conflictopt.core.errors import MethodError, NonFiniteError
from conflictopt.core.layout import TRUNK, ParameterLayout
from conflictopt.core.step import StepView


def adopt(method: Any) -> Aggregator:
    """A torchjd aggregator or weighting as an aggregator of ours.

    Raises:
        MethodError: neither.
    """
    if isinstance(method, GramianWeightedAggregator):
        return WeightedSurgery(method, method.gramian_weighting, True)
    if isinstance(method, WeightedAggregator):
        return WeightedSurgery(method, method.weighting, False)
    if isinstance(method, Weighting):
        return WeightedSurgery(method, method, _takes_gramian(method))
    if isinstance(method, TorchJDAggregator):
        return MatrixSurgery(method)
    raise MethodError(
        f"expected an aggregator or a weighting of torchjd, found {type(method).__name__}."
    )


def _takes_gramian(weighting: Weighting[Any]) -> bool:
    """Whether a weighting reads the Gramian; torchjd says so by private bases only.

    Raises:
        MethodError: it reads neither the Gramian nor the gradients of one step.
    """
    if isinstance(weighting, (MoDoWeighting, SDMGradWeighting)):
        raise MethodError(
            f"{type(weighting).__name__} needs the gradients of two independent batches per step, "
            "and a step has one."
        )
    if any("Gramian" in base.__name__ for base in type(weighting).__mro__):
        return True
    inner = weighting.weighting if isinstance(weighting, CRMOGMWeighting) else None
    return _takes_gramian(inner) if inner is not None else False


@dataclass(frozen=True, eq=False)
class WeightedSurgery(Surgery):
    """Weights from torchjd, of the Gramian or of the gradients.

    Looks at the trunk's gradients; unknowns and adapters get the plain sum.

    Args:
        method: what was handed over.
        weighting: what is asked for weights.
        of_gramian: whether it takes the ``[K, K]`` Gramian rather than the ``[K, P]`` gradients.
    """

    method: Any
    weighting: Any
    of_gramian: bool

    needs = Needs.ROWS
    source = "torchjd"
    claim = "that of the torchjd object"
    passes = "K"

    @property
    def label(self) -> str:
        return f"torchjd {type(self.method).__name__}"

    def has_scalar(self, layout: ParameterLayout) -> bool:
        return False

    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        if view.count == 1:
            return view.ones(), state
        if self.of_gramian:
            read = view.gramian(TRUNK).to(dtype=view.spec.dtype, device=view.spec.device)
        else:
            read = view.rows(TRUNK)
        with _own_randomness(view):
            weights = self.weighting(read).to(view.ones())
        blocks = view.layout.blocks
        if all(b.in_trunk for b in blocks):
            return weights, state
        columns = [weights if b.in_trunk else view.ones() for b in blocks]
        return torch.stack(columns, dim=1), state


@dataclass(frozen=True, eq=False)
class MatrixSurgery(RowTransform):
    """The update from torchjd, of the trunk's gradients; unknowns and adapters get the plain sum.

    Args:
        method: a torchjd aggregator.
    """

    method: Any

    source = "torchjd"
    claim = "that of the torchjd object"
    passes = "K"

    @property
    def label(self) -> str:
        return f"torchjd {type(self.method).__name__}"

    def direction(self, view: StepView, state: State) -> tuple[Tensor, State]:
        total = view.rows().sum(dim=0)
        with _own_randomness(view):
            total[view.layout.columns(TRUNK)] = self.method(view.rows(TRUNK))
        if not bool(total.isfinite().all()):
            raise NonFiniteError(f"expected a finite update from {self.label}, found inf or nan.")
        return total, state


@contextmanager
def _own_randomness(view: StepView) -> Iterator[None]:
    """Seed the global generators, which torchjd draws from, from ours, and put them back."""
    seed = int(torch.randint(2**62, (), generator=view.generator, device="cpu"))
    device = view.spec.device
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng([device] if on_gpu else []):
        # not torch.manual_seed, which seeds every device there is
        torch.default_generator.manual_seed(seed)
        if on_gpu:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
