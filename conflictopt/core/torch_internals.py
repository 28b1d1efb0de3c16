"""Every private name of torch that is used, each beside the public way to the same.

A private name may go with any release of torch. It is looked up here and nowhere else; where it is
missing, its function takes the public way, which gives the same numbers and costs what is written
there. ``torch.optim.Optimizer`` and ``nn.Module`` keep their hooks in private dictionaries, and
have no public list of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from inspect import signature
from typing import Any, Literal

import torch
from torch import Tensor, nn

Hooks = dict[int, Callable[..., Any]]
Kind = Literal[
    "step_pre",
    "step_post",
    "state_dict_pre",
    "state_dict_post",
    "load_state_dict_pre",
    "load_state_dict_post",
]

_engine = getattr(torch.autograd.graph, "_engine_run_backward", None)
_unflatten = getattr(torch._utils, "_unflatten_dense_tensors", None)
_foreach_zero = getattr(torch, "_foreach_zero_", None)
_foreach_copy = getattr(torch, "_foreach_copy_", None)
_non_finite_check = getattr(torch, "_amp_foreach_non_finite_check_and_unscale_", None)
_SIZE_OF_LBFGS = "_numel_cache"

PUBLIC_NORMS = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
)
NORMS: tuple[type[nn.Module], ...] = (
    *PUBLIC_NORMS,
    getattr(nn.modules.batchnorm, "_BatchNorm", nn.BatchNorm1d),
    getattr(nn.modules.instancenorm, "_InstanceNorm", nn.InstanceNorm1d),
)
"""Layers whose values at one point depend on other points; publicly without such that a user
derives from torch's private bases."""


def run_backward(
    loss: Tensor, inputs: tuple[Tensor, ...], retain_graph: bool, accumulate: bool
) -> tuple[Tensor | None, ...]:
    """One backward pass of a scalar: ``torch.autograd.grad`` or ``torch.autograd.backward``.

    It calls what these call, past the tests for all the forms that their arguments may have, which
    take a percent of a small step for every loss.

    Args:
        loss: the scalar.
        inputs: what to differentiate by; those that it does not depend on are allowed. None, when
            accumulating, is every leaf.
        retain_graph: whether to keep the graph.
        accumulate: into ``.grad``, and return nothing.
    """
    if _engine is None:
        if accumulate:
            torch.autograd.backward(loss, inputs=inputs or None, retain_graph=retain_graph)
            return ()
        return torch.autograd.grad(loss, inputs, retain_graph=retain_graph, allow_unused=True)
    seed = (torch.ones_like(loss),)
    found: tuple[Tensor | None, ...] = _engine(
        (loss,), seed, retain_graph, False, inputs, True, accumulate_grad=accumulate
    )
    return found


def accumulate_into(leaves: Sequence[Tensor], grads: Sequence[Tensor]) -> None:
    """A backward pass that ends where it begins: hooks act, ``.grad`` is laid out as usual."""
    if _engine is None:
        torch.autograd.backward(leaves, grads)
    else:
        _engine(tuple(leaves), tuple(grads), False, False, (), True, accumulate_grad=True)


def leaf_hooks(leaf: Tensor) -> Hooks | None:
    """The hooks that ``Tensor.register_hook`` put on a leaf; publicly there is no list of them."""
    found: Hooks | None = getattr(leaf, "_backward_hooks", None)
    return found


def unflatten(flat: Tensor, like: Sequence[Tensor], sizes: list[int]) -> list[Tensor]:
    """Views of a flat vector in the shapes of other tensors; publicly in a loop over them.

    Args:
        flat: the vector.
        like: tensors of the shapes.
        sizes: their numbers of entries. The private function of torch 2.5 gives empty tensors
            another shape.
    """
    if _unflatten is None or 0 in sizes:
        parts = torch.split(flat, sizes)
        return [part.view(t.shape) for part, t in zip(parts, like, strict=True)]
    return list(_unflatten(flat, like))


