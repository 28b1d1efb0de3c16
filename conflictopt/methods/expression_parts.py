"""Members of a method expression that are no aggregators, and the options of all."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..adapters.design import Activation, AdapterDesign, Placement, Scale
from ..core.aggregator import Aggregator
from ..core.checks import check_count, check_share
from ..core.errors import MethodError
from ..core.plain_data import plain_data
from ..core.routed import RoutingName
from .expression_optimizers import OPTIMIZERS, optimizer_settings
from .registry import make, method_class, registered


@dataclass(frozen=True)
class AdapterSettings(AdapterDesign):
    """Low-rank adapters, one per loss: a design, and when they are attached.

    Args:
        attach: the step at which they are attached, at least 0.

    Raises:
        MethodError: a bad value.
    """

    attach: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least("attach", self.attach, 0)

    @property
    def design(self) -> AdapterDesign:
        """The design alone."""
        return AdapterDesign(**{f.name: getattr(self, f.name) for f in fields(AdapterDesign)})

    def route(self) -> Aggregator:
        """The routing as an aggregator."""
        return make("adapters", **self.routing_options)


@dataclass(frozen=True)
class AutoSettings:
    """The parts of the plan that a diagnosis may choose.

    Args:
        reweighting: name of a reweighting method, at its defaults; that of the rule unless given.
        curvature: whether it may go on with Levenberg-Marquardt; as the run says unless given.
        profile_steps: length of the profile, of 100 samples; the run's own unless given.
        routing, rank, placement, layers, activation, scale, orthogonal, share, learning_rate: of
            the adapters, see ``AdapterDesign``; with one of them every plan has some.

    Raises:
        MethodError: a bad value.
    """

    reweighting: str | None = None
    routing: RoutingName = AdapterDesign.routing
    rank: int = AdapterDesign.rank
    profile_steps: int | None = None
    curvature: bool | None = None
    placement: Placement = AdapterDesign.placement
    layers: tuple[str, ...] = AdapterDesign.layers
    activation: Activation = AdapterDesign.activation
    scale: Scale = AdapterDesign.scale
    orthogonal: bool = AdapterDesign.orthogonal
    share: float = AdapterDesign.share
    learning_rate: float = AdapterDesign.learning_rate

    def __post_init__(self) -> None:
        given = self.reweighting
        if given is not None and not isinstance(given, str):
            raise MethodError(f"expected reweighting as a name, found {given!r}.")
        if given is not None and method_class(given).family != "reweighting":
            raise MethodError(f"expected a reweighting method, found '{given}'.")
        if given is not None:
            make(given)  # one that has options without a default cannot be named alone
        if self.profile_steps is not None:
            check_count("profile_steps", self.profile_steps)
        if self.curvature not in (None, True, False):
            raise MethodError(f"expected curvature=True or False, found {self.curvature!r}.")
        object.__setattr__(self, "layers", self.design.layers)

    @property
    def design(self) -> AdapterDesign:
        """Of the adapters of a plan that has them."""
        return AdapterDesign(**{f.name: getattr(self, f.name) for f in fields(AdapterDesign)})


@dataclass(frozen=True)
class WideSettings:
    """A network widened to as many parameters as it has with adapters.

    Args:
        placement, rank: of those adapters, see ``AdapterDesign``.

    Raises:
        MethodError: a bad value.
    """

    placement: Placement = "last"
    rank: int = 4

    def __post_init__(self) -> None:
        _ = self.design

    @property
    def design(self) -> AdapterDesign:
        """The adapters to match."""
        return AdapterDesign(placement=self.placement, rank=self.rank)


@dataclass(frozen=True)
class AfterSettings:
    """The methods begin after some plain steps, as those that a plan chooses do.

    Args:
        steps: the number of plain steps, at least 1.

    Raises:
        MethodError: a bad value.
    """

    steps: int = 1000

    def __post_init__(self) -> None:
        _at_least("steps", self.steps, 1)


@dataclass(frozen=True)
class AlignSettings:
    """Updates that would raise a loss are projected in the optimizer's metric: ``update="align"``.

    Args:
        momentum, scale: ``momentum_share`` and ``scale_share`` of ``StepOptions``; ``None`` for
            what is usual with the optimizer.
        metric: "own", or "euclidean", whatever the optimizer: ``update="correct"``, after which its
            state stays as it is.

    Raises:
        MethodError: a bad value, or shares with the Euclidean metric.
    """

    momentum: float | None = None
    scale: float | None = None
    metric: str = "own"

    def __post_init__(self) -> None:
        for name in ("momentum", "scale"):
            check_share(name, getattr(self, name))
        if self.metric not in ("own", "euclidean"):
            raise MethodError(f"expected metric='own' or 'euclidean', found {self.metric!r}.")
        if self.metric == "euclidean" and (self.momentum, self.scale) != (None, None):
            raise MethodError("expected no momentum or scale with metric='euclidean', found some.")

    @property
    def choices(self) -> dict[str, Any]:
        """As fields of ``StepOptions``."""
        if self.metric == "euclidean":
            return {"update": "correct"}
        return {"update": "align", "momentum_share": self.momentum, "scale_share": self.scale}


@dataclass(frozen=True)
class _NoSettings:
    """Members without options."""


_SPECIAL: dict[str, type[Any]] = {
    "none": _NoSettings,
    "auto": AutoSettings,
    "wide": WideSettings,
    "adapters": AdapterSettings,
    "after": AfterSettings,
    "align": AlignSettings,
}
_NAMES = (*_SPECIAL, *OPTIMIZERS)


def member_name(name: str) -> str:
    """The name of a member as labels have it: ``none`` for ``sum``, ``ntk`` for ``NTK``.

    Raises:
        MethodError: unknown name; the message lists what there is.
    """
    found = registered(name, _NAMES)
    return "none" if found == "sum" else found


def settings_class(name: str) -> type[Any]:
    """The dataclass whose fields are the options of a member.

    Raises:
        MethodError: unknown name; the message lists what there is.
    """
    if name in OPTIMIZERS:
        return optimizer_settings(name)
    return _SPECIAL[name] if name in _SPECIAL else method_class(name)


def build(name: str, options: Mapping[str, Any]) -> Any:
    """The member: an aggregator, or the settings of a special member.

    Raises:
        MethodError: unknown name or option, or a value that the member refuses.
    """
    cls = settings_class(name)
    if name not in _NAMES:
        return make(name, **options)
    known = [f.name for f in dataclasses.fields(cls)]
    unknown = [k for k in options if k not in known]
    if unknown:
        listed = ", ".join(known) or "none"
        raise MethodError(f"method '{name}' has no option {unknown}; its options: {listed}.")
    return cls(**options)


def in_order(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options in the order of the member's fields, in one form.

    Whole numbers are floats where one is meant, names of methods those of the registry. Unknown
    options come last, for ``build`` to refuse.
    """
    fields = {f.name: f for f in dataclasses.fields(settings_class(name))}
    ordered = {k: options[k] for k in [*fields, *options] if k in options}
    return {k: _in_form(k, v, fields.get(k)) for k, v in ordered.items()}


