"""Matrices of per-loss gradients, and the step in which a method meets them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from conflictopt.core.buffer import RowBuffer
from conflictopt.core.gradients import GradientSource
from conflictopt.core.layout import ParameterLayout
from conflictopt.core.losses import Losses
from conflictopt.core.objective import Given, Objective
from conflictopt.core.step import Spec, StepView

LONGER = 4
"""Norm of the gradients with odd number beside the others': their sum conflicts with these."""


@dataclass(frozen=True)
class Gradients:
    """K gradients of P entries.

    Attributes:
        buffer: where they lie.
        spec, layout, objective: a run of K losses with one block of P parameters.
        norms: ``[K]`` float64 norms.
    """

    buffer: RowBuffer
    spec: Spec
    layout: ParameterLayout
    objective: Objective
    norms: Tensor

    @property
    def rows(self) -> Tensor:
        """``[K, P]``."""
        return self.buffer.rows

    def view(self, generator: torch.Generator) -> StepView:
        """A new step, which has computed nothing yet."""
        source = _Ready(self.objective, self.layout, self.buffer)
        return StepView(self.spec, 0, self.layout, lambda: generator, source, [])

    def cosines(self, update: Tensor) -> Tensor:
        """``[K]`` float64 cosines of an update to the gradients; 0 if it does not move."""
        wide = update.double()
        size = wide.norm()
        along = torch.stack([row.double() @ wide for row in self.rows])
        return along / self.norms / size if size > 0 else torch.zeros_like(along)


class _Ready(GradientSource):
    """Rows that are there before the step."""

    def __init__(self, objective: Objective, layout: ParameterLayout, buffer: RowBuffer) -> None:
        super().__init__(objective, layout, lambda count, layout: buffer)
        self._ready = buffer.rows

    @property
    def has_rows(self) -> bool:
        return True

    def rows(self) -> Tensor:
        return self._ready


def conflicting(count: int, size: int) -> Gradients:
    """Random gradients, always the same, of which those of even and odd number conflict.

    Row k is along ``noise_k + (-1)^k shared``, all standard normal: cosines are near +-1/2. Norms
    are 1 and ``LONGER``, up to a factor of ``2 ** +-0.25``.
    """
    generator = torch.Generator().manual_seed(1000 * count + len(str(size)))
    parameter = torch.zeros(size, requires_grad=True)
    layout = ParameterLayout.build([parameter])
    buffer = RowBuffer(count, layout)
    shared = torch.randn(size, generator=generator)
    jitter = torch.exp2((torch.rand(count, generator=generator) - 0.5) / 2)
    for k, factor in enumerate(jitter.tolist()):
        row = torch.randn(size, generator=generator).add_(shared, alpha=(-1) ** k)
        buffer.write(k, [row.mul_((LONGER if k % 2 else 1) * factor / row.norm())])
    names = tuple(f"loss{k}" for k in range(count))
    spec = Spec(
        names, (True,) + (False,) * (count - 1), layout.dtype, layout.device, layout.outline
    )
    objective = Given(Losses.of(dict.fromkeys(names, parameter.sum())))
    norms = torch.stack([row.double().norm() for row in buffer.rows])
    return Gradients(buffer, spec, layout, objective, norms)
