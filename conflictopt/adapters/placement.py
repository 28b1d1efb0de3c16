"""Which layers of a network a design's adapters stand at."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TypeGuard

from torch import nn

from ..core.errors import LayoutError
from .design import AdapterDesign


def places(module: nn.Module, design: AdapterDesign) -> dict[str, nn.Linear]:
    """The layers of a network that adapters are placed at, by name, in order of registration.

    Without ``layers`` in the design, the first ``nn.Linear`` registered counts as the one that
    reads the network's inputs and the last as its head; in networks of parallel subnetworks, whose
    ``layers`` hold lists of layers (DeepXDE's PFNN), those of the first and of the last list. Other
    networks with several heads, or inputs that are read by several layers, need names.

    Raises:
        LayoutError: no hidden layer, no layer at that placement, or a name without a layer.
    """
    linears = {n: m for n, m in module.named_modules() if _is_layer(m)}
    if len(linears) < 2:
        raise LayoutError(
            f"expected a network with a hidden layer, found {len(linears)} nn.Linear in "
            f"{type(module).__name__}."
        )
    levels = _levels(module, list(linears))
    if design.layers:
        names = _named(list(linears), design.layers)
    else:
        meant = {"hidden": levels[1:], "weights": levels[1:-1]}.get(design.placement, levels[-1:])
        names = [name for level in meant for name in level]
    if not names:
        raise LayoutError(
            "expected a layer between two hidden layers for placement='weights', found only "
            f"{tuple(linears)}. Name the layers to adapt with layers=..., or choose another "
            "placement."
        )
    return {n: linears[n] for n in names}


def _is_layer(module: nn.Module) -> TypeGuard[nn.Linear]:
    # attention reads the weights of its output projection and never calls it
    unused = isinstance(module, nn.modules.linear.NonDynamicallyQuantizableLinear)
    return isinstance(module, nn.Linear) and not unused


def _levels(module: nn.Module, every: list[str]) -> list[list[str]]:
    """The layers in the order of computation, those side by side together."""
    stacked = getattr(module, "layers", None)
    if not isinstance(stacked, nn.ModuleList) or not isinstance(stacked[-1], nn.ModuleList):
        return [[name] for name in every]
    return [
        [n for n in every if n == f"layers.{i}" or n.startswith(f"layers.{i}.")]
        for i in range(len(stacked))
    ]


def _named(every: list[str], patterns: tuple[str, ...]) -> list[str]:
    found = {p: _matches(every, p) for p in patterns}
    empty = [p for p, names in found.items() if not names]
    if empty:
        raise LayoutError(f"expected layers among {tuple(every)}, found {empty}.")
    return [n for n in every if any(n in names for names in found.values())]


def _matches(every: list[str], pattern: str) -> list[str]:
    """A layer's own name is no pattern, whatever characters are in it."""
    return [pattern] if pattern in every else [n for n in every if fnmatchcase(n, pattern)]
