"""The report as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .markdown import slug

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif;
  color: #1b1f24; background: #fff; max-width: 70rem; margin: 2rem auto; padding: 0 1.25rem; }
h1, h2, h3 { line-height: 1.25; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #d0d7de; padding-bottom: .25rem; }
p, li { max-width: 48rem; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .84rem; font-variant-numeric: tabular-nums; }
th, td { padding: .28rem .6rem; border-bottom: 1px solid #e3e7eb; vertical-align: top; }
td { white-space: nowrap; }
td.prose { white-space: normal; min-width: 18rem; }
th { text-align: left; vertical-align: bottom; background: #f4f6f8;
  border-bottom: 2px solid #c4ccd4; }
th:first-child, td:first-child { position: sticky; left: 0; background: #fff; }
th:first-child { background: #f4f6f8; }
tbody tr:hover td { background: #f4f8fc; }
td strong { color: #0a4d8c; }
code { font: .92em ui-monospace, "SF Mono", Menlo, Consolas, monospace; background: #f1f3f5;
  padding: .05em .25em; border-radius: 3px; }
img { max-width: 100%; height: auto; display: block; margin: 1rem 0 .25rem; }
a { color: #0a58b0; }
@media print { body { max-width: none; font-size: 11px; } .scroll { overflow: visible; } }
"""
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
    from markdown_it.common.utils import escapeHtml

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", slug(_text(tokens[at + 1])))
        if token.type == "td_open" and len(_text(tokens[at + 1])) > _PROSE:
            token.attrJoin("class", "prose")
        for child in token.children or ():
            if child.type == "image":
                child.attrSet("src", _embedded(folder / str(child.attrGet("src"))))
    body = parser.renderer.render(tokens, parser.options, {})
    body = body.replace("<table>", '<div class="scroll"><table>')
    body = body.replace("</table>", "</table></div>")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escapeHtml(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"{body}</body>\n</html>\n"
    )


def _text(inline: Any) -> str:
    children: Sequence[Any] = inline.children or ()
    return "".join(child.content for child in children)


def _embedded(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
