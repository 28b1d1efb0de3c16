"""Parts of documents that a script makes from records: tables, single numbers, figures, files.

A table stands between ``<!-- NAME: made by SCRIPT -->`` and ``<!-- end -->``; a number within a
sentence between ``<!--=NAME-->`` and ``<!--/-->``. Tables, and files that are made as a whole, may
have numbers in places ``{=NAME}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .drawn import save, shows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

END = "\n<!-- end -->"
_PLACE = re.compile(r"\{=([^{}]+)\}")
_NUMBER = re.compile(r"<!--=([\w ,.:=+-]+)-->(.*?)<!--/-->", re.DOTALL)


@dataclass(frozen=True)
class DocumentSection:
    """A table of a document, whose path is relative to the repository; numbers take the places
    ``{=NAME}`` in its text.
    """

    document: str
    name: str
    text: str


@dataclass(frozen=True)
class Number:
    """A number, or a few words, that any document may quote."""

    name: str
    text: str


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure and where it is written."""

    path: str
    figure: Figure


@dataclass(frozen=True)
class File:
    """A file that is made as a whole; numbers take the places ``{=NAME}`` in its text."""

    path: str
    text: str


Part = DocumentSection | Number | Picture | File


def refreshed(document: Path, script: str, sections: Iterable[tuple[str, str]]) -> str:
    """The text of a document with the sections of a script as they are now.

    Args:
        document: has a line ``<!-- NAME: made by SCRIPT -->`` and an end for each section.
        script: the command that makes the sections, which marks them.
        sections: names and tables.

    Raises:
        SystemExit: a section that the document has no place for.
    """
    text = document.read_text(encoding="utf-8")
    for name, content in sections:
        text = _replaced(text, name, content, script, document)
    return text


def _replaced(text: str, name: str, content: str, script: str, document: Path) -> str:
    begin = f"<!-- {name}: made by {script} -->\n"
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(END.lstrip())
    if not found or not ended:
        line = END.lstrip() if found else begin.strip()
        raise SystemExit(f"expected the line {line!r} for '{name}' in {document}.")
    return before + begin + content + END + after


class Documents:
    """Collects parts, then writes them, or says which are stale.

    Args:
        root: of the repository.
        script: the command that makes the parts.
        quoting: documents that quote numbers.
    """

    def __init__(self, root: Path, script: str, quoting: Iterable[str]) -> None:
        self._root, self._script = root, script
        self._texts = {name: (root / name).read_text(encoding="utf-8") for name in quoting}
        self._numbers: dict[str, str] = {}
        self._pictures: list[Picture] = []
        self._files: dict[str, str] = {}

    def add(self, part: Part) -> None:
        """Take up a part."""
        if isinstance(part, Number):
            self._numbers[part.name] = part.text
        elif isinstance(part, Picture):
            self._pictures.append(part)
        elif isinstance(part, File):
            self._files[part.path] = part.text
        else:
            path = self._root / part.document
            text = self._texts.get(part.document) or path.read_text(encoding="utf-8")
            args = (text, part.name, part.text, self._script, path)
            self._texts[part.document] = _replaced(*args)

    def write(self) -> int:
        """Write every text, and the figures that show something else than before."""
        for name, text in self._filled().items():
            (self._root / name).write_text(text, encoding="utf-8")
        for picture in self._pictures:
            if not shows(self._root / picture.path, picture.figure):
                save(picture.figure, self._root / picture.path)
        return 0

    def check(self) -> int:
        """The number of stale texts and figures; their names are printed."""
        stale = [n for n, text in self._filled().items() if text != _read(self._root / n)]
        stale += [p.path for p in self._pictures if not shows(self._root / p.path, p.figure)]
        for name in stale:
            print(f"{name} is stale: {self._script} writes it anew.")
        return len(stale)

    def _filled(self) -> dict[str, str]:
        made = self._files | self._texts
        filled = {name: _PLACE.sub(self._number, text) for name, text in made.items()}
        quoting = {name: _NUMBER.sub(self._quoted, filled[name]) for name in self._texts}
        return filled | quoting

    def _quoted(self, found: re.Match[str]) -> str:
        return f"<!--={found.group(1)}-->{self._number(found)}<!--/-->"

    def _number(self, found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in self._numbers:
            raise SystemExit(f"expected a number that is made from records, found '{name}'.")
        return self._numbers[name]


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
