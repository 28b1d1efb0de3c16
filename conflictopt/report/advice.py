"""What to do next: in words, as a command, and as a line of code."""

from __future__ import annotations

from dataclasses import dataclass

from ..diagnosis.numbers import DiagnosisNumbers
from ..methods.registry import summary
from ..selection.plan import Plan
from ..selection.rule import Rule
from ..wording import capital
from .longer_profile import again_line, longer_words
from .parts import Line
from .plan_code import loop_lines, patch_line
from .script import Script


@dataclass(frozen=True)
class Advice:
    """What to do next.

    Attributes:
        action: in a sentence.
        lines: commands and code that do it.
        basis: what the choice rests on, in sentences.
    """

    action: str
    lines: tuple[Line, ...]
    basis: str


def advise(
    diagnosis: DiagnosisNumbers, plan: Plan, rule: Rule | None = None, script: Script | None = None
) -> Advice:
    """What to do about a diagnosis.

    Args:
        plan: of the diagnosis.
        rule: which chose it, for its evidence; the default one without.
        script: for commands; without it there are lines of code only.
    """
    if diagnosis.too_short and diagnosis.pairs:
        return Advice(
            longer_words(diagnosis, script), (again_line(diagnosis, script),), _basis(plan)
        )
    if plan.left_out is not None:
        action = f"Keep your weights, and train as you do now; or see what '{plan.left_out}' does."
        return Advice(action, _with_weights_kept(plan.left_out, script), _basis(plan))
    action, lines = _action(plan), _lines(plan, script)
    if diagnosis.too_close and diagnosis.pairs:
        told = "Until then train as you do now." if plan.kind == "none" else action
        action = f"Profile longer to be sure. {told}"
        lines = (again_line(diagnosis, script), *lines)
    return Advice(action, lines, _basis(plan, evidence_of(diagnosis, plan, rule)))


def _with_weights_kept(reweighting: str, script: Script | None) -> tuple[Line, ...]:
    if script is None:
        return ()
    option = ("--option", f"reweighting={reweighting}")
    words = ("run", "--method", "auto", *script.auto, *option, "--against", "none")
    comment = "trains with other weights, and without"
    return (Line("Run", script.plain), Line("Compare", script.command(*words), comment))


def _action(plan: Plan) -> str:
    if plan.kind == "none":
        return "Nothing needs to be changed; train as you do now."
    does = {
        plan.reweighting: "weight the losses",
        plan.surgery: "combine their gradients",
    }
    acts = [f"let '{name}' {act} ({summary(name)})" for name, act in does.items() if name]
    if plan.curvature:
        acts.insert(0, "step on the residuals of all losses together (Levenberg-Marquardt)")
    if plan.adapters:
        acts.insert(0, "give each loss a small adapter of its own in the network")
    *first, last = acts
    return capital(f"{', '.join(first)}, and {last}." if first else f"{last}.")


def _lines(plan: Plan, script: Script | None) -> tuple[Line, ...]:
    if plan.kind == "none":
        return (Line("Run", script.plain),) if script is not None else ()
    if script is None:
        return (patch_line(plan), *loop_lines(plan))
    auto = ("run", "--method", "auto", *script.auto)
    return (
        Line("Run", script.command(*auto), "profiles, then does this"),
        Line(
            "Compare",
            script.command(*auto, "--against", "none"),
            "trains without it too: does it help?",
        ),
        patch_line(plan),
    )


def evidence_of(diagnosis: DiagnosisNumbers, plan: Plan, rule: Rule | None = None) -> str:
    """What justifies the rule's plan for a diagnosis; empty where the plan is another one."""
    rule, situation = rule or Rule.default(), diagnosis.situation
    if situation is None or str(plan) != str(rule.plans[situation]):
        return ""
    return rule.evidence.get(f"plans.{situation}", "")


def _basis(plan: Plan, evidence: str = "") -> str:
    text = capital(plan.reason)
    if evidence and evidence not in text:
        text += f" Evidence for the choice: {evidence}"
    if plan.kind != "none":
        text += " Whether it helps on this problem only a comparison with the plain run tells."
    return text
