"""The calibration: thresholds, a method for each situation, and what they are worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...diagnosis.thresholds import Thresholds
from ...selection.rule import SITUATIONS, Rule
from ..study_report.statistics.ratios import Ratio, ratio_of
from .calibration_error import CalibrationError
from .cells import TOO_SHORT
from .choosing import default_of, divided, fit
from .evidence import Evidence
from .grid import grid
from .held_out import always, best_setting, grouped, settings
from .outcome import Calibration, Worth
from .writing import rule_of, situation_result, thresholds_sentence, verdict_of


def calibrate(
    evidence: Evidence,
    base: Rule | None = None,
    tried: Sequence[Thresholds] | None = None,
) -> Calibration:
    """Fit a rule to the records of a study.

    Every problem counts once, with the mean over its seeds of the logarithm of its error relative
    to plain training's. The default is what ``default_of`` says of all problems; a
    situation departs from it only as ``fit`` says, the thresholds from those of ``base`` only as
    ``best_setting`` says. A profile too short to decide gets no treatment.

    Args:
        evidence: of ``gather``.
        base: the rule whose thresholds are begun from; the one that comes with conflictopt unless
            given.
        tried: other thresholds than those; their ``grid`` unless given.

    Raises:
        CalibrationError: every profile is too short to decide.
    """
    base = Rule.default() if base is None else base
    others = grid(base.thresholds) if tried is None else tried
    found = settings(evidence, tuple(dict.fromkeys([base.thresholds, *others])))
    short = sum(s == TOO_SHORT for s in found[0].where)
    if short == len(found[0].where):
        raise CalibrationError(
            f"expected profiles of at least {base.thresholds.enough_samples} samples, found none "
            f"among {short}: choose a longer budget."
        )
    taken = best_setting(evidence, found)
    setting = found[taken.index]
    every = np.arange(len(evidence.problems))
    parts = divided(evidence, setting.where)
    choices = fit(evidence, parts, every)
    default = evidence.labels[default_of(evidence, every)]
    results = tuple(
        situation_result(evidence, parts[name], choices[name], default) for name in SITUATIONS
    )
    sentence = thresholds_sentence(len(found), taken)
    worth = _worth(evidence, taken.logs)
    return Calibration(
        rule=rule_of(evidence, base, setting.thresholds, results, sentence),
        default=default,
        situations=results,
        choices=choices,
        thresholds=sentence,
        worth=worth,
        verdict=verdict_of(worth, default, results),
        evidence=evidence,
    )


def _worth(evidence: Evidence, logs: NDArray[np.float64]) -> Worth:
    usual = always(evidence)
    oracle = evidence.means.min(axis=0)
    return Worth(
        _ratio(grouped(evidence, logs)),
        _ratio(grouped(evidence, usual)),
        _ratio([[value] for value in oracle.tolist()]),
        _ratio(grouped(evidence, logs - usual)),
    )


def _ratio(groups: list[list[float]]) -> Ratio:
    found = ratio_of(groups, 0)
    assert found is not None
    return found
