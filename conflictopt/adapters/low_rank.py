"""Low-rank adapters, one per loss, after the last hidden layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import LayoutError
from ..core.layout import ADAPTER

ATTRIBUTE = "conflictopt_adapters"
"""Name of a head's adapters: a submodule of the head, and a part of their state-dict keys."""


class HeadAdapters(nn.Module):
    """The K adapters at the input of one head: ``h' = h + (1/K) sum_k tanh(h D_k) U_k``.

    ``D_k`` ``[width, rank]`` is drawn from ``N(0, 1/width)``, ``U_k`` ``[rank, width]`` is 0.

    Args:
        head: the layer whose input is adapted.
        losses: the K loss names.
        rank: r, at least 1.
        generator: random source of ``D_k``.
    """

    def __init__(
        self, head: nn.Linear, losses: Sequence[str], rank: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.losses = tuple(losses)
        self.rank = rank
        width, like = head.in_features, head.weight
        self.down = nn.ParameterList()
        self.up = nn.ParameterList()
        for _ in self.losses:
            d = torch.randn(width, rank, generator=generator, dtype=torch.float64, device="cpu")
            self.down.append(nn.Parameter((d / width**0.5).to(like)))
            zeros = torch.zeros(rank, width, dtype=like.dtype, device=like.device)
            self.up.append(nn.Parameter(zeros))
        # Names as bytes in a buffer: a checkpoint says whose adapters it holds, in tensors only.
        encoded = list("\n".join(self.losses).encode())
        names = torch.tensor(encoded, dtype=torch.uint8, device=head.weight.device)
        self.register_buffer("names", names)
        self.register_load_state_dict_pre_hook(_prepare)  # type: ignore[no-untyped-call]

    def factors(self) -> tuple[Tensor, Tensor]:
        """All down-projections in one ``[width, K r]``, all up-projections ``[K r, width]``."""
        return torch.cat(list(self.down), dim=1), torch.cat(list(self.up), dim=0)

    def forward(self, h: Tensor) -> Tensor:
        """``[..., width]`` -> the same shape."""
        down, up = self.factors()
        return h + torch.tanh(h @ down) @ up / len(self.losses)

    def extra_repr(self) -> str:
        return f"losses={self.losses}, rank={self.rank}"


@dataclass(frozen=True)
class Adapters:
    """The adapters of a network, one per loss, at one or more heads.

    Zero-initialised: attaching changes no output, bitwise.

    Source: Kim and N'guessan 2026 (arXiv 2605.10136), abstract; form, activation, rank and
    placement are ours, since only the abstract is available.

    Attributes:
        heads: per head its name and its adapters.
    """

    heads: tuple[tuple[str, HeadAdapters], ...]

    @property
    def losses(self) -> tuple[str, ...]:
        """The K loss names."""
        return self.heads[0][1].losses

    @property
    def rank(self) -> int:
        """The rank of every adapter."""
        return self.heads[0][1].rank

    @property
    def down(self) -> tuple[nn.Parameter, ...]:
        """Every ``D_k`` ``[width, rank]``, head by head."""
        return tuple(p for _, bank in self.heads for p in bank.down)

    @property
    def up(self) -> tuple[nn.Parameter, ...]:
        """Every ``U_k`` ``[rank, width]``, head by head."""
        return tuple(p for _, bank in self.heads for p in bank.up)

    def parameters(self) -> Iterator[nn.Parameter]:
        """All parameters, as an optimizer takes them."""
        for _, bank in self.heads:
            yield from bank.parameters()

    def blocks(self) -> dict[str, list[Tensor]]:
        """Per loss its adapter's parameters, as ``MultiLossOptimizer(blocks=...)`` takes them."""
        return {
            ADAPTER + name: [p[k] for _, bank in self.heads for p in (bank.down, bank.up)]
            for k, name in enumerate(self.losses)
        }


def attach(
    module: nn.Module,
    losses: Sequence[str],
    *,
    rank: int = 4,
    heads: Sequence[str] | None = None,
    seed: int = 0,
) -> Adapters:
    """Attach one adapter per loss to a network; its outputs do not change.

    The adapters become submodules of the heads, so they train, move and save with the network. A
    checkpoint from before attaching still loads: the adapters become zero. A checkpoint with
    adapters needs them attached first. ``MultiLossOptimizer.add_adapters`` trains them.

    Args:
        module: any module with at least two ``nn.Linear`` layers.
        losses: the K loss names.
        rank: adapter rank, at least 1.
        heads: names of the ``nn.Linear`` layers whose inputs are adapted; without it the last
            one registered.
        seed: seed of the down-projections; the global generator is not used.

    Raises:
        LayoutError: no hidden layer, an unknown head, bad losses or rank, or adapters already
            attached.
    """
    if attached(module) is not None:
        raise LayoutError("this module has adapters already; detach them first.")
    if isinstance(losses, str) or not losses or len(set(losses)) != len(losses):
        raise LayoutError(f"expected losses as different names, found {losses!r}.")
    if rank < 1:
        raise LayoutError(f"expected an adapter rank of at least 1, found {rank}.")
    linears = {n: m for n, m in module.named_modules() if isinstance(m, nn.Linear)}
    if len(linears) < 2:
        raise LayoutError(
            f"expected a network with a hidden layer, found {len(linears)} nn.Linear in "
            f"{type(module).__name__}."
        )
    names = tuple(heads) if heads is not None else tuple(linears)[-1:]
    unknown = [n for n in names if n not in linears]
    if unknown or not names:
        raise LayoutError(f"expected heads among {tuple(linears)}, found {unknown or 'none'}.")
    generator = torch.Generator().manual_seed(seed)
    for name in names:
        head = linears[name]
        head.add_module(ATTRIBUTE, HeadAdapters(head, losses, rank, generator))
        head.register_forward_pre_hook(_adapt)
    adapters = attached(module)
    assert adapters is not None
    return adapters


def attached(module: nn.Module) -> Adapters | None:
    """The adapters attached to a module, or ``None``."""
    found = tuple((name, getattr(head, ATTRIBUTE)) for name, head in _adapted(module))
    return Adapters(found) if found else None


def detach(module: nn.Module) -> None:
    """Remove the adapters and what they contribute; the trunk is left as it is.

    Raises:
        LayoutError: no adapters attached.
    """
    found = list(_adapted(module))
    if not found:
        raise LayoutError("this module has no adapters to detach.")
    for _, head in found:
        for key in [k for k, hook in head._forward_pre_hooks.items() if hook is _adapt]:
            del head._forward_pre_hooks[key]
        delattr(head, ATTRIBUTE)


def saved_adapters(state_dict: dict[str, Any]) -> tuple[tuple[str, ...], int] | None:
    """Losses and rank of the adapters in a network's ``state_dict``, or ``None`` without any."""
    marker = f".{ATTRIBUTE}."
    heads = [k.partition(marker)[0] for k in state_dict if marker in k]
    if not heads:
        return None
    prefix = heads[0] + marker
    return _decode(state_dict[prefix + "names"]), state_dict[prefix + "down.0"].shape[1]


def adapters_of(head: nn.Module) -> HeadAdapters | None:
    """The adapters at the input of one layer, or ``None``."""
    found = getattr(head, ATTRIBUTE, None)
    return found if isinstance(found, HeadAdapters) else None


def _adapted(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, child in module.named_modules():
        if adapters_of(child) is not None:
            yield name, child


def _adapt(head: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """A head's pre-hook; a plain function, so that copies and pickles follow."""
    return (getattr(head, ATTRIBUTE)(args[0]), *args[1:])


def _decode(names: Tensor) -> tuple[str, ...]:
    return tuple(bytes(names.tolist()).decode().split("\n"))


def _prepare(bank: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """A checkpoint without adapters is one whose adapters contribute nothing."""
    assert isinstance(bank, HeadAdapters)
    saved = state_dict.get(prefix + "names")
    if saved is not None and _decode(saved) != bank.losses:
        raise LayoutError(f"expected adapters of {bank.losses}, found those of {_decode(saved)}.")
    if any(k.startswith(prefix) for k in state_dict):
        return
    state_dict[prefix + "names"] = bank.names
    for name, p in bank.named_parameters():
        state_dict[prefix + name] = p.detach() if name.startswith("down") else torch.zeros_like(p)
