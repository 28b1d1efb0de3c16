"""Quadratic losses with chosen angles, norm ratios and correlated gradient noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...diagnosis.thresholds import Thresholds
from .case import Case
from .noise import autoregressive

Array = NDArray[np.float64]

_DIMENSION = 12
_RADIUS = 1e4
"""Distance of the minima: so far that the directions to them stay the same while one trains."""
_PULL, _PUSH, _START = 2.0, 1.0, 3.0
_LATER = 0.12
"""Share of the samples in which the conflict of a transient case falls by a factor e."""


@dataclass(frozen=True)
class Quadratics:
    """K losses of one parameter vector x in D + 1 dimensions, noise included.

    Formula: ``L_k = s_k (||x' + R d_k||^2 / (2 R) + e_k(t) . x' + h_k x_D^2 / 2)``, where x' are
    the first D entries: the gradient in x' is ``s_k (d_k + e_k(t))`` up to ``||x'|| / R``.

    Attributes:
        directions: ``[K, D]`` unit vectors d_k.
        sizes: ``[K]`` s_k.
        spread: ``E ||e_k||^2 = spread^2``.
        correlation: of e_k from step to step.
        curvatures: ``[K]`` h_k. Zero but for a transient case, whose first two losses pull at x_D
            in opposite directions until it is zero.
        rate: learning rate.
    """

    directions: Array
    sizes: Array
    spread: float
    correlation: float
    curvatures: Array
    rate: float

    def start(self) -> Tensor:
        """``[D + 1]`` x before the first step."""
        x = torch.zeros(_DIMENSION + 1, dtype=torch.float64)
        x[-1] = _START if self.curvatures.any() else 0.0
        return x

    def noise(self, steps: int, generator: np.random.Generator) -> Array:
        """``[steps, K, D]`` e_k(t)."""
        shape = self.directions.shape
        found = autoregressive(steps, shape, self.correlation, generator)
        scaled: Array = self.spread / _DIMENSION**0.5 * found
        return scaled

    def losses(self, x: Tensor, noise: Array) -> dict[str, Tensor]:
        """The K losses at one step, by name.

        Args:
            x: ``[D + 1]``.
            noise: ``[K, D]`` of this step.
        """
        near, far = x[:-1], torch.from_numpy(_RADIUS * self.directions)
        pushes = torch.from_numpy(noise)
        found = {}
        for k, (size, curvature) in enumerate(zip(self.sizes, self.curvatures, strict=True)):
            value = (near + far[k]).square().sum() / (2 * _RADIUS) + pushes[k] @ near
            if curvature:
                value = value + 0.5 * curvature * x[-1].square()
            found[f"loss{k}"] = size * value
        return found


def quadratics(case: Case) -> Quadratics:
    """The quadratics of a case."""
    random = case.generator()
    count = int(random.integers(2, 6))
    spread, correlation = float(random.uniform(0.1, 0.8)), float(random.uniform(0.0, 0.9))
    transient = case.regime == "benign" and case.difficulty == 0 and bool(random.integers(2))
    ratio, cosine = _ratio_and_cosine(case, spread, random)
    directions = _directions(count, cosine, random)
    sizes = np.exp(np.log(ratio) * random.permutation(np.linspace(0.0, 1.0, count)))
    curvatures = np.zeros(count)
    if transient:
        sizes[:2] = sizes[0]
        curvatures[:2] = _PULL, -_PUSH
    rate = 1.0 / (_LATER * case.samples * (_PULL - _PUSH)) / float(sizes.max())
    return Quadratics(directions, sizes, spread, correlation, curvatures, rate)


def _ratio_and_cosine(
    case: Case, spread: float, random: np.random.Generator
) -> tuple[float, float]:
    """Norm ratio and cosine of the first pair, moved to a threshold by the difficulty.

    Noise shortens cosines by ``1 + spread^2``.
    """
    agree, oppose = random.uniform(0.2, 0.8), random.uniform(-0.9, -0.5)
    small, large = 10 ** random.uniform(0.0, 0.4), 10 ** random.uniform(1.7, 4.0)
    toward_conflict, either = bool(random.integers(2)), bool(random.integers(2))
    limits = Thresholds()
    edge_ratio = limits.magnitude_ratio
    edge_cosine = limits.persistent_cosine * (1 + spread**2)
    d = case.difficulty
    if case.regime == "persistent":
        other = large if either else small
        return other, (1 - d) * oppose + d * edge_cosine
    if case.regime == "magnitude":
        return large ** (1 - d) * edge_ratio**d, agree
    if toward_conflict:
        return small, (1 - d) * agree + d * edge_cosine
    return small ** (1 - d) * edge_ratio**d, agree


def _directions(count: int, cosine: float, random: np.random.Generator) -> Array:
    """``[K, D]`` unit vectors: the first pair at this cosine, the others at 0.3 or more to all."""
    basis = np.linalg.qr(random.standard_normal((_DIMENSION, _DIMENSION)))[0].T
    half = np.arccos(cosine) / 2
    found = [np.cos(half) * basis[0] + sign * np.sin(half) * basis[1] for sign in (1.0, -1.0)]
    found += [0.9 * basis[0] + (1 - 0.9**2) ** 0.5 * basis[k] for k in range(2, count)]
    return np.stack(found)
