"""The measurements of an entry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .entry import Entry
from .spec import LossSpec, SensorSpec

_KNOWN = ("observed", "n_points", "noise", "seed", "layout", "noise_model")


def read_sensors(
    entry: Entry, losses: Sequence[LossSpec], outputs: Sequence[str]
) -> SensorSpec | None:
    """The field ``data``; ``None`` where no member is at the sensors.

    Raises:
        SpecError: data of outputs that there are not, that no member reads, or that a member reads
            and nobody has measured; a bad noise level, seed or number of points.
    """
    described = entry.get("data", dict, {})
    entry.check_keys(described, _KNOWN, "data")
    at_sensors = [ls for ls in losses if any(p.kind == "sensors" for p in ls.places)]
    if not at_sensors:
        if described:
            entry.fail("data", "no member is at the sensors, so nothing reads the data.")
        return None
    observed = entry.item(described, "observed", "data.observed", list, list(outputs))
    known = bool(observed) and all(o in outputs for o in observed)
    if not known or any(observed.count(o) > 1 for o in observed):
        entry.fail("data.observed", f"expected some of {tuple(outputs)}, found {observed}.")
    noise = entry.number(described.get("noise", 0), "data.noise")
    if noise < 0:
        entry.fail("data.noise", f"expected a noise level >= 0, found {noise:g}.")
    for loss in at_sensors:
        _check_loss(entry, loss, described, observed)
    return SensorSpec(tuple(observed), noise, entry.seed(described, "data.seed", 2024))


def _check_loss(
    entry: Entry, loss: LossSpec, described: dict[str, Any], observed: list[str]
) -> None:
    for member in loss.members:
        names = sorted(str(s).lstrip("_") for s in member.expression.free_symbols)
        for name in names:
            kind, _, output = name.partition("_")
            if kind == "data" and output not in observed:
                entry.fail("data.observed", f"'{member.text}' reads '{name}', found {observed}.")
    stated = described.get("n_points", loss.points)
    if len(loss.places) == 1 and stated != loss.points:
        entry.fail("data.n_points", f"{stated} differs from the {loss.points} of '{loss.name}'.")
