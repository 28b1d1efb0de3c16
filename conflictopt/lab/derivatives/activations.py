"""Activation functions whose derivatives of any order follow from those of lower order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import comb

import torch
from torch import Tensor


class Activation(ABC):
    """An activation whose derivatives are cheap."""

    @abstractmethod
    def value_(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """``f(z)``, in place of z, and ``f'(z)``."""

    @abstractmethod
    def derivative(self, f: Sequence[Tensor]) -> Tensor:
        """``f^(m)(z)`` from ``f, f', ..., f^(m-1)``, m at least 2."""


class Tanh(Activation):
    """The hyperbolic tangent: ``f' = 1 - f^2``, so ``f^(m+1) = -sum_k C(m, k) f^(k) f^(m-k)``."""

    def value_(self, z: Tensor) -> tuple[Tensor, Tensor]:
        a = z.tanh_()
        return a, torch.addcmul(z.new_ones(()), a, a, value=-1)

    def derivative(self, f: Sequence[Tensor]) -> Tensor:
        m = len(f) - 1
        total = f[0].new_zeros(())
        for k in range(m // 2 + 1):
            twice = 1 if 2 * k == m else 2
            total = torch.addcmul(total, f[k], f[m - k], value=-twice * comb(m, k))
        return total


class Sine(Activation):
    """The sine: ``f'' = -f``."""

    def value_(self, z: Tensor) -> tuple[Tensor, Tensor]:
        slope = torch.cos(z)
        return z.sin_(), slope

    def derivative(self, f: Sequence[Tensor]) -> Tensor:
        return -f[len(f) - 2]


ACTIVATIONS: dict[str, Activation] = {"tanh": Tanh(), "sin": Sine()}
