"""Statistics of every layer: where in the network the losses conflict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .alignment import Agreement, agreement
from .loss_statistics import mean_norm_ratio
from .pair_statistics import PairStatistics, pair_statistics
from .profile import Profile
from .thresholds import Thresholds


@dataclass(frozen=True)
class BlockStatistics:
    """One layer of the network over the profile.

    Attributes:
        name: the layer.
        share: mean over losses and samples of the layer's part of the squared gradient norm,
            ``||g_k,b||^2 / ||g_k||^2``; the shares of all layers sum to 1. 0 without any gradient.
        norm_ratio: geometric mean of the largest over the smallest gradient norm in this layer.
        agreement: cancellation and alignment in this layer.
        pairs: statistics of every pair in this layer.
    """

    name: str
    share: float
    norm_ratio: float
    agreement: Agreement
    pairs: tuple[PairStatistics, ...]


def block_statistics(
    profile: Profile, thresholds: Thresholds | None = None
) -> tuple[BlockStatistics, ...]:
    """Statistics of every layer that the profile holds, in the order of the network.

    Args:
        thresholds: of conflict and of persistence; the default ones without.
    """
    return tuple(_of(profile, profile.of_block(name), name, thresholds) for name in profile.blocks)


def _of(whole: Profile, part: Profile, name: str, thresholds: Thresholds | None) -> BlockStatistics:
    squares = whole.norms**2
    some = squares > 0
    return BlockStatistics(
        name,
        float(np.mean(part.norms[some] ** 2 / squares[some])) if some.any() else 0.0,
        mean_norm_ratio(part),
        agreement(part),
        pair_statistics(part, thresholds),
    )
