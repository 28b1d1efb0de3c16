"""The verdict in plain sentences."""

from __future__ import annotations

from ..diagnosis.numbers import DiagnosisNumbers
from ..diagnosis.pair_statistics import PairStatistics, is_persistent
from ..wording import capital, counted, factor, share
from .glossary import REGIMES

_MOST = 0.5
"""Share of the gradients' lengths from which on most of them survives the sum."""


def headline(diagnosis: DiagnosisNumbers) -> str:
    """The verdict in a few words."""
    if not diagnosis.pairs:
        return "only one loss"
    if diagnosis.too_short:
        return "too short to tell"
    return "too close to call" if diagnosis.too_close else REGIMES[diagnosis.regime]


def explanation(diagnosis: DiagnosisNumbers) -> str:
    """The verdict in a few sentences that need no knowledge of gradients."""
    return _verdict(diagnosis) + _silent(diagnosis)


def _silent(diagnosis: DiagnosisNumbers) -> str:
    """What to look at where a loss never moves the network."""
    names = [f"'{s.name}'" for s in diagnosis.losses if s.norm == 0]
    if not names:
        return ""
    return (
        f" No gradient ever reached the network from {', '.join(names)}: either it was exactly "
        "satisfied all along, or its graph is cut (detach, no_grad, a tensor made anew). Check "
        "that before anything else."
    )


def _verdict(diagnosis: DiagnosisNumbers) -> str:
    if not diagnosis.pairs:
        return "There is only one loss, so nothing can conflict."
    found = _found(diagnosis)
    if diagnosis.too_short:
        enough = diagnosis.thresholds.enough_samples
        return (
            f"The profile has {counted(diagnosis.samples, 'sample')}, and fewer than {enough} "
            f"decide nothing. As far as they go: {found}"
        )
    if diagnosis.too_close:
        likely = sorted(diagnosis.odds.items(), key=lambda item: -item[1])[:2]
        said = " and ".join(f"{share(value)} say '{REGIMES[name]}'" for name, value in likely)
        return (
            "The numbers lie so near to a threshold that the verdict could be another one: of the "
            f"profile's random resamplings {said}. As measured: {found}"
        )
    return found


def _found(diagnosis: DiagnosisNumbers) -> str:
    """What was measured, whatever it is worth."""
    if diagnosis.regime == "persistent":
        return _persistent(diagnosis)
    ratio = factor(diagnosis.norm_ratio)
    if diagnosis.regime == "magnitude":
        text = (
            f"your losses pull with very different strength: {_strength(diagnosis)}. No two losses "
            "keep pulling against each other."
        )
    else:
        text = (
            "no two of your losses keep pulling the network in opposite directions, and they pull "
            f"with similar strength (the strongest gradient is {ratio} times as long as the "
            "weakest)."
        )
    text += _faded(diagnosis.transient_pairs)
    return _sentence(text, diagnosis)


def _persistent(diagnosis: DiagnosisNumbers) -> str:
    worst, t = diagnosis.worst_pair, diagnosis.thresholds
    assert worst is not None
    held = [p for p in diagnosis.pairs if is_persistent(p.conflict_late, p.cosine_late, t)]
    others = [p for p in held if p is not worst]
    who = "two of your losses" if len(diagnosis.losses) > 2 else "your two losses"
    often = f"in {share(worst.conflict_late)} of the samples of {late_steps(diagnosis)}"
    text = (
        f"{who}, '{worst.first}' and '{worst.second}', pull the network in opposite directions "
        f"{often}: a step that served only one would harm the other."
    )
    if len(others) == 1:
        text += f" The same holds for '{others[0].first}' and '{others[0].second}'."
    elif others:
        text += f" The same holds for {len(others)} of the other {len(diagnosis.pairs) - 1} pairs."
    return _sentence(text + _uneven(diagnosis), diagnosis)


def _uneven(diagnosis: DiagnosisNumbers) -> str:
    """What norms that differ by orders add to a conflict."""
    if diagnosis.norm_ratio < diagnosis.thresholds.magnitude_ratio:
        return ""
    text = (
        f" Besides, {_strength(diagnosis)}. Weights answer to that; where it comes from the units "
        "of the equations, scale these first."
    )
    left = diagnosis.agreement.cancellation_late
    if left >= _MOST:
        text += (
            f" {share(left)} of the gradients' lengths survive their sum, so at present the "
            "difference in length shapes the steps rather than the conflict."
        )
    return text


def _strength(diagnosis: DiagnosisNumbers) -> str:
    pulling = [s for s in diagnosis.losses if s.norm > 0]
    strong, weak = (f(pulling, key=lambda s: s.norm) for f in (max, min))
    return (
        f"the strongest gradient is {factor(diagnosis.norm_ratio)} times as long as the weakest, "
        f"so '{strong.name}' dominates the training and '{weak.name}' hardly has a say"
    )


def late_steps(diagnosis: DiagnosisNumbers) -> str:
    """The half of the profile that decides, by its steps."""
    steps = diagnosis.profile.steps
    first, last = int(steps[len(steps) // 2]), int(steps[-1])
    return f"steps {first} to {last}" if last > first else f"step {first}"


def _faded(pairs: tuple[PairStatistics, ...]) -> str:
    if not pairs:
        return ""
    names = [f"'{p.first}' and '{p.second}'" for p in pairs[:2]]
    more = f", and {counted(len(pairs) - 2, 'more pair')}," if len(pairs) > 2 else ""
    return f" Early on {'; '.join(names)}{more} did, but no longer."


def _sentence(text: str, diagnosis: DiagnosisNumbers) -> str:
    # after "As measured: " it goes on in lower case
    return text if diagnosis.too_short or diagnosis.too_close else capital(text)
