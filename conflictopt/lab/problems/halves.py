"""The fixed halves of the suite: rules are calibrated on one and reported on the other."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources
from typing import Literal, get_args

from .specification_errors import SpecError

Half = Literal["calibration", "reporting"]
HALVES: tuple[Half, ...] = get_args(Half)


@lru_cache(maxsize=1)
def _listed() -> tuple[dict[str, Half], dict[str, str]]:
    """Per problem its half and its equation."""
    text = resources.files(__package__).joinpath("halves.json").read_text(encoding="utf-8")
    halves: dict[str, Half] = {}
    equations: dict[str, str] = {}
    for group in json.loads(text)["groups"]:
        for problem in group["problems"]:
            halves[problem], equations[problem] = group["half"], group["equation"]
    return halves, equations


def half_of(problem_id: str) -> Half:
    """The half that a problem of the suite belongs to.

    Raises:
        SpecError: not a problem of the suite.
    """
    halves, _ = _listed()
    if problem_id not in halves:
        raise SpecError(
            problem_id, "id", "not in the suite, and only its problems are divided into halves."
        )
    return halves[problem_id]


def problems_of(half: Half) -> tuple[str, ...]:
    """The ids of a half, in the order of ``halves.json``.

    Raises:
        SpecError: not a half.
    """
    if half not in HALVES:
        raise SpecError(half, "half", f"expected one of {', '.join(HALVES)}.")
    return tuple(problem for problem, found in _listed()[0].items() if found == half)


def equation_of(problem_id: str) -> str:
    """The equation that a problem of the suite shares with others of its half.

    Raises:
        SpecError: not a problem of the suite.
    """
    half_of(problem_id)
    return _listed()[1][problem_id]
