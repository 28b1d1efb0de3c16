"""What a run tells its user beside the numbers: bounds that acted, fallbacks that were taken."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .errors import ConflictOptWarning

Note = tuple[str, str]
"""A kind (``"cap"``, ``"verify"``, ...) and a sentence."""
Reporter = Callable[[str, str], None]
"""Is told kind and sentence."""


def unheard(kind: str, message: str) -> None:
    """A reporter that tells nobody."""


@dataclass(frozen=True)
class Report:
    """What happened, and how often.

    Attributes:
        message: of the last time.
        count: number of steps in which it happened.
        first, last: the first and the last of them.
    """

    message: str
    count: int
    first: int
    last: int


class Reports(Mapping[str, Report]):
    """One report per kind; the first of a kind is also a warning."""

    def __init__(self, saved: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._kinds = {kind: Report(**report) for kind, report in (saved or {}).items()}

    def add(self, notes: Iterable[Note], step: int) -> None:
        """Count the notes of one step, each kind once."""
        fresh = []
        for kind, message in dict(notes).items():
            known = self._kinds.get(kind)
            if known is None:
                fresh.append(f"{message} ({kind}, step {step})")
                self._kinds[kind] = Report(message, 1, step, step)
            else:
                self._kinds[kind] = Report(message, known.count + 1, known.first, step)
        for message in fresh:
            warnings.warn(message, ConflictOptWarning, stacklevel=2)

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """Strings and numbers that the constructor reads."""
        return {kind: asdict(report) for kind, report in self._kinds.items()}

    def __getitem__(self, kind: str) -> Report:
        return self._kinds[kind]

    def __iter__(self) -> Any:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    def __repr__(self) -> str:
        return f"Reports({self._kinds!r})"
