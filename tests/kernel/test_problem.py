"""On a problem of the suite, whose derivatives allow one backward pass only, and as text."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

import conflictopt
from conflictopt.kernel import blocks_of, compare, probed_kernel, tangent_kernel
from conflictopt.lab.problems import derivatives_of, load_suite
from conflictopt.report.kernel_words import comparison_parts, kernel_parts
from conflictopt.report.plain_text import plain_text


@pytest.fixture(scope="module")
def run():
    """``run(mode)``: the residuals of an inverse problem, its network and its unknowns."""
    problem = load_suite()["inverse_helmholtz_2d_noise2"]
    counts = dict.fromkeys(problem.loss_names, 12)
    equations = problem.losses(problem.draw(counts, seed=0), torch.float64)
    net = problem.network(problem.sizes(width=6), dtype=torch.float64)
    unknowns = problem.unknowns(torch.float64)

    def at(mode="taylor"):
        losses = equations.at(derivatives_of(net, mode), unknowns).together(residuals=True)
        return losses.residuals, blocks_of(net, list(unknowns.values()))

    at.net = net
    return at


def test_taylor_mode_gives_the_kernel_of_nested_mode(run):
    one, other = tangent_kernel(*run("taylor")), tangent_kernel(*run("nested"))
    assert "physics" in one.blocks
    assert one.trace("physics").any()
    scale = np.abs(other.matrices).max()
    np.testing.assert_allclose(one.matrices, other.matrices, atol=1e-10 * scale)
    np.testing.assert_allclose(one.gramians, other.gramians, rtol=1e-8, atol=1e-9)


def test_text_has_every_loss_pair_and_block(run):
    before, probed = tangent_kernel(*run()), probed_kernel(*run(), probes=4)
    losses = before.names
    text = plain_text(kernel_parts(before))
    for name in (*before.blocks, *losses, f"{losses[0]} / {losses[1]}", "(exact)", "directions"):
        assert name in text
    assert f"{before.coupling()[0, 1]:.2f}" in text
    assert f"{before.cosines()[0, 1]:+.2f}" in text
    text = plain_text(kernel_parts(probed, "Larger"))
    assert "Larger (estimated from random products)" in text
    assert "directions" not in text.replace("the same directions", "")
    conflictopt.attach(run.net, losses)
    found = compare(before, tangent_kernel(*run()))
    text = plain_text(comparison_parts(found))
    p = found.pairs[0]
    assert f"{p.coupling_before:.2f} > {p.coupling:.2f}" in text
    assert f"{p.on_first:+.2f} | {p.on_second:+.2f}" in text
    assert "The adapters carry" in text
    conflictopt.adapters.detach(run.net)


@pytest.mark.slow
def test_the_example_runs(capsys):
    example = Path(__file__).parents[2] / "examples" / "tangent_kernel.py"
    runpy.run_path(str(example))["main"]("heat_1d", steps=1)
    text = capsys.readouterr().out
    for part in (
        "Before adapters",
        "Adapters attached",
        "After 1 more steps",
        "The adapters carry",
    ):
        assert part in text


def test_text_of_uncoupled_losses_and_names_with_brackets(linear_losses):
    residuals, w = linear_losses([[[1.0, 0.0]], [[0.0, 1.0]]])
    named = {"bc[left]": residuals["a"], "[bold]": residuals["b"]}
    text = plain_text(kernel_parts(tangent_kernel(named, {"w": [w]})))
    row = next(line for line in text.splitlines() if "bc[left] / [bold]" in line)
    assert row.split()[3:] == ["0.00", "-", "+0.00", "-"]


def test_text_of_one_loss_has_no_pairs(small):
    kernel = tangent_kernel({"bc": small.residuals()["bc"]}, small.blocks())
    text = plain_text(kernel_parts(kernel))
    assert "Pairs" not in text
    assert "  0% |   0%" in text.split("physics")[1]
