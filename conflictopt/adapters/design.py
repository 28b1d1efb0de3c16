"""How per-loss adapters are built and trained: one object for all designs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from ..core.errors import MethodError
from ..core.routed import SHARE, RoutingName, check_routing

Placement = Literal["last", "hidden", "weights", "head"]
Activation = Literal["tanh", "linear"]
Scale = Literal["mean", "sum"]
PLACEMENTS = ("last", "hidden", "weights", "head")
ACTIVATIONS = ("tanh", "linear")
SCALES = ("mean", "sum")


@dataclass(frozen=True)
class AdapterDesign:
    """What K per-loss adapters add to a network, and which losses train them.

    At every layer it is placed at, adapter k contributes ``a_k(x) = s f(x D_k) U_k``, with ``D_k``
    ``[in, rank]`` drawn from ``N(0, 1/in)`` and ``U_k`` ``[rank, out]`` zero, so that attaching
    changes no output, bitwise.

    Source: Kim and N'guessan 2026 (arXiv 2605.10136), abstract: one low-rank adapter per loss on
    a shared trunk. Everything below is ours, since only the abstract is available; the form with
    ``D`` and ``U`` is that of Houlsby et al. 2019 (arXiv 1902.00751), that of ``weights`` and
    ``linear`` of Hu et al. 2021 (arXiv 2106.09685).

    Args:
        placement: ``"last"``: after the last hidden layer, ``h + sum_k a_k(h)`` is what the head
            sees. ``"hidden"``: the same after every hidden layer. ``"weights"``: beside every
            layer between two hidden ones, ``W x + b + sum_k a_k(x)``, which for linear adapters is
            a low-rank change of W. ``"head"``: the same beside the output layer.
        layers: names of the ``nn.Linear`` layers instead of those; ``*`` and ``?`` as in file
            names. For ``last`` and ``hidden`` the layers whose *inputs* are adapted.
        rank: r of each adapter, at least 1.
        activation: f, ``"tanh"`` or ``"linear"``.
        scale: s, 1/K (``"mean"``) or 1 (``"sum"``).
        orthogonal: the columns of all K down-projections of a layer are kept orthonormal (by a QR
            decomposition in the forward pass), so that the adapters read different directions.
            Needs ``K * rank`` up to the layer's input width.
        routing, share: which loss's gradient reaches which adapter, see ``AdapterRouting``.
        learning_rate: of the adapters, relative to that of the optimizer's step. Their moments
            are their own in any case: Adam keeps state per entry, from the step they were added.

    Raises:
        MethodError: a bad value.
    """

    placement: Placement = "last"
    layers: tuple[str, ...] = ()
    rank: int = 4
    activation: Activation = "tanh"
    scale: Scale = "mean"
    orthogonal: bool = False
    routing: RoutingName = "shared"
    share: float = SHARE
    learning_rate: float = 1.0

    def __post_init__(self) -> None:
        _among("placement", self.placement, PLACEMENTS)
        _among("activation", self.activation, ACTIVATIONS)
        _among("scale", self.scale, SCALES)
        if isinstance(self.rank, bool) or not isinstance(self.rank, int) or self.rank < 1:
            raise MethodError(f"expected rank as a whole number >= 1, found {self.rank!r}.")
        if not isinstance(self.orthogonal, bool):
            raise MethodError(f"expected orthogonal=True or False, found {self.orthogonal!r}.")
        names = [self.layers] if isinstance(self.layers, str) else list(self.layers)
        if not all(isinstance(n, str) and n for n in names):
            raise MethodError(f"expected layers as names, found {self.layers!r}.")
        object.__setattr__(self, "layers", tuple(names))
        check_routing(self.routing, self.share)
        if not _number(self.learning_rate) or not 0 < self.learning_rate < float("inf"):
            raise MethodError(f"expected learning_rate > 0, found {self.learning_rate!r}.")

    @property
    def beside(self) -> bool:
        """Whether adapters stand beside their layer (add to its output) or before its input."""
        return self.placement in ("weights", "head")

    @property
    def routing_options(self) -> dict[str, Any]:
        """The options of the method ``adapters`` that routes the gradients of this design."""
        options: dict[str, Any] = {"routing": self.routing}
        return {**options, "share": self.share} if self.routing == "mixed" else options

    @property
    def changes(self) -> dict[str, Any]:
        """The options that are not at their defaults, as plain data."""
        usual = AdapterDesign().to_json()
        return {k: v for k, v in self.to_json().items() if v != usual[k]}

    def to_json(self) -> dict[str, Any]:
        """The design as plain data."""
        return {**asdict(self), "layers": list(self.layers)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> AdapterDesign:
        """What ``to_json`` gave.

        Raises:
            MethodError: an unknown field or a bad value.
        """
        unknown = set(content) - {f.name for f in fields(cls)}
        if unknown:
            raise MethodError(f"expected the fields of an adapter design, found {sorted(unknown)}.")
        return cls(**content)


def _among(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        listed = ", ".join(map(repr, known))
        raise MethodError(f"expected {name} among {listed}, found {value!r}.")


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
