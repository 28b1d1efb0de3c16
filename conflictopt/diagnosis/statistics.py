"""What a profile says: of pairs of losses, of single losses, of all of them, of each layer."""

from .alignment import Agreement, agreement, alignment, cancellation
from .blocks import BlockStatistics, block_statistics
from .losses import LossStatistics, loss_statistics, mean_norm_ratio, norm_ratio
from .pairs import PairStatistics, pair_cosines, pair_statistics

__all__ = [
    "Agreement",
    "BlockStatistics",
    "LossStatistics",
    "PairStatistics",
    "agreement",
    "alignment",
    "block_statistics",
    "cancellation",
    "loss_statistics",
    "mean_norm_ratio",
    "norm_ratio",
    "pair_cosines",
    "pair_statistics",
]
