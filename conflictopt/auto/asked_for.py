"""What a method expression asks of a run: a method, and options."""

from __future__ import annotations

from typing import Any

from ..core.choices import changed
from ..core.errors import MethodError
from ..methods.expression import MethodExpression
from .options import TrainingOptions


def asked_for(method: Any, options: TrainingOptions) -> tuple[Any, TrainingOptions]:
    """A method expression as a method and options; objects are what they are.

    Args:
        method: ``"auto:reweighting=ntk"``, ``"adapters:rank=8+ntk"``, ``"pcgrad"``, or an object.
        options: of the run.

    Returns:
        ``"auto"`` or an object, and the options with those of the expression.

    Raises:
        MethodError: text that is no expression, asks for what only studies have, or names an
            optimizer; an option of ``auto`` or of adapters that the options have too.
    """
    if not isinstance(method, str):
        return method, options
    expression = MethodExpression.parse(method).check_of_a_run().check_no_optimizer()
    options = with_those_of(expression, options)
    return ("auto" if expression.auto else expression.method(options.adapters)), options


def with_those_of(expression: MethodExpression, options: TrainingOptions) -> TrainingOptions:
    """Options of a run, with those that an expression has: for ``auto``, adapters and updates.

    Raises:
        MethodError: a reweighting, adapters or a treatment of updates that both have.
    """
    auto, align = expression.auto, expression.align
    given: dict[str, Any] = {"adapters": expression.design}
    if align is not None:
        given |= align.choices
    if auto is not None:
        given |= {"reweighting": auto.reweighting, "profile_steps": auto.profile_steps}
        given["curvature"] = auto.curvature
    given = {name: value for name, value in given.items() if value is not None}
    once: tuple[str, ...] = ("adapters", "reweighting")
    twice = [n for n in once if n in given and getattr(options, n)]
    if align is not None and options.update != "trust":
        twice.append("update")
    if twice:
        raise MethodError(
            f"expected {', '.join(twice)} once, found it in '{expression.label}' and as an option."
        )
    return changed(options, given)
