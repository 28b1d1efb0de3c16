"""A problem as text."""

from __future__ import annotations

from collections.abc import Iterator

from .spec import ProblemSpec


def describe(spec: ProblemSpec) -> str:
    """Domain, losses with their equations and conditions, solution, unknowns, points, network."""
    return "\n".join(_lines(spec))


def _lines(spec: ProblemSpec) -> Iterator[str]:
    yield f"{spec.id}: {spec.title}"
    yield f"  family: {spec.family}, K={len(spec.losses)}, outputs {', '.join(spec.outputs)}"
    yield f"  domain: {_domain(spec)}"
    yield from _named("parameters", spec.raw.get("parameters"))
    for name, u in spec.unknowns.items():
        yield f"  unknown {name}: starts at {u.start:g}, true value {u.true:g}"
    for name in spec.fields:
        yield f"  unknown field: {name}, an output of the network"
    yield from _named("definitions", spec.raw.get("definitions"))
    for loss in spec.losses:
        yield f"  loss {loss.name}, {loss.points} points (small run: {loss.points_small}):"
        for m in loss.members:
            where = "" if m.place.kind == "interior" else f" at {m.place.label}"
            yield f"    {m.text} = 0{where}"
    yield from _solution(spec)
    if spec.sensors is not None:
        observed = ", ".join(spec.sensors.observed)
        yield f"  data: {observed}, Gaussian noise of {spec.sensors.noise:.3g} standard deviations"
    net = spec.network
    yield f"  network: {net.hidden_layers} hidden layers of {net.width}, {net.activation}"
    if spec.notes:
        yield f"  note: {spec.notes}"


def _domain(spec: ProblemSpec) -> str:
    g = spec.geometry
    sides = zip(g.names, g.lower, g.upper, strict=True)
    intervals = [f"{n} in [{a:.6g}, {b:.6g}]" for n, a, b in sides]
    if len(intervals) > 8:
        intervals = [*intervals[:2], "...", *intervals[-2:]]
    kind = spec.raw["geometry"]["type"]
    return f"{kind}; {', '.join(intervals)}"


def _named(what: str, values: object) -> Iterator[str]:
    if isinstance(values, dict) and values:
        yield f"  {what}: " + ", ".join(f"{n} = {v}" for n, v in values.items())


def _solution(spec: ProblemSpec) -> Iterator[str]:
    if spec.reference is not None:
        yield f"  reference: {spec.reference.get('resolution', spec.reference['method'])}"
        return
    for output in spec.outputs:
        yield f"  exact solution: {output} = {spec.raw['exact'][output]}"
