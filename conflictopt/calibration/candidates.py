"""Which methods of a study a plan can carry out."""

from __future__ import annotations

from ..core.aggregator import Reweighting
from ..core.errors import MethodError
from ..diagnosis.template import PlanTemplate
from ..experiment.methods import MethodExpression

PLAIN = "none"
"""Label of the unmodified run: what ratios are to, and where profiles are from."""
_BESIDE = ("adapters", "after")
"""Members of an expression beside the method proper."""


def template_of(label: str) -> PlanTemplate | str:
    """The plan that does what a method of a study does.

    ``none`` is no treatment; the name of a reweighting method is that method; ``adapters...+NAME``
    is adapters of that design with it; ``after`` and ``attach`` say when, which a plan does not.

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
    if len(rest) > 1 or not isinstance(expression.aggregator(), Reweighting):
        return "no plan has surgery or a chain of methods"
    if rest[0].given:
        return "plans take a method at its defaults"
    if body is None:
        return PlanTemplate("reweighting", rest[0].name)
    return PlanTemplate("adapters + reweighting", rest[0].name, body.design.changes)


def follows(label: str) -> bool:
    """Whether a method begins after plain steps, as a plan does."""
    return label == PLAIN or MethodExpression.parse(label).after > 0
