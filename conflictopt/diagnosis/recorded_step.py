"""A profile as the steps that a method is asked about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.buffer import RowBuffer
from ..core.errors import MethodError
from ..core.gradients import GradientSource
from ..core.layout import NETWORK, TRUNK, ParameterBlock, ParameterLayout
from ..core.losses import Losses
from ..core.objective import Objective
from ..core.step import Spec
from .profile import Profile


class _Gone(Objective):
    """Losses of which only numbers are left."""

    together_because = "only their values were recorded"

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def together(self, residuals: bool = False) -> Losses:
        raise MethodError(
            "this method reads gradients or residuals, and a profile keeps only losses and "
            "Gramians: declare its needs, or train with it."
        )

    def apart(self, by_loss: bool, residuals: bool = False) -> Losses | None:
        return None


class RecordedStep(GradientSource):
    """One sample of a profile: answers for losses, norms and Gramians, and refuses the rest.

    Args:
        profile: the samples.
        index: which one.
        layout: of ``layout_of``.
    """

    def __init__(self, profile: Profile, index: int, layout: ParameterLayout) -> None:
        super().__init__(_Gone(profile.names), layout, RowBuffer)
        self._values: list[float] = profile.losses[index].tolist()
        whole = _copied(profile.gramians[index])
        self._of: dict[str | None, Tensor] = {None: whole, TRUNK: whole}
        if layout.divided:
            assert profile.block_gramians is not None
            layers = map(_copied, profile.block_gramians[index])
            self._of |= dict(zip(profile.blocks, layers, strict=True))
        else:
            self._of[NETWORK] = whole

    def values(self) -> list[float]:
        return self._values

    def gramian(self, block: str | None) -> Tensor:
        return self._of[block]

    def norms(self, block: str | None) -> Tensor:
        return self._of[block].diagonal().sqrt()


def layout_of(profile: Profile, by_layer: bool) -> ParameterLayout:
    """The network as one block, or as the layers recorded; their sizes are not known, and 0."""
    names = profile.blocks if by_layer else (NETWORK,)
    blocks = tuple(ParameterBlock(name, slice(0, 0)) for name in names)
    return ParameterLayout((), blocks, (), 0, by_layer)


def spec_of(profile: Profile, layout: ParameterLayout, equations: Sequence[bool]) -> Spec:
    """What is fixed for the run; float64 on the CPU, as the profile is."""
    cpu, names = torch.device("cpu"), profile.names
    return Spec(names, tuple(equations), torch.float64, cpu, layout.outline, layout.names)


def _copied(gram: NDArray[np.float64]) -> Tensor:
    """As a tensor of its own: methods get views of it."""
    return torch.from_numpy(np.array(gram, dtype=np.float64))
