"""Which problems and seeds the words of a command line mean."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ..core.errors import ConflictOptError


def pool_of(specs: Sequence[Path], alone: bool) -> list[Any]:
    """The problems there are to choose from: the suite's, then those of the files.

    Args:
        specs: files of specifications.
        alone: leave the suite out if there is a file.

    Raises:
        SpecError: a file cannot be used.
        ConflictOptError: an id that stands for two problems.
    """
    from ..problems import load_suite, read_problems

    pool = {} if specs and alone else dict(load_suite())
    for path in specs:
        for problem in read_problems(path):
            if problem.id in pool:
                raise ConflictOptError(
                    f"problem '{problem.id}' of '{path}' has the id of another problem. Give it "
                    "one of its own: records are filed by it."
                )
            pool[problem.id] = problem
    return list(pool.values())


def choose(pool: Sequence[Any], words: Iterable[str], families: str | None) -> list[Any]:
    """The problems that words name (id, family or glob), in the order of the pool.

    Args:
        words: none for all.
        families: only problems of these, joined by commas; ``None`` for all.

    Raises:
        ConflictOptError: a word or a family that names nothing, or nothing left.
    """
    ids, known = [p.id for p in pool], list(dict.fromkeys(p.family for p in pool))
    wanted = known if families is None else [f.strip() for f in families.split(",")]
    for family in wanted:
        if family not in known:
            raise ConflictOptError(_unknown("family", family, known) + f" Known: {_list(known)}.")
    words, chosen = list(words), set()
    for word in words:
        found = {p.id for p in pool if word == p.family or fnmatchcase(p.id, word)}
        if not found:
            hint = _unknown("problem", word, [*ids, *known])
            raise ConflictOptError(f"{hint} 'conflictopt suite list' lists them.")
        chosen |= found
    picked = [p for p in pool if p.family in wanted and (p.id in chosen or not words)]
    if not picked:
        raise ConflictOptError(f"no problem of {_list(words)} is of family {_list(wanted)}.")
    return picked


def read_seeds(text: str) -> list[int]:
    """``"3"`` -> 0, 1, 2; ``"0,2,5"`` -> these; ``"7,"`` -> 7 alone.

    Raises:
        ConflictOptError: anything else, no seed, or one given twice.
    """
    parts = [part.strip() for part in text.removesuffix(",").split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ConflictOptError(
            f"expected --seeds as a number of seeds (3) or a list (0,2,5), found '{text}'."
        )
    numbers = [int(part) for part in parts]
    seeds = numbers if "," in text else list(range(numbers[0]))
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConflictOptError(f"expected at least one seed, each once, found '{text}'.")
    return seeds


def _unknown(kind: str, word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=3)
    hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
    return f"no {kind} '{word}'.{hint}"


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
