"""Parameters arranged into named blocks, and where each lies in a flat gradient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import torch
from torch import Tensor

from .errors import LayoutError
from .torch_internals import unflatten

NETWORK = "network"
PHYSICS = "physics"
ADAPTER = "adapter/"
"""Prefix of an adapter block; the rest of the name is the loss that owns it."""
TRUNK = "trunk"
"""Stands for every block but unknowns and adapters: the geometry that methods look at."""


@dataclass(frozen=True)
class ParameterBlock:
    """A named run of parameters: its columns of the flat gradient."""

    name: str
    columns: slice

    @property
    def in_trunk(self) -> bool:
        """Whether the block holds neither unknowns nor adapters."""
        return self.name != PHYSICS and not self.name.startswith(ADAPTER)

    @property
    def owner(self) -> str | None:
        """The loss that owns an adapter block, ``None`` for any other block."""
        return self.name.removeprefix(ADAPTER) if self.name.startswith(ADAPTER) else None


@dataclass(frozen=True)
class ParameterLayout:
    """The trainable parameters of one optimizer, ordered block by block.

    Attributes:
        params: the P-element parameter list, network first, then the other blocks.
        blocks: the blocks; their ``columns`` tile ``range(size)``.
        offsets: per parameter its first column.
        size: P, the total number of scalars.
        divided: whether the trunk's blocks are its layers.
    """

    params: tuple[Tensor, ...]
    blocks: tuple[ParameterBlock, ...]
    offsets: tuple[int, ...]
    size: int
    divided: bool = False

    @classmethod
    def build(
        cls,
        params: Iterable[Tensor],
        named: Mapping[str, Sequence[Tensor]] | None = None,
        by_layer: bool = False,
    ) -> ParameterLayout:
        """Arrange parameters into blocks.

        Args:
            params: every parameter of the optimizer; those with ``requires_grad`` False are left
                out, as torch leaves them alone.
            named: blocks beside ``network``, as name -> parameters. Without a ``physics`` block,
                0-dimensional parameters (the unknowns of an inverse problem) form it.
            by_layer: whether to divide the trunk's blocks into layers, ``network/0`` and so on.

        Raises:
            LayoutError: no trainable parameter, a parameter in two blocks, or a block whose
                parameters the optimizer does not hold.
        """
        every = [p for p in params if p.requires_grad]
        if not every:
            raise LayoutError(
                "expected at least one parameter with requires_grad=True, found none."
            )
        owner = _block_of(every, dict(named or {}))
        order: dict[str, list[Tensor]] = {}
        for p in every:
            order.setdefault(owner[id(p)], []).append(p)
        if by_layer:
            order = _by_layer(order)
        # The trunk's blocks first, so that together they are one run of columns.
        names = sorted(order, key=_rank)
        flat: list[Tensor] = []
        offsets: list[int] = []
        blocks: list[ParameterBlock] = []
        size = 0
        for name in names:
            start = size
            for p in order[name]:
                flat.append(p)
                offsets.append(size)
                size += p.numel()
            blocks.append(ParameterBlock(name, slice(start, size)))
        return cls(tuple(flat), tuple(blocks), tuple(offsets), size, by_layer)

    @property
    def device(self) -> torch.device:
        """The device of the first parameter; where gradients are aggregated, that of all."""
        return self.params[0].device

    @cached_property
    def dtype(self) -> torch.dtype:
        """The dtype of the parameters; of several, the real one that holds them all."""
        kinds = {p.dtype.to_real() for p in self.params}
        return reduce(torch.promote_types, kinds)

    def check_uniform(self) -> None:
        """Check that gradients of all parameters can be one row.

        A weighted sum of losses needs none; whatever compares gradients of losses does.

        Raises:
            LayoutError: complex parameters, or several dtypes or devices.
        """
        if not self._uniform:
            _refuse_mixed(self.params)

    @cached_property
    def _uniform(self) -> bool:
        kinds = {(p.dtype, p.device) for p in self.params}
        return len(kinds) == 1 and not self.params[0].is_complex()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Block names, in column order."""
        return tuple(b.name for b in self.blocks)

    @cached_property
    def outline(self) -> tuple[tuple[str, int], ...]:
        """Name and size of every block, in column order."""
        return tuple((b.name, b.columns.stop - b.columns.start) for b in self.blocks)

    @cached_property
    def layers(self) -> tuple[ParameterBlock, ...]:
        """The layers of the trunk as ``by_layer`` names them, whether or not they are blocks."""
        trunk = [b for b in self.blocks if b.in_trunk]
        if self.divided:
            return tuple(trunk)
        members = _by_layer({b.name: self.members(b) for b in trunk})
        found, start = [], 0
        for name, params in members.items():
            stop = start + sum(p.numel() for p in params)
            found.append(ParameterBlock(name, slice(start, stop)))
            start = stop
        return tuple(found)

    def columns(self, block: str | None) -> slice:
        """Columns of a block in the flat gradient; ``TRUNK`` those of the trunk, ``None`` all.

        Raises:
            LayoutError: unknown block.
        """
        if block is None:
            return slice(0, self.size)
        if block == TRUNK:
            ends = [b.columns.stop for b in self.blocks if b.in_trunk]
            return slice(0, max(ends, default=self.size))
        for b in self.blocks:
            if b.name == block:
                return b.columns
        raise LayoutError(f"expected one of the blocks {self.names}, found '{block}'.")

    def members(self, block: ParameterBlock) -> tuple[Tensor, ...]:
        """The parameters of a block."""
        pairs = zip(self.params, self.offsets, strict=True)
        return tuple(p for p, s in pairs if block.columns.start <= s < block.columns.stop)

    @cached_property
    def sizes(self) -> list[int]:
        """Per parameter its number of scalars."""
        return [p.numel() for p in self.params]

    def flatten(self, grads: Sequence[Tensor | None]) -> Tensor:
        """Per-parameter gradients as one new ``[P]`` row; ``None`` becomes 0.

        Raises:
            LayoutError: see ``check_dense``.
        """
        check_dense(grads)
        pairs = zip(grads, self.params, strict=True)
        return torch.cat([(torch.zeros_like(p) if g is None else g).reshape(-1) for g, p in pairs])

    def split(self, flat: Tensor) -> list[Tensor]:
        """Views of a flat ``[P]`` gradient in the parameters' shapes."""
        return unflatten(flat, self.params, self.sizes)


