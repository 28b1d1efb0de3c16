"""Statistics of gradient entries, over the parameters that a loss reaches."""

from __future__ import annotations

from torch import Tensor

from ...core.step import StepView


def spread(entries: Tensor) -> float:
    """Standard deviation (unbiased) of ``[n]`` entries; 0 where it is rounding of a constant."""
    if len(entries) < 2:
        return 0.0
    std = float(entries.std())
    return std if std > 1e-12 * float(entries.abs().max()) else 0.0


def entries(view: StepView, block: str | None) -> list[Tensor]:
    """Per loss the entries of its gradient in a block, as float64 on the CPU.

    Parameters that the loss does not reach have no entries: their zeros would say that the
    gradient is small, not that there is none.
    """
    rows = view.rows(block)
    return [
        row[view.touched_columns(k, block)].cpu().double() for k, row in enumerate(rows.unbind())
    ]
