"""What can be wrong with a specification."""

from __future__ import annotations

from ..core.errors import ConflictOptError


class LanguageError(ConflictOptError, ValueError):
    """An expression that is not of the specification language."""


class SpecError(ConflictOptError, ValueError):
    """A specification that cannot be used; names the entry, the field and what is wrong there."""

    def __init__(self, entry: str, field: str, problem: str) -> None:
        super().__init__(f"entry '{entry}', {field}: {problem}")
        self.entry, self.field, self.problem = entry, field, problem

    def __reduce__(self) -> tuple[type[SpecError], tuple[str, str, str]]:
        return type(self), (self.entry, self.field, self.problem)
