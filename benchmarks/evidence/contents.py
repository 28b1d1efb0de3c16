"""Everything that is made of the records of the suite: tables, numbers, figures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from conflictopt.lab.problems.halves import half_of
from conflictopt.lab.study_report.statistics.ratios import Ratio
from conflictopt.lab.study_report.statistics.shared import shared_of
from conflictopt.lab.study_report.study import Study

from ..documents.sections import DocumentSection, File, Number, Part, Picture
from . import claims, tables
from .figures import figures
from .goals import against, best_single, foresight, hindsight, learned, standing
from .grid import ADAPTERS, AUTO, BASELINE, METHODS, PLAN, WIDE, stages
from .halves import as_given, halves, restricted
from .words import ratio, share, title

DOCUMENT = "docs/evidence.md"
RULE = Path(__file__).parent / "rule_template.json"
"""The rule that comes with the package, but for the numbers in its evidence."""


def contents(study: Study) -> Iterator[Part]:
    """The parts of the documents.

    Args:
        study: all records of the suite.
    """
    parts = halves(study)
    main = restricted(study, set(study.problems), METHODS)
    for name, text in _sections(study, main, parts):
        yield DocumentSection(DOCUMENT, name, text)
    yield Number("runs", str(len(study.runs)))
    for name, text in numbers(main, parts):
        yield Number(name, text)
    yield Number("plan, benign, calibration", ratio(_where_nothing_is_done(study)))
    yield File("conflictopt/diagnosis/rule.json", RULE.read_text(encoding="utf-8"))
    for name, figure in figures(parts, main):
        yield Picture(f"docs/figures/{name}.png", figure)


def _sections(study: Study, main: Study, parts: dict[str, Study]) -> Iterator[tuple[str, str]]:
    yield tables.aims(parts["reporting"], parts["calibration"])
    for half, part in parts.items():
        yield tables.methods(part, half)
    yield tables.ceiling(parts["reporting"])
    yield tables.short_profile(study)
    yield tables.families(main)
    yield from claims.claims(study)
    yield tables.errors(main)


def numbers(main: Study, parts: dict[str, Study]) -> Iterator[tuple[str, str]]:
    """What documents quote, by name."""
    yield "problems", str(len(shared_of(main).problems))
    sizes = [len(s.problems) * len(s.methods) * len(s.seeds) for s in stages().values()]
    yield "planned runs", str(sum(sizes))
    yield "methods", str(len(main.methods))
    yield "fixed methods", str(len(main.fixed))
    yield "seeds", str(len(main.seeds))
    for half, study in parts.items():
        yield f"{half} problems", str(len(study.problems))
        yield f"best single, {half}", title(best_single(study))
        yield f"hindsight, {half}", f"{hindsight(study):.2f}"
        fair = foresight(study)
        yield f"foresight, {half}", f"{fair[0]:.2f}" if fair else "-"
        for method in study.others:
            found, name = standing(study, method), _short(method)
            yield f"{name}, {half}", ratio(found.to_plain)
            yield f"{name} close, {half}", share(found.close)
            yield f"{name} worse, {half}", str(len(found.worse))
        yield from _by_regime(study, half)
        known = learned(study)
        yield f"learned problems, {half}", str(len(known))
        part = restricted(study, known, {AUTO, BASELINE})
        yield f"auto where learned, {half}", ratio(against(part, AUTO, BASELINE))
        yield f"auto over best single, {half}", ratio(against(study, AUTO, best_single(study)))
        alike = best_single(as_given(study))
        yield f"best as given, {half}", title(alike)
        yield f"auto over best as given, {half}", ratio(against(study, AUTO, alike))
        for first, second in ((AUTO, "ntk"), (ADAPTERS, WIDE), (ADAPTERS, "ntk")):
            name = f"{_short(first)} over {second}, {half}"
            yield name, ratio(against(study, first, second))
    regimes = claims.by_regime(main)
    for regime, members in regimes.items():
        yield f"regime {regime}", str(len(members))
    decided = sum(map(len, regimes.values()))
    yield "regime split", str(len(shared_of(main).problems) - decided)
    yield "regime too close", str(len(claims.too_close(main)))


def _short(method: str) -> str:
    """A method in the names of numbers."""
    return "auto" if method == AUTO else method


def _where_nothing_is_done(study: Study) -> Ratio | None:
    """What the plan of the other regimes would do where the rule is to do nothing."""
    benign = claims.by_regime(study)["benign"]
    members = {p for p in benign if half_of(p) == "calibration"}
    return against(restricted(study, members, {PLAN, BASELINE}), PLAN, BASELINE)


def _by_regime(study: Study, half: str) -> Iterator[tuple[str, str]]:
    for regime, members in claims.by_regime(study).items():
        yield f"{half} {regime}", str(len(members))
        for method in (AUTO, "ntk"):
            part = restricted(study, members, {method, BASELINE})
            yield f"{_short(method)}, {regime}, {half}", ratio(against(part, method, BASELINE))
