"""What can go wrong with a numerical reference."""

from __future__ import annotations

from ....core.errors import ConflictOptError


class ReferenceSolutionError(ConflictOptError, ValueError):
    """A numerical reference cannot be set up, solved, stored or evaluated as asked."""
