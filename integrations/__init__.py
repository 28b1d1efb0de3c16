"""Integrations with host libraries; imported as ``conflictopt.integrations``."""
