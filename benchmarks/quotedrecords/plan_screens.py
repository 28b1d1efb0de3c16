"""What the learning rate is worth, and the candidates for the plan of ``auto``."""

from __future__ import annotations

from collections.abc import Iterator

import learning_rates
import plan_screen
from sections import Number, Part

from conflictopt.experiment.report.statistics.pairing import geometric_mean, problem_ratios

LATE = {
    "ntk": "ntk+after",
    "ntk and pcgrad": "ntk+pcgrad+after",
    "adapters and ntk": "adapters:attach=1000+ntk+after",
    "adapters of weights": "adapters:placement=weights:activation=linear:attach=1000+ntk+after",
}
"""What begins after the profile."""


def plan_screens() -> Iterator[Part]:
    """Numbers of the README and of docs/adapters.md."""
    gains = {r: geometric_mean(v) for r, v in learning_rates.ratios().items()}
    best = min(gains, key=lambda rate: gains[rate])
    yield Number("learning rates: best", f"{best:g}")
    yield Number("learning rates: gain", f"{gains[best]:.2f}")
    yield Number("learning rates: twice", f"{gains[learning_rates.RATES[1]]:.2f}")
    yield Number("learning rates: problems", str(len(learning_rates.PROBLEMS)))
    low, high = (screen.study() for screen in plan_screen.SCREENS)
    core = plan_screen.SCREENS[1].problems
    yield Number("screen: problems", str(len(core)))
    for name, label in LATE.items():
        for rate, study in (("low rate", low), ("cpu", high)):
            found = problem_ratios(study, label, study.baseline)
            if label in study.methods:
                ratio = geometric_mean([found[p] for p in core])
                yield Number(f"screen, {rate}: {name}", f"{ratio:.2f}")
