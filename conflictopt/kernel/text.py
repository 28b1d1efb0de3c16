"""Kernels and their comparison for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from rich import box
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from .comparison import Comparison
from .meaning import meaning
from .spectrum import Array
from .tangent import TangentKernel

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


def kernel_text(kernel: TangentKernel, title: str = "Tangent kernel") -> Iterator[RenderableType]:
    """What to print of one kernel: the losses, their pairs, the blocks."""
    yield Text(f"{title} ({_KINDS[kernel.kind]})", style="bold")
    yield _loss_table(kernel)
    yield Text(_LOSSES + (_DIRECTIONS if kernel.matrices is not None else ""), style="dim")
    if len(kernel.names) > 1:
        yield _pair_table(kernel)
        yield Text(_PAIRS, style="dim")
    yield _block_table(kernel)
    yield Text(_BLOCKS, style="dim")


def comparison_text(comparison: Comparison) -> Iterator[RenderableType]:
    """What to print of a comparison: the pairs before and after, and what that means."""
    yield Text("What the adapters change", style="bold")
    if comparison.pairs:
        yield _change_table(comparison)
        yield Text(_CHANGES, style="dim")
    for sentence in meaning(comparison):
        yield Text(f"- {sentence}")


def _loss_table(kernel: TangentKernel) -> Table:
    spectra = kernel.matrices is not None
    table = _table("Losses")
    table.add_column("loss", no_wrap=True)
    for heading in ("value", "residuals", "rate", "trace", *(("directions",) if spectra else ())):
        table.add_column(heading, justify="right", no_wrap=True)
    gradients, traces = kernel.gramian().diagonal(), kernel.trace()
    for k, name in enumerate(kernel.names):
        rate = gradients[k] / kernel.losses[k] if kernel.losses[k] else 0.0
        cells = [f"{kernel.losses[k]:.3g}", str(kernel.sizes[k]), f"{rate:.3g}"]
        cells.append(f"{traces[k]:.3g}")
        if spectra:
            cells.append(f"{kernel.spectrum(name).effective_rank:.1f}")
        table.add_row(escape(name), *cells)
    return table


PAIR_HEADINGS = ("coupling", "mostly through", "cosine", "mostly through")


def pair_rows(kernel: TangentKernel) -> list[tuple[str, ...]]:
    """Every pair: its names, then what ``PAIR_HEADINGS`` says, as text."""
    coupling, cosine = kernel.coupling(), kernel.cosines()
    shares = kernel.coupling_shares()
    parts = np.stack([kernel.cosines(b) for b in kernel.blocks])
    return [
        (
            f"{kernel.names[k]} / {kernel.names[j]}",
            f"{coupling[k, j]:.2f}",
            _largest(kernel.blocks, shares[:, k, j], "{:.0%}"),
            f"{cosine[k, j]:+.2f}",
            _largest(kernel.blocks, parts[:, k, j], "{:+.2f}"),
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


def _pair_table(kernel: TangentKernel) -> Table:
    table = _table("Pairs of losses")
    table.add_column("pair", no_wrap=True)
    for heading, justify in zip(PAIR_HEADINGS, ("right", "left", "right", "left"), strict=True):
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for row in pair_rows(kernel):
        table.add_row(*map(escape, row))
    return table


def _block_table(kernel: TangentKernel) -> Table:
    table = _table("Blocks of parameters")
    table.add_column("block", no_wrap=True)
    for name in kernel.names:
        table.add_column(escape(name), justify="right", no_wrap=True)
    for row in block_rows(kernel):
        table.add_row(*map(escape, row))
    return table


def _largest(blocks: Sequence[str], parts: Array, form: str) -> str:
    """The block that contributes most, with what; a dash where none does."""
    if not np.nan_to_num(parts).any():
        return "-"
    b = int(np.nanargmax(np.abs(parts)))
    return f"{blocks[b]} ({form.format(parts[b])})"


def _change_table(comparison: Comparison) -> Table:
    table = _table("Pairs of losses, before > after")
    table.add_column("pair", no_wrap=True)
    for heading in ("coupling", "in adapters", "cosine", "from adapters", "exclusive"):
        table.add_column(heading, justify="right", no_wrap=True)
    for p in comparison.pairs:
        table.add_row(
            escape(f"{p.first} / {p.second}"),
            f"{p.coupling_before:.2f} > {p.coupling:.2f}",
            f"{p.coupling_adapters:.2f}",
            f"{p.cosine_before:+.2f} > {p.cosine:+.2f}",
            f"{p.from_adapters:+.3f}",
            f"{p.on_first:+.2f} | {p.on_second:+.2f}",
        )
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)


def _share(part: float, whole: float) -> str:
    return f"{part / whole:4.0%}" if whole else "  -"
