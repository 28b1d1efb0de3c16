"""The base of surgery on the Gramian: blocks, and one scale-safe problem per block."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from ...core.aggregator import Needs, State, Surgery
from ...core.errors import MethodError
from ...core.layout import ParameterBlock, ParameterLayout
from ...core.step import Spec, StepView
from ._normal_form import Claim, NormalForm, gramian_of, normal_form
from ._rounding import above_rounding
from ._verify import verified

__all__ = ["Blocks", "Claim", "GramianSurgery", "NormalForm"]

Blocks = Literal["physics", "global", "layer"] | Mapping[str, Sequence[str]]

_NOTHING = torch.zeros(0, dtype=torch.float64, device="cpu")


@lru_cache
def _trunk(names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the blocks that are in the trunk."""
    return tuple(n for n in names if ParameterBlock(n, slice(0)).in_trunk)


@dataclass(frozen=True)
class GramianSurgery(Surgery):
    """Surgery that needs only inner products of the gradients: ``d = sum_k c_k g_k``.

    Brings every method to one scale-safe problem: zero gradients are left out (their coefficient
    is 1), the rest are normalised to unit rows in float64, and a single gradient is returned as
    it is. Subclasses solve on the unit Gramian.

    Attributes:
        blocks: which parameters form one geometry. ``"physics"``: the network's; unknowns of an
            inverse problem and adapters get the plain sum. ``"global"``: all parameters.
            ``"layer"``: each layer of the network for itself (a matrix and the vectors after it),
            unknowns and adapters as in ``"physics"``. A mapping name -> block names: each of these
            groups for itself; blocks in none get the plain sum.
        verify: check at every step that the update conflicts with no loss, and the property that
            the method claims. A violation is reported (``reports["verify"]``), and an update that
            conflicts is replaced by the nearest one that conflicts with no loss.
    """

    blocks: Blocks = "physics"
    verify: bool = False

    needs = Needs.GRAMIAN
    passes = "K"
    claims = Claim.NOTHING
    raises_none = False
    """Whether the update is claimed to conflict with no loss."""
    signed = False
    """Whether coefficients may be negative: frozen, they are then no objective."""

    def __post_init__(self) -> None:
        if isinstance(self.blocks, Mapping):
            listed = [() if isinstance(g, str) else tuple(g) for g in self.blocks.values()]
            named = [b for group in listed for b in group]
            if not listed or not all(listed) or len(set(named)) < len(named):
                raise MethodError(
                    "expected blocks as a mapping name -> list of block names, each block once, "
                    f"found {self.blocks!r}."
                )
            object.__setattr__(self, "blocks", dict(zip(self.blocks, listed, strict=True)))
        elif self.blocks not in ("physics", "global", "layer"):
            raise MethodError(
                "expected blocks='physics', 'global', 'layer' or a mapping name -> block names, "
                f"found {self.blocks!r}."
            )
        if not isinstance(self.verify, bool):
            raise MethodError(f"expected verify=True or False, found {self.verify!r}.")

    @property
    def by_layer(self) -> bool:
        return self.blocks == "layer"

    def has_scalar(self, layout: ParameterLayout) -> bool:
        return not self.signed and len(self.groups(layout.names)[0]) == len(layout.blocks)

    @abstractmethod
    def solve(self, problem: NormalForm, memory: Tensor) -> Sequence[float]:
        """Coefficients ``[k]`` of the original gradients; may write to ``memory``.

        Args:
            problem: at least two gradients, none zero.
            memory: float64 copy of what the last step left for this block; see ``memory_shape``.
        """

    def memory_shape(self, count: int) -> tuple[int, ...] | None:
        """Shape of what a block remembers from step to step; by default it remembers nothing."""
        return None

    def groups(self, names: Sequence[str]) -> list[tuple[str, ...]]:
        """The groups of blocks that are one geometry each.

        Raises:
            MethodError: a mapping names a block that does not exist.
        """
        if isinstance(self.blocks, Mapping):
            unknown = [b for g in self.blocks.values() for b in g if b not in names]
            if unknown:
                raise MethodError(f"blocks names {unknown}, but the blocks are {tuple(names)}.")
            return [tuple(g) for g in self.blocks.values()]
        trunk = _trunk(tuple(names))
        if self.blocks == "global" or not trunk:
            return [tuple(names)]
        return [(n,) for n in trunk] if self.by_layer else [trunk]

    def init(self, spec: Spec) -> State:
        shape = self.memory_shape(spec.count)
        if shape is None:
            return {}
        groups = len(self.groups([name for name, _ in spec.blocks]))
        return {"memory": torch.zeros(groups, *shape, dtype=torch.float64, device="cpu")}

    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        if view.count == 1:
            return view.ones(), state
        names = view.layout.names
        groups = self.groups(names)
        memory = state["memory"].clone() if state else None
        if memory is not None and len(memory) != len(groups):
            raise MethodError(
                f"{self.label} remembers {len(memory)} blocks, and there are {len(groups)} now: "
                "start it afresh with set_aggregator."
            )
        chosen = [
            self._coefficients(view, g, _NOTHING if memory is None else memory[i])
            for i, g in enumerate(groups)
        ]
        after = {"memory": memory} if memory is not None else state
        spec = view.spec
        if len(groups[0]) == len(names):
            return torch.tensor(chosen[0], dtype=spec.dtype, device=spec.device), after
        of_block = {n: c for g, c in zip(groups, chosen, strict=True) for n in g}
        ones = [1.0] * view.count
        columns = [of_block.get(n, ones) for n in names]
        return torch.tensor(columns, dtype=spec.dtype, device=spec.device).T.contiguous(), after

    def _coefficients(self, view: StepView, group: tuple[str, ...], memory: Tensor) -> list[float]:
        rounding = torch.finfo(view.spec.dtype).eps
        unit, norms, active = normal_form(gramian_of(view, group), rounding)
        c = [1.0] * view.count
        if len(active) > 1:
            problem = NormalForm(unit, norms, active, view)
            solved = self.solve(problem, memory)
            if self.verify:
                solved = verified(problem, solved, self.claims, self.label)
            solved = above_rounding(problem, solved, group, self.raises_none or self.verify)
            for k, value in zip(active, solved, strict=True):
                c[k] = value
        return c
