"""Parameters, unknowns, definitions and the exact solution of an entry, as expressions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from .entry import Entry
from .jets import Jets
from .language import Reader
from .scope import Scope, derivative_of
from .spec import Unknown

_UNKNOWN = ("kind", "true", "init")


@dataclass(frozen=True)
class Names:
    """What the expressions of an entry may use beside inputs and outputs.

    Attributes:
        symbolic: parameters, unknowns as symbols, and definitions.
        parameters: values of the parameters.
        unknowns: the scalar unknowns.
        fields: outputs that are unknown fields.
        exact: per output the exact solution, at the true unknowns; empty without a closed form.
    """

    symbolic: Mapping[str, sp.Expr]
    parameters: Mapping[str, float]
    unknowns: Mapping[str, Unknown]
    fields: tuple[str, ...]
    exact: Mapping[str, sp.Expr]


def read_names(entry: Entry, jets: Jets) -> Names:
    """The fields ``parameters``, ``unknowns``, ``definitions`` and ``exact``.

    Raises:
        SpecError: a name used twice, or an expression that is not of the language.
    """
    taken = [*jets.inputs, *jets.outputs]
    for field in ("outputs", "parameters", "unknowns", "definitions"):
        given = entry.content.get(field)
        for name in given if isinstance(given, (list, dict)) else ():
            _check_unambiguous(entry, field, name, jets)
    parameters = _parameters(entry, taken)
    unknowns, fields = _unknowns(entry, jets, [*taken, *parameters], parameters)
    symbols = {n: u.symbol for n, u in unknowns.items()}
    true = {n: entry.read(Reader(parameters), _true(entry, n), f"unknowns.{n}") for n in unknowns}
    taken += [*parameters, *unknowns]
    symbolic = _definitions(entry, jets, {**parameters, **symbols}, taken)
    at_truth = _definitions(entry, jets, {**parameters, **true}, taken)
    numbers = {n: entry.value(v, v, f"parameters.{n}") for n, v in parameters.items()}
    return Names(symbolic, numbers, unknowns, fields, _exact(entry, jets, at_truth))


def _check_unambiguous(entry: Entry, field: str, name: Any, jets: Jets) -> None:
    """A name that reads like a derivative, a solution or data would hide it."""
    head, _, tail = str(name).rpartition("_")
    first, _, rest = str(name).partition("_")
    if first in ("exact", "data") and rest in jets.outputs:
        entry.fail(field, f"'{name}' stands for the {first} values of '{rest}' already.")
    if head in jets.outputs and derivative_of(tail, jets.inputs) is not None:
        entry.fail(field, f"'{name}' stands for a derivative of '{head}' already.")


def _parameters(entry: Entry, taken: list[str]) -> dict[str, sp.Expr]:
    found: dict[str, sp.Expr] = {}
    for name, text in entry.get("parameters", dict, {}).items():
        field = f"parameters.{name}"
        entry.names(field, [name], [*taken, *found])
        found[name] = entry.read(Reader(found), text, field)
        entry.value(found[name], text, field)
    return found


def _unknowns(
    entry: Entry, jets: Jets, taken: list[str], parameters: Mapping[str, sp.Expr]
) -> tuple[dict[str, Unknown], tuple[str, ...]]:
    scalars: dict[str, Unknown] = {}
    fields = []
    for name, described in entry.get("unknowns", dict, {}).items():
        path = f"unknowns.{name}"
        entry.check_keys(described if isinstance(described, dict) else {}, _UNKNOWN, path)
        kind = entry.item(described, "kind", f"{path}.kind", str)
        if kind == "field":
            if name not in jets.outputs:
                entry.fail(path, f"an unknown field is an output of the network: {jets.outputs}.")
            fields.append(name)
            continue
        if kind != "scalar":
            entry.fail(f"{path}.kind", f"expected 'scalar' or 'field', found '{kind}'.")
        entry.names(path, [name], [*taken, *scalars])
        true, start = (
            entry.number(described.get(key), f"{path}.{key}", parameters)
            for key in ("true", "init")
        )
        scalars[name] = Unknown(sp.Symbol(name, real=True), true, start)
    return scalars, tuple(fields)


def _true(entry: Entry, name: str) -> Any:
    return entry.get("unknowns", dict)[name]["true"]


def _definitions(
    entry: Entry, jets: Jets, names: Mapping[str, sp.Expr], taken: list[str]
) -> dict[str, sp.Expr]:
    found = dict(names)
    inputs_only = Jets(jets.inputs, ())
    for name, text in entry.get("definitions", dict, {}).items():
        field = f"definitions.{name}"
        entry.names(field, [name], [n for n in [*taken, *found] if n != name])
        if name in taken or name in names:
            entry.fail(field, f"the name '{name}' is used twice.")
        found[name] = entry.read(Scope(inputs_only, found, {}), text, field)
    return found


def _exact(entry: Entry, jets: Jets, names: Mapping[str, sp.Expr]) -> dict[str, sp.Expr]:
    given = entry.get("exact", dict, {})
    if not given:
        return {}
    if set(given) != set(jets.outputs):
        entry.fail("exact", f"expected a solution for each of {jets.outputs}, found {list(given)}.")
    scope = Scope(Jets(jets.inputs, ()), names, {})
    return {o: entry.read(scope, given[o], f"exact.{o}") for o in jets.outputs}
