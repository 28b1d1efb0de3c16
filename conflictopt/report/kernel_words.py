"""Kernels and their comparison in words and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import numpy as np

from ..kernel.comparison import Comparison
from ..kernel.spectrum import Array
from ..kernel.tangent import TangentKernel
from ..wording import NOTHING, percent
from .kernel_meaning import meaning
from .parts import Part, Passage, ReportTable

_KINDS = {
    "exact": "exact",
    "rows": "estimated from a sample of rows",
    "probes": "estimated from random products",
}

_LOSSES = (
    "value: of the loss. rate: how fast a gradient step for this loss alone lowers it, relative to "
    "its value. trace: how sensitive its residuals are to the parameters, mean over the points."
)
_DIRECTIONS = (
    " directions: how many independent ones its residuals can move in, exp(entropy of the "
    "spectrum); what the residuals hold outside of these goes down slowly."
)
_PAIRS = (
    "coupling: 0, no step for one loss moves the other; 1, both depend on the same directions. "
    "cosine: of the gradients; below 0 a step for one loss raises the other. mostly through: the "
    "block that contributes most to either."
)
_BLOCKS = "Share of the block in the trace | in the squared gradient norm of each loss."
_CHANGES = (
    "in adapters: the coupling within the adapters alone. from adapters: their part of the cosine. "
    "exclusive: what a step for the second loss does to the first | the reverse, if each adapter "
    "follows its own loss only (as a cosine: below 0 it raises it); with shared adapters both are "
    "the cosine."
)


def kernel_parts(kernel: TangentKernel, title: str = "Tangent kernel") -> Iterator[Part]:
    """What to print of one kernel: the losses, their pairs, the blocks."""
    yield Passage(f"({_KINDS[kernel.kind]})", title)
    yield _loss_table(kernel)
    if len(kernel.names) > 1:
        rows = tuple(pair_rows(kernel))
        yield ReportTable("Pairs of losses", ("pair", *PAIR_HEADINGS), rows, _PAIRS, PAIR_WORDS)
    rows = tuple(block_rows(kernel))
    yield ReportTable("Blocks of parameters", ("block", *kernel.names), rows, _BLOCKS)


def comparison_parts(comparison: Comparison) -> Iterator[Part]:
    """What to print of a comparison: the pairs before and after, and what that means."""
    yield Passage("", "What the adapters change")
    if comparison.pairs:
        yield _change_table(comparison)
    for sentence in meaning(comparison):
        yield Passage(f"- {sentence}")


def _loss_table(kernel: TangentKernel) -> ReportTable:
    spectra = kernel.matrices is not None
    gradients, traces = kernel.gramian().diagonal(), kernel.trace()
    rows = []
    for k, name in enumerate(kernel.names):
        rate = gradients[k] / kernel.losses[k] if kernel.losses[k] else 0.0
        cells = [name, f"{kernel.losses[k]:.3g}", str(kernel.sizes[k]), f"{rate:.3g}"]
        cells.append(f"{traces[k]:.3g}")
        if spectra:
            cells.append(f"{kernel.spectrum(name).effective_rank:.1f}")
        rows.append(tuple(cells))
    headings = (
        "loss",
        "value",
        "residuals",
        "rate",
        "trace",
        *(("directions",) if spectra else ()),
    )
    note = _LOSSES + (_DIRECTIONS if spectra else "")
    return ReportTable("Losses", headings, tuple(rows), note)


PAIR_HEADINGS = ("coupling", "mostly through", "cosine", "mostly through")
PAIR_WORDS = (0, 2, 4)
"""Columns of words among the names of a pair and these."""


def pair_rows(kernel: TangentKernel) -> list[tuple[str, ...]]:
    """Every pair: its names, then what ``PAIR_HEADINGS`` says, as text."""
    coupling, cosine = kernel.coupling(), kernel.cosines()
    shares = kernel.coupling_shares()
    parts = np.stack([kernel.cosines(b) for b in kernel.blocks])
    return [
        (
            f"{kernel.names[k]} / {kernel.names[j]}",
            f"{coupling[k, j]:.2f}",
            _largest(kernel.blocks, shares[:, k, j], percent),
            f"{cosine[k, j]:+.2f}",
            _largest(kernel.blocks, parts[:, k, j], "{:+.2f}".format),
        )
        for k, j in combinations(range(len(kernel.names)), 2)
    ]


def block_rows(kernel: TangentKernel) -> list[tuple[str, ...]]:
    """Every block: its name, then its shares in trace and squared gradient norm of each loss."""
    traces, norms = kernel.trace(), kernel.gramian().diagonal()
    rows = []
    for b, block in enumerate(kernel.blocks):
        own = kernel.gramians[b].diagonal()
        cells = [
            f"{_share(kernel.traces[b, k], traces[k])} | {_share(own[k], norms[k])}"
            for k in range(len(kernel.names))
        ]
        rows.append((block, *cells))
    return rows


def _largest(blocks: Sequence[str], parts: Array, form: Callable[[float], str]) -> str:
    """The block that contributes most, with what; a dash where none does."""
    if not np.nan_to_num(parts).any():
        return NOTHING
    b = int(np.nanargmax(np.abs(parts)))
    return f"{blocks[b]} ({form(float(parts[b]))})"


def _change_table(comparison: Comparison) -> ReportTable:
    rows = tuple(
        (
            f"{p.first} / {p.second}",
            f"{p.coupling_before:.2f} > {p.coupling:.2f}",
            f"{p.coupling_adapters:.2f}",
            f"{p.cosine_before:+.2f} > {p.cosine:+.2f}",
            f"{p.from_adapters:+.3f}",
            f"{p.on_first:+.2f} | {p.on_second:+.2f}",
        )
        for p in comparison.pairs
    )
    headings = ("pair", "coupling", "in adapters", "cosine", "from adapters", "exclusive")
    return ReportTable("Pairs of losses, before > after", headings, rows, _CHANGES)


def _share(part: float, whole: float) -> str:
    return f"{percent(part / whole) if whole else NOTHING:>4}"
