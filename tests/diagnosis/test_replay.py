"""Replay: offline, a method chooses what it would have chosen live on the same gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from conflictopt import (
    Chain,
    LossError,
    MethodError,
    MultiLossOptimizer,
    NonFiniteError,
    Profile,
    Recorder,
    Reweighting,
    make,
)
from conflictopt.core.aggregator import Needs
from conflictopt.diagnosis.recorder import profile_of
from conflictopt.diagnosis.replay import replay, replayable
from conflictopt.methods.registry import METHODS

NAMES = ("pde", "bc", "ic")
REPLAYABLE = {
    *("aligned_mtl", "cagrad", "chebyshev", "config", "constant", "dcgd", "dualproj", "dwa"),
    *("fairgrad", "famo", "stch"),
    *("grad_norm", "gradnorm_chen", "gradvac", "imtl_g", "mgda", "min_max", "nash_mtl", "pcgrad"),
    *("relobralo", "resnorm", "softadapt", "sum", "uncertainty", "upgrad"),
}
OPTIONS = {
    "constant": {"weights": {"bc": 3.0}},
    "grad_norm": {"refresh": 2},
    "dwa": {"window": 3},
}


def method(name):
    return make(name, **OPTIONS.get(name, {}))


def losses_of(net):
    x = torch.linspace(0, 1, 6).double()[:, None].requires_grad_()
    u = net(x)
    (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
    return {
        "pde": (slope - 3 * u).square().mean(),
        "bc": 50 * (u[0] - 1).square().mean(),
        "ic": (u[-1] + 2).square().mean(),
    }


def live(*aggregators, steps=12):
    """A plain run with a recorder, and per method what it chooses at each of its steps."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(1, 6), nn.Tanh(), nn.Linear(6, 1)).double()
    opt = MultiLossOptimizer(torch.optim.Adam(net.parameters(), lr=1e-2), Recorder(steps, 1))
    still = [
        MultiLossOptimizer(torch.optim.SGD(net.parameters(), lr=0.0), a, seed=3)
        for a in aggregators
    ]
    chosen = [[] for _ in aggregators]
    for _ in range(steps):
        for beside, kept in zip(still, chosen, strict=True):
            beside.step(losses_of(net))
            kept.append(beside.last.coefficients.numpy())
        opt.step(losses_of(net))
    return profile_of(opt.session.state, NAMES), [np.stack(c) for c in chosen]


def profile_of_gradients(rows, losses=None, names="abcdef"):
    rows = np.asarray(rows, dtype=np.float64)
    t, k = rows.shape[:2]
    losses = np.ones((t, k)) if losses is None else losses
    return Profile(tuple(names[:k]), np.arange(t), losses, rows @ rows.swapaxes(1, 2))


def random_rows(t=30, k=3, p=7, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(t, k, p)) * 10.0 ** rng.uniform(-2, 2, size=(t, k, 1))
    rows[:, 1] -= 2 * rows[:, 0]
    return rows


# -- against the live method ------------------------------------------------------------------


def test_coefficients_are_those_of_the_live_method():
    names = sorted(REPLAYABLE)
    profile, chosen = live(*map(method, names))
    for name, expected in zip(names, chosen, strict=True):
        found = replay(profile, method(name), seed=3).coefficients
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9, err_msg=name)


def test_layers_are_replayed_one_by_one():
    aggregator = make("pcgrad", blocks="layer")
    profile, (chosen,) = live(aggregator)
    assert chosen.shape[2] == len(profile.blocks) == 2
    found = replay(profile, aggregator, seed=3)
    np.testing.assert_allclose(found.coefficients, chosen.mean(axis=2), rtol=1e-7)
    grams = profile.block_gramians
    squared = [
        sum(c[:, b] @ g[b] @ c[:, b] for b in range(2)) for c, g in zip(chosen, grams, strict=True)
    ]
    np.testing.assert_allclose(found.length, np.sqrt(squared), rtol=1e-6)
    bare = Profile(profile.names, profile.steps, profile.losses, profile.gramians)
    with pytest.raises(MethodError, match="without layers"):
        replay(bare, aggregator)


