"""The version, importable without torch (the build reads it)."""

__version__ = "0.2.0"
