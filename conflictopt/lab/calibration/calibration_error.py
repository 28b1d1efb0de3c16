"""What can be wrong with records that a rule is to be fitted to."""

from __future__ import annotations

from ...core.errors import ConflictOptError


class CalibrationError(ConflictOptError, ValueError):
    """The records do not allow a rule to be fitted."""
