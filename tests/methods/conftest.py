"""Steps whose gradients are known exactly."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch

from conflictopt.core.buffer import RowBuffer
from conflictopt.core.gradients import GradientSource
from conflictopt.core.layout import ParameterLayout
from conflictopt.core.losses import Losses
from conflictopt.core.objective import Given
from conflictopt.core.step import Spec, StepView
from conflictopt.methods.registry import make, method_class

EXAMPLES = {"constant": lambda names: {"weights": {n: 4.0**i for i, n in enumerate(names)}}}
"""Options for the methods that cannot be built without any."""


def _step(rows, *, names="abcdefgh", equations=None, blocks=None, offsets=0.5, generator=None):
    """A step in which loss k has the gradient ``rows[k]``, exactly.

    Loss k is the mean square of its residuals ``r = A_k theta / (2 o_k) + o_k`` at ``theta = 0``,
    where ``A_k`` is ``rows[k]``, or, given as a matrix, has one residual point per row (the
    gradient is then the mean of its rows). Offsets that are powers of two keep this exact. Its
    points are at (-n, n).

    Args:
        equations: per loss, whether it is an equation; by default the first.
        blocks: name -> number of columns, taken from the end; the rest is the network.
    """
    matrices = [torch.atleast_2d(torch.as_tensor(r)) for r in rows]
    count, size = len(matrices), matrices[0].shape[1]
    kind = {"dtype": matrices[0].dtype, "device": matrices[0].device}
    names = tuple(names)[:count]
    equations = tuple(equations) if equations is not None else (True,) + (False,) * (count - 1)
    sizes = {"network": size - sum((blocks or {}).values()), **(blocks or {})}
    params = {n: torch.zeros(w, requires_grad=True, **kind) for n, w in sizes.items() if w}
    layout = ParameterLayout.build(params.values(), {n: [params[n]] for n in blocks or {}})
    theta = torch.cat(layout.params)
    offsets = torch.full((count,), offsets) if isinstance(offsets, float) else offsets
    residuals = {
        n: a @ theta / (2 * float(o)) + float(o)
        for n, a, o in zip(names, matrices, offsets, strict=True)
    }
    points = {
        n: torch.stack([-torch.arange(float(len(r))), torch.arange(float(len(r)))], dim=1)
        for n, r in residuals.items()
    }
    terms = {n: r.square().mean() for n, r in residuals.items()}
    losses = Losses.of(terms, residuals, points=points)
    source = GradientSource(Given(losses), layout, RowBuffer, plain=True)
    generator = generator or torch.Generator().manual_seed(0)
    spec = Spec(names, equations, blocks=layout.outline, **kind)
    return StepView(spec, 0, layout, lambda: generator, source, [])


@pytest.fixture(scope="session")
def step():
    """``step(rows, ...)``: a ``StepView`` in which loss k has the gradient ``rows[k]``."""
    return _step


@pytest.fixture(scope="session")
def coefficients():
    """``coefficients(method, view)``: what a method chooses at its first step."""

    def first(method, view):
        return method.update(view, method.init(view.spec))[0]

    return first


@pytest.fixture(scope="session")
def random_rows():
    """``random_rows(seed, K, P)``: directions at random, norms in ``10 ** (-span .. span)``."""

    def draw(seed, count=3, size=8, span=1.0, dtype=torch.float64):
        g = torch.Generator().manual_seed(seed)
        rows = torch.randn(count, size, generator=g, dtype=torch.float64)
        exponents = (2 * torch.rand(count, 1, generator=g, dtype=torch.float64) - 1) * span
        return (rows / rows.norm(dim=1, keepdim=True) * 10**exponents).to(dtype)

    return draw


@pytest.fixture(scope="session")
def examples():
    """The table of options for methods that cannot be built without any."""
    return EXAMPLES


@pytest.fixture(scope="session")
def build():
    """``build(name, names, **wished)``: the method, with those wished options that it has."""

    def method(name, names="abc", **wished):
        known = {f.name for f in fields(method_class(name))}
        required = EXAMPLES.get(name, lambda _: {})(names)
        return make(name, **required, **{k: v for k, v in wished.items() if k in known})

    return method
