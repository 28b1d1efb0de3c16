"""Parameters as named blocks, and vectors over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..adapters import attached
from ..core.errors import LayoutError
from ..core.layout import PHYSICS, ParameterLayout


def blocks_of(module: nn.Module, unknowns: Sequence[Tensor] = ()) -> dict[str, tuple[Tensor, ...]]:
    """The trainable parameters of a network by layer, with the adapters attached to it.

    Args:
        module: the network.
        unknowns: parameters outside it (of an inverse problem), which form the block ``physics``.

    Returns:
        ``network/0``, ``network/1``, ..., then ``physics`` if there are unknowns, then
        ``adapter/<loss>`` if adapters are attached.

    Raises:
        LayoutError: see ``ParameterLayout.build``.
    """
    adapters = attached(module)
    named = dict(adapters.blocks()) if adapters is not None else {}
    if unknowns:
        named[PHYSICS] = list(unknowns)
    every = [*module.parameters(), *unknowns]
    return blocks_of_layout(ParameterLayout.build(every, named, by_layer=True))


def blocks_of_layout(layout: ParameterLayout) -> dict[str, tuple[Tensor, ...]]:
    """The blocks of an optimizer, from ``MultiLossOptimizer.layout()``."""
    return {b.name: layout.members(b) for b in layout.blocks}


@dataclass(frozen=True)
class Columns:
    """Where each block lies in a vector over all parameters.

    Attributes:
        params: all parameters, block by block.
        blocks: per block its columns.
    """

    params: tuple[Tensor, ...]
    blocks: dict[str, slice]

    @classmethod
    def of(cls, parameters: Mapping[str, Sequence[Tensor]]) -> Columns:
        """Lay blocks side by side.

        Raises:
            LayoutError: no block, an empty one, a parameter in two of them, or one without
                gradient.
        """
        if not parameters:
            raise LayoutError("expected at least one block of parameters, found none.")
        owner: dict[int, str] = {}
        blocks: dict[str, slice] = {}
        start = 0
        for name, members in parameters.items():
            for p in members:
                _check(p, name, owner)
                owner[id(p)] = name
            if not members:
                raise LayoutError(f"expected parameters in block '{name}', found none.")
            stop = start + sum(p.numel() for p in members)
            blocks[name] = slice(start, stop)
            start = stop
        return cls(tuple(p for ps in parameters.values() for p in ps), blocks)

    @property
    def size(self) -> int:
        """P, the number of scalars."""
        return sum(p.numel() for p in self.params)

    def flatten(self, grads: Sequence[Tensor | None]) -> Tensor:
        """Per-parameter gradients as one ``[P]`` float64 row on the CPU; ``None`` becomes 0."""
        row = torch.zeros(self.size, dtype=torch.float64, device="cpu")
        start = 0
        for g, p in zip(grads, self.params, strict=True):
            if g is not None:
                row[start : start + p.numel()] = g.detach().reshape(-1)
            start += p.numel()
        return row


def _check(p: Tensor, name: str, owner: Mapping[int, str]) -> None:
    if not isinstance(p, Tensor) or not p.requires_grad:
        found = f"shape {tuple(p.shape)} without" if isinstance(p, Tensor) else type(p).__name__
        raise LayoutError(
            f"expected trainable parameters in block '{name}', found {found}"
            f"{' requires_grad; leave frozen ones out' if isinstance(p, Tensor) else ''}."
        )
    if id(p) in owner:
        raise LayoutError(
            f"a parameter of shape {tuple(p.shape)} is in the blocks '{owner[id(p)]}' and "
            f"'{name}'; give each parameter one block."
        )
