"""The tangent kernel as tables of a report."""

from __future__ import annotations

from ..kernel import TangentKernel
from ..report.kernel_words import PAIR_HEADINGS, PAIR_WORDS, block_rows, pair_rows
from ..report.parts import ReportTable

_PAIRS = (
    "Coupling: 0 if no step for one loss moves the other, 1 if both depend on the same "
    "directions. Cosine: of the gradients; below 0 a step for one loss raises the other. Beside "
    "each, the block of parameters that contributes most to it. Where losses hardly couple, "
    "parameters of their own gain nothing; where one block carries the coupling, look there."
)
_BLOCKS = (
    "Share of each block of parameters in the loss's kernel trace (how fast its residuals can "
    "move) | in its squared gradient norm."
)


def kernel_tables(kernel: TangentKernel, step: int) -> tuple[ReportTable, ...]:
    """Pairs of losses and blocks of parameters.

    Args:
        kernel: of the losses.
        step: number of steps after which it was taken.
    """
    title = f"What couples the losses? (tangent kernel after {step} steps)"
    blocks = "Which parameters carry the losses?"
    return (
        ReportTable(title, ("pair", *PAIR_HEADINGS), tuple(pair_rows(kernel)), _PAIRS, PAIR_WORDS),
        ReportTable(blocks, ("block", *kernel.names), tuple(block_rows(kernel)), _BLOCKS),
    )
