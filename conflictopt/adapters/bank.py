"""The K adapters of one layer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import LayoutError
from .design import AdapterDesign

FUNCTION = ("placement", "activation", "scale", "orthogonal", "rank")
"""Fields of a design that decide what adapters compute, given their parameters."""


class AdapterBank(nn.Module):
    """The K adapters of one layer: ``x -> s sum_k f(x D_k) U_k``; see ``AdapterDesign``.

    Args:
        layer: the layer they stand before or beside.
        losses: the K loss names.
        design: of the adapters.
        generator: random source of the down-projections.

    Raises:
        LayoutError: an orthogonal design with more columns than the layer has inputs.
    """

    about: Tensor

    def __init__(
        self,
        layer: nn.Linear,
        losses: Sequence[str],
        design: AdapterDesign,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.losses = tuple(losses)
        self.design = design
        inputs, like = layer.in_features, layer.weight
        outputs = layer.out_features if design.beside else inputs
        columns = len(self.losses) * design.rank
        if design.orthogonal and columns > inputs:
            raise LayoutError(
                f"expected at most {inputs} columns in orthogonal down-projections (the layer's "
                f"inputs), found {len(self.losses)} losses times rank {design.rank}."
            )
        self.down = nn.ParameterList()
        self.up = nn.ParameterList()
        for _ in self.losses:
            drawn = torch.randn(
                inputs, design.rank, generator=generator, dtype=torch.float64, device="cpu"
            )
            self.down.append(nn.Parameter((drawn / inputs**0.5).to(like)))
            zeros = torch.zeros(design.rank, outputs, dtype=like.dtype, device=like.device)
            self.up.append(nn.Parameter(zeros))
        # As bytes in a buffer: a checkpoint says what adapters it holds, in tensors only.
        self.register_buffer("about", _encode(self.losses, design).to(like.device))
        self.register_load_state_dict_pre_hook(_prepare)  # type: ignore[no-untyped-call]

    @property
    def scale(self) -> float:
        """s, what the sum over the adapters is multiplied by."""
        return 1 / len(self.losses) if self.design.scale == "mean" else 1.0

    def factors(self) -> tuple[Tensor, Tensor]:
        """All down-projections in one ``[in, K r]``, all up-projections times s ``[K r, out]``."""
        down = torch.cat(list(self.down), dim=1)
        if self.design.orthogonal:
            q, r = torch.linalg.qr(down)
            # a QR decomposition is free in the signs of its columns, and LAPACK's flip where a
            # pivot crosses zero; with R's diagonal positive, Q follows D continuously
            down = q * r.diagonal().sign()
        return down, torch.cat(list(self.up), dim=0) * self.scale

    def forward(self, x: Tensor) -> Tensor:
        """``[..., in]`` -> ``[..., out]``, what the adapters contribute."""
        down, up = self.factors()
        z = x @ down
        z = torch.tanh(z) if self.design.activation == "tanh" else z
        return z @ up

    def extra_repr(self) -> str:
        return f"losses={self.losses}, {self.design}"


def decode(about: Tensor) -> tuple[tuple[str, ...], AdapterDesign]:
    """Losses and design, from the bytes in a state dict.

    Raises:
        LayoutError: bytes that say neither.
    """
    try:
        content = json.loads(bytes(about.tolist()))
        return tuple(content["losses"]), AdapterDesign.from_json(content["design"])
    except (ValueError, KeyError, TypeError) as error:
        raise LayoutError(f"expected the description of adapters, found {error}.") from error


def _encode(losses: Sequence[str], design: AdapterDesign) -> Tensor:
    text = json.dumps({"losses": list(losses), "design": design.to_json()})
    return torch.tensor(list(text.encode()), dtype=torch.uint8, device="cpu")


def _prepare(bank: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """A checkpoint without adapters is one whose adapters contribute nothing."""
    assert isinstance(bank, AdapterBank)
    if any(k.startswith(prefix) for k in state_dict):
        saved = state_dict.get(prefix + "about")
        if saved is not None:
            _check_same(bank, *decode(saved))
            # routing and learning rate are the run's own, and may differ from the saved ones
            state_dict[prefix + "about"] = bank.about
        return
    state_dict[prefix + "about"] = bank.about
    for name, p in bank.named_parameters():
        state_dict[prefix + name] = p.detach() if name.startswith("down") else torch.zeros_like(p)


def _check_same(bank: AdapterBank, losses: tuple[str, ...], design: AdapterDesign) -> None:
    if losses != bank.losses:
        raise LayoutError(f"expected adapters of {bank.losses}, found those of {losses}.")
    for name in FUNCTION:
        want, found = getattr(bank.design, name), getattr(design, name)
        if want != found:
            raise LayoutError(f"expected adapters with {name}={want!r}, found {name}={found!r}.")
