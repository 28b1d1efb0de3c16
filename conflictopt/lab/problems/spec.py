"""What a specification entry says, checked and parsed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import sympy as sp

from .geometry import Geometry
from .jets import Jets
from .regions import Place

MemberType = Literal[
    "pde", "dirichlet", "neumann", "robin", "operator", "periodic", "initial", "data"
]


@dataclass(frozen=True)
class LossMember:
    """One equation or condition: an expression that vanishes at a place.

    Attributes:
        type: its kind.
        place: where it holds.
        text: the expression as written.
        expression: parsed, in the symbols of the entry's ``Jets``; of a periodic pair the value
            whose difference between the faces vanishes.
    """

    type: MemberType
    place: Place
    text: str
    expression: sp.Expr


@dataclass(frozen=True)
class LossSpec:
    """One loss: the sum over its members of the mean square of each.

    Attributes:
        name: of the loss.
        points: number of points in a full and in a small run, split evenly over its places.
    """

    name: str
    members: tuple[LossMember, ...]
    points: int
    points_small: int

    @property
    def places(self) -> tuple[Place, ...]:
        """The distinct places, in order."""
        return tuple(dict.fromkeys(m.place for m in self.members))


@dataclass(frozen=True)
class Unknown:
    """A scalar to be found beside the solution.

    Attributes:
        symbol: in the expressions.
        true, start: its true value and where training starts.
    """

    symbol: sp.Symbol
    true: float
    start: float


@dataclass(frozen=True)
class NetworkSpec:
    """The suggested network: fully connected, Glorot normal, inputs scaled to [-1, 1]."""

    hidden_layers: int
    width: int
    activation: str


@dataclass(frozen=True)
class SensorSpec:
    """Measurements inside the domain.

    Attributes:
        observed: the outputs measured.
        noise: standard deviation of the Gaussian noise over that of the exact values.
        seed: of positions and noise; the same for every run.
    """

    observed: tuple[str, ...]
    noise: float
    seed: int


@dataclass(frozen=True)
class ProblemSpec:
    """One entry.

    Attributes:
        id, title, family, notes: texts.
        jets: inputs, outputs and the symbols of their derivatives.
        geometry: the domain.
        parameters: numbers by name, for display and numerical references.
        unknowns: scalars to be found, by name.
        fields: outputs that are unknown coefficient fields.
        losses: the K losses.
        metric_outputs: the outputs whose relative L2 error counts.
        exact: per output the exact solution in the inputs; empty with a numerical reference.
        reference: how a numerical reference is computed; ``None`` with a closed form.
        network, sensors: the suggested network; the measurements, if any.
        test_points, test_seed: of the random test set; a numerical reference has its own grid.
        raw: the entry as read.
    """

    id: str
    title: str
    family: str
    notes: str
    jets: Jets
    geometry: Geometry
    parameters: Mapping[str, float]
    unknowns: Mapping[str, Unknown]
    fields: tuple[str, ...]
    losses: tuple[LossSpec, ...]
    metric_outputs: tuple[str, ...]
    exact: Mapping[str, sp.Expr]
    reference: Mapping[str, Any] | None
    network: NetworkSpec
    sensors: SensorSpec | None
    test_points: int
    test_seed: int
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The d inputs."""
        return self.jets.inputs

    @property
    def outputs(self) -> tuple[str, ...]:
        """The network's outputs."""
        return self.jets.outputs
