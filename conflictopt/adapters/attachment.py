"""Attach adapters to a network, find them, take them off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import LayoutError
from ..core.layout import ADAPTER
from ..core.torch_internals import forward_hooks
from .bank import AdapterBank
from .design import AdapterDesign
from .placement import places

ATTRIBUTE = "conflictopt_adapters"
"""Name of a layer's adapters: a submodule of the layer, and a part of their state-dict keys."""


@dataclass(frozen=True)
class Adapters:
    """The adapters of a network, one per loss, at one or more layers.

    Attributes:
        banks: per layer its name and its adapters.
    """

    banks: tuple[tuple[str, AdapterBank], ...]

    @property
    def losses(self) -> tuple[str, ...]:
        """The K loss names."""
        return self.banks[0][1].losses

    @property
    def design(self) -> AdapterDesign:
        """How they were built."""
        return self.banks[0][1].design

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers they stand at."""
        return tuple(name for name, _ in self.banks)

    @property
    def down(self) -> tuple[nn.Parameter, ...]:
        """Every ``D_k`` ``[in, rank]``, layer by layer."""
        return tuple(p for _, bank in self.banks for p in bank.down)

    @property
    def up(self) -> tuple[nn.Parameter, ...]:
        """Every ``U_k`` ``[rank, out]``, layer by layer."""
        return tuple(p for _, bank in self.banks for p in bank.up)

    def parameters(self) -> Iterator[nn.Parameter]:
        """All parameters, as an optimizer takes them."""
        for _, bank in self.banks:
            yield from bank.parameters()

    def blocks(self) -> dict[str, list[Tensor]]:
        """Per loss its adapter's parameters, as ``MultiLossOptimizer(blocks=...)`` takes them."""
        return {
            ADAPTER + name: [p[k] for _, bank in self.banks for p in (bank.down, bank.up)]
            for k, name in enumerate(self.losses)
        }

    def count_parameters(self) -> dict[str, int]:
        """Per loss the number of scalars in its adapter."""
        return {
            name.removeprefix(ADAPTER): sum(p.numel() for p in params)
            for name, params in self.blocks().items()
        }


def attach(
    module: nn.Module,
    losses: Sequence[str],
    design: AdapterDesign | None = None,
    *,
    seed: int = 0,
    **options: Any,
) -> Adapters:
    """Attach one adapter per loss to a network; its outputs do not change, bitwise.

    The adapters become submodules of the layers they stand at, so they train, move and save with
    the network. A checkpoint from before attaching still loads: the adapters become zero. A
    checkpoint with adapters needs them attached first. ``MultiLossOptimizer.add_adapters`` trains
    them.

    Args:
        module: any module with at least two ``nn.Linear`` layers.
        losses: the K loss names.
        design: of the adapters; without it the default one.
        seed: seed of the down-projections; the global generator is not used.
        options: fields of ``AdapterDesign`` that differ from the design, e.g. ``rank=8``.

    Raises:
        MethodError: an option with a bad value.
        TypeError: an option that is no field of ``AdapterDesign``.
        LayoutError: a network that the design does not go with, bad losses, or adapters already
            attached.
    """
    design = replace(design or AdapterDesign(), **options)
    if attached(module) is not None:
        raise LayoutError("this module has adapters already; detach them first.")
    if isinstance(losses, str) or not losses or len(set(losses)) != len(losses):
        raise LayoutError(f"expected losses as different names, found {losses!r}.")
    generator = torch.Generator(device="cpu").manual_seed(seed)
    layers = places(module, design)
    # all of them before the first is attached: a refusal leaves the network as it was
    banks = {n: AdapterBank(layer, losses, design, generator) for n, layer in layers.items()}
    for name, layer in layers.items():
        layer.add_module(ATTRIBUTE, banks[name])
        if design.beside:
            layer.register_forward_hook(_beside)
        else:
            layer.register_forward_pre_hook(_before)
    return Adapters(tuple(banks.items()))


def attached(module: nn.Module) -> Adapters | None:
    """The adapters attached to a module, or ``None``."""
    found = tuple((name, getattr(layer, ATTRIBUTE)) for name, layer in _adapted(module))
    return Adapters(found) if found else None


def attach_once(
    module: nn.Module, losses: Sequence[str], design: AdapterDesign, seed: int
) -> Adapters:
    """The adapters that a network has, or else new ones; see ``attach``."""
    return attached(module) or attach(module, losses, design, seed=seed)


def detach(module: nn.Module) -> None:
    """Remove the adapters and what they contribute; the trunk is left as it is.

    Raises:
        LayoutError: no adapters attached.
    """
    found = list(_adapted(module))
    if not found:
        raise LayoutError("this module has no adapters to detach.")
    for _, layer in found:
        for hooks in forward_hooks(layer):
            for key in [k for k, hook in hooks.items() if hook in (_before, _beside)]:
                del hooks[key]
        delattr(layer, ATTRIBUTE)


def adapters_of(layer: nn.Module) -> AdapterBank | None:
    """The adapters of one layer, or ``None``."""
    found = getattr(layer, ATTRIBUTE, None)
    return found if isinstance(found, AdapterBank) else None


def _adapted(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, child in module.named_modules():
        if adapters_of(child) is not None:
            yield name, child


# Hooks are plain functions, so that copies and pickles of the network follow.
def _before(layer: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    h = args[0]
    return (h + getattr(layer, ATTRIBUTE)(h), *args[1:])


def _beside(layer: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
    added: Tensor = getattr(layer, ATTRIBUTE)(args[0])
    return output + added
