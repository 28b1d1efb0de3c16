"""Elements of the page; every text is escaped here and nowhere else."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from ..advice import Line

_PROSE = 60
"""Characters from which a cell may break its lines."""


def text(value: object) -> str:
    """Escaped."""
    return escape(str(value))


def paragraph(words: str, kind: str = "") -> str:
    """One paragraph; empty for no words."""
    return f"<p{_class(kind)}>{text(words)}</p>" if words else ""


def labelled(label: str, words: str) -> str:
    """A paragraph that begins with its label."""
    return f"<p><strong>{text(label)}</strong> {text(words)}</p>"


def section(title: str, *parts: str) -> str:
    """A heading and what is under it."""
    return f"<section>\n<h2>{text(title)}</h2>\n" + "\n".join(filter(None, parts)) + "\n</section>"


def subtitle(words: str) -> str:
    """A smaller heading."""
    return f"<h3>{text(words)}</h3>"


def table(
    headings: Sequence[str], rows: Iterable[Sequence[object]], words: Sequence[int] = (0,)
) -> str:
    """A table that scrolls by itself where it is too wide.

    Args:
        words: columns of words, at the left; numbers are at the right.
    """
    head = _row("th", headings, words)
    body = "\n".join(f"<tr>{_row('td', row, words)}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table class="data">\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def lines(entries: Iterable[Line]) -> str:
    """Commands and code to copy; one click selects a line."""
    rows = []
    for label, code, comment in entries:
        remark = f' <span class="note">{text(comment)}</span>' if comment else ""
        rows.append(f"<tr><th>{text(label)}</th><td><code>{text(code)}</code>{remark}</td></tr>")
    return f'<table class="lines">{"".join(rows)}</table>' if rows else ""


def image(content: bytes, description: str, caption: str) -> str:
    """A figure, embedded.

    Args:
        content: PNG.
        description: for readers who do not see it.
    """
    source = f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"
    return (
        f'<figure><img src="{source}" alt="{text(description)}">'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )


def definitions(entries: Mapping[str, str]) -> str:
    """Terms and what they mean."""
    parts = (f"<div><dt>{text(k)}</dt><dd>{text(v)}</dd></div>" for k, v in entries.items())
    return f"<dl>{''.join(parts)}</dl>"


def _row(element: str, cells: Sequence[object], words: Sequence[int]) -> str:
    made = []
    for column, value in enumerate(cells):
        kind = "prose" if len(str(value)) > _PROSE else "words" if column in words else ""
        made.append(f"<{element}{_class(kind)}>{text(value)}</{element}>")
    return "".join(made)


def _class(kind: str) -> str:
    return f' class="{text(kind)}"' if kind else ""
