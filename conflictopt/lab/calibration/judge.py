"""What a given rule is worth on records that it was not fitted to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...selection.plan_template import PlanTemplate
from ...selection.rule import Rule
from ..study_report.statistics.ratios import Ratio, ratio_of
from .calibration_error import CalibrationError
from .cells import TOO_SHORT, situations
from .evidence import Evidence
from .held_out import grouped


@dataclass(frozen=True)
class Judgement:
    """A rule on the records of a study.

    Attributes:
        against: per candidate the rule's errors over those of always choosing that; ``none`` is
            plain training.
        runs: per situation, ``too_short`` included, how many runs were in it.
    """

    against: Mapping[str, Ratio]
    runs: Mapping[str, int]


def judge(evidence: Evidence, rule: Rule) -> Judgement:
    """Compare what a rule would have chosen with every candidate, each problem counting once.

    Nothing is fitted: on records that the rule was not made from, the ratios are without the
    optimism of a choice among candidates; the best of these, picked with hindsight, has it.

    Raises:
        CalibrationError: a plan of the rule is none of the candidates, where it is needed.
    """
    where = situations(evidence, rule.thresholds)
    plans = {**rule.plans, TOO_SHORT: PlanTemplate("none")}
    chosen = {name: _candidate(evidence, name, plans[name]) for name in dict.fromkeys(where)}
    runs = np.arange(len(where))
    logs = evidence.logs[[chosen[name] for name in where], runs]
    against = {}
    for m, label in enumerate(evidence.labels):
        ratio = ratio_of(grouped(evidence, logs - evidence.logs[m]), 0)
        assert ratio is not None
        against[label] = ratio
    return Judgement(against, dict(Counter(where)))


def _candidate(evidence: Evidence, situation: str, template: PlanTemplate) -> int:
    if template not in evidence.templates:
        raise CalibrationError(
            f"expected runs of the rule's plan for '{situation}', {template} with design "
            f"{dict(template.design)}, found those of {', '.join(evidence.labels)}."
        )
    return evidence.templates.index(template)
