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
from .jets import Jets
from .loss_entries import read_losses
from .names import Names, read_names
from .scope import derivative_of
from .sensors import read_sensors
from .spec import NetworkSpec, ProblemSpec
from .specification_errors import SpecError

_NETWORK = (
    *("type", "in", "hidden_layers", "width", "out", "activation", "initializer"),
    "input_scaling",
)


_REFERENCES = ("cole_hopf", "etdrk4_fourier")
_REFERENCE = (
    *("kind", "method", "viscosity", "main_output", "formula", "quadrature_points", "initial"),
    *("resolution", "etdrk4", "tolerance", "form", "aux_outputs"),
)
_SOLVER = ("N", "dt", "linear_symbol", "nonlinear_symbol", "pointwise", "oversample")


def read_file(path: str | Path) -> list[ProblemSpec]:
    """All entries of a specification file.

    Args:
        path: JSON: an object with the list ``configs``, such a list, or a single entry.

    Raises:
        SpecError: no such file, no JSON, no entry, an id that occurs twice, or an entry that
            cannot be used; the message names entry and field.
    """
    path = Path(path)
    try:
        # some editors begin a file with a mark of its encoding
        content = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_unrepeated)
        json.dumps(content, ensure_ascii=False).encode()
    except OSError as error:
        raise SpecError(None, f"file '{path}'", f"cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise SpecError(None, f"file '{path}'", f"is not JSON: {error}.") from None
    if isinstance(content, dict):
        content = content.get("configs", [content])
    if not isinstance(content, list) or not content:
        raise SpecError(
            None, f"file '{path}'", "expected a list 'configs' with at least one entry."
        )
    found: dict[str, ProblemSpec] = {}
    for number, item in enumerate(content):
        spec = read_entry(item, f"configs[{number}]")
        if spec.id in found:
            raise SpecError(spec.id, "id", "occurs twice in the file.")
        found[spec.id] = spec
    return list(found.values())


def read_entry(content: Any, position: str = "configs[0]") -> ProblemSpec:
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
    _check_inputs(entry, inputs)
    jets = Jets(inputs, outputs)
    geometry = read_geometry(entry, inputs)
    names = read_names(entry, jets)
    reference = _reference(entry, names)
    losses = read_losses(entry, jets, geometry, names)
    test = entry.get("test", dict, {})
    entry.check_keys(test, ("sampling", "n", "seed"), "test")
    spec = ProblemSpec(
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


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; of a repeated key, Python would keep the last value without a word."""
    keys = [key for key, _ in pairs]
    twice = sorted({k for k in keys if keys.count(k) > 1})
    if twice:
        raise ValueError(f"the key {twice[0]!r} occurs twice in an object")
    return dict(pairs)


def _check_inputs(entry: Entry, inputs: tuple[str, ...]) -> None:
    if "t" in inputs[:-1]:
        entry.fail("inputs", f"expected time, 't', as the last input, found {inputs}.")
    for name in inputs:
        if derivative_of(name, [n for n in inputs if n != name]) is not None:
            entry.fail("inputs", f"'{name}' is made of other inputs: derivatives are ambiguous.")


def _reference(entry: Entry, names: Names) -> dict[str, Any] | None:
    described = entry.get("reference", dict, {"kind": "closed_form"})
    kind = entry.item(described, "kind", "reference.kind", str)
    if kind not in ("closed_form", "numerical"):
        entry.fail("reference.kind", f"expected closed_form or numerical, found '{kind}'.")
    if kind == "closed_form" and not names.exact:
        entry.fail(
            "exact",
            "missing: expected a closed form, or else the field 'reference' of kind numerical with "
            f"a method among {', '.join(_REFERENCES)}.",
        )
    if kind == "closed_form" or names.exact:
        return None
    method = entry.item(described, "method", "reference.method", str)
    if method not in _REFERENCES:
        entry.fail("reference.method", f"expected one of {_REFERENCES}, found '{method}'.")
    entry.check_keys(described, _REFERENCE, "reference")
    solver = entry.item(described, "etdrk4", "reference.etdrk4", dict)
    entry.check_keys(solver, _SOLVER, "reference.etdrk4")
    return described


def _metric_outputs(entry: Entry, outputs: tuple[str, ...]) -> tuple[str, ...]:
    found = entry.get("metric_outputs", list, list(outputs))
    if not found or any(o not in outputs or found.count(o) > 1 for o in found):
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
    layers = entry.count(described, "hidden_layers", "network.hidden_layers", 4, most=100)
    width = entry.count(described, "width", "network.width", 64, most=10_000)
    return NetworkSpec(layers, width, "tanh")
