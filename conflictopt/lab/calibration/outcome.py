"""What a calibration found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...selection.rule import Rule
from ..study_report.statistics.ratios import Ratio
from .choosing import SituationChoice
from .evidence import Evidence


@dataclass(frozen=True)
class SituationResult:
    """One situation.

    Attributes:
        name: of the situation.
        problems: with a run there.
        ratios: per candidate its error relative to plain training's there, lowest first; empty
            without a run.
        broken: candidates that are not eligible there.
        chosen: label of the candidate chosen.
        why: a sentence.
    """

    name: str
    problems: int
    ratios: Mapping[str, Ratio]
    broken: tuple[str, ...]
    chosen: str
    why: str


@dataclass(frozen=True)
class Worth:
    """Geometric-mean errors relative to plain training's, over problems.

    Attributes:
        rule: of the rule fitted without the problem at hand.
        always: of the default, chosen likewise.
        oracle: of the best candidate of each problem, with hindsight.
        rule_to_always: the first over the second.
    """

    rule: Ratio
    always: Ratio
    oracle: Ratio
    rule_to_always: Ratio


@dataclass(frozen=True, eq=False)
class Calibration:
    """A fitted rule, and what it is worth.

    Attributes:
        rule: with its evidence; ``select`` accepts it, and the file it is saved to.
        default: label of what is always done, see ``default_of``.
        situations: all that a rule has plans for.
        choices: per situation, by name.
        thresholds: a sentence on how they were chosen.
        worth: held out, problem by problem.
        verdict: a sentence on whether the rule beats always doing the same.
        evidence: what it was fitted to.
    """

    rule: Rule
    default: str
    situations: tuple[SituationResult, ...]
    choices: Mapping[str, SituationChoice]
    thresholds: str
    worth: Worth
    verdict: str
    evidence: Evidence
