"""When noisy measurements have come to rest, so that they may get less weight."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..optim.last_step import LastStep

_MEMORY = 0.8
"""How much of the running mean a step keeps."""
_PATIENCE = 25
"""Steps without progress after which a loss is at rest."""
_PROGRESS = 0.1
"""What counts: a fall of the mean logarithm of the loss."""
_RISEN = 0.2
"""A rise of it, over where it began, after which it was not noise that it came to rest at. It rises
with less weight where noise had been fitted, too, but not so far."""


class Measurements:
    """Watches the losses that hold measurements, until only their noise can be left.

    ``curvature.noise.MeasuredLosses`` takes weight off them as the other losses fall below theirs.
    Where they are not fitted yet, though, that would let the network forget them: a solution that
    meets all else and no measurement. So they keep their weight until their loss has not fallen for
    some time, while it is above that of the others; and get it back for good where their loss rises
    above where it began with less of it: then it was not their noise.

    Args:
        names: of these losses.

    Attributes:
        at_rest: whether they are.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.at_rest = self._weighs = False
        self._level, self._best, self._waited = math.nan, math.inf, 0
        self._began = math.nan

    def saw(self, last: LastStep | None) -> None:
        """A step was taken."""
        if not self.names or self._weighs or last is None:
            return
        losses = dict(zip(last.names, last.values, strict=True))
        held = sum(losses.get(name, 0.0) for name in self.names)
        if held <= 0:
            return
        now = math.log(held)
        first = math.isnan(self._level)
        self._began = now if first else self._began
        self._level = now if first else _MEMORY * self._level + (1 - _MEMORY) * now
        if self._level < self._best - _PROGRESS:
            self._best, self._waited = self._level, 0
            return
        if self.at_rest:
            self._weighs = self._level > self._began + _RISEN
            self.at_rest = not self._weighs
            return
        self._waited += 1
        above = held > sum(v for name, v in losses.items() if name not in self.names)
        self.at_rest = self._waited >= _PATIENCE and above

    def state_dict(self) -> dict[str, Any]:
        """Numbers and strings that ``load_state_dict`` goes on from."""
        numbers = {"level": self._level, "best": self._best, "waited": self._waited}
        numbers["began"] = self._began
        flags = {"at_rest": self.at_rest, "weighs": self._weighs}
        return {"names": list(self.names), **flags, **numbers}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        self.names, self.at_rest = tuple(saved["names"]), bool(saved["at_rest"])
        self._level, self._best = float(saved["level"]), float(saved["best"])
        self._began = float(saved["began"])
        self._waited, self._weighs = int(saved["waited"]), bool(saved["weighs"])
