"""Fold linear adapters into the weights of the trunk."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..core.errors import LayoutError
from .attachment import adapters_of, attached, detach
from .bank import AdapterBank


def merge(module: nn.Module) -> None:
    """Fold linear adapters into the weights of their layers, and remove them.

    Architecture and state dict are then those of the network before attaching, and inference
    costs nothing more. Outputs agree to rounding: the products are formed in float64. For a layer
    ``y = W x + b``, adapters beside it give ``W + s (D U)^T``, adapters before its input
    ``W (I + s D U)^T``. Do this after training: an optimizer goes on holding the adapters'
    parameters, which have no effect any more.

    Raises:
        LayoutError: no adapters attached, adapters that are not linear, or a layer whose weight is
            computed (weight normalisation) or shared with another layer; nothing is changed.
    """
    adapters = attached(module)
    if adapters is None:
        raise LayoutError("this module has no adapters to merge.")
    if adapters.design.activation != "linear":
        raise LayoutError(
            "expected adapters with activation='linear', found "
            f"'{adapters.design.activation}': what they compute is no change of weights. Keep "
            "them attached; the network saves and loads with them."
        )
    for name in adapters.layers:
        _check_own(module, name)
    for name in adapters.layers:
        layer = module.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        bank = adapters_of(layer)
        assert bank is not None
        with torch.no_grad():
            layer.weight.copy_(_merged(layer.weight, bank))
    detach(module)


def _check_own(module: nn.Module, name: str) -> None:
    weight = dict(module.get_submodule(name).named_parameters(recurse=False)).get("weight")
    uses = sum(p is weight for _, p in module.named_parameters(remove_duplicate=False))
    if weight is not None and uses == 1:
        return
    found = "computed from other parameters" if weight is None else "shared with another layer"
    raise LayoutError(
        f"expected layers with weights of their own, found that of '{name}' {found}. Undo that "
        "first, or keep the adapters attached; the network saves and loads with them."
    )


def _merged(weight: Tensor, bank: AdapterBank) -> Tensor:
    down, up = (f.double() for f in bank.factors())
    w, change = weight.double(), (down @ up).T
    return w + (change if bank.design.beside else w @ change)
