"""The base of surgery on the Gramian: blocks, one scale-safe problem per block, verification."""

from __future__ import annotations

import enum
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.aggregator import Needs, State, Surgery
from ..core.errors import MethodError
from ..core.layout import TRUNK, Block, ParameterLayout
from ..core.step import Spec, StepView

Blocks = Literal["physics", "global", "layer"] | Mapping[str, Sequence[str]]

_COSINE = 1e-6
"""Cosines that differ by less are the same to the accuracy of float32 gradients."""


class Claim(enum.Flag):
    """What ``verify`` can check; every method is also held to ``NON_CONFLICTING``."""

    NOTHING = 0
    NON_CONFLICTING = enum.auto()
    EQUAL_COSINES = enum.auto()
    MINIMUM_NORM = enum.auto()


@dataclass(frozen=True)
class Problem:
    """The gradients of one block in normal form; zero gradients are left out.

    Attributes:
        gramian: ``[k, k]`` Gramian of the normalised gradients; its diagonal is 1 to rounding.
        sizes: ``[k]`` norms, all positive.
        active: per gradient the index of its loss.
        block: number of the block.
        view: the step, for random numbers, loss values and reports.
    """

    gramian: NDArray[np.float64]
    sizes: NDArray[np.float64]
    active: list[int]
    block: int
    view: StepView

    @cached_property
    def unit(self) -> list[list[float]]:
        """``[k][k]`` the Gramian as numbers: Python is quicker with nine of them than numpy is."""
        numbers: list[list[float]] = self.gramian.tolist()
        return numbers

    @cached_property
    def norms(self) -> list[float]:
        """``[k]`` the norms as numbers."""
        numbers: list[float] = self.sizes.tolist()
        return numbers

    @property
    def agrees(self) -> bool:
        """Whether no pair conflicts."""
        return bool(self.gramian.min() >= 0)

    @property
    def losses(self) -> list[float]:
        """``[k]`` values of the losses."""
        values = self.view.losses.tolist()
        return [values[k] for k in self.active]

    @property
    def equations(self) -> list[bool]:
        """``[k]`` whether the losses are equations."""
        return [self.view.spec.equations[k] for k in self.active]

    @property
    def names(self) -> str:
        """The names of the losses, for messages."""
        return ", ".join(f"'{self.view.spec.names[k]}'" for k in self.active)

    def stationary(self) -> list[float]:
        """No direction is a descent direction of all losses: report it, and do not move."""
        self.view.report(
            "no_descent",
            f"no direction lowers all of {self.names}: this step leaves the block where it is.",
        )
        return [0.0] * len(self.norms)


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
    def solve(self, problem: Problem, memory: Tensor) -> Sequence[float]:
        """Coefficients ``[k]`` of the original gradients; may write to ``memory``.

        Args:
            problem: at least two gradients, none zero.
            memory: float64 copy of what the last step left for this block; see ``memory_shape``.
        """

    def memory_shape(self, count: int) -> tuple[int, ...]:
        """Shape of what a block remembers from step to step; by default nothing."""
        return (0,)

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
        trunk = tuple(n for n in names if Block(n, slice(0)).in_trunk)
        if self.blocks == "global" or not trunk:
            return [tuple(names)]
        return [(n,) for n in trunk] if self.by_layer else [trunk]

    def init(self, spec: Spec) -> State:
        shape = self.memory_shape(spec.count)
        if shape == (0,):
            return {}
        groups = len(self.groups([name for name, _ in spec.blocks]))
        return {"memory": torch.zeros(groups, *shape, dtype=torch.float64, device="cpu")}

    def update(self, view: StepView, state: State) -> tuple[Tensor, State]:
        if view.count == 1:
            return view.ones(), state
        names = view.layout.names
        groups = self.groups(names)
        memory = state["memory"].clone() if state else torch.zeros(len(groups), 0, device="cpu")
        if len(memory) != len(groups):
            raise MethodError(
                f"{self.label} remembers {len(memory)} blocks, and there are {len(groups)} now: "
                "start it afresh with set_aggregator."
            )
        chosen = [self._coefficients(view, g, i, memory[i]) for i, g in enumerate(groups)]
        after = {"memory": memory} if state else state
        spec = view.spec
        if len(groups[0]) == len(names):
            return torch.tensor(chosen[0], dtype=spec.dtype, device=spec.device), after
        of_block = {n: c for g, c in zip(groups, chosen, strict=True) for n in g}
        ones = [1.0] * view.count
        columns = [of_block.get(n, ones) for n in names]
        return torch.tensor(columns, dtype=spec.dtype, device=spec.device).T.contiguous(), after

    def _coefficients(
        self, view: StepView, group: tuple[str, ...], number: int, memory: Tensor
    ) -> list[float]:
        gram = _gramian(view, group)
        sizes = np.sqrt(gram.diagonal())
        active = [k for k, n in enumerate(sizes.tolist()) if n > 0]
        c = [1.0] * view.count
        if len(active) > 1:
            if len(active) < view.count:
                gram, sizes = gram[np.ix_(active, active)], sizes[active]
            # by one norm after the other: their product may underflow
            unit = gram / sizes[:, None] / sizes
            problem = Problem(unit, sizes, active, number, view)
            solved = self.solve(problem, memory)
            if self.verify:
                solved = self._verified(problem, solved)
            for k, value in zip(active, solved, strict=True):
                c[k] = value
        return c

    def _verified(self, problem: Problem, coefficients: Sequence[float]) -> Sequence[float]:
        from ..solvers.cone import nearest

        u, n = problem.gramian, problem.sizes
        beta = np.array(coefficients) * n
        along = u @ beta
        size = math.sqrt(max(0.0, float(beta @ along)))
        # d = 0 conflicts with nothing; below rounding of the terms it is made of, d is 0
        if size <= 1e-12 * float(np.abs(beta).sum()):
            return coefficients
        cosines = along / size
        wrong = []
        conflicts = cosines.min() < -_COSINE
        if conflicts:
            wrong.append(f"cosine {cosines.min():.2g} to '{_name(problem, cosines.argmin())}'")
        if self.claims & Claim.EQUAL_COSINES and cosines.max() - cosines.min() > _COSINE:
            wrong.append(f"cosines from {cosines.min():.2g} to {cosines.max():.2g}")
        if self.claims & Claim.MINIMUM_NORM and not _is_shortest(along * n, size**2, coefficients):
            wrong.append("not the shortest convex combination")
        if not wrong:
            return coefficients
        done = (
            "taking the nearest update without conflict" if conflicts else "it conflicts with none"
        )
        problem.view.report("verify", f"{self.label}: {' and '.join(wrong)}; {done}.")
        if not conflicts:
            return coefficients
        projected: list[float] = ((beta + nearest(u, along)) / n).tolist()
        return projected


def _is_shortest(products: NDArray[np.float64], square: float, weights: Sequence[float]) -> bool:
    """Whether ``g_k . d >= |d|^2``, with weights in the simplex: that holds for one d only."""
    inside = min(weights) >= 0 and abs(sum(weights) - 1) <= _COSINE
    return inside and bool(products.min() >= square * (1 - _COSINE))


def _name(problem: Problem, i: object) -> str:
    return problem.view.spec.names[problem.active[int(i)]]  # type: ignore[call-overload]


def _gramian(view: StepView, group: tuple[str, ...]) -> NDArray[np.float64]:
    """``[K, K]`` Gramian over some blocks."""
    blocks = view.layout.blocks
    if len(group) == len(blocks):
        total = view.gramian(None)
    elif set(group) == {b.name for b in blocks if b.in_trunk}:
        total = view.gramian(TRUNK)
    else:
        total = view.gramian(group[0])
        for name in group[1:]:
            total = total + view.gramian(name)
    array: NDArray[np.float64] = total.numpy()
    return array
