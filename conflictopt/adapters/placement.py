"""Which layers of a network a design's adapters stand at."""

from __future__ import annotations

from fnmatch import fnmatchcase

from torch import nn

from ..core.errors import LayoutError
from .design import AdapterDesign


def places(module: nn.Module, design: AdapterDesign) -> dict[str, nn.Linear]:
    """The layers of a network that adapters are placed at, by name, in order of registration.

    Without ``layers`` in the design, the first ``nn.Linear`` registered counts as the one that
    reads the network's inputs and the last as its head. Networks with several heads, or inputs
    that are read by several layers, need names.

    Raises:
        LayoutError: no hidden layer, no layer at that placement, or a name without a layer.
    """
    linears = {n: m for n, m in module.named_modules() if isinstance(m, nn.Linear)}
    if len(linears) < 2:
        raise LayoutError(
            f"expected a network with a hidden layer, found {len(linears)} nn.Linear in "
            f"{type(module).__name__}."
        )
    every = list(linears)
    if design.layers:
        names = _named(every, design.layers)
    elif design.placement == "hidden":
        names = every[1:]
    elif design.placement == "weights":
        names = every[1:-1]
    else:
        names = every[-1:]
    if not names:
        raise LayoutError(
            "expected a layer between two hidden layers for placement='weights', found only "
            f"{tuple(every)}. Name the layers to adapt with layers=..., or choose another "
            "placement."
        )
    return {n: linears[n] for n in names}


def _named(every: list[str], patterns: tuple[str, ...]) -> list[str]:
    found = {p: _matches(every, p) for p in patterns}
    empty = [p for p, names in found.items() if not names]
    if empty:
        raise LayoutError(f"expected layers among {tuple(every)}, found {empty}.")
    return [n for n in every if any(n in names for names in found.values())]


def _matches(every: list[str], pattern: str) -> list[str]:
    """A layer's own name is no pattern, whatever characters are in it."""
    return [pattern] if pattern in every else [n for n in every if fnmatchcase(n, pattern)]
