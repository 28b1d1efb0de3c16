"""What the learning rate is worth, and the candidates for the plan of ``auto``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from conflictopt.lab.study_report.statistics.pairing import geometric_mean, problem_ratios
from conflictopt.lab.study_report.study import Study

from ... import learning_rates, plan_screen
from ...documents.sections import Number, Part

LATE = {
    "ntk": "ntk+after",
    "ntk and pcgrad": "ntk+pcgrad+after",
    "race": "auto:look=race",
    "new verdicts": "auto:rediagnose_every=1000",
    "adapters and ntk": "adapters:attach=1000+ntk+after",
    "slow adapters and ntk": "adapters:learning_rate=0.1:attach=1000+ntk+after",
    "adapters of weights": "adapters:placement=weights:activation=linear:attach=1000+ntk+after",
}
"""What begins after the profile."""


def plan_screens() -> Iterator[Part]:
    """Numbers of README.md, the rule, docs/evidence.md and docs/adapters.md."""
    yield from _learning_rates()
    screens = {screen.name: screen for screen in plan_screen.SCREENS}
    high, imbalanced = screens["plan_screen_cpu"], screens["plan_screen_imbalanced"]
    yield Number("screen: problems", str(len(high.problems)))
    for rate, screen in (("low rate", screens["plan_screen"]), ("cpu", high)):
        yield from _late(rate, screen.study(), high.problems)
    constant = screens["plan_screen_constant"]
    yield Number("screen, constant rate: problems", str(len(constant.problems)))
    yield from _late("constant rate", constant.study(), constant.problems)
    yield Number("screen, imbalanced: problems", str(len(imbalanced.problems)))
    yield from _late("imbalanced", imbalanced.study(), imbalanced.problems)


def _late(name: str, study: Study, problems: Iterable[str]) -> Iterator[Part]:
    for what, label in LATE.items():
        if label in study.methods:
            yield Number(f"screen, {name}: {what}", _ratio(study, label, problems))


def _learning_rates() -> Iterator[Part]:
    ratios = learning_rates.ratios()
    gains = {r: geometric_mean(v) for r, v in ratios.items()}
    best = min(gains, key=lambda rate: gains[rate])
    yield Number("learning rates: best", f"{best:g}")
    yield Number("learning rates: gain", f"{gains[best]:.2f}")
    yield Number("learning rates: twice", f"{gains[learning_rates.RATES[1]]:.2f}")
    yield Number("learning rates: problems", str(len(learning_rates.PROBLEMS)))
    last = zip(ratios[learning_rates.RATES[-1]], learning_rates.PROBLEMS, strict=True)
    worst, problem = max(last)
    yield Number("learning rates: worst at the highest", f"{worst:.2g} (`{problem}`)")


def _ratio(study: Study, label: str, problems: Iterable[str]) -> str:
    """The error of a method over plain training's, geometric mean over problems."""
    found = problem_ratios(study, label, study.baseline)
    return f"{geometric_mean([found[p] for p in problems]):.2f}"
