"""The shipped suite: 85 configurations."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from .problem import Problem
from .reading import read_entry, read_file
from .specification_errors import SpecError


class Suite(Mapping[str, Problem]):
    """Problems by id, read when they are asked for."""

    def __init__(self) -> None:
        text = resources.files(__package__).joinpath("suite.json").read_text(encoding="utf-8")
        self._entries: dict[str, Any] = {c["id"]: c for c in json.loads(text)["configs"]}
        self._read: dict[str, Problem] = {}

    def __getitem__(self, name: str) -> Problem:
        if name not in self._entries:
            near = difflib.get_close_matches(name, self._entries, n=3)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise SpecError(name, "id", f"not in the suite.{hint} See 'conflictopt suite list'.")
        if name not in self._read:
            self._read[name] = Problem(read_entry(self._entries[name]))
        return self._read[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The problem, or the default."""
        return self[name] if name in self._entries else default

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def families(self) -> dict[str, list[str]]:
        """Per family the ids of its problems."""
        found: dict[str, list[str]] = {}
        for name, entry in self._entries.items():
            found.setdefault(entry["family"], []).append(name)
        return found


@lru_cache(maxsize=1)
def load_suite() -> Suite:
    """The shipped suite, by id."""
    return Suite()


def read_problems(file: str | Path) -> list[Problem]:
    """All problems of a specification file.

    Raises:
        SpecError: see ``Problem.from_spec``.
    """
    return [Problem(spec) for spec in read_file(file)]