def check_dense(grads: Iterable[Tensor | None]) -> None:
    """Check gradients that are to be compared.

    Raises:
        LayoutError: a sparse one.
    """
    if any(g is not None and g.layout != torch.strided for g in grads):
        raise LayoutError(
            "expected dense gradients, as gradients of losses are compared here, found a sparse "
            "one. Build the embedding with sparse=False, or use 'sum', which takes the plain step."
        )


class LayoutCache:
    """The layout of the step before, as long as it is the same."""

    def __init__(self) -> None:
        self._last: tuple[Any, ParameterLayout] | None = None

    def of(
        self,
        params: Sequence[Tensor],
        named: Mapping[str, Sequence[Tensor]],
        by_layer: bool = False,
    ) -> ParameterLayout:
        """``ParameterLayout.build``, or what it returned for the same parameters and blocks."""
        blocks = [(n, *map(id, ps)) for n, ps in named.items()]
        key = [(id(p), p.requires_grad, p.dtype, p.device) for p in params], blocks, by_layer
        if self._last is None or key != self._last[0]:
            self._last = key, ParameterLayout.build(params, named, by_layer)
        return self._last[1]


def _rank(name: str) -> tuple[bool, bool, bool]:
    block = ParameterBlock(name, slice(0))
    network = name == NETWORK or name.startswith(f"{NETWORK}/")
    return not network, block.owner is not None, name == PHYSICS


def _by_layer(order: Mapping[str, Sequence[Tensor]]) -> dict[str, list[Tensor]]:
    """The trunk's blocks divided: a layer is a matrix, and the vectors that come after it."""
    divided: dict[str, list[Tensor]] = {}
    for name, members in order.items():
        number = -1
        for p in members:
            if not ParameterBlock(name, slice(0)).in_trunk:
                divided.setdefault(name, []).append(p)
                continue
            if p.ndim > 1 or number < 0:
                number += 1
            divided.setdefault(f"{name}/{number}", []).append(p)
    return divided


def _refuse_mixed(params: Sequence[Tensor]) -> None:
    kinds: dict[tuple[torch.dtype, torch.device], tuple[int, ...]] = {}
    for p in params:
        kinds.setdefault((p.dtype, p.device), tuple(p.shape))
    found = " and ".join(f"{t} on {d} (shape {s})" for (t, d), s in kinds.items())
    raise LayoutError(
        "expected real parameters of one dtype on one device, as gradients of losses are compared "
        f"here, found {found}. Convert them, or use 'sum', which takes the plain step."
    )


def _block_of(params: Sequence[Tensor], named: dict[str, Sequence[Tensor]]) -> dict[int, str]:
    held = {id(p) for p in params}
    owner: dict[int, str] = {}
    for name, members in named.items():
        if name in (NETWORK, TRUNK):
            raise LayoutError(f"the block '{name}' holds what no other block does; name others.")
        for p in members:
            if id(p) in owner:
                raise LayoutError(
                    f"a parameter of shape {tuple(p.shape)} is in the blocks "
                    f"'{owner[id(p)]}' and '{name}'; give each parameter one block."
                )
            if id(p) not in held and p.requires_grad:
                raise LayoutError(
                    f"block '{name}' has a parameter of shape {tuple(p.shape)} that the optimizer "
                    "does not hold; add it with add_param_group."
                )
            owner[id(p)] = name
    for p in params:
        scalar_unknown = PHYSICS not in named and p.ndim == 0
        owner.setdefault(id(p), PHYSICS if scalar_unknown else NETWORK)
    return owner
