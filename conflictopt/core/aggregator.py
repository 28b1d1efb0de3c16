"""Aggregators: how the losses of one step become coefficients of their gradients.

A method is a frozen dataclass of hyper-parameters without state. Its state is a dict of tensors
that the optimizer owns, so that checkpointing, resuming and line searches are written once.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from .layout import ParameterLayout
from .points import PointSets, PointWeights
from .reports import Reporter, unheard
from .step import Spec, StepView

State = dict[str, Tensor]


class Needs(enum.Flag):
    """What a method reads from a step, in the order of what it costs.

    Losses; residuals with their collocation points; the gradient of one loss; norms, inner
    products, entries of all gradients; traces of the residuals' tangent kernel.
    """

    LOSSES = enum.auto()
    POINTS = enum.auto()
    ROW = enum.auto()
    NORMS = enum.auto()
    GRAMIAN = enum.auto()
    ROWS = enum.auto()
    RESIDUALS = enum.auto()

    @property
    def words(self) -> list[str]:
        """Each of them, in small letters; Python 3.10 does not iterate over a flag."""
        return [str(need.name).lower() for need in Needs if need in self]


READS_RESIDUALS = Needs.RESIDUALS | Needs.POINTS
"""What a method may need that only the residuals behind the losses have."""


class Chosen(NamedTuple):
    """What a method chose for one step.

    Attributes:
        coefficients: ``[K]`` or ``[K, B]``.
        state: the next state.
        direction: ``[P]``, of a method that is not linear in the gradients: it takes the place of
            ``sum_k C[k, b] * dL_k/dtheta_b``.
    """

    coefficients: Tensor
    state: State
    direction: Tensor | None = None


class Aggregator(ABC):
    """Chooses coefficients ``C``; the update is ``grad_b = sum_k C[k, b] * dL_k/dtheta_b``.

    Attributes (of the class, not hyper-parameters):
        needs: what the method reads.
        source: paper and equation.
        claim: what it promises, in a few words.
        passes: backward passes per step as an expression in K and the hyper-parameters.
        plain: whether it promises unit coefficients; its run is then bitwise the plain one.
        by_layer: whether the network's block must be divided into layers.
        steps_itself: whether its update is that of an optimizer of its own (moments, unit
            scale), so that the wrapped optimizer must be plain ``SGD``.
        linear: whether the update is a combination of the gradients; else ``choose`` returns a
            direction.
        grows: whether the keys and shapes of its state follow the collocation points.
        per_parameter: whether its state follows the parameters, one by one.
    """

    needs: Needs
    source: str
    family: str
    claim: str
    passes: str = "1"
    plain: bool = False
    steps_itself: bool = False
    linear: bool = True
    grows: bool = False
    per_parameter: bool = False

    @property
    def label(self) -> str:
        """The method's class name, for messages and checkpoints."""
        return type(self).__name__

    @property
    def by_layer(self) -> bool:
        """Whether the network's block must be divided into layers."""
        return False

    def has_scalar(self, layout: ParameterLayout) -> bool:
        """Whether ``sum_k c_k L_k``, coefficients frozen, is what a line search may minimise."""
        return True

    def joined(self, run: Any) -> None:
        """A run begins to use the method, or goes on with it as a copy.

        Args:
            run: has ``aggregator``, ``state`` and ``names``; not to be changed.
        """
        return

    def init(self, spec: Spec) -> State:
        """State before the first step; keys and shapes never change afterwards."""
        return {}

    def asks_for_update(self, step: int, state: State | None) -> bool:
        """Whether it wants to know what the wrapped optimizer makes of a step; see ``saw_update``.

        Args:
            step: number of the step.
            state: before it; ``None`` before the first.
        """
        return False

    def saw_update(self, step: int, state: State, worst: float) -> State:
        """State after the wrapped optimizer has stepped. Pure.

        Args:
            step: number of the step.
            state: that ``choose`` gave.
            worst: the largest cosine between the network's update and a loss's gradient; above 0
                the update raises that loss to first order.
        """
        return state

    def weighs(self, spec: Spec) -> Sequence[str]:
        """Names of the losses whose points ``weigh`` may weight: they need residuals."""
        return spec.names

    def weigh(
        self, spec: Spec, sets: PointSets, state: State, report: Reporter = unheard
    ) -> tuple[PointWeights | None, State]:
        """Weights of single points, for methods with ``Needs.POINTS``; once a step, before update.

        Args:
            spec: of the run.
            sets: per loss its residuals and collocation points.
            state: before this step.
            report: is told of bounds that acted.

        Returns:
            Per loss and residual one weight for each entry, losses left out keep theirs at 1,
            ``None`` for no weights at all; and the state that ``choose`` gets.
        """
        return None, state

    @abstractmethod
    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        """Coefficients of this step, ``[K]`` or ``[K, B]``, and the next state. Pure."""

    def choose(self, view: StepView, state: State) -> Chosen:
        """What ``update`` returns, and for methods that are not linear the direction. Pure."""
        return Chosen(*self.update(view, state))


class Reweighting(Aggregator):
    """A method that gives each loss one non-negative weight: ``[K]``, finite."""

    family = "reweighting"

    def bound(self, count: int) -> float:
        """The largest weight that the method can give one of ``count`` losses."""
        return float(count)


@dataclass(frozen=True)
class PointReweighting(Reweighting):
    """Weights inside the losses: ``L_k = mean_n w_n r_n^2``. The losses keep coefficient 1."""

    needs = Needs.POINTS

    @abstractmethod
    def weigh(
        self, spec: Spec, sets: PointSets, state: State, report: Reporter = unheard
    ) -> tuple[PointWeights, State]: ...

    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        return view.ones(), state


class Surgery(Aggregator):
    """A method that changes gradients by recombining or transforming them."""

    family = "surgery"


class RowTransform(Surgery):
    """Surgery that transforms the gradients entry by entry, so that coefficients cannot say it.

    Subclasses give the direction; its coefficients are ones. There is no scalar objective, and
    nothing to hold for several steps. A single loss keeps its plain gradient, unless the method
    ``steps_itself``.
    """

    linear = False
    needs = Needs.ROWS

    def has_scalar(self, layout: ParameterLayout) -> bool:
        return False

    @abstractmethod
    def direction(self, view: StepView, state: State) -> tuple[Tensor, State]:
        """``[P]`` what takes the place of the summed gradient, and the next state. Pure."""

    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        chosen = self.choose(view, state)
        return chosen.coefficients, chosen.state

    def choose(self, view: StepView, state: State) -> Chosen:
        if view.count == 1 and not self.steps_itself:
            return Chosen(view.ones(), state)
        direction, after = self.direction(view, state)
        return Chosen(view.ones(), after, direction)


class Routing(Aggregator):
    """A method that decides which loss reaches which adapter block: ``[K, B]``."""

    family = "routing"


def members(aggregator: Aggregator) -> Sequence[Aggregator]:
    """The parts of a chain, or the method alone."""
    found: Sequence[Aggregator] = getattr(aggregator, "members", (aggregator,))
    return found


def weights_whole_losses(method: Aggregator | type[Aggregator]) -> bool:
    """Whether all that a method does is to give each loss a weight."""
    return method.family == "reweighting" and not method.needs & Needs.POINTS
