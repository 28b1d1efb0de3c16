"""Which methods of a study a plan can carry out."""

from __future__ import annotations

from typing import cast

from ...core.aggregator import PointReweighting
from ...core.errors import MethodError
from ...methods.expression import MethodExpression
from ...methods.registry import method_class
from ...selection.plan_template import PlanKind, PlanTemplate

PLAIN = "none"
"""Label of the unmodified run: what ratios are to, and where profiles are from."""
_BESIDE = ("adapters", "after")
"""Members of an expression beside the method proper."""


def template_of(label: str) -> PlanTemplate | str:
    """The plan that does what a method of a study does.

    ``none`` is no treatment; the name of a reweighting or surgery method, or one of each, is that;
    ``adapters...+NAME`` is adapters of that design with it; ``after`` and ``attach`` say when,
    which a plan does not.

    Returns:
        The template, or why there is none.
    """
    try:
        expression = MethodExpression.parse(label)
    except MethodError as error:
        return f"cannot be read: {error}"
    if expression.auto is not None:
        return "it is what a diagnosis chose"
    if expression.wide is not None:
        return "a wider network is no plan"
    body = expression.adapters
    rest = [m for m in expression.members if m.name not in _BESIDE]
    if rest[0].name == PLAIN:
        return PlanTemplate("none") if body is None else "no plan has adapters alone"
    if any(m.given for m in rest):
        return "plans take a method at its defaults"
    methods = {method_class(m.name).family: m.name for m in rest}
    if len(methods) < len(rest) or not methods.keys() <= {"reweighting", "surgery"}:
        return "a plan has one reweighting and one surgery at most"
    if issubclass(method_class(rest[0].name), PointReweighting):
        return "no plan weights points"
    parts = ["adapters"] * (body is not None) + sorted(methods)
    design = body.design.changes if body is not None else {}
    kind = cast(PlanKind, " + ".join(parts))
    try:
        return PlanTemplate(kind, methods.get("reweighting"), design, methods.get("surgery"))
    except MethodError as error:
        return f"no plan can carry it out: {error}"


def follows(label: str) -> bool:
    """Whether a method begins after plain steps, as a plan does."""
    return label == PLAIN or MethodExpression.parse(label).after > 0
