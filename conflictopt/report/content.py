"""What a report is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..diagnosis.numbers import DiagnosisNumbers
from ..diagnosis.replay_result import Replay
from ..selection.plan import Plan
from ..selection.rule import Rule
from .advice import Advice, advise
from .parts import ReportTable
from .script import Script
from .trainings import Training


@dataclass(frozen=True)
class ReportContent:
    """A diagnosis with all that its report tells.

    Attributes:
        diagnosis: of the unmodified run.
        plan: chosen by it.
        rule: which chose the plan.
        script: to be run again; ``None`` for a training loop of one's own.
        done: what the run that was profiled did with the plan, in a sentence; empty if it stopped
            there.
        remarks: what else a reader of the verdict should know, in sentences.
        replays: what methods would have chosen along the profile.
        notes: what the report lacks, and why.
        tables: further tables, for the page only.
        trainings: over their seconds, by name: this run's comes last, after those it was compared
            with; none of a run that stopped after the profile.
    """

    diagnosis: DiagnosisNumbers
    plan: Plan
    rule: Rule = field(default_factory=Rule.default)
    script: Script | None = None
    done: str = ""
    remarks: tuple[str, ...] = ()
    replays: tuple[Replay, ...] = ()
    notes: tuple[str, ...] = ()
    tables: tuple[ReportTable, ...] = ()
    trainings: Mapping[str, Training] = field(default_factory=dict)

    @property
    def advice(self) -> Advice:
        """What to do next."""
        return advise(self.diagnosis, self.plan, self.rule, self.script)
