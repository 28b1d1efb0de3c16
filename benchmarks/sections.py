"""Tables in documents that a script writes from its records."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

END = "\n<!-- end -->"


def refreshed(document: Path, script: str, sections: Iterable[tuple[str, str]]) -> str:
    """The text of a document with the sections of a script as they are now.

    Args:
        document: has a line ``<!-- NAME: made by SCRIPT -->`` and an end for each section.
        script: its path in the repository.
        sections: names and tables.

    Raises:
        SystemExit: a section that the document has no place for.
    """
    text = document.read_text(encoding="utf-8")
    for name, content in sections:
        begin = f"<!-- {name}: made by {script} -->\n"
        before, found, rest = text.partition(begin)
        if not found:
            raise SystemExit(f"expected the line {begin.strip()!r} in {document}.")
        text = before + begin + content + END + rest.partition(END)[2]
    return text
