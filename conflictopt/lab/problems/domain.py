"""Domain, geometry and places of an entry."""

from __future__ import annotations

import json
from typing import Any

from .entry import Entry
from .geometry import Box, Geometry, Shell
from .regions import Place

BOXES = ("interval", "rectangle", "cuboid", "hypercube", "box")
_DIMENSIONS = {"interval": 1, "rectangle": 2, "cuboid": 3}
GEOMETRIES = (*BOXES, "ball", "annulus")


def read_geometry(entry: Entry, inputs: tuple[str, ...]) -> Geometry:
    """The fields ``domain`` and ``geometry``.

    Raises:
        SpecError: intervals that are missing or empty, or an unknown geometry.
    """
    domain = entry.get("domain", dict)
    if set(domain) != set(inputs):
        entry.fail("domain", f"expected an interval for each of {inputs}, found {tuple(domain)}.")
    bounds = []
    for name in inputs:
        field = f"domain.{name}"
        pair = domain[name]
        if not isinstance(pair, list) or len(pair) != 2:
            entry.fail(field, f"expected [low, high], found {pair!r}.")
        low, high = (entry.number(v, field) for v in pair)
        if not low < high:
            entry.fail(field, f"expected low < high, found {pair}.")
        bounds.append((low, high))
    lower, upper = (tuple(b[k] for b in bounds) for k in (0, 1))
    described = entry.get("geometry", dict)
    kind = entry.item(described, "type", "geometry.type", str)
    if kind not in GEOMETRIES:
        entry.fail("geometry.type", f"expected one of {', '.join(GEOMETRIES)}, found '{kind}'.")
    entry.check_keys(described, ("type", "centre", "radius", "radii"), "geometry")
    space = [i for i, n in enumerate(inputs) if n != "t"]
    if not space:
        entry.fail(
            "inputs",
            "expected at least one space input beside 't', found 't' alone. For an ordinary "
            "differential equation call the input something else, say 's'; the initial value is "
            'then given at a face, {"s": 0}.',
        )
    if kind in BOXES:
        if _DIMENSIONS.get(kind, len(space)) != len(space):
            entry.fail("geometry.type", f"{len(space)} space inputs make no {kind}.")
        return Box(inputs, lower, upper)
    if kind == "ball":
        if described.get("radius") is None:
            entry.fail("geometry.radius", "missing; expected a number.")
        radii = (0.0, entry.number(described["radius"], "geometry.radius"))
    else:
        given = entry.item(described, "radii", "geometry.radii", list)
        if len(given) != 2:
            entry.fail("geometry.radii", f"expected [inner, outer], found {given}.")
        radii = tuple(entry.number(r, "geometry.radii") for r in given)  # type: ignore[assignment]
    if not 0 <= radii[0] < radii[1]:
        entry.fail("geometry", f"expected 0 <= inner radius < outer radius, found {radii}.")
    if len(space) < 2:
        entry.fail("geometry.type", f"a {kind} needs at least two space inputs.")
    centre = _centre(entry, described, len(space))
    for i, c in zip(space, centre, strict=True):
        if c - radii[1] < lower[i] - 1e-9 or c + radii[1] > upper[i] + 1e-9:
            entry.fail("geometry", f"the {kind} sticks out of the domain in '{inputs[i]}'.")
    return Shell(inputs, lower, upper, centre, *radii)


def _centre(entry: Entry, described: dict[str, Any], m: int) -> tuple[float, ...]:
    given = described.get("centre", "0")
    values = given if isinstance(given, list) else [given] * m
    if len(values) != m:
        entry.fail("geometry.centre", f"expected {m} coordinates, found {values}.")
    return tuple(entry.number(v, "geometry.centre") for v in values)


def read_place(entry: Entry, at: Any, field: str, geometry: Geometry) -> Place:
    """The field ``at`` of a member.

    Raises:
        SpecError: a place that the geometry does not have.
    """
    label = at if isinstance(at, str) else json.dumps(at)
    if at in ("interior", "sensors"):
        return Place(at, label)
    if at == "boundary":
        if isinstance(geometry, Shell):
            signs = [(geometry.outer, 1)] + ([(geometry.inner, -1)] if geometry.inner else [])
            return Place("spheres", label, spheres=tuple(signs))
        return Place("faces", label, faces=_both_faces(geometry, geometry.space))
    if not isinstance(at, dict) or len(at) != 1:
        entry.fail(
            field,
            "expected interior, sensors, boundary, {input: value}, {faces_of: [inputs]}, "
            f"{{input: [low, high]}} or {{circle: radius}}, found {label}.",
        )
    ((key, value),) = at.items()
    if key == "circle":
        return _circle(entry, value, field, label, geometry)
    if isinstance(geometry, Shell) and key != "t":
        entry.fail(field, f"a {entry.content['geometry']['type']} has no faces, found {label}.")
    if key == "faces_of":
        return Place("faces", label, faces=_faces_of(entry, value, field, geometry))
    if key not in geometry.names:
        entry.fail(field, f"'{key}' is not an input ({', '.join(geometry.names)}).")
    i = geometry.names.index(key)
    if isinstance(value, list):
        if key == "t":
            entry.fail(field, "nothing is periodic in time here: expected a space input.")
        ends = tuple(entry.number(v, field) for v in value)
        if ends != (geometry.lower[i], geometry.upper[i]):
            entry.fail(field, f"expected the two ends of the domain in {key}, found {value}.")
        return Place("pair", label, faces=((i, ends[0], 0), (i, ends[1], 0)))
    return Place("faces", label, faces=((i, *_plane(entry, i, value, field, geometry)),))


def _plane(entry: Entry, i: int, text: Any, field: str, geometry: Geometry) -> tuple[float, int]:
    value = entry.number(text, field)
    low, high = geometry.lower[i], geometry.upper[i]
    if not low <= value <= high:
        entry.fail(field, f"{geometry.names[i]}={text} lies outside [{low:g}, {high:g}].")
    if geometry.names[i] == "t":
        if value != low:
            entry.fail(field, f"expected the start of the time interval, t={low:g}, found {text}.")
        return value, 0
    return value, (value == high) - (value == low)


def _both_faces(geometry: Geometry, inputs: list[int]) -> tuple[tuple[int, float, int], ...]:
    pairs = [((i, geometry.lower[i], -1), (i, geometry.upper[i], 1)) for i in inputs]
    return tuple(face for pair in pairs for face in pair)


def _faces_of(
    entry: Entry, value: Any, field: str, geometry: Geometry
) -> tuple[tuple[int, float, int], ...]:
    known = [geometry.names[i] for i in geometry.space]
    good = isinstance(value, list) and value and all(n in known for n in value)
    if not good or len(set(value)) < len(value):
        entry.fail(field, f"expected faces_of a list of space inputs ({known}), found {value!r}.")
    return _both_faces(geometry, [geometry.names.index(n) for n in value])


def _circle(entry: Entry, value: Any, field: str, label: str, geometry: Geometry) -> Place:
    if not isinstance(geometry, Shell):
        entry.fail(field, "a circle needs the geometry annulus or ball.")
    radius = entry.number(value, field)
    if radius not in (geometry.inner, geometry.outer) or radius <= 0:
        entry.fail(
            field, f"expected a radius of {geometry.inner:g} or {geometry.outer:g}, found {value}."
        )
    return Place("spheres", label, spheres=((radius, 1 if radius == geometry.outer else -1),))
