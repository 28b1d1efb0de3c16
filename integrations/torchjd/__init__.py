"""torchjd's aggregators and weightings as methods of conflictopt."""

from .adopt import MatrixSurgery, WeightedSurgery, adopt

__all__ = ["MatrixSurgery", "WeightedSurgery", "adopt"]
