"""What a diagnosis shows of itself: text, page and figure, with the plan that goes with it."""

from __future__ import annotations

from pathlib import Path

from ..diagnosis.numbers import DiagnosisNumbers
from ..selection.plan import Plan
from ..selection.select import select
from .content import ReportContent
from .figures.figure import save_figure
from .html.page import page
from .plain_text import plain_text
from .summary import summary


def text(diagnosis: DiagnosisNumbers, plan: Plan | None = None) -> str:
    """The report in short, as plain text.

    Args:
        plan: to explain; that of ``select`` without.
    """
    return plain_text(summary(_content(diagnosis, plan)))


def html(
    diagnosis: DiagnosisNumbers, plan: Plan | None = None, path: str | Path | None = None
) -> str:
    """The report as one page.

    Args:
        plan: to explain; that of ``select`` without.
        path: where to write it too.

    Raises:
        MissingExtraError: Jinja2 or matplotlib is not installed.
    """
    made = page(_content(diagnosis, plan))
    if path is not None:
        Path(path).write_text(made, encoding="utf-8")
    return made


def figure(diagnosis: DiagnosisNumbers, path: str | Path) -> Path:
    """The profile drawn, as an image in the format of the suffix.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    return save_figure(diagnosis, path)


def _content(diagnosis: DiagnosisNumbers, plan: Plan | None) -> ReportContent:
    return ReportContent(diagnosis, select(diagnosis) if plan is None else plan)
