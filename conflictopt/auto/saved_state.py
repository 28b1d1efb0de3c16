"""A controller's state as a checkpoint holds it: tensors, numbers and strings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np
import torch

from ..core.errors import CheckpointError
from ..diagnosis.diagnosis import Diagnosis, diagnose
from ..diagnosis.profile import Profile
from ..diagnosis.thresholds import Thresholds
from ..selection.plan import Plan
from .chosen_method import ChosenMethod
from .decision import Decision
from .stage import Stage
from .step_times import StepTimes

VERSION = 1


class Decided(Protocol):
    """What of a ``Controller`` is saved; see there."""

    method: ChosenMethod
    profile: Profile | None
    diagnosis: Diagnosis | None
    plan: Plan | None
    decided: bool
    decisions: list[Decision]
    trained_with: list[tuple[int, str]]
    log: list[str]
    stage: Stage | None
    times: StepTimes
    past_steps: list[int]

    @property
    def residual_steps(self) -> list[int]: ...


def save(decided: Decided) -> dict[str, Any]:
    """What ``load`` goes on from.

    The diagnosis is not saved: it follows from the profile and its thresholds.
    """
    d = decided
    complete = d.profile is not None and d.diagnosis is not None and d.decided
    return {
        "version": VERSION,
        "auto": d.method.auto,
        "profile": _saved(d.profile) if complete and d.profile is not None else None,
        "thresholds": asdict(d.diagnosis.thresholds) if complete and d.diagnosis else None,
        "plan": d.plan.to_json() if complete and d.plan else None,
        "decided": d.decided,
        "decisions": [{"step": e.step, "plan": e.plan.to_json()} for e in d.decisions],
        "trained_with": [list(entry) for entry in d.trained_with],
        "log": list(d.log),
        "stage": None if d.stage is None else d.stage.state_dict(),
        "residual_steps": d.residual_steps,
        "times": None if d.decided else d.times.state_dict(),
    }


def load(decided: Decided, saved: Mapping[str, Any]) -> None:
    """Go on from what ``save`` gave.

    Raises:
        CheckpointError: something else; nothing was changed.
    """
    try:
        if saved["version"] != VERSION:
            raise CheckpointError(
                f"expected the state of 'auto' in version {VERSION}, found {saved['version']}: it "
                "was written by another conflictopt."
            )
        profile = _profile(saved["profile"]) if saved["profile"] is not None else None
        diagnosis = None
        if profile is not None:
            diagnosis = diagnose(profile, Thresholds(**saved["thresholds"]))
        plan = Plan.from_json(saved["plan"]) if saved["plan"] is not None else None
        decisions = [
            Decision(entry["step"], diagnosis, Plan.from_json(entry["plan"]))
            for entry in saved["decisions"]
            if diagnosis is not None
        ]
        trained_with = [(int(step), str(label)) for step, label in saved["trained_with"]]
        fell = bool(saved["decided"])
        log = [str(line) for line in saved["log"]]
        past = [int(n) for n in saved["residual_steps"]]
        times = saved.get("times")
        if times is not None:
            decided.times.load_state_dict(times)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(
            f"expected the state of 'auto' in the checkpoint, found a damaged one: {error!r}."
        ) from error
    decided.profile, decided.diagnosis, decided.plan = profile, diagnosis, plan
    decided.decided, decided.past_steps = fell, past
    decided.decisions, decided.trained_with, decided.log = decisions, trained_with, log


def stage(saved: Mapping[str, Any], make: Callable[[tuple[str, ...]], Stage]) -> Stage:
    """Go on with a stage from what ``save`` gave.

    Args:
        saved: of the stage.
        make: makes one, given the names of losses that hold measurements.

    Raises:
        CheckpointError: something else.
    """
    try:
        made = make(tuple(saved["measured"]["names"]))
        made.load_state_dict(saved)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(
            f"expected steps on residuals in the state of 'auto', found a damaged one: {error!r}."
        ) from error
    return made


def _saved(profile: Profile) -> dict[str, Any]:
    arrays = ("steps", "losses", "gramians", "block_gramians", "updates")
    found = {name: getattr(profile, name) for name in arrays}
    tensors = {n: None if a is None else torch.from_numpy(a.copy()) for n, a in found.items()}
    return {"names": list(profile.names), "blocks": list(profile.blocks), **tensors}


def _profile(saved: Mapping[str, Any]) -> Profile:
    def array(name: str) -> np.ndarray[Any, Any]:
        made: np.ndarray[Any, Any] = saved[name].cpu().numpy().copy()
        return made

    blocks = tuple(saved["blocks"])
    return Profile(
        names=tuple(saved["names"]),
        steps=array("steps"),
        losses=array("losses"),
        gramians=array("gramians"),
        blocks=blocks,
        block_gramians=array("block_gramians") if blocks else None,
        # absent from checkpoints of before updates were looked at
        updates=array("updates") if saved.get("updates") is not None else None,
    )
