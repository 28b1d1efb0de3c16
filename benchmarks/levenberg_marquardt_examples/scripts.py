"""The scripts, how far they are cut, and what their errors are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_PRINTED = re.compile(r"(?im)^(l2 relative error[^:\n]*):\s*([0-9.e+-]+)\s*$")
_ASKED = re.compile(r"\b(iterations|epochs)\s*=\s*\d+")
_IMPORT = re.compile(r"(^import deepxde as dde\n)", flags=re.M)
_TESTED = {"num_test=100000": "num_test=5000", "random_points(100000)": "random_points(10000)"}
"""Evaluations of 100,000 points would take longer than the training; errors stay what they are."""


@dataclass(frozen=True)
class Example:
    """A script, cut to at most two CPU minutes.

    Attributes:
        path: within DeepXDE's examples.
        iterations: of Adam.
        searched: of L-BFGS after it; 0 where the script does not use it.
        unknowns: the true values of the unknowns.
        tensorflow: whether its ``tf.exp`` and ``tf.sin`` have to be torch's before it runs with
            PyTorch.
    """

    path: str
    iterations: int
    searched: int = 0
    unknowns: tuple[float, ...] = ()
    tensorflow: bool = False

    @property
    def name(self) -> str:
        """Of the script."""
        return self.path.rpartition("/")[2].removesuffix(".py")

    def cut(self, source: str) -> str:
        """The script with fewer iterations and test points; nothing else changes."""
        source = _ASKED.sub(rf"\1={self.iterations}", source)
        if self.searched:
            # DeepXDE derives iter_per_step from maxiter only once, at import
            limits = f"maxiter={self.searched}, iter_per_step={min(self.searched, 1000)}"
            line = f"dde.optimizers.config.LBFGS_options.update({limits})\n"
            source = _IMPORT.sub(rf"\1{line}", source, count=1)
        for long, short in _TESTED.items():
            source = source.replace(long, short)
        if self.tensorflow:
            source = source.replace("from deepxde.backend import tf\n", "import torch\n")
            source = re.sub(r"\btf\.", "torch.", source)
        return source

    def errors(self, printed: str, outcome: Mapping[str, Any]) -> dict[str, float]:
        """Relative errors by name: what the script prints, its metrics, and those of unknowns.

        Args:
            printed: output of the script.
            outcome: of the report on its run.
        """
        found = {name: float(value) for name, value in _PRINTED.findall(printed)}
        found.update(outcome["metrics"])
        values = _numbers(outcome["unknowns"])
        for i, (value, true) in enumerate(zip(values, self.unknowns, strict=False)):
            found[f"unknown {i + 1}"] = abs(value - true) / abs(true)
        return found


def _numbers(values: Sequence[Any]) -> list[float]:
    """Unknowns are scalars, or tensors of one number."""
    return [float(v[0] if isinstance(v, list) else v) for v in values]


EXAMPLES = (
    Example("pinn_forward/Burgers.py", 8000, 2000),
    Example("pinn_forward/Kovasznay_flow.py", 800, 130),
    Example("pinn_inverse/Lorenz_inverse.py", 16000, 1600, unknowns=(10.0, 15.0, 8 / 3)),
    Example("pinn_inverse/diffusion_1d_inverse.py", 30000, unknowns=(1.0,), tensorflow=True),
    Example("pinn_forward/Helmholtz_Dirichlet_2d.py", 3500),
    Example("pinn_forward/Euler_beam.py", 10000),
    Example("pinn_forward/ode_system.py", 20000),
    Example("pinn_forward/Poisson_Robin_1d.py", 10000),
)
