"""Which synthetic problem: its regime, its kind, its seed, how near to another regime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...core.errors import ConflictOptError
from ...diagnosis.diagnosis import Regime

Kind = Literal["quadratics", "network"]

REGIMES: tuple[Regime, ...] = ("persistent", "magnitude", "benign")
KINDS: tuple[Kind, ...] = ("quadratics", "network")


class CaseError(ConflictOptError, ValueError):
    """There is no such synthetic problem."""


@dataclass(frozen=True)
class Case:
    """One random problem; the same fields always give the same problem, data and noise.

    Attributes:
        regime: what it is built to be.
        kind: ``quadratics`` (chosen angles, norms and noise) or ``network`` (two to five tasks).
        seed: of everything that is random in it.
        difficulty: 0 for well inside its regime, 1 for about on the threshold to another one, of
            either side. Quadratics only: their statistics are known exactly, those of a network
            are not.
        samples: T, the steps trained, each of which is sampled.

    Raises:
        CaseError: a value that is not one of these.
    """

    regime: Regime
    kind: Kind
    seed: int
    difficulty: float = 0.0
    samples: int = 100

    def __post_init__(self) -> None:
        known = self.regime in REGIMES and self.kind in KINDS
        if not known or not 0 <= self.difficulty <= 1 or self.samples < 1:
            raise CaseError(
                f"expected a regime of {REGIMES}, a kind of {KINDS}, a difficulty in [0, 1] and at "
                f"least one sample, found {self}."
            )
        if self.kind == "network" and self.difficulty > 0:
            raise CaseError(
                "expected difficulty 0 for a network, whose regime near a threshold is not known "
                f"by construction, found {self.difficulty}. Use kind='quadratics'."
            )

    def generator(self) -> np.random.Generator:
        """A new random source; cases that differ in regime or kind share no numbers."""
        key = (self.seed, REGIMES.index(self.regime), KINDS.index(self.kind))
        return np.random.default_rng(key)
