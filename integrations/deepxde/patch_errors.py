"""The error of this integration."""

from conflictopt.core.errors import ConflictOptError


class PatchError(ConflictOptError, ValueError):
    """A DeepXDE model cannot be patched as asked; the message says why and what to do."""


class ResidualError(PatchError):
    """The residuals behind the losses cannot be read, or are not what their losses are made of."""
