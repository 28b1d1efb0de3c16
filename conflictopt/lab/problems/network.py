"""The fully connected network of a problem."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..derivatives.trunk import AffineInputs


class FullyConnected(nn.Module):
    """tanh layers on inputs scaled to ``[-1, 1]``, Glorot normal weights, zero biases.

    Its layers have the names that ``deepxde.nn.FNN`` gives them, so that checkpoints are
    exchangeable.

    Args:
        sizes: inputs, hidden widths, outputs.
        lower, upper: the box that is mapped to ``[-1, 1]``.
        seed: of the weights; the global generator is not used.
        dtype: of the parameters.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        lower: Sequence[float],
        upper: Sequence[float],
        seed: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        generator = torch.Generator(device="cpu").manual_seed(seed)
        self._input_transform = AffineInputs(lower, upper, dtype)
        self.activation = torch.tanh
        self.linears = nn.ModuleList()
        for fan_in, fan_out in pairwise(sizes):
            layer = nn.utils.skip_init(  # type: ignore[no-untyped-call]
                nn.Linear, fan_in, fan_out, dtype=dtype, device="cpu"
            )
            # drawn in float64, so that all dtypes start from the same weights
            drawn = torch.empty(fan_out, fan_in, dtype=torch.float64, device="cpu")
            nn.init.xavier_normal_(drawn, generator=generator)
            layer.weight.data.copy_(drawn)
            nn.init.zeros_(layer.bias)
            self.linears.append(layer)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs]`` -> ``[N, outputs]``."""
        h: Tensor = self._input_transform(x)
        for layer in self.linears[:-1]:
            h = self.activation(layer(h))
        out: Tensor = self.linears[-1](h)
        return out


def parameter_count(sizes: Sequence[int]) -> int:
    """Number of parameters of a fully connected network."""
    return sum((a + 1) * b for a, b in pairwise(sizes))


def widened(sizes: Sequence[int], parameters: int) -> list[int]:
    """The same depth, with the hidden width that comes nearest to a number of parameters."""
    depth = len(sizes) - 2
    width = max(sizes[1:-1])

    def candidate(w: int) -> list[int]:
        return [sizes[0], *[w] * depth, sizes[-1]]

    while width > 1 and parameter_count(candidate(width - 1)) >= parameters:
        width -= 1
    while parameter_count(candidate(width)) < parameters:
        width += 1
    options = [candidate(w) for w in (width - 1, width) if w >= 1]
    return min(options, key=lambda s: abs(parameter_count(s) - parameters))
