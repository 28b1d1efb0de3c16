"""StepView: all that a method may know of one step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .errors import LossError
from .gradients import GradientSource
from .layout import ParameterLayout
from .reports import Note


@dataclass(frozen=True)
class Spec:
    """What is fixed for a whole run; methods size their state by it.

    Attributes:
        names: the K loss names.
        equations: per loss, whether it is an equation (PDE residual) rather than a condition.
        dtype, device: of losses and parameters.
        blocks: name and size of every parameter block.
        layers: names of the trunk's layers.
    """

    names: tuple[str, ...]
    equations: tuple[bool, ...]
    dtype: torch.dtype
    device: torch.device
    blocks: tuple[tuple[str, int], ...]
    layers: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """K, the number of losses."""
        return len(self.names)

    @property
    def size(self) -> int:
        """P, the number of parameters."""
        return sum(size for _, size in self.blocks)


def equation_flags(names: Sequence[str], chosen: Sequence[str] | None) -> tuple[bool, ...]:
    """Which losses are equations: those chosen, else those named ``pde...``, else the first.

    Raises:
        LossError: a chosen name that no loss has.
    """
    if chosen is None:
        chosen = [n for n in names if n.startswith("pde")] or names[:1]
    unknown = [n for n in chosen if n not in names]
    if unknown:
        raise LossError(f"equations names {unknown}, but the losses are {tuple(names)}.")
    return tuple(n in chosen for n in names)


@dataclass(frozen=True)
class StepView:
    """One step as a method sees it: immutable, and computed only as far as it is asked for.

    Attributes:
        spec: names, equation flags, dtype and device.
        step: number of completed steps.
        layout: the parameter blocks.
    """

    spec: Spec
    step: int
    layout: ParameterLayout
    _random: Callable[[], torch.Generator]
    _source: GradientSource
    _notes: list[Note]
    _scale: Tensor | None = None

    @property
    def count(self) -> int:
        """K, the number of losses."""
        return self.spec.count

    @property
    def generator(self) -> torch.Generator:
        """The random source of the run; the global one is never used."""
        return self._random()

    @property
    def losses(self) -> Tensor:
        """``[K]`` detached (scaled) values."""
        spec = self.spec
        values = torch.tensor(self._source.values(), dtype=spec.dtype, device=spec.device)
        return values if self._scale is None else values * self._scale

    def ones(self) -> Tensor:
        """``[K]`` unit coefficients."""
        return torch.ones(self.count, dtype=self.spec.dtype, device=self.spec.device)

    def gramian(self, block: str | None = None) -> Tensor:
        """``[K, K]`` float64 CPU matrix of inner products of the (scaled) gradients."""
        gram = self._source.gramian(block)
        if self._scale is None:
            return gram
        scale = self._scale.to(gram)
        return gram * scale[:, None] * scale[None, :]

    def layer_gramians(self) -> Tensor:
        """``[B, K, K]`` float64 CPU Gramians of (scaled) gradients, one per layer of the trunk."""
        grams = self._source.layer_gramians()
        if self._scale is None:
            return grams
        scale = self._scale.to(grams)
        return grams * scale[:, None] * scale[None, :]

    def norms(self, block: str | None = None) -> Tensor:
        """``[K]`` float64 norms of the (scaled) gradients."""
        norms = self._source.norms(block)
        return norms if self._scale is None else norms * self._scale.to(norms).abs()

    def rows(self, block: str | None = None) -> Tensor:
        """``[K, P_block]`` (scaled) gradients. Read-only: without a scale it is the buffer."""
        rows = self._source.rows()[:, self.layout.columns(block)]
        return rows if self._scale is None else rows * self._scale[:, None]

    def row(self, k: int) -> Tensor:
        """``[P]`` (scaled) gradient of loss k: one backward pass, where ``rows`` takes K."""
        row = self._source.row(k)
        return row if self._scale is None else row * self._scale[k]

    def touched_columns(self, k: int, block: str | None = None) -> Tensor:
        """``[P_block]`` bool: columns of parameters that loss k reaches."""
        device = self.spec.device
        touched = torch.tensor(self._source.touched(k), device=device)
        sizes = torch.tensor(self.layout.sizes, device=device)
        return touched.repeat_interleave(sizes)[self.layout.columns(block)]

    def residual_traces(self, probes: int | None, block: str | None = None) -> Tensor:
        """See ``GradientSource.residual_traces``; ``c * L`` has ``c`` times the trace of ``L``.

        Raises:
            MethodError: a loss came without residuals, or is not their mean square.
        """
        traces = self._source.residual_traces(probes, block, self.generator)
        return traces if self._scale is None else traces * self._scale.to(traces)

    def report(self, kind: str, message: str) -> None:
        """Tell the user that a bound acted or a fallback was taken."""
        self._notes.append((kind, message))

    def unweighted(self) -> StepView:
        """The same step as if no member of a chain weighted points."""
        source = self._source.unweighted()
        return self if source is self._source else replace(self, _source=source)

    def scaled(self, c: Tensor) -> StepView:
        """The same step with loss k and row k times ``c[k]``."""
        return replace(self, _scale=c if self._scale is None else self._scale * c)
