"""From a specification file to checked specifications."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .consistency import check_redundant
from .domain import read_geometry
from .entry import Entry
from .errors import SpecError
from .jets import Jets
from .members import read_losses
from .names import Names, read_names
from .sensors import read_sensors
from .spec import NetworkSpec, Spec

_NETWORK = (
    *("type", "in", "hidden_layers", "width", "out", "activation", "initializer"),
    "input_scaling",
)


def read_file(path: str | Path) -> list[Spec]:
    """All entries of a specification file.

    Args:
        path: JSON: an object with the list ``configs``, such a list, or a single entry.

    Raises:
        SpecError: no such file, no JSON, no entry, an id that occurs twice, or an entry that
            cannot be used; the message names entry and field.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(None, f"file '{path}'", f"cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise SpecError(None, f"file '{path}'", f"is not JSON: {error}.") from None
    if isinstance(content, dict):
        content = content.get("configs", [content])
    if not isinstance(content, list) or not content:
        raise SpecError(
            None, f"file '{path}'", "expected a list 'configs' with at least one entry."
        )
    found: dict[str, Spec] = {}
    for number, item in enumerate(content):
        spec = read_entry(item, f"configs[{number}]")
        if spec.id in found:
            raise SpecError(spec.id, "id", "occurs twice in the file.")
        found[spec.id] = spec
    return list(found.values())


def read_entry(content: Any, position: str = "configs[0]") -> Spec:
    """One entry.

    Args:
        content: the entry as JSON has it.
        position: names it in messages as long as its id is not known.

    Raises:
        SpecError: naming the entry, the field and, where there is one, the expression.
    """
    entry = Entry.of(content, position)
    inputs = entry.names("inputs", entry.get("inputs", list))
    outputs = entry.names("outputs", entry.get("outputs", list), inputs)
    jets = Jets(inputs, outputs)
    geometry = read_geometry(entry, inputs)
    names = read_names(entry, jets)
    reference = _reference(entry, names)
    losses = read_losses(entry, jets, geometry, names)
    test = entry.get("test", dict, {})
    entry.check_keys(test, ("sampling", "n", "seed"), "test")
    spec = Spec(
        id=entry.id,
        title=entry.get("title", str, entry.id),
        family=entry.get("family", str, "user"),
        notes=entry.get("notes", str, ""),
        jets=jets,
        geometry=geometry,
        parameters=names.parameters,
        unknowns=names.unknowns,
        fields=names.fields,
        losses=losses,
        metric_outputs=_metric_outputs(entry, outputs),
        exact=names.exact,
        reference=reference,
        network=_network(entry, inputs, outputs),
        sensors=read_sensors(entry, losses, outputs),
        test_points=entry.count(test, "n", "test.n", 10_000),
        test_seed=entry.seed(test, "test.seed", 1234),
        raw=copy.deepcopy(dict(entry.content)),
    )
    check_redundant(entry, spec)
    return spec


def _reference(entry: Entry, names: Names) -> dict[str, Any] | None:
    described = entry.get("reference", dict, {"kind": "closed_form"})
    kind = entry.item(described, "kind", "reference.kind", str)
    if kind not in ("closed_form", "numerical"):
        entry.fail("reference.kind", f"expected closed_form or numerical, found '{kind}'.")
    if kind == "closed_form" and not names.exact:
        entry.fail("exact", "missing: a closed form, or a reference of kind numerical.")
    return described if kind == "numerical" and not names.exact else None


def _metric_outputs(entry: Entry, outputs: tuple[str, ...]) -> tuple[str, ...]:
    found = entry.get("metric_outputs", list, list(outputs))
    if not found or any(o not in outputs for o in found):
        entry.fail("metric_outputs", f"expected some of {outputs}, found {found}.")
    return tuple(found)


def _network(entry: Entry, inputs: Sequence[str], outputs: Sequence[str]) -> NetworkSpec:
    described = entry.get("network", dict, {})
    entry.check_keys(described, _NETWORK, "network")
    for key, expected in (("in", len(inputs)), ("out", len(outputs))):
        if described.get(key, expected) != expected:
            entry.fail(f"network.{key}", f"expected {expected}, found {described[key]}.")
    for key, supported in (
        ("type", "FNN"),
        ("activation", "tanh"),
        ("initializer", "Glorot normal"),
    ):
        if described.get(key, supported) != supported:
            entry.fail(f"network.{key}", f"expected '{supported}', found '{described[key]}'.")
    layers = entry.count(described, "hidden_layers", "network.hidden_layers", 4)
    width = entry.count(described, "width", "network.width", 64)
    return NetworkSpec(layers, width, "tanh")
