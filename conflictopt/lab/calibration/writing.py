"""What a calibration found, in words and as a rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from ...diagnosis.thresholds import Thresholds
from ...selection.rule import Rule
from ..study_report.statistics.bootstrap import ENOUGH_PROBLEMS, Interval
from ..study_report.statistics.ratios import Ratio, ratio_of
from .choosing import Situation, SituationChoice
from .evidence import Evidence
from .grid import VARIED
from .held_out import Taken
from .outcome import SituationResult, Worth


def shown(ratio: Ratio) -> str:
    """``0.62 [0.50, 0.77]``."""
    return f"{ratio.value:.3g}" + bounds(ratio.interval)


def bounds(interval: Interval | None) -> str:
    """`` [0.50, 0.77]``, or nothing."""
    return "" if interval is None else f" [{interval.low:.3g}, {interval.high:.3g}]"


def situation_result(
    evidence: Evidence, part: Situation, choice: SituationChoice, default: str
) -> SituationResult:
    """What a situation gets, the candidates there, and why."""
    here = part.among(np.arange(len(evidence.problems)))
    found = {}
    for m, label in enumerate(evidence.labels):
        ratio = ratio_of([evidence.logs[m, part.runs[p]].tolist() for p in here], 0)
        if ratio is not None:
            found[label] = ratio
    ratios = dict(sorted(found.items(), key=lambda item: item[1].value))
    broken = tuple(
        label for m, label in enumerate(evidence.labels) if evidence.broken[m, here].any()
    )
    chosen = evidence.labels[choice.method]
    why = _why(choice, evidence.labels[choice.best], default)
    return SituationResult(part.name, len(here), ratios, broken, chosen, why)


def _why(choice: SituationChoice, best: str, default: str) -> str:
    if choice.problems == 0:
        return f"no problem was here: {default}, the default"
    if best == default:
        return f"{default}, the default, is best here too"
    if choice.gain is None or choice.level is None:
        return (
            f"{best} is best here, on {choice.problems} problems of the {ENOUGH_PROBLEMS} that a "
            f"test needs: {default}, the default, stays"
        )
    held_out = (
        f"chosen without the problem at hand, the best here has {choice.gain:.3g}"
        f"{bounds(choice.interval)} times the error of {default} "
        f"({100 * choice.level:.4g} % interval)"
    )
    if choice.method == choice.best:
        return f"{held_out}, so {best} takes its place"
    return f"{best} is best here, but {held_out}, so {default}, the default, stays"


def thresholds_sentence(count: int, taken: Taken) -> str:
    """How the thresholds were chosen among so many settings."""
    if count == 1:
        return "kept: no others were tried."
    factor = f"changes held-out errors by the factor {np.exp(taken.gain):.3g}"
    if taken.index:
        return (
            f"fitted: choosing among the {count} settings tried {factor}, with its whole interval "
            "below 1."
        )
    if taken.best == 0:
        return f"kept: none of the {count} settings tried has lower held-out errors."
    return f"kept: choosing among the {count} settings tried {factor}, which is no reliable gain."


def rule_of(
    evidence: Evidence,
    base: Rule,
    thresholds: Thresholds,
    results: Sequence[SituationResult],
    sentence: str,
) -> Rule:
    """The rule, every entry with its evidence."""
    texts = {
        f"thresholds.{name}": sentence
        if name in VARIED
        else f"not varied by the calibration; {base.evidence.get(f'thresholds.{name}', '')}".strip()
        for name in asdict(thresholds)
    }
    template = dict(zip(evidence.labels, evidence.templates, strict=True))
    for r in results:
        numbers = "; ".join(f"{label} {shown(ratio)}" for label, ratio in r.ratios.items())
        texts[f"plans.{r.name}"] = f"{r.why}. " + (
            f"Errors relative to plain training on {r.problems} problems: {numbers}."
            if numbers
            else "No errors to compare."
        )
    return Rule(
        thresholds=thresholds,
        plans={r.name: template[r.chosen] for r in results},
        evidence=texts,
        about=f"made by 'conflictopt calibrate' from {evidence.source}.",
    )


def verdict_of(worth: Worth, default: str, results: Sequence[SituationResult]) -> str:
    """Whether the rule beats always doing the same, and that doing nothing."""
    numbers = (
        f"On problems that had no say in it, the rule has {shown(worth.rule_to_always)} times the "
        f"error of the default, and that {shown(worth.always)} times the error of plain "
        "training."
    )
    interval = worth.rule_to_always.interval
    if all(r.chosen == default for r in results):
        first = f"No rule is shown to beat always choosing {default}, so the rule is that."
    elif interval is not None and interval.high < 1:
        first = f"The rule beats always choosing {default}."
    else:
        first = f"It is not shown that the rule beats always choosing {default}."
    return f"{first} {numbers}"
