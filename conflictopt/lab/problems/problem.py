"""Problem: one configuration, from its specification to points, losses, network and errors."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from ..derivatives import nested, taylor
from .assembly import Derive
from .batches import carried_by
from .description import describe
from .network import FullyConnected, widened
from .objective import Equations
from .points import RunPoints, draw
from .reading import read_entry, read_file
from .regions import even_counts
from .selfcheck import prove
from .solution import Solution
from .spec import ProblemSpec
from .specification_errors import SpecError

Mode = Literal["taylor", "taylor_apart", "nested"]


class Problem:
    """A PDE problem of the specification language.

    Args:
        spec: the checked specification.

    Attributes:
        spec: the same.
        solution: exact values; a numerical reference is solved when first asked for.
    """

    def __init__(self, spec: ProblemSpec) -> None:
        self.spec = spec
        self.solution = Solution(spec)

    @classmethod
    def from_spec(cls, file: str | Path, id: str | None = None) -> Problem:  # noqa: A002
        """A problem from a specification file.

        Args:
            file: JSON in the language of the shipped suite.
            id: which entry; may be left out if the file has one.

        Raises:
            SpecError: a file, entry or field that cannot be used; the message names it.
        """
        found = {spec.id: spec for spec in read_file(file)}
        if id is None and len(found) == 1:
            return cls(*found.values())
        if id not in found:
            raise SpecError(
                str(id), f"file '{file}'", f"expected the id of an entry: {', '.join(found)}."
            )
        return cls(found[id])

    @classmethod
    def from_entry(cls, content: Mapping[str, Any]) -> Problem:
        """A problem from one entry as a dictionary; see ``from_spec``."""
        return cls(read_entry(content))

    def __reduce__(self) -> tuple[Any, tuple[Mapping[str, Any]]]:
        return Problem.from_entry, (self.spec.raw,)

    def __repr__(self) -> str:
        return f"Problem({self.id!r})"

    # -- what it is ---------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """Its name."""
        return self.spec.id

    @property
    def family(self) -> str:
        """Its family in the suite; ``user`` unless the specification says otherwise."""
        return self.spec.family

    @property
    def title(self) -> str:
        """One line."""
        return self.spec.title

    @property
    def loss_names(self) -> tuple[str, ...]:
        """The K losses."""
        return tuple(loss.name for loss in self.spec.losses)

    @property
    def K(self) -> int:  # noqa: N802  (the field's symbol)
        """Number of losses."""
        return len(self.spec.losses)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The network's inputs."""
        return self.spec.inputs

    @property
    def outputs(self) -> tuple[str, ...]:
        """The network's outputs."""
        return self.spec.outputs

    @property
    def equations(self) -> tuple[str, ...]:
        """The losses that hold equations."""
        return tuple(
            loss.name
            for loss in self.spec.losses
            if any(m.place.kind == "interior" for m in loss.members)
        )

    @property
    def measured(self) -> tuple[str, ...]:
        """The losses that hold measurements."""
        return tuple(
            loss.name
            for loss in self.spec.losses
            if any(m.place.kind == "sensors" for m in loss.members)
        )

    @property
    def unknown_names(self) -> tuple[str, ...]:
        """The scalars to be found, and the outputs that are unknown fields."""
        return (*self.spec.unknowns, *self.spec.fields)

    def text(self) -> str:
        """A readable description."""
        return describe(self.spec)

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits that change with anything in the entry."""
        text = json.dumps(self.spec.raw, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def prove(self) -> None:
        """See to it that the exact solution solves the problem, before errors are measured by it.

        Raises:
            SpecError: see ``selfcheck.prove``.
        """
        prove(self)

    # -- what a run needs ---------------------------------------------------------------------

    def sizes(self, width: int | None = None, parameters: int | None = None) -> list[int]:
        """Widths of the network's layers: inputs, hidden, outputs.

        Args:
            width: of the hidden layers; without it the suggested one.
            parameters: widen the hidden layers to about so many parameters.
        """
        network = self.spec.network
        hidden = [width or network.width] * network.hidden_layers
        found = [len(self.inputs), *hidden, len(self.outputs)]
        return widened(found, parameters) if parameters else found

    def network(
        self, sizes: list[int] | None = None, seed: int = 0, dtype: torch.dtype = torch.float32
    ) -> FullyConnected:
        """The network with its initial weights.

        Args:
            sizes: widths of the layers; without it the suggested ones.
            seed: of the weights.
            dtype: of the parameters.
        """
        geometry = self.spec.geometry
        return FullyConnected(sizes or self.sizes(), geometry.lower, geometry.upper, seed, dtype)

    def unknowns(self, dtype: torch.dtype = torch.float32) -> dict[str, nn.Parameter]:
        """The scalars to be found, at their starting values."""
        return {
            name: nn.Parameter(torch.tensor(u.start, dtype=dtype, device="cpu"))
            for name, u in self.spec.unknowns.items()
        }

    def counts(self, small: bool = False, scale: float = 1.0, least: int = 8) -> dict[str, int]:
        """Number of points per loss.

        Args:
            small: of a small run, as the specification suggests.
            scale: multiplies them ...
            least: ... but not below this, nor below one on every face.
        """
        found = {}
        for loss in self.spec.losses:
            n = loss.points_small if small else loss.points
            wanted = max(round(n * scale), min(n, least))
            found[loss.name] = sum(even_counts(wanted, loss.places))
        return found

    def cost(self, budget: Any) -> float:
        """A relative estimate of a run's time, to plan studies by.

        Args:
            budget: with ``steps``, ``small_points``, ``point_scale`` and ``width(suggested)``.
        """
        counts = self.counts(budget.small_points, budget.point_scale)
        inside = [ls for ls in self.spec.losses if ls.name in self.equations]
        expressions = [m.expression for ls in inside for m in ls.members]
        carried = carried_by(self.spec, expressions)
        network = self.spec.network
        width = budget.width(network.width)
        rows = carried * (max(counts[ls.name] for ls in inside) + 64 if inside else 64)
        return float(budget.steps * network.hidden_layers * (2e4 + rows * width * (width + 30)))

    def draw(self, counts: Mapping[str, int], seed: int) -> RunPoints:
        """The points of a run: the same for every method.

        Args:
            counts: number of points per loss, as from ``counts``.
            seed: of the run.

        Raises:
            ValueError: a loss without a number of points.
        """
        missing = [n for n in self.loss_names if n not in counts]
        if missing:
            raise ValueError(f"expected a number of points per loss, found none for {missing}.")
        return draw(self.spec, self.solution, counts, seed)

    def losses(self, points: RunPoints, dtype: torch.dtype = torch.float32) -> Equations:
        """The K losses at the points of a run."""
        return Equations(self.spec, self.solution, points, dtype)

    # -- how good a result is -----------------------------------------------------------------

    @cached_property
    def test_set(self) -> tuple[Any, dict[str, Any]]:
        """Test points ``[N, d]`` and per output the exact values ``[N]``."""
        return self.solution.test_set()

    def relative_l2(self, net: nn.Module) -> dict[str, float]:
        """Relative L2 error ``||u - exact|| / ||exact||`` per metric output on the test points."""
        points, exact = self.test_set
        like = next(net.parameters())
        with torch.no_grad():
            found = net(torch.tensor(points, dtype=like.dtype, device=like.device))
        values = found.double().cpu().numpy()
        errors = {}
        for output in self.spec.metric_outputs:
            difference = values[:, self.outputs.index(output)] - exact[output]
            errors[output] = math.sqrt(np.square(difference).sum() / np.square(exact[output]).sum())
        return errors


def derivatives_of(net: nn.Module, mode: Mode = "taylor") -> Derive:
    """How the derivatives of a network are computed.

    Args:
        net: the network, with or without adapters.
        mode: ``"taylor"`` for fully connected networks (see ``conflictopt.lab.derivatives``),
            ``"taylor_apart"`` for rows of their Jacobian, or ``"nested"`` reverse mode, for any.

    Raises:
        DerivativeError: Taylor mode with a network that it cannot follow.
        ValueError: another mode.
    """
    if mode == "taylor":
        return partial(taylor.derivatives, net)
    if mode == "taylor_apart":
        return partial(taylor.derivatives, net, apart=True)
    if mode == "nested":
        return partial(nested.derivatives, net)
    raise ValueError(f"expected mode='taylor', 'taylor_apart' or 'nested', found {mode!r}.")


__all__ = ["Mode", "Problem", "derivatives_of"]
