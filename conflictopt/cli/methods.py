"""``--method``: a name, or several joined by ``+``."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from ..adapters import AdapterDesign
from ..core.chain import Chain
from ..core.errors import MethodError
from ..methods.registry import METHODS, make, unknown_method

_AUTO_OPTIONS = ("reweighting", "look", "race_steps", "rediagnose_every")
_DESIGN_OPTIONS = tuple(f.name for f in fields(AdapterDesign))
_KNOWN = ("auto", "none", *METHODS)
_OF_STUDIES = ("wide", "after")


def patch_method(text: str, options: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments of ``patch`` for a method.

    Args:
        text: ``auto``, ``none``, a name of the registry, or several of those joined by ``+``, in
            the order of a ``Chain``; ``adapters`` may stand anywhere in it.
        options: of the one method; for ``auto`` and ``adapters``, also beside others, fields of
            the adapters' design.

    Raises:
        MethodError: an unknown method or option, or methods that do not go together.
    """
    names = [name.strip() for name in text.split("+")]
    _check(names, text)
    options = dict(options)
    routed = "auto" in names or "adapters" in names
    chosen = {k: options.pop(k) for k in _DESIGN_OPTIONS if k in options} if routed else {}
    if len(names) == 1 and not routed:
        return {"method": make("sum" if text == "none" else text, **options)}
    known = _AUTO_OPTIONS if text == "auto" else ()
    unknown = [k for k in options if k not in known]
    if unknown:
        raise MethodError(_no_option(text, unknown, (*known, *_DESIGN_OPTIONS) if routed else ()))
    design = AdapterDesign(**chosen)
    # without an option of it no design is asked for: then auto has the rule decide on adapters
    given = {"adapters": design} if chosen else {}
    if len(names) == 1:
        return {"method": text, **given, **options}
    parts = [make(name) for name in names if name != "adapters"]
    # routing is the last of a chain
    parts += [make("adapters", **design.routing_options)] if routed else []
    return {"method": Chain(*parts), **given}


def _check(names: list[str], text: str) -> None:
    if ":" in text:
        raise MethodError(
            f"expected --method as names alone, found '{text}': options of one method go by "
            "--option KEY=VALUE, as often as needed, and methods with options are chained in "
            "Python: patch(model, Chain(make('ntk', momentum=0.5), make('pcgrad')))."
        )
    for name in names:
        if name in _OF_STUDIES:
            raise MethodError(
                f"expected a method of a script, found '{name}', which only studies have: "
                "conflictopt suite run."
            )
        if name not in _KNOWN:
            raise unknown_method(name, _KNOWN)
    alone = [name for name in names if name in ("auto", "none", "sum")]
    if alone and len(names) > 1:
        raise MethodError(f"expected '{alone[0]}' alone, found it among others in '{text}'.")
    if len(set(names)) < len(names):
        raise MethodError(f"expected every method once, found '{text}'.")


def _no_option(text: str, unknown: list[str], known: tuple[str, ...]) -> str:
    if "+" not in text:
        return f"method '{text}' has no option {unknown}; its options: {', '.join(known)}."
    listed = f"an --option of the adapters ({', '.join(known)})" if known else "no --option"
    return (
        f"with several methods expected {listed}, found {unknown}. Methods with "
        "options are chained in Python: "
        "patch(model, Chain(make('ntk', momentum=0.5), make('pcgrad')))."
    )
