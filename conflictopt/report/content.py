"""What a report is made from."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..diagnosis.diagnosis import Diagnosis
from ..diagnosis.replay_result import Replay
from ..selection.plan import Plan
from ..selection.rule import Rule
from .advice import Advice, Script, advise


@dataclass(frozen=True)
class Table:
    """A table made elsewhere.

    Attributes:
        title: of its section.
        headings: of its columns.
        rows: cells as text, as many as headings.
        note: what it says, in a sentence or two.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Findings:
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
    """

    diagnosis: Diagnosis
    plan: Plan
    rule: Rule = field(default_factory=Rule.default)
    script: Script | None = None
    done: str = ""
    remarks: tuple[str, ...] = ()
    replays: tuple[Replay, ...] = ()
    notes: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()

    @property
    def advice(self) -> Advice:
        """What to do next."""
        return advise(self.diagnosis, self.plan, self.rule, self.script)
