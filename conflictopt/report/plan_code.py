"""A plan as lines of code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..adapters.design import AdapterDesign
from ..methods.registry import reads_residuals
from ..selection.plan import Plan
from .parts import Line


def patch_line(plan: Plan) -> Line:
    """The plan from the first step on, under DeepXDE."""
    if plan.curvature:
        return Line("DeepXDE", 'patch(model, "auto")', "profiles, then does this")
    design = _words(plan.design)[2:]
    adapters = f", adapters=AdapterDesign({design})" if design else ""
    # docs/evidence.md: without a plain start the plan did worse, on one problem by far
    comment = "from the first step on; after plain steps, as auto does it, is safer"
    return Line("DeepXDE", f"patch(model, {_method(plan)}{adapters})", comment)


def loop_lines(plan: Plan) -> list[Line]:
    """The plan from the first step on, in a training loop."""
    if plan.curvature:
        made = f"MultiLossOptimizer(LevenbergMarquardt(net), '{plan.reweighting or 'sum'}')"
        return [
            Line("Torch", f"opt = {made}"),
            Line("", "opt.step(lambda: Losses.of_residuals(residuals()))", "in every step"),
        ]
    lines = [Line("Torch", f"opt = MultiLossOptimizer(optimizer, {_method(plan)})")]
    if plan.adapters:
        lines.append(Line("", f"opt.add_adapters(attach(net, losses{_words(plan.design)}))"))
    if plan.reweighting is not None and reads_residuals(plan.reweighting):
        lines.append(Line("", "opt.step(losses, residuals)", "in every step"))
    return lines


def _method(plan: Plan) -> str:
    from ..methods.registry import METHODS

    names = [name for name in (plan.reweighting, plan.surgery) if name]
    if len(names) == 1 and not plan.adapters:
        return f'"{names[0]}"' if names[0] in METHODS else f"{names[0]}(...)"
    made = [f'make("{n}")' if n in METHODS else f"{n}(...)" for n in names]
    if plan.adapters:
        default = AdapterDesign().routing_options
        options = AdapterDesign.from_json(plan.design).routing_options.items()
        routing = _words({k: v for k, v in options if v != default.get(k)})
        made.append(f'make("adapters"{routing})')
    return f"Chain({', '.join(made)})"


def _words(options: Mapping[str, Any]) -> str:
    return "".join(f", {k}={v!r}" for k, v in options.items())
