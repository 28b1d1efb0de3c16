"""Losses and their members: where each expression holds, and what it is."""

from __future__ import annotations

from typing import Any

import sympy as sp

from .domain import read_place
from .entry import Entry
from .functions import COMPUTABLE
from .geometry import Geometry
from .jets import Jets
from .names import Names
from .regions import Place
from .scope import Scope
from .spec import LossMember, LossSpec

_PLACES = {
    "pde": ("interior",),
    "data": ("sensors",),
    "periodic": ("pair",),
    "initial": ("faces",),
    "dirichlet": ("faces", "spheres"),
    "neumann": ("faces", "spheres"),
    "robin": ("faces", "spheres"),
    "operator": ("faces", "spheres"),
}


def read_losses(entry: Entry, jets: Jets, geometry: Geometry, names: Names) -> tuple[LossSpec, ...]:
    """The field ``losses``.

    Raises:
        SpecError: a loss or member that cannot be used.
    """
    given = entry.get("losses", list)
    found: list[LossSpec] = []
    for k, described in enumerate(given):
        path = f"losses[{k}]"
        name = entry.item(described, "name", f"{path}.name", str)
        if name in [loss.name for loss in found]:
            entry.fail(f"{path}.name", f"'{name}' names two losses.")
        entry.check_keys(described, ("name", "n_points", "members"), path)
        members = entry.item(described, "members", f"{path}.members", list)
        if not members:
            entry.fail(f"{path}.members", "expected at least one member, found none.")
        read = tuple(
            _member(entry, m, f"{path}.members[{i}]", jets, geometry, names)
            for i, m in enumerate(members)
        )
        full, small = _point_counts(entry, name, described, path)
        found.append(LossSpec(name, read, full, small))
    if not found:
        entry.fail("losses", "expected at least one loss, found none.")
    for field in ("points", "points_small"):
        unknown = set(entry.get(field, dict, {})) - {loss.name for loss in found}
        if unknown:
            entry.fail(field, f"{sorted(unknown)} are no losses: {[ls.name for ls in found]}.")
    return tuple(found)


def _point_counts(entry: Entry, name: str, described: Any, path: str) -> tuple[int, int]:
    """Points of a loss in a full and in a small run; without the latter an eighth."""
    points, small = (entry.get(f, dict, {}) for f in ("points", "points_small"))
    given = entry.count(points, name, f"points.{name}") if name in points else None
    stated = entry.count(described, "n_points", f"{path}.n_points", given)
    if given not in (None, stated):
        entry.fail("points", f"{name}: {points[name]} differs from n_points={stated} of {path}.")
    return stated, entry.count(small, name, f"points_small.{name}", max(1, stated // 8))


def _member(
    entry: Entry, described: Any, path: str, jets: Jets, geometry: Geometry, names: Names
) -> LossMember:
    kind = entry.item(described, "type", f"{path}.type", str)
    entry.check_keys(described, ("type", "at", "expr"), path)
    if kind not in _PLACES:
        entry.fail(f"{path}.type", f"expected one of {', '.join(_PLACES)}, found '{kind}'.")
    if "at" not in described:
        entry.fail(f"{path}.at", "missing; expected where the member holds.")
    place = read_place(entry, described["at"], f"{path}.at", geometry)
    _check_place(entry, kind, place, f"{path}.at", geometry)
    text = entry.item(described, "expr", f"{path}.expr", str)
    normal = None
    if place.has_normal:
        normal = {jets.inputs[i]: jets.value_only(f"normal_{i}") for i in geometry.space}
    scope = Scope(jets, names.symbolic, names.exact, normal)
    expression = entry.read(scope, text, f"{path}.expr")
    _check_expression(entry, kind, expression, text, f"{path}.expr", jets)
    used = [jets.opaque[s] for s in expression.free_symbols if s in jets.opaque]
    if place.kind != "sensors" and any(n.startswith("data_") for n in used):
        entry.fail(f"{path}.expr", f"sensor data away from the sensors in '{text}'.")
    return LossMember(kind, place, text, expression)  # type: ignore[arg-type]


def _check_expression(
    entry: Entry, kind: str, expression: sp.Expr, text: str, field: str, jets: Jets
) -> None:
    keys = [key for s in expression.free_symbols if (key := jets.key(s)) is not None]
    if not keys:
        entry.fail(field, f"no output occurs in '{text}', so nothing can be trained.")
    derived = any(index for _, index in keys)
    if derived and kind == "dirichlet":
        entry.fail(field, f"a dirichlet condition has no derivative, found '{text}'.")
    if not derived and kind in ("neumann", "robin"):
        entry.fail(field, f"a {kind} condition has a derivative, found none in '{text}'.")
    names = {type(f).__name__ for f in expression.atoms(sp.Function)}
    if not names <= COMPUTABLE:
        odd = ", ".join(sorted(names - COMPUTABLE))
        entry.fail(field, f"'{text}' leads to {odd}, which cannot be computed at points.")


def _check_place(entry: Entry, kind: str, place: Place, field: str, geometry: Geometry) -> None:
    if place.kind not in _PLACES[kind]:
        entry.fail(field, f"a member of type {kind} cannot be at {place.label}.")
    times = [i for i, *_ in place.faces if geometry.names[i] == "t"]
    if (kind == "initial") != bool(times) and place.kind == "faces":
        entry.fail(field, f"a member of type {kind} cannot be at {place.label}.")
