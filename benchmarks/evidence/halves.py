"""The parts of a study that are reported apart."""

from __future__ import annotations

from collections.abc import Collection

from conflictopt.lab.problems.halves import HALVES, half_of
from conflictopt.lab.study_report.study import Study

from .grid import ADAPTERS, METHODS, WIDE


def restricted(study: Study, problems: Collection[str], methods: Collection[str]) -> Study:
    """The runs of some problems and methods."""
    runs = tuple(r for r in study.runs if r.problem in problems and r.method in methods)
    return Study(runs, study.baseline, study.budget, study.mixtures)


def of_seeds(study: Study, seeds: Collection[int]) -> Study:
    """The runs of some seeds."""
    runs = tuple(r for r in study.runs if r.seed in seeds)
    return Study(runs, study.baseline, study.budget, study.mixtures)


def halves(study: Study) -> dict[str, Study]:
    """The main methods on the problems of each half."""
    return {
        half: restricted(study, {p for p in study.problems if half_of(p) == half}, METHODS)
        for half in HALVES
    }


def as_given(study: Study) -> Study:
    """The methods that add no parameters to the network."""
    return restricted(study, set(study.problems), set(study.methods) - {ADAPTERS, WIDE})
