"""The points that steps are made of: the script's own, or a pool of fresh ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .drawable import TIMES, Drawable, fresh_points, obstacle_to_fresh, origin, own_points
from .patch_errors import PatchError


class Pools:
    """Chooses them, and says so; pools follow what the problem draws its points by.

    Args:
        model: the model.
        fresh: whether there is a pool; ``None`` where one can be had that steps can grow to.
        tell: is told which points they are.
        failure: why losses cannot be evaluated on points; ``None`` if they can.
    """

    def __init__(
        self,
        model: Any,
        fresh: bool | None,
        tell: Callable[[str], None],
        failure: Callable[[Drawable], str | None],
    ) -> None:
        self._model, self._fresh = model, fresh
        self._tell, self._failure = tell, failure
        self._made: dict[Any, Drawable] = {}
        self._obstacle: str | None = None
        self._told: str | None = None
        self._times = 0
        self._entries = 0

    def allow(self, entries: int, most: int | None) -> None:
        """Steps may be made of parts of the points: have a pool, or say why there is none.

        Steps on parts of a set of points converge as long as all of it can be fitted at once. Of
        more points each step undoes what others did: on Burgers' equation the error with 8 times
        the script's 3,000 points was 0.47, and with these 0.03
        (records/levenberg_marquardt_examples.json).

        Args:
            entries: residuals on the script's points.
            most: residuals that a step grows to; ``None`` for all.

        Raises:
            PatchError: fresh points were asked for, and cannot be had.
        """
        everything = self._fresh or most is None
        self._times = TIMES if everything else min(TIMES, (most or 0) // max(1, entries))
        self._entries = entries
        self._choose()

    @property
    def asked(self) -> bool:
        """Whether fresh points were asked for."""
        return bool(self._fresh)

    def refuse(self) -> None:
        """Steps evaluate all points at once.

        Raises:
            PatchError: fresh points were asked for.
        """
        self._obstacle = "losses are evaluated on all points at once"
        self._check()

    def source(self) -> tuple[Drawable, Drawable]:
        """The script's points as they are now, and what batches are drawn from."""
        data = self._model.data
        if self._obstacle is None and origin(data) not in self._made:
            self._choose()  # the script has added anchors, or asks for other numbers
        own = own_points(data)
        return own, own if self._obstacle is not None else self._made[origin(data)]

    def _choose(self) -> None:
        data, known = self._model.data, origin(self._model.data)
        self._obstacle = self._why_not()
        if self._obstacle is None and known not in self._made:
            pool = fresh_points(data, self._times)
            self._obstacle = self._failure(pool)
            if self._obstacle is None:
                # those before stay: DeepXDE remembers values by the identity of the points
                self._made[known] = pool
        self._check()
        if self._obstacle is not None:
            self._say(f"steps are made of the script's own points, as {self._obstacle}")
            return
        size = len(self._made[known].data.train_x)
        self._say(
            f"steps draw their points from {size} that DeepXDE has drawn as it drew the "
            f"script's {len(data.train_x)}"
        )

    def _why_not(self) -> str | None:
        if self._fresh is False:
            return "fresh_points=False was given"
        if self._times < 2:
            return f"their {self._entries} residuals are as many as a step is made of, or more"
        return obstacle_to_fresh(self._model.data)

    def _check(self) -> None:
        if self._fresh and self._obstacle is not None:
            raise PatchError(
                "expected a problem that fresh points can be drawn for, but "
                f"{self._obstacle}. Leave fresh_points out."
            )

    def _say(self, what: str) -> None:
        if what != self._told:
            self._tell(f"{what}.")
        self._told = what