def test_a_chain_is_replayed():
    aggregator = Chain(method("grad_norm"), make("pcgrad"))
    profile, (chosen,) = live(aggregator)
    np.testing.assert_allclose(
        replay(profile, aggregator, seed=3).coefficients, chosen, rtol=1e-7, atol=1e-9
    )


# -- against textbook formulas ----------------------------------------------------------------


def test_pcgrad_of_two_is_the_textbook_projection():
    rows = random_rows(k=2)
    rows[::3, 1] = rows[::3, 0] + 0.1 * rows[::3, 1]
    found = replay(profile_of_gradients(rows), make("pcgrad"))
    for (a, b), length, differs in zip(rows, found.length, found.differs, strict=True):
        first, second = a.copy(), b.copy()
        if a @ b < 0:
            first -= (a @ b) / (b @ b) * b
            second -= (a @ b) / (a @ a) * a
        assert length == pytest.approx(np.linalg.norm(first + second), rel=1e-6)
        assert differs == (a @ b < 0)
    assert 0 < found.frequency < 1
    assert not found.conflicts_after.any()


def test_config_has_equal_cosines():
    rows = random_rows()
    found = replay(profile_of_gradients(rows), make("config"))
    cosines = found.along / np.linalg.norm(rows, axis=2) / found.length[:, None]
    np.testing.assert_allclose(cosines, cosines[:, :1].repeat(3, axis=1), rtol=1e-6)
    assert (cosines > 0).all()


def test_grad_norm_brings_the_gradients_to_one_norm():
    rows = random_rows(t=5)
    balance = make("grad_norm", momentum=0.0, refresh=1, cap=math.inf)
    found = replay(profile_of_gradients(rows), balance)
    norms = found.coefficients * np.linalg.norm(rows, axis=2)
    np.testing.assert_allclose(norms, norms[:, :1].repeat(3, axis=1), rtol=1e-9)


@pytest.mark.parametrize("name", ["pcgrad", "config", "mgda", "grad_norm"])
def test_geometry_is_that_of_the_update(name):
    rows = random_rows()
    found = replay(profile_of_gradients(rows), make(name))
    for t, row in enumerate(rows):
        d, s = found.coefficients[t] @ row, row.sum(axis=0)
        assert found.length_ratio[t] == pytest.approx(np.linalg.norm(d) / np.linalg.norm(s))
        cosine = d @ s / np.linalg.norm(d) / np.linalg.norm(s)
        assert found.cosine_to_sum[t] == pytest.approx(cosine, abs=1e-9)
        np.testing.assert_allclose(
            found.along[t], row @ d, atol=1e-9 * np.abs(row @ row.T @ np.ones(3)).max()
        )


# -- what is counted --------------------------------------------------------------------------


def test_the_plain_sum_never_differs_and_leaves_conflict():
    found = replay(profile_of_gradients(random_rows()), make("sum"))
    assert found.frequency == 0
    np.testing.assert_array_equal(found.coefficients, 1)
    np.testing.assert_allclose(found.length_ratio, 1)
    assert found.conflicts_after.any()


def test_the_angle_decides_what_differs():
    rows = np.array([[[1.0, 0.0], [0.0, 1.0]]] * 4)
    aggregator = make("constant", weights=[1.0, 1.2])  # 5.19 degrees off the sum
    profile = profile_of_gradients(rows)
    assert replay(profile, aggregator, angle=5.0).frequency == 1
    assert replay(profile, aggregator, angle=5.4).frequency == 0
    with pytest.raises(MethodError, match="angle"):
        replay(profile, aggregator, angle=-1.0)


