"""What can be wrong with a specification."""

from __future__ import annotations

from ...core.errors import ConflictOptError


class LanguageError(ConflictOptError, ValueError):
    """An expression that is not of the specification language."""


class SpecError(ConflictOptError, ValueError):
    """A specification that cannot be used; names the entry, the field and what is wrong there.

    Args:
        entry: id of the entry, or its position; ``None`` for the file as a whole.
        field: where in it.
        problem: what was expected and what was found.
    """

    def __init__(self, entry: str | None, field: str, problem: str) -> None:
        where = field if entry is None else f"entry '{entry}', {field}"
        super().__init__(f"{where}: {problem}")
        self.entry, self.field, self.problem = entry, field, problem

    def __reduce__(self) -> tuple[type[SpecError], tuple[str | None, str, str]]:
        return type(self), (self.entry, self.field, self.problem)
