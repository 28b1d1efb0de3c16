"""Save and load adapters alone, or find them in a network's state dict."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..core.errors import LayoutError
from .attachment import ATTRIBUTE, Adapters, attach, attached, detach
from .bank import decode
from .design import AdapterDesign

_MARKER = f".{ATTRIBUTE}."


def save_adapters(module: nn.Module, path: str | Path) -> Path:
    """Write the adapters of a network to a file, without the network.

    Raises:
        LayoutError: no adapters attached.
    """
    if attached(module) is None:
        raise LayoutError("this module has no adapters to save.")
    path = Path(path)
    torch.save({k: v for k, v in module.state_dict().items() if _MARKER in f".{k}"}, path)
    return path


def load_adapters(module: nn.Module, path: str | Path) -> Adapters:
    """Attach the adapters of a file to the network that they were trained with.

    Raises:
        LayoutError: the file holds no adapters, or such as do not fit this network, or the
            network has adapters already; nothing is changed.
        OSError: no such file.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise LayoutError(
            f"expected adapters in '{path}', found a file of another kind."
        ) from error
    found = saved_adapters(state) if isinstance(state, dict) else None
    if found is None:
        raise LayoutError(f"expected adapters in '{path}', found none.")
    adapters = attach(module, *found)
    banks = {f"{name}{_MARKER}": bank for name, bank in adapters.banks}
    try:
        for prefix, bank in banks.items():
            own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            bank.load_state_dict(own)
    except (RuntimeError, LayoutError) as error:
        detach(module)
        raise LayoutError(f"the adapters in '{path}' do not fit this network: {error}") from error
    return adapters


def saved_adapters(
    state_dict: Mapping[str, Any],
) -> tuple[tuple[str, ...], AdapterDesign] | None:
    """Losses and design (with the names of its layers) of the adapters in a network's state dict.

    Returns:
        As ``attach`` takes them, or ``None`` without any adapters.
    """
    ends = f"{_MARKER}about"
    layers = tuple(k.removesuffix(ends) for k in state_dict if k.endswith(ends))
    if not layers:
        return None
    losses, design = decode(state_dict[layers[0] + ends])
    return losses, replace(design, layers=layers)
