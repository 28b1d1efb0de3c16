"""The numerical reference of one entry of the specification."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import sympy as sp

from .burgers import BurgersReference
from .etdrk4 import Equation
from .fields import Fields, Parse
from .fourier import Modes
from .periodic import PeriodicReference
from .reference_error import ReferenceSolutionError
from .solution import Reference

MOST_POINTS, MOST_STEPS = 2**17, 10**7
"""Sizes beyond which a reference would take hours or all memory: a slip rather than a wish."""


def reference_of(entry: Mapping[str, Any], numbers: Mapping[str, float], parse: Parse) -> Reference:
    """The reference that an entry of the specification describes.

    Args:
        entry: with ``inputs``, ``outputs``, ``domain`` and a ``reference`` of kind
            ``numerical``.
        numbers: values of the parameters, and the true ones of the unknowns.
        parse: ``parse(text, names)`` turns an expression into sympy, given what each name
            stands for; it raises a ``ValueError`` for what it cannot read.

    Raises:
        ReferenceSolutionError: an unknown method, a field that is missing or cannot be read, or a
            combination that cannot be solved. Names the field.
    """
    fields = Fields(entry, numbers, parse)
    method = fields.value("reference.method")
    if method not in _METHODS:
        raise ReferenceSolutionError(
            f"reference.method: expected one of {', '.join(_METHODS)}, found {method!r}."
        )
    return _METHODS[method](fields)


def periodic_of(
    entry: Mapping[str, Any], numbers: Mapping[str, float], parse: Parse
) -> PeriodicReference:
    """Fourier ETDRK4 by ``reference.etdrk4``, which Cole-Hopf entries have for comparison.

    Args and errors: see ``reference_of``.
    """
    return _periodic(Fields(entry, numbers, parse))


def _periodic(fields: Fields) -> PeriodicReference:
    common = _common(fields)
    names = fields.value("reference.aux_outputs") if fields.has("reference.aux_outputs") else {}
    equation, identity = _equation(fields, common)
    return PeriodicReference(
        **common,
        auxiliary={
            name: fields.auxiliary(
                f"reference.aux_outputs.{name}", common["main"], common["strip"].coordinate
            )
            for name in names
        },
        equation=equation,
        identity=identity,
    )


def _equation(fields: Fields, common: Mapping[str, Any]) -> tuple[Equation, str]:
    """The equation, and as text all that its solution depends on."""
    k, u, x = sp.symbols("k u x", real=True)
    section = "reference.etdrk4"
    wave, value, place = {"k": k, "I": sp.I}, {common["main"]: u}, {common["strip"].coordinate: x}
    linear = fields.expression(f"{section}.linear_symbol", wave)
    nonlinear = fields.expression(f"{section}.nonlinear_symbol", wave)
    pointwise = fields.expression(f"{section}.pointwise", value)
    initial = fields.expression("reference.initial", place)
    finer = f"{section}.oversample"
    oversample = fields.whole(finer) if fields.has(finer) else 1
    identity = {
        "expressions": [sp.srepr(e) for e in (linear, nonlinear, pointwise, initial)],
        "numbers": {name: float(value) for name, value in fields.numbers.items()},
        "interval": common["strip"].space,
        "points": common["modes"].points,
        "step": common["step"],
        "oversample": oversample,
    }
    equation = Equation(
        fields.callable(linear, [k]),
        fields.callable(nonlinear, [k]),
        fields.callable(pointwise, [u]),
        fields.callable(initial, [x]),
        oversample,
    )
    return equation, json.dumps(identity, sort_keys=True)


def _burgers(fields: Fields) -> BurgersReference:
    common = _common(fields)
    x = sp.Symbol("x", real=True)
    initial = fields.expression("reference.initial", {common["strip"].coordinate: x})
    if sp.simplify(initial + sp.sin(sp.pi * x)) != 0 or common["strip"].space != (-1.0, 1.0):
        raise ReferenceSolutionError(
            "reference.initial: method cole_hopf solves from -sin(pi*x) on [-1, 1], found "
            f"{fields.value('reference.initial')} on {list(common['strip'].space)}."
        )
    viscosity = fields.number("reference.viscosity")
    nodes = fields.whole("reference.quadrature_points")
    if viscosity <= 0 or not 2 <= nodes <= MOST_POINTS:
        raise ReferenceSolutionError(
            f"expected reference.viscosity > 0 and 2 to {MOST_POINTS} "
            "reference.quadrature_points, "
            f"found {viscosity} and {nodes}."
        )
    return BurgersReference(**common, viscosity=viscosity, nodes=nodes)


def _common(fields: Fields) -> dict[str, Any]:
    strip = fields.strip()
    points, step = fields.whole("reference.etdrk4.N"), fields.number("reference.etdrk4.dt")
    if points > MOST_POINTS:
        raise ReferenceSolutionError(
            f"reference.etdrk4.N: expected at most {MOST_POINTS}, found {points}."
        )
    if step > 0 and strip.duration / step > MOST_STEPS:
        raise ReferenceSolutionError(
            f"reference.etdrk4.dt: expected at most {MOST_STEPS} steps, found {step:g}."
        )
    return {
        "strip": strip,
        "main": str(fields.value("reference.main_output")),
        "outputs": tuple(fields.value("outputs")),
        "tolerance": fields.number("reference.tolerance"),
        "modes": Modes(strip.space, points),
        "step": step,
    }


_METHODS: dict[str, Callable[[Fields], Reference]] = {
    "cole_hopf": _burgers,
    "etdrk4_fourier": _periodic,
}
