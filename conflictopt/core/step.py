"""StepView: all that a method may know of one step."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .gradients import GradientSource
from .layout import ParameterLayout


@dataclass(frozen=True)
class Spec:
    """What is fixed for a whole run; methods size their state by it.

    Attributes:
        names: the K loss names.
        equations: per loss, whether it is an equation (PDE residual) rather than a condition.
        dtype, device: of losses and parameters.
    """

    names: tuple[str, ...]
    equations: tuple[bool, ...]
    dtype: torch.dtype
    device: torch.device

    @property
    def count(self) -> int:
        """K, the number of losses."""
        return len(self.names)


@dataclass(frozen=True)
class StepView:
    """One step as a method sees it: immutable, and computed only as far as it is asked for.

    Attributes:
        losses: ``[K]`` detached values.
        spec: names, equation flags, dtype and device.
        step: number of completed steps.
        generator: the random source of the run; the global one is never used.
        layout: the parameter blocks.
    """

    losses: Tensor
    spec: Spec
    step: int
    generator: torch.Generator
    layout: ParameterLayout
    _source: GradientSource
    _scale: Tensor | None = None

    @property
    def count(self) -> int:
        """K, the number of losses."""
        return self.spec.count

    def gramian(self, block: str | None = None) -> Tensor:
        """``[K, K]`` float64 CPU matrix of inner products of the (scaled) gradients."""
        gram = self._source.gramian(block)
        if self._scale is None:
            return gram
        scale = self._scale.to(gram)
        return gram * scale[:, None] * scale[None, :]

    def norms(self, block: str | None = None) -> Tensor:
        """``[K]`` float64 norms of the (scaled) gradients."""
        return self.gramian(block).diagonal().clamp_min(0).sqrt()

    def rows(self, block: str | None = None) -> Tensor:
        """``[K, P_block]`` (scaled) gradients. Read-only: without a scale it is the buffer."""
        rows = self._source.rows()[:, self.layout.columns(block)]
        return rows if self._scale is None else rows * self._scale[:, None]

    def touched_columns(self, k: int, block: str | None = None) -> Tensor:
        """``[P_block]`` bool: columns of parameters that loss k reaches."""
        sizes = torch.tensor([p.numel() for p in self.layout.params], device="cpu")
        mask = self._source.touched()[k].repeat_interleave(sizes)
        return mask[self.layout.columns(block)].to(self.spec.device)

    def residual_trace(self, k: int, probes: int, block: str | None = None) -> float:
        """See ``GradientSource.residual_trace``; ``c * L`` has ``c`` times the trace of ``L``.

        Raises:
            MethodError: the loss came without residuals, or is not their mean square.
        """
        trace = self._source.residual_trace(k, probes, block, self.generator)
        return trace if self._scale is None else float(self._scale[k]) * trace

    def scaled(self, c: Tensor) -> StepView:
        """The same step with loss k and row k times ``c[k]``."""
        scale = c if self._scale is None else self._scale * c
        return replace(self, losses=self.losses * c, _scale=scale)
