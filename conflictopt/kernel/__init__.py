"""The tangent kernel between losses, block by block: which parameters couple them, and how."""

from .blocks import blocks_of, blocks_of_layout
from .comparison import Comparison, PairChange, compare
from .probes import probed_kernel
from .rows import tangent_kernel
from .spectrum import Spectrum
from .tangent import ADAPTERS, TangentKernel

__all__ = [
    "ADAPTERS",
    "Comparison",
    "PairChange",
    "Spectrum",
    "TangentKernel",
    "blocks_of",
    "blocks_of_layout",
    "compare",
    "probed_kernel",
    "tangent_kernel",
]