def zero_all(tensors: list[Tensor]) -> None:
    """``zero_`` of each; publicly one kernel per tensor."""
    if _foreach_zero is not None:
        _foreach_zero(tensors)
        return
    for t in tensors:
        t.zero_()


def copy_all(tensors: list[Tensor], given: list[Tensor]) -> None:
    """``copy_`` into each; publicly one kernel per tensor."""
    if _foreach_copy is not None:
        _foreach_copy(tensors, given)
        return
    for t, g in zip(tensors, given, strict=True):
        t.copy_(g)


def all_finite(tensors: list[Tensor]) -> bool:
    """Whether no entry is infinite or NaN.

    What torch's gradient scaler asks, with a scale of 1: one pass, no temporaries. Publicly a
    tensor of booleans for each.
    """
    if _non_finite_check is None:
        return all(bool(t.isfinite().all()) for t in tensors)
    device = tensors[0].device
    found = torch.zeros(1, dtype=torch.float32, device=device)
    _non_finite_check(tensors, found, _one(device))
    return found.item() == 0


@cache
def _one(device: torch.device) -> Tensor:
    return torch.ones(1, dtype=torch.float32, device=device)


def optimizer_hooks(optimizer: torch.optim.Optimizer, kind: Kind) -> Hooks:
    """The hooks that were registered on an optimizer, to be run by a subclass that takes its place.

    The dictionary itself; publicly by way of a handle, at the price of a registration.
    """
    found: Hooks | None = getattr(optimizer, f"_optimizer_{kind}_hooks", None)
    return _by_handle(getattr(optimizer, f"register_{kind}_hook")) if found is None else found


def forward_hooks(module: nn.Module) -> tuple[Hooks, Hooks]:
    """The hooks before and after a module's ``forward``; see ``optimizer_hooks``."""
    before: Hooks | None = getattr(module, "_forward_pre_hooks", None)
    after: Hooks | None = getattr(module, "_forward_hooks", None)
    return (
        _by_handle(module.register_forward_pre_hook) if before is None else before,
        _by_handle(module.register_forward_hook) if after is None else after,
    )


def _by_handle(register: Callable[[Callable[..., Any]], Any]) -> Hooks:
    """The dictionary into which a method registers."""
    handle = register(lambda *_: None)
    found: Hooks = handle.hooks_dict_ref()
    handle.remove()
    return found


def forget_size(optimizer: torch.optim.LBFGS) -> None:
    """Have L-BFGS count its parameters again: some were appended.

    Publicly a new one is made of the same parameters, options and state, and its attributes taken
    over; hooks stay.
    """
    if hasattr(optimizer, _SIZE_OF_LBFGS):
        setattr(optimizer, _SIZE_OF_LBFGS, None)
        return
    (group,) = optimizer.param_groups
    known = signature(type(optimizer)).parameters
    fresh = type(optimizer)(**{name: value for name, value in group.items() if name in known})
    fresh.param_groups[0].update(group)
    fresh.state.update(optimizer.state)
    vars(optimizer).update({n: v for n, v in vars(fresh).items() if not n.endswith("hooks")})


def mark_as_hooked(step: Callable[..., Any]) -> None:
    """Tell torch that a ``step`` runs its hooks itself; see ``heeds_mark``."""
    vars(step)["hooked"] = True


@cache
def heeds_mark() -> bool:
    """Whether torch leaves a ``step`` with that mark alone, rather than wrap it.

    Where it does not, publicly, leave the hooks to torch: they run the same, and each step has
    torch's profiler region around it, a percent of a small step.
    """

    class Marked(torch.optim.Optimizer):
        def step(self, closure: Any = None) -> Any:
            return None

    mark_as_hooked(Marked.step)
    own, probe = Marked.step, Marked.__new__(Marked)
    probe.defaults = {}
    # not __init__, which imports torch's compiler
    probe.__setstate__({})
    return Marked.step is own
