"""What can be wrong with a request for derivatives."""

from __future__ import annotations

from ...core.errors import ConflictOptError


class DerivativeError(ConflictOptError, TypeError):
    """A network whose derivatives cannot be propagated, or weights that do not fit."""
