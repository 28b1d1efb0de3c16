"""What to say where a package of an extra is not installed."""

from __future__ import annotations

from .errors import ConflictOptError


class MissingExtraError(ConflictOptError, ModuleNotFoundError):
    """A part of conflictopt needs packages that are not installed."""


def needs(extra: str, error: ModuleNotFoundError) -> MissingExtraError:
    """The error to raise from one of an import, naming the extra that brings the package.

    Args:
        extra: name of the extra, ``report``.
        error: of the import that failed.
    """
    return MissingExtraError(
        f"expected the package '{error.name}', which is not installed. It comes with an extra: "
        f"pip install 'conflictopt[{extra}]'.",
        name=error.name,
    )
