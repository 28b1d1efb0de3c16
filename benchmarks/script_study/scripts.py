"""The scripts, where they are from, and how far they are cut."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

LIST = Path(__file__).with_name("scripts.json")
ADDRESS = "https://github.com/{repository}/blob/{commit}/{path}"
_PRINTED = re.compile(r"(?im)^l2 relative error([^:\n]*):\s*([0-9.e+-]+)\s*$")


@dataclass(frozen=True)
class PublicScript:
    """One of them.

    Attributes:
        name: of its folder.
        repository, commit, path: where it is from.
        sha256: of the file there.
        kind: ``forward`` or ``inverse``.
        equation: what it solves.
        substitutions: what makes it run with PyTorch and this DeepXDE, in order.
        cut: what makes it take at most 80 CPU seconds or so, in order.
        measure: lines after its end that print its errors.
    """

    name: str
    repository: str
    commit: str
    path: str
    sha256: str
    kind: str
    equation: str
    substitutions: tuple[tuple[str, str], ...]
    cut: tuple[tuple[str, str], ...]
    measure: str

    @property
    def address(self) -> str:
        """Of the file."""
        path = quote(self.path)
        return ADDRESS.format(repository=self.repository, commit=self.commit, path=path)

    def source(self, folder: Path) -> str:
        """What is run.

        Args:
            folder: where ``original.py`` is, with its data beside it.

        Raises:
            SystemExit: it is another file than that of the records, or lacks what is replaced.
        """
        raw = (folder / "original.py").read_bytes()
        if hashlib.sha256(raw).hexdigest() != self.sha256:
            raise SystemExit(f"{folder}: expected the file at {self.address}, found another one.")
        text = raw.decode()
        for old, new in (*self.substitutions, *self.cut):
            if old not in text:
                raise SystemExit(f"{folder}: expected {old!r} in the script, to be replaced.")
            text = text.replace(old, new)
        return f"{text}\n\n{self.measure}\n"


def public_scripts() -> list[PublicScript]:
    """All of them."""
    return [_script(entry) for entry in json.loads(LIST.read_text(encoding="utf-8"))]


def _script(entry: dict[str, Any]) -> PublicScript:
    pairs = {k: tuple(map(tuple, entry[k])) for k in ("substitutions", "cut")}
    return PublicScript(**{**entry, **pairs})


def errors(printed: str) -> dict[str, float]:
    """Relative errors by name, from the output of a script; of several of a name the last."""
    return {name.strip() or "u": float(value) for name, value in _PRINTED.findall(printed)}
