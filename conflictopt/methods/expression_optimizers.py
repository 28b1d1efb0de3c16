"""Members of a method expression that say what takes the steps, rather than which way they go."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..core.aggregator import weights_whole_losses
from ..core.checks import check_count, is_number
from ..core.errors import MethodError
from .registry import METHODS, method_class

_OPTIONS = {
    "levenberg_marquardt": "curvature.options:CurvatureOptions",
    "lbfgs": "methods.expression_optimizers:LineSearchOptions",
    "adam": "methods.expression_optimizers:AdamOptions",
    "muon": "methods.expression_optimizers:AdamOptions",
    "soap": "methods.expression_optimizers:SOAPOptions",
}
"""Per optimizer the dataclass of its options, resolved when first asked for, as methods are."""

OPTIMIZERS = tuple(_OPTIONS)
_OF_STUDIES: dict[str, dict[str, Any]] = {
    "levenberg_marquardt": {"horizon": 1.0, "warm": 0.05, "pool": 32},
    "lbfgs": {"horizon": 1.0},
    "adam": {"horizon": 1.0, "pool": 1},
    "muon": {"horizon": 1.0, "pool": 16},
    "soap": {"horizon": 1.0, "pool": 16},
}
"""Per optimizer the options that only studies have, with their defaults. ``horizon``: how many
times the plain run's CPU time a run may take; ``warm``: the part of that time in which Adam goes
first, since from random weights a curvature step may fall into a bad minimum that Adam avoids;
``pool``: times the points of a run, of which every step takes others, as what comes far on few
points misses the solution between them."""

STUDIED = ("lbfgs", "adam", "muon")
"""Of those the ones that only studies have: a run of one's own compiles with them by itself."""

_OF_WHOLE_LOSSES = ("levenberg_marquardt", "lbfgs")
"""Of those the ones beside which a method may only weight losses."""


@dataclass(frozen=True, kw_only=True)
class LineSearchOptions:
    """Adam for a share of the run, then L-BFGS.

    Args:
        share: of the run that L-BFGS takes, above 0, at most 1.

    Raises:
        MethodError: a bad value.
    """

    share: float = 0.5

    def __post_init__(self) -> None:
        if not (is_number(self.share) and 0 < self.share <= 1):
            raise MethodError(f"expected share above 0 and at most 1, found {self.share!r}.")


@dataclass(frozen=True, kw_only=True)
class AdamOptions:
    """Adam, or Muon, for the plain run's time, rather than for its steps.

    Args:
        rate: learning rate, relative to the plain run's.

    Raises:
        MethodError: a bad value.
    """

    rate: float = 1.0

    def __post_init__(self) -> None:
        if not (is_number(self.rate) and self.rate > 0):
            raise MethodError(f"expected rate as a number > 0, found {self.rate!r}.")


@dataclass(frozen=True, kw_only=True)
class SOAPOptions(AdamOptions):
    """SOAP, which is Adam in the eigenbases of Shampoo's preconditioner.

    Args:
        rate: learning rate, relative to the plain run's.
        refresh: steps between two updates of the eigenbases.
        warm: steps that the plain run's optimizer takes first; see ``GuardedSOAP``.

    Raises:
        MethodError: a bad value.
    """

    rate: float = 0.75
    refresh: int = 10
    warm: int = 150

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("refresh", self.refresh)
        if self.warm != 0:
            check_count("warm", self.warm)


@dataclass(frozen=True)
class OptimizerMember:
    """The optimizer of an expression.

    Attributes:
        name: of ``OPTIMIZERS``.
        options: every option with its value, those of the optimizer alone.
        study: those of studies alone, with their values.
    """

    name: str
    options: dict[str, Any]
    study: dict[str, Any]

    @property
    def by_residuals(self) -> bool:
        """Whether its steps are made of residuals, and cost many plain ones."""
        return self.name == "levenberg_marquardt"

    @property
    def horizon(self) -> float:
        """How many times the plain run's CPU time a run may take."""
        return float(self.study["horizon"])

    @classmethod
    def of(cls, name: str, settings: Any) -> OptimizerMember:
        """From the member as ``build`` makes it."""
        options = {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}
        return cls(name, options, {key: options.pop(key) for key in _OF_STUDIES[name]})


def options_of_studies(name: str) -> set[str]:
    """Names of the options that only studies have, of an optimizer; none of another member."""
    return set(_OF_STUDIES.get(name, ()))


@cache
def optimizer_settings(name: str) -> type[Any]:
    """The dataclass whose fields are the options of an optimizer, those of studies too."""
    module, _, attribute = _OPTIONS[name].partition(":")
    own = getattr(importlib.import_module(f"conflictopt.{module}"), attribute)
    studied = [
        (key, type(default), dataclasses.field(default=default, kw_only=True))
        for key, default in _OF_STUDIES[name].items()
    ]
    checked = {"__post_init__": _checked}
    return dataclasses.make_dataclass(
        own.__name__, studied, bases=(own,), namespace=checked, frozen=True
    )


def _checked(settings: Any) -> None:
    super(type(settings), settings).__post_init__()
    if not (is_number(settings.horizon) and settings.horizon > 0):
        raise MethodError(f"expected horizon as a number > 0, found {settings.horizon!r}.")
    warm = 0 if isinstance(settings, SOAPOptions) else getattr(settings, "warm", 0)
    if not (is_number(warm) and 0 <= warm < 1):
        raise MethodError(f"expected warm from 0 to below 1, found {warm!r}.")
    check_count("pool", getattr(settings, "pool", 1))


def check_company(optimizer: str, others: Iterable[str], text: str) -> None:
    """Check that what stands beside an optimizer goes with it.

    Raises:
        MethodError: it does not.
    """
    if optimizer not in _OF_WHOLE_LOSSES:
        for name in others:
            if name not in ("none", "align") and not _leaves_steps(name):
                raise MethodError(
                    f"expected methods beside {optimizer}, align, or none, found '{name}' in "
                    f"'{text}'."
                )
        return
    for name in others:
        if name != "none" and not _weights_losses(name):
            raise MethodError(
                f"expected reweightings of whole losses beside {optimizer}, or none, found "
                f"'{name}' in '{text}'."
            )


def _leaves_steps(name: str) -> bool:
    """Whether it is a method of the network as it is, whose steps an optimizer takes."""
    if name not in METHODS:
        return False
    found = method_class(name)
    return found.family != "routing" and not found.steps_itself


def _weights_losses(name: str) -> bool:
    if name not in METHODS:
        return False
    return weights_whole_losses(method_class(name))
