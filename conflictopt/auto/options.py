"""What a run may be asked for: how its steps are taken, and how its plan is reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..adapters.design import AdapterDesign
from ..core.aggregator import Aggregator
from ..core.checks import check_count, is_number
from ..core.errors import MethodError
from ..diagnosis.recorder import Recorder, sampling
from ..diagnosis.thresholds import Thresholds
from ..methods.foreign import adopted
from ..optim.options import StepOptions
from ..selection.policy import Policy
from ..selection.rule import Rule


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(StepOptions):
    """Options of a run: of ``MultiLossOptimizer``, of ``patch`` and of the command line.

    Args:
        profile_steps: length of the profile, in optimizer steps. Under L-BFGS one step is a whole
            iteration of the host (up to 1000 inner ones under DeepXDE).
        profile_every: steps between the profile's samples; without it, such that there are 100 of
            them. ``auto`` does nothing on a profile of too few (see ``Thresholds``), and warns.
        record: also profile the first steps of a fixed method; ``auto`` always does.
        reweighting: for ``auto``, the reweighting method of plans, by name or as an object; that
            of the rule unless given. Where the user's own weights of the losses differ, ``auto``
            does nothing unless this, ``adapters`` or ``rule`` is given.
        adapters: design of the adapters of the method, or of every plan of ``auto``; unless given
            the rule decides whether plans have any, and the default one is the method's.
            With a method given as an object, its own routing counts.
        curvature: for ``auto``, whether it may go on with Levenberg-Marquardt after the profile,
            for the time of the steps that are left, where residuals can be read and these are
            enough, whatever the verdict (docs/auto.md).
        steps: how many steps a torch loop takes, for ``auto``: without it nobody knows how long
            Levenberg-Marquardt could go on, and there is none. DeepXDE tells it by itself.
        seconds: for ``auto``, how long the steps of the loop, or of the call of ``train`` in which
            the profile ends, may take together, the profile's among them; unless given, as long as
            plain ones would. Later calls have as much for each of their steps.
        measured: for ``auto``, names of losses that hold noisy measurements: in steps on residuals
            they get less weight once only their noise can be left. Under DeepXDE those at points of
            your own count as such where there are unknowns.
        residual_steps: for ``auto``, the calls after the profile in which steps on residuals are
            taken, and, negative, those in which first-order ones are left out, as
            ``control.residual_steps`` of another run has them (under DeepXDE
            ``controller.residual_steps``, and ``report.json``): instead of by time, which the
            load of a machine changes, so that the run repeats that one.
        rule: what to do in which regime, or a file of it (``conflictopt calibrate`` makes some);
            the one that comes with conflictopt unless given.
        thresholds: for the diagnosis; those of the rule unless given.

    Raises:
        MethodError: a bad value; the message names the option.
        RuleError: a file that is no rule.
    """

    profile_steps: int = 1000
    profile_every: int | None = None
    record: bool = False
    reweighting: str | Aggregator | None = None
    adapters: AdapterDesign | None = None
    curvature: bool = True
    steps: int | None = None
    seconds: float | None = None
    measured: tuple[str, ...] = ()
    residual_steps: Sequence[int] | None = None
    rule: Rule | str | Path | None = None
    thresholds: Thresholds | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("profile_steps", self.profile_steps)
        if self.profile_every is not None:
            check_count("profile_every", self.profile_every)
        if not isinstance(self.curvature, bool):
            raise MethodError(f"expected curvature=True or False, found {self.curvature!r}.")
        if self.steps is not None:
            check_count("steps", self.steps)
        if self.seconds is not None and not (is_number(self.seconds) and self.seconds > 0):
            raise MethodError(f"expected seconds as a number > 0, found {self.seconds!r}.")
        for name in ("steps", "seconds", "measured", "residual_steps"):
            if getattr(self, name) and not self.curvature:
                raise MethodError(f"expected {name} with curvature=True, found curvature=False.")
        if self.residual_steps is not None and not _are_calls(self.residual_steps):
            raise MethodError(
                "expected residual_steps as numbers of calls, from 1, in order, found "
                f"{self.residual_steps!r}."
            )
        if isinstance(self.measured, str) or not all(isinstance(n, str) for n in self.measured):
            raise MethodError(f"expected measured as names of losses, found {self.measured!r}.")

    @property
    def recorder(self) -> Recorder:
        """What takes the profile."""
        return Recorder(self.profile_steps, sampling(self.profile_steps, self.profile_every))

    @property
    def policy(self) -> Policy:
        """How plans are reached and carried out."""
        rule = Rule.load(self.rule) if isinstance(self.rule, (str, Path)) else self.rule
        given = self.reweighting
        by_name = given is None or isinstance(given, str)
        reweighting = given if by_name else adopted("reweighting", given)
        return Policy(reweighting, self.adapters, rule, self.thresholds)


def _are_calls(value: Any) -> bool:
    """Whether they may be those of a run, which may have given up, told by a 0."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return False
    if not all(isinstance(n, int) and not isinstance(n, bool) for n in value):
        return False
    taken, missed = [n for n in value if n > 0], [-n for n in value if n < 0]
    return taken == sorted(taken) and missed == sorted(missed)
