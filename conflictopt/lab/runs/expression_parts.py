"""Members of a method expression that are no aggregators, and the options of all."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ...adapters.design import AdapterDesign, Placement
from ...auto.options import TrainingOptions
from ...core.aggregator import Aggregator
from ...core.errors import MethodError
from ...core.plain_data import plain_data
from ...core.routed import RoutingName
from ...methods.registry import METHODS, make, method_class, unknown_method


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
        routing, rank: of the adapters, see ``AdapterDesign``; with one of them every plan has some.
        profile_steps: length of the profile, of 100 samples; the budget's unless given.

    Raises:
        MethodError: a bad value.
    """

    reweighting: str | None = None
    routing: RoutingName = "shared"
    rank: int = 4
    profile_steps: int | None = None

    def __post_init__(self) -> None:
        if self.reweighting is not None and not isinstance(self.reweighting, str):
            raise MethodError(f"expected reweighting as a name, found {self.reweighting!r}.")
        _ = self.training.policy

    @property
    def training(self) -> TrainingOptions:
        """How plans are reached and carried out."""
        chosen = self.adapters.design
        design = chosen if chosen != AdapterDesign() else None
        made = TrainingOptions(reweighting=self.reweighting, adapters=design)
        steps = self.profile_steps
        return made if steps is None else dataclasses.replace(made, profile_steps=steps)

    @property
    def adapters(self) -> AdapterSettings:
        """The adapters of a plan that has them."""
        return AdapterSettings(rank=self.rank, routing=self.routing)


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
class _NoSettings:
    """Members without options."""


_SPECIAL: dict[str, type[Any]] = {
    "none": _NoSettings,
    "auto": AutoSettings,
    "wide": WideSettings,
    "adapters": AdapterSettings,
    "after": AfterSettings,
}


def settings_class(name: str) -> type[Any]:
    """The dataclass whose fields are the options of a member.

    Raises:
        MethodError: unknown name; the message lists what there is.
    """
    known = dict.fromkeys([*_SPECIAL, *METHODS])
    if name not in known:
        raise unknown_method(name, known)
    return _SPECIAL[name] if name in _SPECIAL else method_class(name)


def build(name: str, options: Mapping[str, Any]) -> Any:
    """The member: an aggregator, or the settings of a special member.

    Raises:
        MethodError: unknown name or option, or a value that the member refuses.
    """
    cls = settings_class(name)
    if name not in _SPECIAL:
        return make(name, **options)
    known = [f.name for f in dataclasses.fields(cls)]
    unknown = [k for k in options if k not in known]
    if unknown:
        listed = ", ".join(known) or "none"
        raise MethodError(f"method '{name}' has no option {unknown}; its options: {listed}.")
    return cls(**options)


def in_order(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options in the order of the member's fields; whole numbers as floats where one is meant.

    Unknown options come last, for ``build`` to refuse.
    """
    fields = {f.name: f for f in dataclasses.fields(settings_class(name))}
    ordered = {k: options[k] for k in [*fields, *options] if k in options}
    return {
        k: float(v) if k in fields and type(v) is int and type(fields[k].default) is float else v
        for k, v in ordered.items()
    }


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
