"""What Taylor mode knows of a network: linear layers, one activation, an affine map of inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from ...adapters.attachment import adapters_of
from ...adapters.bank import AdapterBank
from ...core.torch_internals import forward_hooks
from .activations import ACTIVATIONS, Activation
from .derivative_error import DerivativeError

_MODULES: dict[type[nn.Module], str] = {nn.Tanh: "tanh"}
_CALLABLES: dict[Any, str] = {torch.tanh: "tanh", torch.sin: "sin", nn.functional.tanh: "tanh"}
_LISTED = ("conflictopt.lab.problems.network.FullyConnected", "deepxde.nn.pytorch.fnn.FNN")
"""Networks whose ``forward`` is known; by name, since neither module is imported here."""
_SUPPORTED = (
    "conflictopt's FullyConnected, deepxde.nn.FNN without output transform, and nn.Sequential of "
    f"nn.Linear and nn.Tanh in turn; activations: {', '.join(ACTIVATIONS)}"
)


class AffineInputs(nn.Module):
    """``(x - centre) / half_width``: maps a box to ``[-1, 1]^d``.

    Args:
        lower, upper: the corners of the box, d numbers each.
        dtype: of the inputs.
    """

    centre: Tensor
    half_width: Tensor

    def __init__(
        self, lower: Sequence[float], upper: Sequence[float], dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        low, high = (torch.tensor(v, dtype=torch.float64, device="cpu") for v in (lower, upper))
        self.register_buffer("centre", ((low + high) / 2).to(dtype), persistent=False)
        self.register_buffer("half_width", ((high - low) / 2).to(dtype), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, d]`` -> ``[N, d]``."""
        return (x - self.centre) / self.half_width


@dataclass(frozen=True)
class Trunk:
    """A fully connected network, taken apart.

    Attributes:
        inputs: the affine map of the inputs; ``None`` for the identity.
        layers: the linear layers, the last of which has no activation after it.
        adapters: per layer those before its input or beside it, or ``None``.
        activation: after every layer but the last.
    """

    inputs: AffineInputs | None
    layers: tuple[nn.Linear, ...]
    adapters: tuple[AdapterBank | None, ...]
    activation: Activation


def trunk_of(net: nn.Module) -> Trunk:
    """Take a network apart.

    Raises:
        DerivativeError: not a fully connected network of a known form; the message lists those.
    """
    if type(net) is nn.Sequential:
        inputs, layers, name = _sequential(net)
    elif f"{type(net).__module__}.{type(net).__qualname__}" in _LISTED:
        inputs, layers, name = _listed(net)
    else:
        raise _unsupported(net, "its class is none of these")
    if not layers or any(a.out_features != b.in_features for a, b in pairwise(layers)):
        raise _unsupported(net, "its linear layers do not follow each other")
    if any(type(layer).forward is not nn.Linear.forward for layer in layers):
        raise _unsupported(net, "a layer is another than nn.Linear")
    if any(map(_hooked, (net, *layers))):
        raise _unsupported(net, "it has hooks, which may change what it computes")
    adapters = tuple(adapters_of(layer) for layer in layers)
    return Trunk(inputs, tuple(layers), adapters, ACTIVATIONS[name])


def _hooked(module: nn.Module) -> bool:
    """Whether there are hooks beside that of adapters."""
    adapters = adapters_of(module)
    beside = adapters is not None and adapters.design.beside
    before = adapters is not None and not beside
    pre, post = forward_hooks(module)
    return len(post) > beside or len(pre) > before


def _sequential(net: nn.Sequential) -> tuple[AffineInputs | None, list[nn.Linear], str]:
    modules = list(net)
    inputs = modules[0] if modules and isinstance(modules[0], AffineInputs) else None
    modules = modules[1:] if inputs is not None else modules
    layers = [m for m in modules[0::2] if isinstance(m, nn.Linear)]
    between = modules[1::2]
    kinds = {_MODULES.get(type(m)) for m in between}
    if len(modules) % 2 == 0 or len(layers) <= len(between) or len(kinds) != 1:
        raise _unsupported(net, "its modules are not linear layers with one activation between")
    (name,) = kinds
    if name is None:
        raise _unsupported(net, f"the activation {type(between[0]).__name__} is not known")
    return inputs, layers, name


def _listed(net: nn.Module) -> tuple[AffineInputs | None, list[nn.Linear], str]:
    layers: list[nn.Linear] = list(net.linears)  # type: ignore[arg-type]
    activation = getattr(net, "activation", None)
    name = _activation_name(activation)
    transform = getattr(net, "_input_transform", None)
    if name is None:
        raise _unsupported(net, f"the activation {activation} is not known")
    if getattr(net, "_output_transform", None) is not None:
        raise _unsupported(net, "it transforms its outputs")
    if transform is not None and not isinstance(transform, AffineInputs):
        raise _unsupported(net, "its inputs are transformed by something other than AffineInputs")
    if getattr(net, "regularizer", None) is not None or getattr(net, "dropout_rate", False):
        raise _unsupported(net, "it has a regularizer or dropout")
    return transform, layers, name


def _activation_name(activation: Any) -> str | None:
    if isinstance(activation, list):
        return None
    if str(getattr(activation, "__module__", "")).startswith("deepxde.backend"):
        # DeepXDE wraps torch's functions in its own, of the same names
        return activation.__name__ if activation.__name__ in ACTIVATIONS else None
    return _CALLABLES.get(activation)


def _unsupported(net: nn.Module, why: str) -> DerivativeError:
    return DerivativeError(
        f"Taylor mode cannot follow this {type(net).__name__}: {why}. Supported: {_SUPPORTED}. "
        "Use the nested derivatives instead."
    )
