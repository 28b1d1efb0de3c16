"""The report as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...report.html.render import data_uri, render
from .markdown import slug

if TYPE_CHECKING:
    from markdown_it.token import Token

_PROSE = 60
"""Characters from which a cell may break its lines."""


def to_html(markdown: str, folder: Path, title: str) -> str:
    """Render a report with its figures embedded.

    Args:
        markdown: the report; raw HTML in it is shown as text.
        folder: what its figures' paths are relative to.
        title: of the page.
    """
    from markdown_it import MarkdownIt
    from markupsafe import Markup

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = [wrapped for token in parser.parse(markdown) for wrapped in _wrapped(token)]
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", slug(_text(tokens[at + 1])))
        if token.type == "td_open" and len(_text(tokens[at + 1])) > _PROSE:
            token.attrJoin("class", "prose")
        for child in token.children or ():
            if child.type == "image":
                child.attrSet("src", _embedded(folder / str(child.attrGet("src"))))
    # markup already: the parser has escaped all text
    body = Markup(parser.renderer.render(tokens, parser.options, {}))
    return render("study.html.j2", title=title, body=body)


def _wrapped(token: Token) -> Iterator[Token]:
    """A table within what scrolls by itself where it is too wide."""
    from markdown_it.token import Token

    if token.type == "table_open":
        token.attrJoin("class", "data")
        yield Token("html_block", "", 0, content='<div class="scroll">')
    yield token
    if token.type == "table_close":
        yield Token("html_block", "", 0, content="</div>\n")


def _text(inline: Any) -> str:
    children: Sequence[Any] = inline.children or ()
    return "".join(child.content for child in children)


def _embedded(path: Path) -> str:
    return data_uri(path.read_bytes())
