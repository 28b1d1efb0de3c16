"""Low-rank adapters, one per loss, after the last hidden layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import LayoutError
from ..core.layout import ADAPTER

ATTRIBUTE = "conflictopt_adapters"
"""Under this name the adapters are a submodule of the network, and prefix its state-dict keys."""


class Adapters(nn.Module):
    """``h' = h + (1/K) sum_k tanh(h D_k) U_k`` at the input of each head.

    ``D_k ~ N(0, 1/width)`` and ``U_k = 0``: attaching changes no output, bitwise. ``D_k`` has
    shape ``[width, rank]``, ``U_k`` ``[rank, width]``.

    Source: Kim and N'guessan 2026 (arXiv 2605.10136), abstract; form, activation, rank and
    placement are ours, since only the abstract is available.

    Args:
        heads: per head its name and the ``nn.Linear`` whose input is adapted.
        losses: the K loss names, one adapter each.
        rank: r, at least 1.
        generator: random source of ``D_k``.
    """

    def __init__(
        self,
        heads: dict[str, nn.Linear],
        losses: Sequence[str],
        rank: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.losses = tuple(losses)
        self.rank = rank
        self.heads = tuple(heads)
        self.down = nn.ParameterList()
        self.up = nn.ParameterList()
        for head in heads.values():
            width, like = head.in_features, head.weight
            for _ in self.losses:
                d = torch.randn(width, rank, generator=generator, dtype=torch.float64, device="cpu")
                self.down.append(nn.Parameter((d / width**0.5).to(like)))
                self.up.append(nn.Parameter(torch.zeros_like(like[:1]).expand(rank, width).clone()))
        self.register_load_state_dict_pre_hook(_fill_missing)  # type: ignore[no-untyped-call]

    def delta(self, index: int, h: Tensor) -> Tensor:
        """``(1/K) sum_k tanh(h D_k) U_k`` for head number ``index``; ``h`` is ``[..., width]``."""
        k = len(self.losses)
        chosen = slice(index * k, (index + 1) * k)
        down = torch.cat(list(self.down)[chosen], dim=1)
        up = torch.cat(list(self.up)[chosen], dim=0)
        return torch.tanh(h @ down) @ up / k

    def blocks(self) -> dict[str, list[Tensor]]:
        """Per loss its adapter's parameters, as ``MultiLossOptimizer(blocks=...)`` takes them."""
        k, heads = len(self.losses), len(self.heads)
        return {
            ADAPTER + name: [p[i * k + j] for i in range(heads) for p in (self.down, self.up)]
            for j, name in enumerate(self.losses)
        }

    def extra_repr(self) -> str:
        return f"losses={self.losses}, rank={self.rank}, heads={self.heads}"


class _AddDelta:
    """The hook that adapts one head's input; a class, so that copies and pickles follow."""

    def __init__(self, adapters: Adapters, index: int) -> None:
        self.adapters = adapters
        self.index = index

    def __call__(self, head: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (args[0] + self.adapters.delta(self.index, args[0]), *args[1:])


def attach(
    module: nn.Module,
    losses: Sequence[str],
    *,
    rank: int = 4,
    heads: Sequence[str] | None = None,
    seed: int = 0,
) -> Adapters:
    """Attach one adapter per loss to a network; its outputs do not change.

    The adapters become the submodule ``conflictopt_adapters``, so they train, move and save with
    the network. A checkpoint from before attaching still loads: the adapters become zero.
    Add their parameters to the optimizer: ``opt.add_param_group({"params": a.parameters()})``.

    Args:
        module: any module with at least two ``nn.Linear`` layers.
        losses: the K loss names.
        rank: adapter rank, at least 1.
        heads: names of the ``nn.Linear`` layers whose inputs are adapted; without it the last
            one registered.
        seed: seed of the down-projections; the global generator is not used.

    Raises:
        LayoutError: no hidden layer, an unknown head, a bad rank, or adapters already attached.
    """
    if attached(module) is not None:
        raise LayoutError("this module has adapters already; detach them first.")
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
    chosen = {n: linears[n] for n in names}
    adapters = Adapters(chosen, losses, rank, torch.Generator().manual_seed(seed))
    module.add_module(ATTRIBUTE, adapters)
    for i, head in enumerate(chosen.values()):
        head.register_forward_pre_hook(_AddDelta(adapters, i))
    return adapters


def attached(module: nn.Module) -> Adapters | None:
    """The adapters attached to a module, or ``None``."""
    found = getattr(module, ATTRIBUTE, None)
    return found if isinstance(found, Adapters) else None


def detach(module: nn.Module) -> None:
    """Remove the adapters and what they contribute; the trunk is left as it is.

    Raises:
        LayoutError: no adapters attached.
    """
    adapters = attached(module)
    if adapters is None:
        raise LayoutError("this module has no adapters to detach.")
    for child in module.modules():
        for key, hook in list(child._forward_pre_hooks.items()):
            if isinstance(hook, _AddDelta) and hook.adapters is adapters:
                del child._forward_pre_hooks[key]
    delattr(module, ATTRIBUTE)


def _fill_missing(adapters: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """A checkpoint without adapters is one whose adapters contribute nothing."""
    if any(k.startswith(prefix) for k in state_dict):
        return
    for name, p in adapters.named_parameters():
        state_dict[prefix + name] = p.detach() if name.startswith("down") else torch.zeros_like(p)
