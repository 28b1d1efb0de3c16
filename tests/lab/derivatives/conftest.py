"""What the tests of derivatives share: networks, points, and the comparison of the two ways."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from conflictopt.lab.derivatives import nested, taylor
from conflictopt.lab.derivatives.trunk import AffineInputs


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def sequential():
    """``sequential(inputs, outputs, ...)``: linear layers with tanh between, random biases too."""

    def build(d, outputs=1, width=8, depth=3, dtype=torch.float64, affine=True, bias=True, seed=0):
        torch.manual_seed(seed)
        lower = [-1.0 - 0.1 * i for i in range(d)]
        upper = [0.5 + 0.3 * i for i in range(d)]
        modules = [AffineInputs(lower, upper)] if affine else []
        widths = [d, *[width] * depth, outputs]
        for a, b in itertools.pairwise(widths):
            modules += [nn.Linear(a, b, bias=bias), nn.Tanh()]
        net = nn.Sequential(*modules[:-1])
        for parameter in net.parameters():
            nn.init.normal_(parameter, std=0.7)
        return net.to(dtype)

    return build


@pytest.fixture
def agree():
    """``agree(net, x, wanted, weights)``: Taylor mode gives what nested mode gives.

    Values, and gradients in all parameters of a function that couples all of them, are equal to a
    relative tolerance.
    """

    def combined(found, sums):
        parts = [*found.values(), *sums]
        source = torch.Generator().manual_seed(5)
        factors = [torch.rand(p.shape, generator=source, dtype=torch.float64) for p in parts]
        return sum(
            ((p * f.to(p)).sum() + (p * f.to(p)).square().mean() + torch.sin(p).mean())
            for p, f in zip(parts, factors, strict=True)
        )

    def close(a, b, tolerance):
        return bool((a - b).norm() <= tolerance * (b.norm() + 1e-300) + 1e-14 * tolerance)

    def check(net, x, wanted, weights=(), tolerance=1e-12):
        first, second = (m.derivatives(net, x, wanted, weights) for m in (taylor, nested))
        outputs = net(x).shape[1]
        assert list(first[0]) == list(second[0]) == list(wanted.partials)
        assert len(first[1]) == len(second[1]) == len(wanted.operators)
        for a, b in zip(
            [*first[0].values(), *first[1]], [*second[0].values(), *second[1]], strict=True
        ):
            assert a.shape == b.shape == (len(x), outputs)
            assert a.dtype == b.dtype == x.dtype
            assert close(a, b, tolerance)
        parameters = [p for p in net.parameters() if p.requires_grad]
        gradients = [
            torch.autograd.grad(combined(*f), parameters, allow_unused=True)
            for f in (first, second)
        ]
        for a, b in zip(*gradients, strict=True):
            a, b = (torch.zeros(1, dtype=x.dtype) if g is None else g for g in (a, b))
            assert close(a, b, tolerance)

    return check
