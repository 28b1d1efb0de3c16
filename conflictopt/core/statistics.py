"""Statistics of gradient entries, over the parameters that a loss reaches."""

from __future__ import annotations

from torch import Tensor

from .step import StepView


def entries(view: StepView, block: str | None) -> list[Tensor]:
    """Per loss the entries of its gradient in a block, as float64 on the CPU.

    Parameters that the loss does not reach have no entries: their zeros would say that the
    gradient is small, not that there is none.
    """
    rows = view.rows(block)
    return [
        row[view.touched_columns(k, block)].cpu().double() for k, row in enumerate(rows.unbind())
    ]
