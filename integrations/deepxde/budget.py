"""The seconds that the training of all models of a script may take."""

from __future__ import annotations

import ast
from pathlib import Path


class Budget:
    """Divides seconds among calls of ``train``.

    Args:
        seconds: of all steps together; ``None`` to give each call what the iterations that it asks
            for would cost with the optimizer that the script compiled.
        calls: of ``train``, as far as they are known before.
        open_ended: whether there may be more.
    """

    def __init__(self, seconds: float | None, calls: int = 1, open_ended: bool = False) -> None:
        self.seconds = seconds
        self._left = seconds or 0.0
        self._calls, self._least = calls, 2 if open_ended else 1

    @classmethod
    def of_script(cls, path: Path, seconds: float | None) -> Budget:
        """Of a script, whose text shows how many calls there are; in a loop there may be more."""
        try:
            tree = ast.parse(path.read_bytes())
        except SyntaxError:  # which running the script will tell
            return cls(seconds)
        loops = [n for n in ast.walk(tree) if isinstance(n, ast.For | ast.While)]
        looped = any(_calls(loop) for loop in loops)
        return cls(seconds, max(1, len(_calls(tree))), looped)

    def share(self) -> float | None:
        """Seconds for the call that begins: an even share of what is left."""
        if self.seconds is None:
            return None
        share = self._left / max(self._least, self._calls)
        self._calls -= 1
        return share

    def spend(self, seconds: float) -> None:
        """A call is over."""
        self._left = max(0.0, self._left - seconds)


def _calls(tree: ast.AST) -> list[ast.Call]:
    """Calls that train a model: ``model.train(...)``."""
    return [
        n
        for n in ast.walk(tree)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr == "train"
    ]
