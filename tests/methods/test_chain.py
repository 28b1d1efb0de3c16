"""Chain: coefficients multiply, and each member sees what those before it left."""

from __future__ import annotations

import pytest
import torch

from conflictopt import Chain, MethodError, Needs, Recorder, make

BLOCKS = {"physics": 2, "adapter/a": 1, "adapter/b": 1, "adapter/c": 1}


def first(method, view):
    return method.update(view, method.init(view.spec))


# -- the order ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        ["sum"],
        ["adapters"],
        ["ntk", "grad_norm", "sum"],
        ["ntk", "pcgrad"],
        ["ntk", "config", "adapters"],
        ["pcgrad", "adapters"],
    ],
)
def test_allowed_orders(names):
    members = tuple(map(make, names))
    assert Chain(*members).members == members


@pytest.mark.parametrize(
    "names",
    [
        ["pcgrad", "ntk"],
        ["adapters", "ntk"],
        ["adapters", "pcgrad"],
        ["pcgrad", "config"],
        ["adapters", "adapters"],
    ],
)
def test_refused_orders(names):
    members = list(map(make, names))
    found = ", ".join(type(m).__name__ for m in members)
    with pytest.raises(MethodError, match="then at most one surgery, then .* found " + found):
        Chain(*members)


def test_refused_members():
    with pytest.raises(MethodError, match="at least one aggregator in a Chain, found none"):
        Chain()
    with pytest.raises(MethodError, match="in a Chain, found Chain"):
        Chain(Chain(make("sum")))
    with pytest.raises(MethodError, match="in a Chain, found str"):
        Chain("sum")


def test_chain_needs_what_its_members_need():
    chain = Chain(make("ntk"), make("pcgrad"))
    assert chain.needs == Needs.RESIDUALS | Needs.GRAMIAN


def test_chain_is_plain_when_all_its_members_are():
    assert Chain(Recorder(), make("sum")).plain
    assert not Chain(Recorder(), make("pcgrad")).plain


def test_chains_compare_and_print_by_their_members():
    assert Chain(make("sum"), make("pcgrad")) == Chain(make("sum"), make("pcgrad"))
    assert Chain(make("sum")) != Chain(make("ntk"))
    assert hash(Chain(make("sum"))) == hash(Chain(make("sum")))
    assert repr(Chain(make("sum"), make("pcgrad"))) == (
        "Chain(Sum(), PCGrad(blocks='physics', verify=False))"
    )


# -- coefficients and views --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pcgrad", "config"])
def test_surgery_after_weights_is_surgery_on_the_weighted_losses(name, step, random_rows):
    rows, w = random_rows(0), torch.tensor([1.0, 8.0, 0.25], dtype=torch.float64)
    chained, _ = first(Chain(make("constant", weights=w.tolist()), make(name)), step(rows))
    alone, _ = first(make(name), step(rows * w[:, None]))
    torch.testing.assert_close(chained, w * alone)


def test_coefficients_of_all_three_families_multiply(step, random_rows):
    view = step(random_rows(2, size=10), blocks=BLOCKS)
    weights, surgery = make("constant", weights=[1.0, 2.0, 3.0]), make("pcgrad")
    chain = Chain(weights, surgery, make("adapters", routing="exclusive"))
    c, _ = first(chain, view)
    inner, _ = first(Chain(weights, surgery), step(random_rows(2, size=10), blocks=BLOCKS))
    own, _ = first(make("adapters", routing="exclusive"), view)
    torch.testing.assert_close(c, inner * own)


def test_a_second_reweighting_sees_weighted_gradients(step, random_rows):
    balance = make("grad_norm", momentum=0.0)
    c, _ = first(Chain(make("constant", weights=[1, 5, 9]), balance), step(random_rows(1)))
    norms = (c[:, None] * random_rows(1)).norm(dim=1)
    torch.testing.assert_close(norms, norms.mean().expand(3))


def test_recorder_in_a_chain_changes_nothing_and_sees_the_plain_step(step, random_rows):
    recorder, view = Recorder(steps=3, every=1), step(random_rows(4))
    c, state = first(Chain(recorder, make("pcgrad")), view)
    alone, _ = first(make("pcgrad"), step(random_rows(4)))
    assert torch.equal(c, alone)
    assert torch.equal(state["0.gramians"][0], view.gramian())


# -- state -------------------------------------------------------------------------------------


def test_states_are_kept_apart_by_position(step, random_rows):
    slow, fast = make("grad_norm", refresh=10), make("grad_norm", refresh=1)
    chain = Chain(slow, *[make("sum")] * 9, fast)
    view = step(random_rows(0))
    _, state = first(chain, view)
    assert set(state) == {"0.weights", "0.age", "10.weights", "10.age"}
    assert set(chain.init(view.spec)) == set(state)
    later, end = chain.update(step(random_rows(1)), state)
    assert torch.equal(end["0.weights"], state["0.weights"])
    assert not torch.equal(end["10.weights"], state["10.weights"])
    torch.testing.assert_close(later, end["0.weights"] * end["10.weights"])


# -- the scaled view ---------------------------------------------------------------------------


def test_scaled_view_scales_everything_alike(step, random_rows):
    plain = step(random_rows(0, size=10), blocks=BLOCKS)
    a = torch.tensor([2.0, 0.5, 3.0], dtype=torch.float64)
    b = torch.tensor([1.0, 4.0, 0.0], dtype=torch.float64)
    view, c = plain.scaled(a).scaled(b), a * b
    for block in (None, "network", "physics", "adapter/b"):
        rows = c[:, None] * plain.rows(block)
        torch.testing.assert_close(view.rows(block), rows)
        torch.testing.assert_close(view.gramian(block), rows @ rows.T)
        torch.testing.assert_close(view.norms(block), rows.norm(dim=1))
    torch.testing.assert_close(view.losses, c * plain.losses)
    traces = plain.rows("network").square().sum(dim=1)  # one residual point: probes are exact
    torch.testing.assert_close(view.residual_traces(3, "network"), c * traces)
    assert torch.equal(plain.rows(), random_rows(0, size=10))
