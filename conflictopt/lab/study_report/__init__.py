"""The report of a study, from its records alone: Markdown, HTML, figures and tables."""

from .write import write_report

__all__ = ["write_report"]
