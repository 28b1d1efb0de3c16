"""The report as one page that needs nothing else."""

from .page import page

__all__ = ["page"]