def _in_form(key: str, value: Any, field: dataclasses.Field[Any] | None) -> Any:
    if key == "reweighting" and isinstance(value, str):
        return registered(value)
    meant = field is not None and type(value) is int and type(field.default) is float
    return float(value) if meant else value


def all_options(made: Any) -> dict[str, Any]:
    """Every option of a member that was built, as JSON can hold it; infinity as ``"inf"``."""
    return {f.name: plain_data(getattr(made, f.name), "text") for f in dataclasses.fields(made)}


_REMOVED: dict[str, dict[str, Any]] = {
    "auto": {"look": None, "race_steps": 250, "rediagnose_every": None},
}
"""Options that members had in older versions, at the defaults that they had."""


def completed(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a member as an older version told them, in the terms of this one.

    Later options stand at their defaults: one may be added without making the records there are
    those of other runs, as long as its default does what was done without it. Options that are no
    more are left out where they stood at their defaults; one that was in use stays, for no run of
    today is that run.
    """
    known = {f.name: f.default for f in dataclasses.fields(settings_class(name))}
    later = {k: plain_data(v, "text") for k, v in known.items() if v is not dataclasses.MISSING}
    removed = {k: v for k, v in _REMOVED.get(name, {}).items() if k not in known}
    kept = {k: v for k, v in options.items() if k not in removed or v != removed[k]}
    return {**later, **kept}


def _at_least(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise MethodError(f"expected {name} as a whole number >= {least}, found {value!r}.")
