"""What to do next: in words, as a command, and as a line of code."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ..adapters.design import AdapterDesign
from ..diagnosis.diagnosis import Diagnosis
from ..methods.registry import reads_residuals, summary
from ..selection.plan import Plan
from ..selection.rule import Rule
from .glossary import capital

_STEPS = 1000
"""Of a profile, unless asked otherwise."""
_SAMPLES = 100
"""Of a profile that is long enough."""


@dataclass(frozen=True)
class Script:
    """The script that was profiled, to be run again.

    Attributes:
        path: as it was given.
        arguments: its own command line.
        profile_steps: asked for.
        options: further words for ``conflictopt``, ``("--groups", "each")``.
        auto: further words for ``conflictopt run --method auto`` alone.
        iterations: of its optimizer in one step, at most: many under L-BFGS.
    """

    path: str
    arguments: tuple[str, ...] = ()
    profile_steps: int = _STEPS
    options: tuple[str, ...] = ()
    auto: tuple[str, ...] = ()
    iterations: int = 1

    def command(self, *words: str, steps: int | None = None) -> str:
        """``conflictopt WORD SCRIPT WORDS``, with the options of this profile."""
        steps = self.profile_steps if steps is None else steps
        length = ("--profile-steps", str(steps)) if steps != _STEPS else ()
        own = ("--", *self.arguments) if self.arguments else ()
        first, *others = words
        line = ("conflictopt", first, self.path, *others, *length, *self.options, *own)
        return shlex.join(line)

    @property
    def asked(self) -> dict[str, str]:
        """The further words as options with their values."""
        return dict(zip(self.options[::2], self.options[1::2], strict=True))

    @property
    def plain(self) -> str:
        """The script without conflictopt."""
        return shlex.join(("python", self.path, *self.arguments))


class Line(NamedTuple):
    """Something to copy."""

    label: str
    text: str
    comment: str = ""


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
    diagnosis: Diagnosis, plan: Plan, rule: Rule | None = None, script: Script | None = None
) -> Advice:
    """What to do about a diagnosis.

    Args:
        plan: of the diagnosis.
        rule: which chose it, for its evidence; the default one without.
        script: for commands; without it there are lines of code only.
    """
    if diagnosis.too_short and diagnosis.pairs:
        return Advice(_longer(diagnosis, script), (_again(diagnosis, script),), _basis(plan))
    if plan.left_out is not None:
        action = f"Keep your weights, and train as you do now; or see what '{plan.left_out}' does."
        return Advice(action, _with_weights_kept(plan.left_out, script), _basis(plan))
    action, lines = _action(plan), _lines(plan, script)
    if diagnosis.too_close and diagnosis.pairs:
        action = f"Profile longer to be sure, or take the choice meant for this case. {action}"
        lines = (_again(diagnosis, script), *lines)
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
    if plan.adapters:
        acts.insert(0, "give each loss a small adapter of its own in the network")
    *first, last = acts
    return capital(f"{', '.join(first)}, and {last}." if first else f"{last}.")


def _lines(plan: Plan, script: Script | None) -> tuple[Line, ...]:
    if plan.kind == "none":
        return (Line("Run", script.plain),) if script is not None else ()
    if script is None:
        return (_patch(plan), *_loop(plan))
    auto = ("run", "--method", "auto", *script.auto)
    return (
        Line("Run", script.command(*auto), "profiles, then does this"),
        Line(
            "Compare",
            script.command(*auto, "--against", "none"),
            "trains without it too: does it help?",
        ),
        _patch(plan),
    )


def _patch(plan: Plan) -> Line:
    """The plan from the first step on, under DeepXDE."""
    design = _words(plan.design)[2:]
    adapters = f", adapters=AdapterDesign({design})" if design else ""
    # docs/evidence.md: without a plain start the plan did worse, on one problem by far
    comment = "from the first step on; after plain steps, as auto does it, is safer"
    return Line("DeepXDE", f"patch(model, {_method(plan)}{adapters})", comment)


def _loop(plan: Plan) -> list[Line]:
    """The plan from the first step on, in a training loop."""
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


def _again(diagnosis: Diagnosis, script: Script | None) -> Line:
    """A profile of about 100 samples if there were too few, else one twice as long."""
    first, last = diagnosis.steps
    span = last - first + 1
    if script is None:
        steps = max(_STEPS, 2 * span)
        return Line("Again", f"Recorder(steps={steps}, every={steps // 100})")
    kept = script.asked
    kept.pop("--profile-every", None)
    steps = 2 * script.profile_steps
    if diagnosis.too_short and (span >= _SAMPLES or _ended_early(diagnosis, script)):
        # more steps are not to be had, or not needed: look at more of them
        steps = max(script.profile_steps, diagnosis.thresholds.enough_samples)
        kept["--profile-every"] = str(max(1, span // _SAMPLES))
    elif diagnosis.too_short:
        steps = max(_STEPS, steps)
    words = tuple(word for item in kept.items() for word in item)
    return Line("Again", replace(script, profile_steps=steps, options=words).command("diagnose"))


def _ended_early(diagnosis: Diagnosis, script: Script) -> bool:
    """Whether training stopped before the profile was complete."""
    steps = diagnosis.profile.steps
    alone = int(script.asked.get("--profile-every", 1))
    interval = int(steps[1] - steps[0]) if len(steps) > 1 else alone
    return diagnosis.steps[1] + interval < script.profile_steps


def _longer(diagnosis: Diagnosis, script: Script | None) -> str:
    enough, now = diagnosis.thresholds.enough_samples, "Until then train as you do now."
    steps = diagnosis.steps[1] - diagnosis.steps[0] + 1
    if script is None or steps >= enough or not _ended_early(diagnosis, script):
        return f"Take a profile with more samples. {now}"
    if script.iterations > 1:
        return (
            "The script trains with L-BFGS, whose iterations are no steps of their own: one step "
            f"of the optimizer is up to {script.iterations} of them. Compile and train with Adam "
            f"first, as is usual, for at least {enough} steps, and take a sample in each; or make "
            "steps shorter, before the model is compiled: "
            f'dde.optimizers.LBFGS_options["iter_per_step"] = 20, with at least {20 * enough} '
            f"iterations in all. {now}"
        )
    return f"Let the script train for at least {enough} steps, and take a sample in each. {now}"


def evidence_of(diagnosis: Diagnosis, plan: Plan, rule: Rule | None = None) -> str:
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
