"""Which sizes are measured, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

ENTRY = 4
"""Bytes of a float32."""


@dataclass(frozen=True)
class Grid:
    """Sizes of the matrix of gradients.

    Attributes:
        counts: K, the number of losses.
        parameters: P.
        seconds: how long a pair of contenders is timed, if three rounds take no longer.
        largest: bytes; a larger matrix is skipped.
    """

    counts: tuple[int, ...]
    parameters: tuple[int, ...]
    seconds: float
    largest: float = 1.5e9

    def sizes(self) -> Iterator[tuple[int, int]]:
        """``(K, P)``, the cheap ones first."""
        return ((k, p) for k, p in self._all() if self._bytes(k, p) <= self.largest)

    def skipped(self) -> Iterator[tuple[int, int]]:
        """``(K, P)`` of the matrices that are too large."""
        return ((k, p) for k, p in self._all() if self._bytes(k, p) > self.largest)

    def _all(self) -> Iterator[tuple[int, int]]:
        return ((k, p) for p, k in product(self.parameters, self.counts))

    @staticmethod
    def _bytes(count: int, size: int) -> int:
        return count * size * ENTRY


QUICK = Grid((2, 8, 32), (10**4, 10**6), seconds=0.7)
FULL = Grid((2, 4, 8, 16, 32), (10**4, 10**5, 10**6, 10**7), seconds=2.0)
