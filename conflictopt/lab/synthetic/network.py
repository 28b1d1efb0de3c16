"""Small networks whose tasks agree, oppose each other, differ in units, or part only at first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from .case import Case

_WIDTH, _BATCH = 16, 24
_PARTED = 0.25
"""Share of the samples after which the targets of transient tasks have met."""
_LEVEL = 3.0


@dataclass(frozen=True)
class Tasks:
    """K regressions by one network: fit ``signs_k f(x) + offset_k(t)``, each in units of its own.

    ``L_k`` is ``units_k`` times the mean square over a batch of its own, with label noise.

    Attributes:
        signs: +1 for the target f, -1 for its opposite. Two opposed tasks conflict for as long as
            one trains: at the end the network sits between them.
        units: 1, or far larger for a loss in other units.
        parting: how far the targets of the first two tasks lie apart at the start; they meet after
            a quarter of the samples.
        frequency: of f, a sine.
        spread: standard deviation of the label noise.
    """

    signs: tuple[float, ...]
    units: tuple[float, ...]
    parting: float
    frequency: float
    spread: float

    def losses(
        self, net: nn.Module, progress: float, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """The K losses of one step, each on a new batch.

        Args:
            progress: share of the training that is done.
        """
        apart = self.parting * max(0.0, 1.0 - progress / _PARTED)
        found = {}
        for k, (sign, unit) in enumerate(zip(self.signs, self.units, strict=True)):
            x = 2 * torch.rand(_BATCH, 1, generator=generator) - 1
            target = sign * (1 + torch.sin(self.frequency * x))
            target += apart * ((k == 0) - (k == 1))
            target += self.spread * torch.randn(_BATCH, 1, generator=generator)
            found[f"task{k}"] = unit * (net(x) - target).square().mean()
        return found


def tasks(case: Case) -> Tasks:
    """The tasks of a case."""
    random = case.generator()
    count = int(random.integers(2, 6))
    frequency, spread = float(random.uniform(1.0, 4.0)), float(random.uniform(0.02, 0.2))
    transient = case.regime == "benign" and bool(random.integers(2))
    signs, units = np.ones(count), np.ones(count)
    if case.regime == "persistent":
        signs = np.array([1.0, -1.0, *random.choice([1.0, -1.0], count - 2)])
    elif case.regime == "magnitude":
        units[random.integers(count)] = 10 ** random.uniform(2.0, 4.0)
    parting = _LEVEL if transient else 0.0
    return Tasks(tuple(signs.tolist()), tuple(units.tolist()), parting, frequency, spread)


def network(generator: torch.Generator) -> nn.Module:
    """A network of one input, one hidden layer and one output, with random weights."""
    layers = (_linear(1, _WIDTH, generator), nn.Tanh(), _linear(_WIDTH, 1, generator))
    return nn.Sequential(*layers)


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """As torch draws it, from this source rather than from the global one."""
    layer = nn.Linear(inputs, outputs, device="meta").to_empty(device="cpu")
    for p in layer.parameters():
        with torch.no_grad():
            p.copy_((2 * torch.rand(p.shape, generator=generator) - 1) / inputs**0.5)
    return layer
