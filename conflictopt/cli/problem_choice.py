"""Which problems and seeds the words of a command line mean."""

from __future__ import annotations

import difflib
from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ..core.errors import ConflictOptError


@dataclass(frozen=True)
class Pool:
    """Problems to choose from.

    Attributes:
        families: the family of each id, in order.
        problems: by id; those of the suite are read when they are asked for.
        own: ids of those of files.
    """

    families: dict[str, str]
    problems: Mapping[str, Any]
    own: frozenset[str] = frozenset()

    @classmethod
    def of(cls, specs: Sequence[Path], alone: bool) -> Pool:
        """The suite's problems, then those of files.

        Args:
            specs: files of specifications.
            alone: leave the suite out if there is a file.

        Raises:
            SpecError: a file that cannot be used.
            ConflictOptError: an id that stands for two problems.
        """
        from ..lab.problems import load_suite, read_problems

        suite = load_suite()
        listed = {} if specs and alone else suite.families()
        families = {name: family for family, names in listed.items() for name in names}
        own: dict[str, Any] = {}
        for path in specs:
            for problem in read_problems(path):
                taken = problem.id in families
                if taken or (problem.id in suite and problem.digest != suite[problem.id].digest):
                    raise ConflictOptError(
                        f"problem '{problem.id}' of '{path}' has the id of another problem. Give "
                        "it one of its own: records are filed by it."
                    )
                own[problem.id], families[problem.id] = problem, problem.family
        return cls(families, ChainMap(own, suite), frozenset(own))  # type: ignore[arg-type]

    def choose(self, words: Iterable[str] = (), families: str | None = None) -> list[Any]:
        """The problems that words name (id, family or glob), in the order of the pool.

        Args:
            words: none for all.
            families: only problems of these, joined by commas; ``None`` for all.

        Raises:
            ConflictOptError: a word or a family that names nothing, or nothing left.
        """
        known = list(dict.fromkeys(self.families.values()))
        wanted = known if families is None else [f.strip() for f in families.split(",")]
        for family in wanted:
            if family not in known:
                raise ConflictOptError(f"{_none('family', family, known)} Known: {_list(known)}.")
        words = list(words)
        named = {name for word in words for name in self._named(word, known)}
        picked = [n for n, f in self.families.items() if f in wanted and (n in named or not words)]
        if not picked:
            raise ConflictOptError(f"no problem of {_list(words)} is of family {_list(wanted)}.")
        return [self.problems[name] for name in picked]

    def _named(self, word: str, known: Sequence[str]) -> list[str]:
        found = [n for n, f in self.families.items() if word == f or fnmatchcase(n, word)]
        if not found:
            hint = _none("problem", word, [*self.families, *known])
            raise ConflictOptError(f"{hint} 'conflictopt suite list' lists them.")
        return found


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
    if any(seed >= 2**32 for seed in seeds):
        raise ConflictOptError(f"expected seeds below 2**32, found '{text}'.")
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConflictOptError(f"expected at least one seed, each once, found '{text}'.")
    return seeds


def _none(kind: str, word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=3)
    hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
    return f"no {kind} '{word}'.{hint}"


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