def test_opposed_and_absent_gradients():
    """A zero update where the sum is not zero differs; where both are zero nothing does."""
    rows = np.array([[[2.0, 0.0], [-1.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    found = replay(profile_of_gradients(rows), make("nash_mtl"))
    assert found.differs.tolist() == [True, False]
    assert np.isnan(found.cosine_to_sum).all()
    assert found.length_ratio[0] == 0
    assert np.isnan(found.length_ratio[1])
    assert not found.conflicts_after.any()
    assert [kind for kind, _ in found.notes[0]] == ["no_descent"]
    assert found.to_json()["notes"] == ["no_descent"]
    assert found.to_json()["cosine_to_sum"] is None


def test_more_losses_than_dimensions():
    rows = random_rows(k=6, p=3)
    for name in ("pcgrad", "config", "upgrad", "mgda"):
        assert np.isfinite(replay(profile_of_gradients(rows), make(name)).along).all()


def test_draws_follow_the_seed():
    profile = profile_of_gradients(random_rows(k=5))
    one, same, other = (replay(profile, make("pcgrad"), seed=s).coefficients for s in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_equations_reach_the_method():
    profile = profile_of_gradients(random_rows())
    first, second = (
        replay(profile, make("dcgd"), equations=e).coefficients for e in (["a"], ["a", "b"])
    )
    np.testing.assert_array_equal(first, replay(profile, make("dcgd")).coefficients)
    assert (first != second).any()
    with pytest.raises(LossError, match="'z'"):
        replay(profile, make("dcgd"), equations=["z"])


def test_periods_count_samples():
    found = replay(profile_of_gradients(random_rows(t=6)), make("grad_norm", refresh=3))
    changed = (np.diff(found.coefficients, axis=0) != 0).any(axis=1)
    assert changed.tolist() == [False, False, True, False, False]


def test_quantiles_and_summary():
    found = replay(profile_of_gradients(random_rows()), make("pcgrad"))
    np.testing.assert_array_equal(found.quantile(0.5), np.median(found.coefficients, axis=0))
    summary = found.to_json()
    assert summary["method"] == "PCGrad"
    assert [loss["name"] for loss in summary["losses"]] == ["a", "b", "c"]
    assert summary["losses"][1]["coefficient_median"] == found.quantile(0.5)[1]
    assert summary["differs"] == found.frequency


def test_the_profile_and_the_global_generator_stay_as_they_were():
    profile = profile_of_gradients(random_rows())
    kept, state = profile.gramians.copy(), torch.get_rng_state()
    replay(profile, make("gradvac"))
    np.testing.assert_array_equal(profile.gramians, kept)
    assert torch.equal(torch.get_rng_state(), state)


# -- refusals ---------------------------------------------------------------------------------


def test_which_methods_can_be_replayed():
    assert {name for name in METHODS if replayable(method(name))} == REPLAYABLE


@pytest.mark.parametrize(
    ("name", "why"),
    [
        *(("ntk", "residuals"), ("graddrop", "rows"), ("m_config", "row"), ("rba", "points")),
        ("adapters", "routes to adapters"),
    ],
)
def test_methods_that_need_more_are_refused(name, why):
    profile = profile_of_gradients(random_rows())
    with pytest.raises(MethodError, match=why) as caught:
        replay(profile, make(name))
    assert all(n in str(caught.value) for n in REPLAYABLE)


class Undeclared(Reweighting):
    needs = Needs.LOSSES

    def update(self, view, state):
        return view.rows().sum(dim=1), state


class Given(Reweighting):
    needs = Needs.LOSSES

    def __init__(self, coefficients):
        self.coefficients = coefficients

    def update(self, view, state):
        return torch.tensor(self.coefficients), state


def test_methods_that_do_not_keep_their_word_are_refused():
    profile = profile_of_gradients(random_rows())
    with pytest.raises(MethodError, match="declare its needs"):
        replay(profile, Undeclared())
    with pytest.raises(MethodError, match=r"expected coefficients \[3\]"):
        replay(profile, Given([1.0, 2.0]))
    with pytest.raises(NonFiniteError, match="nan"):
        replay(profile, Given([1.0, float("nan"), 1.0]))
