"""What is refused, with what was expected and found."""

from __future__ import annotations

import pytest
import torch

import conflictopt
from conflictopt.kernel import blocks_of, probed_kernel, tangent_kernel


@pytest.fixture(params=[tangent_kernel, probed_kernel])
def measure(request):
    return request.param


@pytest.mark.parametrize(
    ("residuals", "says"),
    [
        ({}, "by loss name"),
        ([], "by loss name"),
        ({"a": []}, "loss 'a'"),
        ({"a": 3.0}, "loss 'a'"),
        ({"a": [3.0]}, "found \\['float'\\]"),
        ({"a": torch.zeros(0)}, "\\[0\\]"),
        ({"a": [(torch.ones(2), -1.0)]}, "weights \\[-1.0\\]"),
        ({"a": [(torch.ones(2), float("nan"))]}, "weights \\[nan\\]"),
        ({"a": torch.ones(2)}, "no residual has a graph"),
    ],
)
def test_residuals(measure, small, residuals, says):
    with pytest.raises(conflictopt.LossError, match=says):
        measure(residuals, small.blocks())


def test_parameters(measure, small):
    r, (w, b) = small.residuals(), list(small.net[0].parameters())
    with pytest.raises(conflictopt.LayoutError, match="at least one block"):
        measure(r, {})
    with pytest.raises(conflictopt.LayoutError, match="block 'x', found none"):
        measure(r, {"w": [w], "x": []})
    with pytest.raises(conflictopt.LayoutError, match="blocks 'one' and 'two'"):
        measure(r, {"one": [w, b], "two": [w]})
    with pytest.raises(conflictopt.LayoutError, match="leave frozen ones out"):
        measure(r, {"x": [torch.zeros(2)]})
    with pytest.raises(conflictopt.LayoutError, match="found str"):
        measure(r, {"x": "w"})


def test_nonfinite(measure, small):
    r = small.residuals()
    with pytest.raises(conflictopt.NonFiniteError, match="residuals, found inf or nan in 'bc'"):
        measure({**r, "bc": r["bc"] * float("nan")}, small.blocks())
    infinite = (r["bc"] - r["bc"].detach()).square().sqrt()  # 0, with an infinite slope
    with pytest.raises(conflictopt.NonFiniteError, match="derivatives of 'bc'"):
        tangent_kernel({**r, "bc": infinite}, small.blocks())


def test_a_graph_that_was_used_up(measure, small):
    r = small.residuals()
    r["bc"].sum().backward()
    with pytest.raises(conflictopt.LossError, match="evaluate them afresh"):
        measure(r, small.blocks())


@pytest.mark.parametrize("bad", [1, 0, -3, 2.0, True])
def test_sizes(small, bad):
    with pytest.raises(conflictopt.MethodError, match="expected rows"):
        tangent_kernel(small.residuals(), small.blocks(), rows=bad)
    with pytest.raises(conflictopt.MethodError, match="at least 2 probes"):
        probed_kernel(small.residuals(), small.blocks(), probes=bad)


def test_names(small):
    kernel = tangent_kernel(small.residuals(), small.blocks())
    with pytest.raises(conflictopt.LayoutError, match="one of the blocks"):
        kernel.coupling("network")
    with pytest.raises(conflictopt.MethodError, match="one of the losses"):
        kernel.matrix("pde", "ic")
    with pytest.raises(conflictopt.MethodError, match="no matrix"):
        probed_kernel(small.residuals(), small.blocks()).spectrum("pde")


def test_frozen_parameters_are_left_out(small):
    small.net[0].weight.requires_grad_(False)
    blocks = blocks_of(small.net)
    assert [len(ps) for ps in blocks.values()] == [1, 2, 2]
    tangent_kernel(small.residuals(), blocks)
