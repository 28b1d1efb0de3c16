"""How to profile again where a profile decides nothing, or too little."""

from __future__ import annotations

from dataclasses import replace

from ..diagnosis.numbers import DiagnosisNumbers
from .parts import Line
from .script import PROFILE_STEPS, Script

_SAMPLES = 100
"""Of a profile that is long enough."""


def again_line(diagnosis: DiagnosisNumbers, script: Script | None) -> Line:
    """A profile of about 100 samples if there were too few, else one twice as long."""
    first, last = diagnosis.steps
    span = last - first + 1
    if script is None:
        steps = max(PROFILE_STEPS, 2 * span)
        return Line("Again", f"Recorder(steps={steps}, every={steps // 100})")
    kept = script.asked
    kept.pop("--profile-every", None)
    steps = 2 * script.profile_steps
    if diagnosis.too_short and (span >= _SAMPLES or _ended_early(diagnosis, script)):
        # more steps are not to be had, or not needed: look at more of them
        steps = max(script.profile_steps, diagnosis.thresholds.enough_samples)
        kept["--profile-every"] = str(max(1, span // _SAMPLES))
    elif diagnosis.too_short:
        steps = max(PROFILE_STEPS, steps)
    words = tuple(word for item in kept.items() for word in item)
    return Line("Again", replace(script, profile_steps=steps, options=words).command("diagnose"))


def _ended_early(diagnosis: DiagnosisNumbers, script: Script) -> bool:
    """Whether training stopped before the profile was complete."""
    steps = diagnosis.profile.steps
    alone = int(script.asked.get("--profile-every", 1))
    interval = int(steps[1] - steps[0]) if len(steps) > 1 else alone
    return diagnosis.steps[1] + interval < script.profile_steps


def longer_words(diagnosis: DiagnosisNumbers, script: Script | None) -> str:
    """What to do where a profile is too short, in sentences."""
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
