"""Point weights in a torch loop: the losses that they make, and with which points they stay."""

from __future__ import annotations

import copy
import io
import math
import pickle
import warnings
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn, optim

from conflictopt import (
    Chain,
    CheckpointError,
    ConflictOptWarning,
    LossError,
    Losses,
    MethodError,
    MultiLossOptimizer,
    NonFiniteError,
    make,
)
from conflictopt.core.losses import FIXED
from conflictopt.methods.reweighting._carried_points import nearest

seeds = st.integers(0, 2**31)
METHODS = {
    "rba": lambda: make("rba", eta=0.3, gamma=0.7, on="all"),
    "rba linear": lambda: make("rba", eta=0.3, gamma=0.7, form="linear", on="all"),
    "sa_pinn": lambda: make("sa_pinn", lr=0.1),
    "sa_pinn sigmoid": lambda: make("sa_pinn", lr=0.1, mask="sigmoid", start_level=0.0),
    "causal": lambda: make("causal", chunks=3),
}
CARRIED = [n for n in METHODS if n != "causal"]
every_method = pytest.mark.parametrize("name", METHODS)
every_memory = pytest.mark.parametrize("name", CARRIED)


class Problem:
    """A network and three losses: residuals ``[N, 2]`` and ``[N]``, then ``[N, 1]``, then ``[N]``.

    Every instance starts alike.
    """

    def __init__(self, dtype=torch.float64):
        draw = torch.Generator().manual_seed(1)
        self.net = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 2)).to(dtype)
        for p in self.net.parameters():
            p.data = torch.randn(p.shape, generator=draw).to(dtype)
        self.x = {n: torch.rand(k, 2, generator=draw).to(dtype) for n, k in SIZES.items()}

    @property
    def params(self):
        return list(self.net.parameters())

    def residuals(self):
        u = {n: self.net(x) for n, x in self.x.items()}
        return {
            "pde": [u["pde"] - 1, u["pde"].prod(dim=1)],
            "bc": [u["bc"][:, :1]],
            "ic": [u["ic"][:, 1] + self.x["ic"][:, 0]],
        }

    def points(self):
        return {n: [self.x[n]] * len(rs) for n, rs in self.residuals().items()}

    def given(self):
        """The losses with residuals and points."""
        r = self.residuals()
        return Losses.of({n: total(rs) for n, rs in r.items()}, r, points=self.points())

    def gradient(self, weights):
        """The gradient of the weighted loss, written by hand."""
        r = self.residuals()
        loss = sum(weighted(r[n], weights[n]) for n in r)
        return torch.autograd.grad(loss, self.params)


SIZES = {"pde": 9, "bc": 5, "ic": 4}


def total(residuals):
    return sum(r.square().mean() for r in residuals)


class ByHand:
    """The weights of each method, step by step, without the package's machinery."""

    def __init__(self, name):
        self.name, self.steps, self.memory = name, 0, {}

    def __call__(self, residuals, times=None):
        self.steps += 1
        if self.name == "causal":
            return self._causal(residuals, times)
        return {
            n: [self._carried((n, i), r.detach()) for i, r in enumerate(rs)]
            for n, rs in residuals.items()
        }

    def _carried(self, key, r):
        if self.name.startswith("rba"):
            level = 0.7 * self.memory.get(key, 0.0) + 0.3 * r.abs() / r.abs().max()
            self.memory[key] = level
            return level if "linear" in self.name else level**2
        sigmoid = "sigmoid" in self.name
        if key not in self.memory:
            level = torch.full_like(r, 0.0 if sigmoid else 1.0).requires_grad_()
            self.memory[key] = level, optim.Adam([level], lr=0.1, maximize=True)
        level, ascent = self.memory[key]
        weights = torch.sigmoid(level) if sigmoid else level**2
        used = weights.detach().clone()
        ascent.zero_grad()
        (weights * r**2).mean().backward()
        ascent.step()
        return used

    def _causal(self, residuals, times):
        orders = [t.argsort() for t in times["pde"]]
        sums = torch.zeros(3, dtype=torch.float64)
        for r, order in zip(residuals["pde"], orders, strict=True):
            squares = r.detach().reshape(len(r), -1).square().mean(dim=1)[order]
            sums += squares.reshape(3, -1).mean(dim=1)
        chunk = [math.exp(-sums[:i].sum()) for i in range(3)]
        weights = {n: [torch.ones_like(r) for r in rs] for n, rs in residuals.items()}
        for w, order in zip(weights["pde"], orders, strict=True):
            for i, members in enumerate(order.reshape(3, -1)):
                w[members] = chunk[i]
        return weights


def weights_by_hand(hand, problem):
    times = {n: [x[:, -1] for x in xs] for n, xs in problem.points().items()}
    return hand(problem.residuals(), times)


def weighted(residuals, weights):
    """The sum over all residuals of one loss."""
    return sum((w * r**2).mean() for w, r in zip(weights, residuals, strict=True))


def wrap(problem, method, build=optim.SGD, lr=0.05, **options):
    return MultiLossOptimizer(build(problem.params, lr=lr), method, **options)


def assert_grads(problem, expected, **tolerance):
    for p, g in zip(problem.params, expected, strict=True):
        torch.testing.assert_close(p.grad, g, **tolerance)


class Single:
    """One loss with ``r_n = a_n theta_n`` at ``theta = 1``: its gradient tells every weight."""

    def __init__(self, method, size=12, dtype=torch.float64):
        self.theta = nn.Parameter(torch.ones(size, dtype=dtype))
        self.opt = MultiLossOptimizer(optim.SGD([self.theta], lr=0.0), method)

    def step(self, a, x=None):
        """One step with residuals a at points x -> the weights in it."""
        r = a * self.theta[: len(a)]
        points = None if x is None else {"pde": x}
        self.opt.step({"pde": r.square().mean()}, {"pde": r}, points)
        return self.theta.grad[: len(a)] * len(a) / (2 * a.square())

    @property
    def state(self):
        return self.opt.session.state


def draw(seed, *shape):
    g = torch.Generator().manual_seed(seed)
    return 0.1 + torch.rand(*shape, generator=g, dtype=torch.float64)


# -- the weighted loss ---------------------------------------------------------------------------


@every_method
@pytest.mark.parametrize("engine", ["graph", "batched"])
def test_gradient_is_that_of_the_loss_written_by_hand(name, engine):
    problem, hand = Problem(), ByHand(name)
    opt = wrap(problem, METHODS[name](), engine=engine)
    for _ in range(4):
        expected = problem.gradient(weights_by_hand(hand, problem))
        raw = [total(rs).item() for rs in problem.residuals().values()]
        opt.step(problem.given())
        assert_grads(problem, expected)
        assert opt.last.values == pytest.approx(raw)
        assert opt.last.coefficients.tolist() == [1.0, 1.0, 1.0]


@every_method
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_that_of_the_residuals(name, dtype):
    problem = Problem(dtype)
    opt = wrap(problem, METHODS[name]())
    for _ in range(2):
        opt.step(problem.given())
    assert {p.grad.dtype for p in problem.params} == {dtype}
    tensors = {k: v for k, v in (opt.session.state or {}).items() if k != "age"}
    assert {v.dtype for v in tensors.values()} <= {dtype}


@every_method
def test_closures_train_as_losses_do(name):
    a, b = Problem(), Problem()
    first, second = wrap(a, METHODS[name]()), wrap(b, METHODS[name]())
    for _ in range(3):
        first.step(a.given())
        second.step(b.given)
    assert all(torch.equal(p, q) for p, q in zip(a.params, b.params, strict=True))


@every_method
def test_losses_beside_residuals_and_points_train_alike(name):
    a, b = Problem(), Problem()
    first, second = wrap(a, METHODS[name]()), wrap(b, METHODS[name]())
    for _ in range(3):
        first.step(a.given())
        r = b.residuals()
        second.step({n: total(rs) for n, rs in r.items()}, r, b.points())
    assert all(torch.equal(p, q) for p, q in zip(a.params, b.params, strict=True))


@every_method
@pytest.mark.parametrize("split", [True, False], ids=["term per residual", "term per loss"])
def test_weights_of_residuals_and_fixed_terms_stay(name, split):
    problem, hand = Problem(), ByHand(name)
    opt = wrap(problem, METHODS[name](), equations=["pde"])
    scale = {"pde": [2.0, 0.5], "bc": [3.0], "ic": [1.0]}
    for _ in range(3):
        r = problem.residuals()
        terms, groups = [], []
        for k, n in enumerate(r):
            parts = [s * v.square().mean() for s, v in zip(scale[n], r[n], strict=True)]
            terms += parts if split else [sum(parts)]
            groups += [k] * (len(parts) if split else 1)
        terms.insert(1, 0.1 * sum(p.square().sum() for p in problem.params))
        groups.insert(1, FIXED)
        pairs = {n: tuple(zip(r[n], scale[n], strict=True)) for n in r}
        points = {n: tuple(xs) for n, xs in problem.points().items()}
        losses = Losses(tuple(r), tuple(terms), tuple(groups), pairs, points)
        weights = weights_by_hand(hand, problem)
        scaled = {n: [s * w for s, w in zip(scale[n], weights[n], strict=True)] for n in weights}
        penalty = [0.2 * p.detach() for p in problem.params]
        expected = [g + d for g, d in zip(problem.gradient(scaled), penalty, strict=True)]
        values = losses.values()
        opt.step(losses)
        # Adam's steps do not depend on the scale of what they ascend, but for its epsilon
        assert_grads(problem, expected, rtol=1e-5, atol=1e-5)
        assert opt.last.values == pytest.approx(values)


def test_terms_that_belong_to_no_residual_are_refused():
    problem = Problem()
    r = problem.residuals()
    pair = [v.square().mean() for v in r["pde"]]
    terms = (*pair, 0 * pair[0], total(r["bc"]))
    pairs = {n: tuple((v, 1.0) for v in r[n]) for n in ("pde", "bc")}
    with pytest.raises(MethodError, match="loss 'pde' has 3 terms, but 2 residuals"):
        wrap(problem, make("rba")).step(Losses(("pde", "bc"), terms, (0, 0, 0, 1), pairs))


@pytest.mark.parametrize("name", ["rba", "sa_pinn"])
def test_weights_on_equations_leave_conditions_alone(name):
    problem = Problem()
    opt = wrap(problem, make(name, on="equations"), equations=["pde"])
    opt.step(problem.given())
    opt.step(problem.given())
    assert {k.split("/")[0] for k in opt.session.state} == {"age", "pde"}
    r = problem.residuals()
    before = [torch.autograd.grad(total(r["bc"]) + total(r["ic"]), problem.params)]
    opt.clear_grads()
    r = problem.residuals()
    zero = [0 * v for v in r["pde"]]
    losses = {n: total(zero if n == "pde" else rs) for n, rs in r.items()}
    opt.step(losses, {**r, "pde": zero})
    assert_grads(problem, before[0])


def test_a_single_loss_is_weighted_too():
    one = Single(make("rba", eta=0.5, gamma=0.5, form="linear"))
    weights = one.step(torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64))
    torch.testing.assert_close(weights, torch.tensor([0.125, 0.25, 0.5], dtype=torch.float64))


@every_method
def test_residuals_and_the_state_before_are_left_unchanged(name):
    problem = Problem()
    opt = wrap(problem, METHODS[name]())
    for _ in range(3):
        state, losses = opt.session.state or {}, problem.given()
        copied = {k: v.clone() for k, v in state.items()}
        kept = [r.detach().clone() for pairs in losses.residuals.values() for r, _ in pairs]
        opt.step(losses)
        now = [r for pairs in losses.residuals.values() for r, _ in pairs]
        assert all(torch.equal(a, b) for a, b in zip(kept, now, strict=True))
        assert all(torch.equal(state[k], copied[k]) for k in copied)


# -- several evaluations in a step ---------------------------------------------------------------


class WatchedLBFGS(optim.LBFGS):
    """Remembers the values that its closure returned."""

    def step(self, closure):
        self.values = []

        def watched():
            self.values.append(closure().item())
            return torch.tensor(self.values[-1], dtype=torch.float64)

        return super().step(watched)


@every_method
@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_minimises_the_loss_with_frozen_weights(name, search):
    problem, hand = Problem(), ByHand(name)
    inner = WatchedLBFGS(problem.params, lr=0.1, max_iter=4, line_search_fn=search)
    opt = MultiLossOptimizer(inner, METHODS[name]())
    for step in range(3):
        weights, seen = weights_by_hand(hand, problem), []

        def closure(seen=seen):
            seen.append({n: [r.detach() for r in rs] for n, rs in problem.residuals().items()})
            return problem.given()

        opt.step(closure)
        expected = [sum(float(weighted(r[n], weights[n])) for n in r) for r in seen]
        assert len(inner.values) > 1
        assert inner.values == pytest.approx(expected)
        assert opt.completed == step + 1
        assert name == "causal" or int(opt.session.state["age"]) == step + 1
        raw = [total(rs).item() for rs in seen[0].values()]
        assert opt.last.values == pytest.approx(raw)


def test_curvature_restarts_when_the_point_weights_change():
    problem = Problem()
    opt = MultiLossOptimizer(optim.LBFGS(problem.params, max_iter=1), METHODS["rba"]())
    for _ in range(4):
        opt.step(problem.given)
    (state,) = opt.state.values()
    assert state["n_iter"] == 4
    assert state["old_dirs"] == []


def test_an_unchanged_weight_keeps_the_curvature():
    problem = Problem()
    method = make("sa_pinn", lr=0.0)
    opt = MultiLossOptimizer(optim.LBFGS(problem.params, max_iter=1), method)
    for _ in range(4):
        opt.step(problem.given)
    (state,) = opt.state.values()
    assert state["old_dirs"]


@every_method
def test_two_backwards_share_the_weights_and_count_as_one_step(name):
    problem, hand = Problem(), ByHand(name)
    opt = wrap(problem, METHODS[name](), lr=0.0)
    for step in range(3):
        expected = problem.gradient(weights_by_hand(hand, problem))
        for _ in range(2):
            opt.backward(problem.given())
        assert_grads(problem, [2 * g for g in expected])
        opt.step()
        opt.zero_grad()
        assert opt.completed == step + 1
        assert name == "causal" or int(opt.session.state["age"]) == step + 1


@every_memory
def test_a_second_backward_with_other_residuals_is_refused(name):
    one = Single(METHODS[name]())
    r = draw(0, 6) * one.theta[:6]
    one.opt.backward({"pde": r.square().mean()}, {"pde": r})
    r = draw(0, 4) * one.theta[:4]
    with pytest.raises(MethodError):
        one.opt.backward({"pde": r.square().mean()}, {"pde": r})


def test_a_second_backward_at_other_points_is_refused():
    """Micro-batches: the same points in another order."""
    one = Single(METHODS["rba linear"]())
    a, x = draw(0, 6), draw(1, 6, 2)
    r = a * one.theta[:6]
    one.opt.backward({"pde": r.square().mean()}, {"pde": r}, {"pde": x})
    back = torch.arange(5, -1, -1)
    r = (a * one.theta[:6])[back]
    with pytest.raises(MethodError, match="'pde' at the same points throughout a step"):
        one.opt.backward({"pde": r.square().mean()}, {"pde": r}, {"pde": x[back]})


@every_memory
def test_a_backward_without_step_leaves_no_trace(name):
    problem, other = Problem(), Problem()
    opt, plain = wrap(problem, METHODS[name]()), wrap(other, METHODS[name]())
    for _ in range(3):
        opt.backward(problem.given())
        opt.zero_grad()
        opt.step(problem.given())
        plain.step(other.given())
    assert all(torch.equal(p, q) for p, q in zip(problem.params, other.params, strict=True))


@every_memory
def test_a_skipped_step_leaves_the_weights(name):
    one = Single(METHODS[name]())
    one.opt.on_nonfinite = "skip"
    a, x = draw(0, 4), draw(1, 4, 1)
    one.step(a, x)
    kept = copy.deepcopy(one.state)
    r = math.inf * one.theta[:4]
    one.opt.step({"pde": r.square().mean()}, {"pde": r}, {"pde": x})
    assert one.opt.skipped == 1
    assert kept.keys() == one.state.keys()
    assert all(torch.equal(kept[k], one.state[k]) for k in kept)


def test_a_nan_residual_is_refused_before_it_reaches_the_weights():
    one = Single(METHODS["rba"]())
    a = draw(0, 4)
    one.step(a)
    kept = one.state["pde/0/level"].clone()
    with pytest.raises(NonFiniteError, match="'pde' = nan"):
        one.step(a * math.nan)
    assert torch.equal(one.state["pde/0/level"], kept)


# -- with held coefficients, in chains -----------------------------------------------------------


@every_method
def test_held_coefficients_do_not_hold_the_weights(name):
    problem, hand = Problem(), ByHand(name)
    opt = wrap(problem, METHODS[name](), every=3)
    for _ in range(5):
        expected = problem.gradient(weights_by_hand(hand, problem))
        opt.step(problem.given())
        assert_grads(problem, expected)


@every_method
@pytest.mark.parametrize("other", ["pcgrad", "grad_norm", "config"])
@pytest.mark.parametrize("every", [1, 2])
def test_a_chain_treats_the_gradients_of_the_weighted_losses(name, other, every):
    problem, reference, hand = Problem(), Problem(), ByHand(name)
    options = {"momentum": 0.0, "refresh": 1} if other == "grad_norm" else {}
    opt = wrap(problem, Chain(METHODS[name](), make(other, **options)), every=every)
    plain = wrap(reference, make(other, **options), every=every)
    for _ in range(4):
        weights = weights_by_hand(hand, reference)
        r = reference.residuals()
        plain.step({n: weighted(r[n], weights[n]) for n in r})
        opt.step(problem.given())
        torch.testing.assert_close(opt.last.coefficients, plain.last.coefficients)
        assert_grads(problem, [p.grad for p in reference.params])


@every_method
@pytest.mark.parametrize("other", ["grad_norm", "lr_annealing"])
def test_a_chain_balances_the_weighted_losses_in_a_line_search_too(name, other):
    problem, reference, hand = Problem(), Problem(), ByHand(name)
    balance = make(other, momentum=0.0, refresh=1)
    chain = Chain(METHODS[name](), balance)
    opt = MultiLossOptimizer(optim.LBFGS(problem.params, max_iter=3), chain)
    plain = wrap(reference, balance)
    weights = weights_by_hand(hand, reference)
    plain.step({n: weighted(r, weights[n]) for n, r in reference.residuals().items()})
    opt.step(problem.given)
    torch.testing.assert_close(opt.last.coefficients, plain.last.coefficients)


@every_method
def test_a_chain_with_ntk_balances_the_weighted_residuals(name):
    problem, reference, hand = Problem(), Problem(), ByHand(name)
    options = {"momentum": 0.0, "refresh": 2, "probes": "exact"}
    opt = wrap(problem, Chain(METHODS[name](), make("ntk", **options)))
    plain = wrap(reference, make("ntk", **options))
    for _ in range(4):
        weights = weights_by_hand(hand, reference)
        r = reference.residuals()
        roots = {n: [w.sqrt() * v for w, v in zip(weights[n], r[n], strict=True)] for n in r}
        plain.step({n: total(rs) for n, rs in roots.items()}, roots)
        raw = problem.given().values()
        opt.step(problem.given())
        torch.testing.assert_close(opt.last.coefficients, plain.last.coefficients)
        assert_grads(problem, [p.grad for p in reference.params])
        assert opt.last.values == pytest.approx(raw)


@pytest.mark.parametrize("names", [("sa_pinn", "rba"), ("rba", "sa_pinn"), ("causal", "rba")])
def test_point_weights_of_a_chain_multiply(names):
    problem, hands = Problem(), [ByHand(n) for n in names]
    opt = wrap(problem, Chain(*[METHODS[n]() for n in names]))
    for _ in range(4):
        both = [weights_by_hand(hand, problem) for hand in hands]
        product = {n: [a * b for a, b in zip(both[0][n], both[1][n], strict=True)] for n in both[0]}
        expected = problem.gradient(product)
        opt.step(problem.given())
        assert_grads(problem, expected)


def test_a_chain_of_losses_read_by_value_sees_weighted_ones():
    """Weights by loss value: those of the weighted losses, while ``last`` keeps the raw ones."""
    problem, hand = Problem(), ByHand("rba linear")
    method = Chain(METHODS["rba linear"](), make("resnorm"))
    reference = Problem()
    opt, plain = wrap(problem, method), wrap(reference, make("resnorm"))
    for _ in range(3):
        weights = weights_by_hand(hand, reference)
        r = reference.residuals()
        plain.step({n: weighted(r[n], weights[n]) for n in r})
        opt.step(problem.given())
        torch.testing.assert_close(opt.last.coefficients, plain.last.coefficients)
        assert opt.last.values != pytest.approx(plain.last.values)


def test_point_weights_come_before_weights_of_losses():
    with pytest.raises(MethodError, match="those of points first"):
        Chain(make("grad_norm"), METHODS["rba"]())


def test_a_chain_of_one_is_the_method():
    a, b = Problem(), Problem()
    alone, chained = wrap(a, METHODS["rba"]()), wrap(b, Chain(METHODS["rba"]()))
    for _ in range(3):
        alone.step(a.given())
        chained.step(b.given())
    assert all(torch.equal(p, q) for p, q in zip(a.params, b.params, strict=True))
    assert {f"0.{k}" for k in alone.session.state} == set(chained.session.state)


@pytest.mark.parametrize("update", ["check", "correct"])
def test_the_actual_update_is_compared_with_the_weighted_gradients(update):
    problem = Problem()
    opt = wrap(problem, METHODS["rba"](), optim.Adam, update=update)
    for _ in range(3):
        opt.step(problem.given())
    assert opt.completed == 3


# -- self-adaptive weights -----------------------------------------------------------------------


@pytest.mark.parametrize("mask", ["square", "sigmoid"])
def test_sa_pinn_is_the_min_max_loop(mask):
    problem, other = Problem(), Problem()
    method = make("sa_pinn", lr=0.03, mask=mask, start_level=0.5)
    opt = wrap(problem, method, optim.Adam, lr=0.01)
    levels = {
        n: [torch.full_like(r, 0.5).requires_grad_() for r in rs]
        for n, rs in other.residuals().items()
    }
    descent = optim.Adam(other.params, lr=0.01)
    ascent = optim.Adam([v for own in levels.values() for v in own], lr=0.03, maximize=True)
    m = torch.square if mask == "square" else torch.sigmoid
    for _ in range(30):
        opt.step(problem.given())
        descent.zero_grad()
        ascent.zero_grad()
        r = other.residuals()
        sum(weighted(r[n], [m(v) for v in levels[n]]) for n in r).backward()
        descent.step()
        ascent.step()
    for p, q in zip(problem.params, other.params, strict=True):
        torch.testing.assert_close(p, q)
    for n, own in levels.items():
        for i, level in enumerate(own):
            found = opt.session.state[f"{n}/{i}/level"]
            torch.testing.assert_close(found, level.detach().reshape(found.shape))


@given(seed=seeds, mask=st.sampled_from(["square", "sigmoid"]), signs=st.booleans())
def test_sa_pinn_weights_never_fall(seed, mask, signs):
    one, rows = Single(make("sa_pinn", lr=0.2, mask=mask)), draw(seed, 8, 5)
    rows = rows * torch.where(torch.arange(5) % 2 == 0, -1.0, 1.0) if signs else rows
    seen = [one.step(a) for a in rows]
    assert all((b >= a - 1e-12).all() for a, b in pairwise(seen))
    assert (seen[-1] > seen[0]).all()


@given(seed=seeds)
def test_sa_pinn_is_frozen_where_the_residual_is_always_zero(seed):
    one, a = Single(make("sa_pinn", lr=0.2)), draw(seed, 6)
    a[[1, 4]] = 0.0
    for _ in range(5):
        one.step(a)
    level = one.state["pde/0/level"].flatten()
    assert (level[[1, 4]] == 1).all()
    assert (level[[0, 2, 3, 5]] > 1).all()


def test_sa_pinn_stops_where_the_residual_becomes_zero():
    one, a = Single(make("sa_pinn", lr=0.2)), draw(0, 3)
    one.step(a)
    kept = one.state["pde/0/level"].clone()
    a[1] = 0.0
    one.step(a)
    changed = (one.state["pde/0/level"] != kept).flatten()
    assert changed.tolist() == [True, False, True]


def test_sa_pinn_weights_stay_below_the_cap():
    one, a = Single(make("sa_pinn", lr=1.0, cap=5.0)), draw(0, 4)
    seen = torch.stack([one.step(a) for _ in range(6)])
    torch.testing.assert_close(seen.max(), torch.tensor(5.0, dtype=torch.float64))


def test_sa_pinn_without_rate_is_the_plain_sum():
    problem = Problem()
    opt = wrap(problem, make("sa_pinn", lr=0.0), lr=0.0)
    for _ in range(3):
        opt.step(problem.given())
        r = problem.residuals()
        assert_grads(problem, torch.autograd.grad(sum(map(total, r.values())), problem.params))


# -- residual-based attention --------------------------------------------------------------------


@given(
    seed=seeds,
    form=st.sampled_from(["square", "linear"]),
    eta=st.floats(1e-3, 2.0),
    gamma=st.floats(0.0, 0.99),
)
def test_rba_weights_stay_within_their_bounds(seed, form, eta, gamma):
    one = Single(make("rba", eta=eta, gamma=gamma, form=form))
    limit = eta / (1 - gamma)
    limit = limit**2 if form == "square" else limit
    for a in draw(seed, 10, 6):
        weights = one.step(a)
        assert (weights >= 0).all()
        assert (weights <= limit * (1 + 1e-9)).all()


@pytest.mark.parametrize("form", ["square", "linear"])
def test_rba_approaches_its_bound_at_the_largest_residual(form):
    one, a = Single(make("rba", eta=0.5, gamma=0.5, form=form)), draw(0, 4)
    for _ in range(60):
        weights = one.step(a)
    share = a / a.max()
    torch.testing.assert_close(weights, share**2 if form == "square" else share)


def test_rba_weights_do_not_see_the_scale_of_the_residual():
    one, other = Single(METHODS["rba"]()), Single(METHODS["rba"]())
    for a in draw(0, 4, 5):
        torch.testing.assert_close(one.step(a), other.step(-1e3 * a))


@pytest.mark.parametrize("form", ["square", "linear"])
def test_rba_may_start_at_the_residual(form):
    one = Single(make("rba", eta=0.25, gamma=0.5, form=form, start_at="residual"))
    a, b = draw(0, 2, 5)
    power = 2 if form == "square" else 1
    level = a / a.max()
    torch.testing.assert_close(one.step(a), level**power)
    level = 0.5 * level + 0.25 * b / b.max()
    torch.testing.assert_close(one.step(b), level**power)


def test_rba_decays_where_all_residuals_are_zero():
    one = Single(make("rba", eta=0.5, gamma=0.5))
    zero = torch.zeros(3, dtype=torch.float64)
    one.step(zero)
    assert (one.state["pde/0/level"] == 0).all()
    one.step(draw(0, 3))
    before = one.state["pde/0/level"].clone()
    one.step(zero)
    torch.testing.assert_close(one.state["pde/0/level"], before / 2)


def test_rba_takes_the_largest_of_each_residual_by_itself():
    problem = Problem()
    opt = wrap(problem, make("rba", eta=0.5, gamma=0.0, on="all"), lr=0.0)
    opt.step(problem.given())
    levels = {k: v for k, v in opt.session.state.items() if k.endswith("level")}
    assert len(levels) == 4
    assert {float(v.max()) for v in levels.values()} == {0.5}


# -- causal weights ------------------------------------------------------------------------------


def test_causal_weights_by_hand():
    one = Single(make("causal", chunks=3, tolerance=2.0))
    a = torch.tensor([1.0, 3.0, 2.0, 0.5, 1.0, 1.0], dtype=torch.float64)
    t = torch.tensor([0.0, 0.1, 0.5, 0.6, 0.8, 0.9], dtype=torch.float64)[:, None]
    means = [(1 + 9) / 2, (4 + 0.25) / 2]
    expected = [1.0, math.exp(-2 * means[0]), math.exp(-2 * sum(means))]
    assert one.step(a, t)[::2].tolist() == pytest.approx(expected)
    assert one.step(a, t)[1::2].tolist() == pytest.approx(expected)


@given(seed=seeds, order=st.permutations(range(10)), chunks=st.integers(2, 10))
def test_causal_weights_stay_with_shuffled_points(seed, order, chunks):
    a, x, order = draw(seed, 10), draw(seed + 1, 10, 2), list(order)
    weights = Single(make("causal", chunks=chunks)).step(a, x)
    moved = Single(make("causal", chunks=chunks)).step(a[order], x[order])
    torch.testing.assert_close(moved, weights[order])


def test_causal_weights_of_equal_times_stay_with_shuffled_points():
    """Points of a grid: a chunk's edge falls among points of one time."""
    times = torch.tensor([0.0, 0.5, 0.5, 1.0], dtype=torch.float64)
    x, a = torch.stack([draw(0, 4), times], dim=1), draw(1, 4)
    order = [0, 2, 1, 3]
    weights = Single(make("causal", chunks=2)).step(a, x)
    moved = Single(make("causal", chunks=2)).step(a[order], x[order])
    torch.testing.assert_close(moved, weights[order])


@given(seed=seeds, chunks=st.integers(2, 11), size=st.integers(11, 12))
def test_causal_weights_fall_with_time_in_chunks_of_one_size(seed, chunks, size):
    a, x = draw(seed, size), draw(seed + 1, size, 2)
    weights = Single(make("causal", chunks=chunks)).step(a, x)[x[:, -1].argsort()]
    assert weights[0].item() == pytest.approx(1.0)
    assert (weights.log().diff() < 1e-9).all()
    _, counts = weights.log().round(decimals=9).unique(return_counts=True)
    assert len(counts) == chunks
    assert counts.max() - counts.min() <= 1


def test_causal_sums_the_equations_and_their_residuals():
    w = nn.Parameter(torch.ones(1, dtype=torch.float64))
    t = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    opt = MultiLossOptimizer(optim.SGD([w], lr=0.0), make("causal", chunks=2), names=None)
    r = {
        "pde_0": [torch.stack([0.1 * w[0], w[0]]), torch.stack([0.2 * w[0], 0 * w[0]])],
        "pde_1": [torch.stack([0.3 * w[0], 2 * w[0]])],
        "bc": [torch.stack([5 * w[0], 7 * w[0]])],
    }
    points = {"pde_0": [t, t], "pde_1": [t]}
    opt.step({n: total(rs) for n, rs in r.items()}, r, points)
    late = math.exp(-(0.01 + 0.04 + 0.09))
    early = 0.01 + 0.04 + 0.09
    assert w.grad.item() == pytest.approx(early + late * (1 + 4) + (25 + 49))


def test_causal_averages_the_entries_of_a_point():
    w = nn.Parameter(torch.ones(1, dtype=torch.float64))
    t = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    opt = MultiLossOptimizer(optim.SGD([w], lr=0.0), make("causal", chunks=2))
    r = torch.tensor([[0.1, 0.5], [1.0, 0.0]], dtype=torch.float64) * w
    opt.step({"pde": r.square().mean()}, {"pde": r}, {"pde": t})
    assert w.grad.item() == pytest.approx((0.26 + math.exp(-0.13) * 1.0) * 2 / 4)


def test_causal_residuals_of_other_points_have_chunks_of_their_own():
    w = nn.Parameter(torch.ones(1, dtype=torch.float64))
    opt = MultiLossOptimizer(optim.SGD([w], lr=0.0), make("causal", chunks=2))
    a = torch.tensor([1.0, 2.0], dtype=torch.float64)
    b = torch.tensor([0.5, 0.1, 0.2, 0.4], dtype=torch.float64)
    x = [torch.tensor([[1.0], [0.0]]), torch.tensor([[0.9], [0.0], [0.1], [0.8]])]
    opt.step({"pde": total([a * w, b * w])}, {"pde": [a * w, b * w]}, {"pde": x})
    early = 4 + (0.01 + 0.04) / 2
    expected = (4 + 1 * math.exp(-early)) / 2 + (0.05 + 0.41 * math.exp(-early)) / 4
    assert w.grad.item() == pytest.approx(2 * expected)


def test_causal_weights_are_one_where_residuals_are_zero():
    one = Single(make("causal", chunks=3))
    a = torch.full((6,), 1e-9, dtype=torch.float64)
    torch.testing.assert_close(one.step(a, draw(0, 6, 2)), torch.ones(6, dtype=torch.float64))


@pytest.mark.parametrize("time", [0, 1, 2, -1, -2, -3])
def test_causal_time_is_the_coordinate_asked_for(time):
    a, x = draw(0, 8), draw(1, 8, 3)
    weights = Single(make("causal", chunks=4, time=time)).step(a, x)
    assert (weights[x[:, time].argsort()].diff() < 1e-12).all()


def test_causal_keeps_no_state():
    one = Single(make("causal", chunks=2))
    one.step(draw(0, 4), draw(1, 4, 1))
    assert one.state == {}


# -- weights stay with their points --------------------------------------------------------------


@every_memory
@given(seed=seeds, order=st.permutations(range(8)))
def test_a_permutation_of_points_permutes_the_weights(name, seed, order):
    a, b, x, order = draw(seed, 8), draw(seed + 1, 8), draw(seed + 2, 8, 2), list(order)
    one, moved = Single(METHODS[name]()), Single(METHODS[name]())
    for step in range(4):
        r = a if step % 2 else b
        weights = one.step(r, x)
        where = order if step % 2 else list(range(8))
        torch.testing.assert_close(moved.step(r[where], x[where]), weights[where])


@every_memory
@given(
    seed=seeds,
    order=st.permutations(range(8)),
    kept=st.integers(0, 8),
    stretch=st.sampled_from([1.0, 1e-4, 1e4]),
)
def test_new_points_take_over_what_the_nearest_remembers(name, seed, order, kept, stretch):
    scale = torch.tensor([1.0, stretch], dtype=torch.float64)
    x, fresh, order = draw(seed, 8, 2) * scale, draw(seed + 1, 8, 2) * scale, list(order)
    one = Single(METHODS[name]())
    for a in draw(seed + 2, 3, 8):
        one.step(a, x)
    key = next(iter(one.opt.aggregator.start(torch.zeros(1, 1))))
    before = one.state[f"pde/0/{key}"].flatten()
    now = torch.cat([x[order[:kept]], fresh[kept:]])
    extent = x.max(dim=0).values - x.min(dim=0).values
    where = [int(((p - x) / extent).square().sum(dim=1).argmin()) for p in now]
    assert where[:kept] == order[:kept]
    expected = Single(METHODS[name]())
    for a in draw(seed + 2, 3, 8):
        expected.step(a, x)
    state = {k: v if k in ("age", "pde/0/points") else v[where] for k, v in expected.state.items()}
    expected.opt.session.state = {**state, "pde/0/points": now}
    a = draw(seed + 3, 8)
    torch.testing.assert_close(one.step(a, now), expected.step(a, now))
    assert before.shape == (8,)


@pytest.mark.parametrize("count", [3, 12])
@every_memory
def test_the_number_of_points_may_change(name, count):
    one, x = Single(METHODS[name]()), draw(0, 6, 2)
    one.step(draw(1, 6), x)
    old = one.state["pde/0/level"].flatten()
    others = torch.cat([x, draw(5, 6, 2)])[:count].flip(0)
    one.opt.session.state = dict(one.state)
    weights = one.step(draw(2, count), others)
    assert weights.shape == (count,)
    assert one.state["pde/0/points"].shape == (count, 2)
    assert old.shape == (6,)


def test_points_close_together_are_told_apart():
    x = 1000 + torch.arange(6, dtype=torch.float64)[:, None] * 1e-9
    one, order = Single(make("rba", eta=0.5, gamma=0.5, form="linear")), [3, 1, 5, 0, 2, 4]
    a = draw(0, 6)
    one.step(a, x)
    level = one.state["pde/0/level"].flatten()
    weights = one.step(a[order], x[order])
    torch.testing.assert_close(weights, 0.5 * level[order] + 0.5 * a[order] / a.max())


@given(seed=seeds, old=st.integers(1, 40), new=st.integers(1, 40), flat=st.booleans())
def test_nearest_is_relative_to_the_extent_of_each_coordinate(seed, old, new, flat):
    a, b = draw(seed, old, 3), draw(seed + 1, new, 3)
    a[:, 1] *= 1e6
    b[:, 1] *= 1e6
    if flat:
        a[:, 2] = 0.5
    extent = a.max(dim=0).values - a.min(dim=0).values
    extent[extent == 0] = 1
    apart = ((b[:, None] - a[None]) / extent).square().sum(dim=2)
    found = nearest(a, b)
    chosen = apart.gather(1, found[:, None]).flatten()
    torch.testing.assert_close(chosen, apart.min(dim=1).values)


def test_nearest_of_many_points_is_found_in_parts():
    x, order = draw(0, 3000, 2), torch.randperm(3000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(nearest(x, x[order]), order)


def test_points_changed_in_place_by_the_caller_are_new_points():
    one, a, x = Single(METHODS["rba linear"]()), draw(0, 6), draw(1, 6, 2)
    one.step(a, x)
    level = one.state["pde/0/level"].flatten()
    x.copy_(x.flip(0).clone())
    b = a.flip(0)
    torch.testing.assert_close(one.step(b, x), 0.7 * level.flip(0) + 0.3 * b / b.max())


def test_points_may_carry_a_graph_be_flat_and_of_another_dtype():
    one, a, x = Single(METHODS["rba linear"]()), draw(0, 6), draw(1, 6)
    one.step(a, x.float().requires_grad_())
    level = one.state["pde/0/level"].flatten()
    back = x.flip(0)[:, None].float()
    assert not one.state["pde/0/points"].requires_grad
    b = a.flip(0)
    torch.testing.assert_close(one.step(b, back), 0.7 * level.flip(0) + 0.3 * b / b.max())


def test_a_residual_at_one_point_may_be_a_scalar():
    w = nn.Parameter(torch.tensor(2.0))
    opt = MultiLossOptimizer(optim.SGD([w], lr=0.0), make("rba", eta=0.5, form="linear"))
    for points in (None, torch.zeros(1, 2)):
        opt.step({"pde": w**2}, {"pde": w}, None if points is None else {"pde": points})
    assert opt.session.state["pde/0/level"].shape == (1, 1)


def test_each_residual_follows_its_own_points():
    theta = nn.Parameter(torch.ones(4, dtype=torch.float64))
    method = make("rba", eta=0.5, gamma=0.5, on="all", form="linear")
    opt = MultiLossOptimizer(optim.SGD([theta], lr=0.0), method)
    a, x = draw(0, 3, 4), draw(1, 3, 4, 1)

    def step(orders):
        r = [(v * theta)[o] for v, o in zip(a, orders, strict=True)]
        points = [p[o] for p, o in zip(x, orders, strict=True)]
        losses = {"pde": total(r[:2]), "bc": total(r[2:])}
        opt.step(losses, {"pde": r[:2], "bc": r[2]}, {"pde": points[:2], "bc": points[2]})
        return theta.grad.clone()

    plain = torch.arange(4)
    first = step([plain] * 3)
    second = step([plain.flip(0), plain, plain.roll(1)])
    torch.testing.assert_close(second, first * 1.5)


def test_points_may_be_given_for_some_losses_only():
    problem = Problem()
    opt = wrap(problem, METHODS["rba"]())
    for _ in range(2):
        r = problem.residuals()
        opt.step({n: total(rs) for n, rs in r.items()}, r, {"bc": problem.x["bc"]})
    assert "bc/0/points" in opt.session.state
    assert "pde/0/points" not in opt.session.state


@every_memory
def test_without_points_rows_are_points(name):
    one, known = Single(METHODS[name]()), Single(METHODS[name]())
    x = draw(9, 5, 2)
    for a in draw(0, 4, 5):
        torch.testing.assert_close(one.step(a), known.step(a, x))


@every_memory
def test_another_number_of_residuals_without_points_is_refused(name):
    one = Single(METHODS[name]())
    one.step(draw(0, 6))
    with pytest.raises(MethodError, match=r"of shape \[6, 1\], .* 'pde/0' as .* found \[4, 1\]"):
        one.step(draw(0, 4))
    assert one.opt.completed == 1
    one.step(draw(0, 6))


# -- checkpoints, copies -------------------------------------------------------------------------

SAVED = {
    **METHODS,
    "chain": lambda: Chain(METHODS["sa_pinn"](), METHODS["rba"](), make("ntk", refresh=2)),
}


@pytest.fixture
def ran():
    """``ran(name)``: problem and optimizer after five steps with Adam."""

    def run(name, steps=5, dtype=torch.float64):
        problem = Problem(dtype)
        opt = wrap(problem, SAVED[name](), optim.Adam, lr=0.01)
        for _ in range(steps):
            opt.step(problem.given())
        return problem, opt

    return run


def go_on(problem, opt, steps=5):
    """Further steps with points in another order, so that the memory of points counts."""
    order = {n: torch.arange(k).roll(1) for n, k in SIZES.items()}
    for _ in range(steps):
        problem.x = {n: x[order[n]] for n, x in problem.x.items()}
        opt.step(problem.given())
    return [*problem.params, *(opt.session.state or {}).values()]


def through_a_file(value):
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("name", SAVED)
def test_a_checkpoint_resumes_bitwise(ran, name):
    problem, opt = ran(name)
    saved = through_a_file({"net": problem.net.state_dict(), "opt": opt.state_dict()})
    expected = go_on(problem, opt)
    fresh = Problem()
    fresh.net.load_state_dict(saved["net"])
    resumed = wrap(fresh, SAVED[name](), optim.Adam, lr=0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resumed.load_state_dict(saved["opt"])
    found = go_on(fresh, resumed)
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


@pytest.mark.parametrize("name", SAVED)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_a_copy_goes_on_alike_and_apart(ran, name, copied):
    problem, opt = ran(name)
    other, twin = copied((problem, opt))
    expected = [t.clone() for t in go_on(problem, opt)]
    found = go_on(other, twin)
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    go_on(other, twin, 1)
    kept = [*problem.params, *(opt.session.state or {}).values()]
    assert all(torch.equal(a, b) for a, b in zip(expected, kept, strict=True))


@pytest.mark.parametrize(
    "name",
    [
        *CARRIED,
        "chain",
    ],
)
def test_a_checkpoint_loads_into_another_dtype(ran, name):
    _, opt = ran(name)
    problem, other = ran(name, 0, torch.float32)
    other.load_state_dict(through_a_file(opt.state_dict()))
    go_on(problem, other, 2)
    assert other.completed == 7


def test_a_checkpoint_without_a_members_state_is_refused(ran):
    _, opt = ran("chain")
    saved = through_a_file(opt.state_dict())
    del saved["conflictopt"]["state"]["2.weights"]
    _, other = ran("chain", 0)
    with pytest.raises(CheckpointError):
        other.load_state_dict(saved)


def test_a_saved_state_is_not_changed_by_later_steps(ran):
    problem, opt = ran("sa_pinn")
    saved = opt.state_dict()["conflictopt"]["state"]
    kept = {k: v.clone() for k, v in saved.items()}
    go_on(problem, opt)
    assert all(torch.equal(saved[k], kept[k]) for k in kept)


def test_another_method_starts_with_fresh_weights(ran):
    problem, opt = ran("rba")
    opt.set_aggregator(SAVED["sa_pinn"]())
    expected = torch.autograd.grad(sum(map(total, problem.residuals().values())), problem.params)
    opt.step(problem.given())
    assert int(opt.session.state["age"]) == 1
    assert_grads(problem, expected)


def test_another_optimizer_goes_on_with_the_weights(ran):
    problem, opt = ran("sa_pinn")
    level = opt.session.state["pde/0/level"].clone()
    lbfgs = opt.rewrap(optim.LBFGS(problem.params, max_iter=2))
    lbfgs.step(problem.given)
    assert int(lbfgs.session.state["age"]) == 6
    assert (lbfgs.session.state["pde/0/level"] >= level).all()


# -- refusals ------------------------------------------------------------------------------------


@every_method
def test_losses_without_residuals_are_refused(name):
    problem = Problem()
    opt = wrap(problem, METHODS[name]())
    r = problem.residuals()
    losses = {n: total(rs) for n, rs in r.items()}
    with pytest.raises(MethodError, match="needs the residuals of every loss and got none for"):
        opt.step(losses)
    r = problem.residuals()
    losses = {n: total(rs) for n, rs in r.items()}
    given = {n: rs for n, rs in r.items() if n != "ic"}
    points = {n: xs for n, xs in problem.points().items() if n != "ic"}
    if name == "causal":  # weights the equation alone
        opt.step(losses, given, points)
        return
    with pytest.raises(MethodError, match="got none for 'ic'"):
        opt.step(losses, given, points)
    assert opt.completed == 0


@every_method
def test_a_loss_that_is_not_the_mean_square_is_refused(name):
    problem = Problem()
    r = problem.residuals()
    losses = {n: total(rs) for n, rs in r.items()}
    losses["pde"] = 2 * losses["pde"]
    with pytest.raises(MethodError, match="mean-square losses; loss 'pde' is"):
        wrap(problem, METHODS[name]()).step(losses, r, problem.points())


@every_method
def test_residuals_without_graph_are_refused(name):
    problem = Problem()
    r = problem.residuals()
    losses = {n: total(rs) for n, rs in r.items()}
    detached = {**r, "pde": [v.detach() for v in r["pde"]]}
    opt = wrap(problem, METHODS[name]())
    with pytest.raises((LossError, MethodError), match="pde"):
        opt.step(losses, detached, problem.points())
    assert opt.completed == 0


@every_method
def test_points_of_another_length_are_refused(name):
    problem = Problem()
    r, points = problem.residuals(), problem.points()
    points["pde"][1] = points["pde"][1][:-1]
    message = r"one collocation point per residual of loss 'pde', found points of shape \(8, 2\)"
    with pytest.raises(MethodError, match=message):
        wrap(problem, METHODS[name]()).step({n: total(v) for n, v in r.items()}, r, points)


def test_points_of_an_unknown_loss_are_refused():
    w = nn.Parameter(torch.ones(2))
    with pytest.raises(LossError, match=r"points given for 'bd', but the losses are \('pde',\)"):
        Losses.of({"pde": w.square().mean()}, {"pde": w}, points={"bd": w})


def test_points_of_some_residuals_only_are_refused():
    w = nn.Parameter(torch.ones(2))
    with pytest.raises(LossError, match="each of the 2 residuals of loss 'pde', found 1"):
        Losses.of({"pde": total([w, w])}, {"pde": [w, w]}, points={"pde": w})
    with pytest.raises(LossError, match="each of the 0 residuals of loss 'pde', found 1"):
        Losses.of({"pde": w.square().mean()}, points={"pde": w})


def test_points_beside_a_losses_or_a_closure_are_refused():
    problem = Problem()
    opt = wrap(problem, METHODS["rba"]())
    with pytest.raises(LossError, match="carries its own residuals"):
        opt.step(problem.given(), points=problem.points())
    with pytest.raises(LossError, match=r"return Losses\.of"):
        opt.step(problem.given, points=problem.points())


def test_causal_asks_for_points_of_its_equations():
    problem = Problem()
    r = problem.residuals()
    opt = wrap(problem, METHODS["causal"]())
    with pytest.raises(MethodError, match=r"points of the equation 'pde'.* points=\{'pde'"):
        opt.step({n: total(v) for n, v in r.items()}, r)
    r = problem.residuals()
    opt.step({n: total(v) for n, v in r.items()}, r, {"pde": problem.points()["pde"]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chunks": 10}, "at least 10 points of 'pde', one per chunk, found 9"),
        ({"chunks": 2, "time": 2}, "time as one of the 2 coordinates of 'pde', found 2"),
        ({"chunks": 2, "time": -3}, "time as one of the 2 coordinates of 'pde', found -3"),
    ],
)
def test_causal_refuses_points_that_do_not_fit(options, message):
    problem = Problem()
    with pytest.raises(MethodError, match=message):
        wrap(problem, make("causal", **options)).step(problem.given())


@pytest.mark.parametrize(
    ("name", "option", "value", "message"),
    [
        ("rba", "eta", 0.0, "finite eta > 0"),
        ("rba", "eta", -1.0, "finite eta > 0"),
        ("rba", "eta", math.inf, "finite eta > 0"),
        ("rba", "eta", math.nan, "finite eta > 0"),
        ("rba", "gamma", 1.0, r"gamma in \[0, 1\)"),
        ("rba", "gamma", -0.1, r"gamma in \[0, 1\)"),
        ("rba", "form", "cube", "form='square' or 'linear', found 'cube'"),
        ("rba", "start_at", "one", "start_at='zero' or 'residual', found 'one'"),
        ("rba", "on", "conditions", "on='all' or 'equations', found 'conditions'"),
        ("sa_pinn", "on", "conditions", "on='all' or 'equations', found 'conditions'"),
        ("sa_pinn", "lr", -1.0, "finite lr >= 0"),
        ("sa_pinn", "lr", math.inf, "finite lr >= 0"),
        ("sa_pinn", "lr", math.nan, "finite lr >= 0"),
        ("sa_pinn", "mask", "cube", "mask='square' or 'sigmoid', found 'cube'"),
        ("sa_pinn", "start_level", 0.0, "start_level, above 0 with mask='square'"),
        ("sa_pinn", "start_level", math.inf, "a finite start_level"),
        ("sa_pinn", "cap", 0.0, "cap > 0"),
        ("sa_pinn", "cap", math.nan, "cap > 0"),
        ("causal", "tolerance", 0.0, "finite tolerance > 0"),
        ("causal", "tolerance", math.inf, "finite tolerance > 0"),
        ("causal", "chunks", 1, "at least 2 chunks"),
        ("causal", "chunks", 2.5, "chunks as a positive integer"),
        ("causal", "chunks", True, "chunks as a positive integer"),
        ("causal", "time", 0.5, "time as the number of a coordinate"),
        ("causal", "time", True, "time as the number of a coordinate"),
    ],
)
def test_bad_options_are_refused(name, option, value, message):
    with pytest.raises(MethodError, match=message):
        make(name, **{option: value})


def test_a_bound_of_point_weights_that_acts_is_reported():
    one = Single(make("sa_pinn", cap=1.1, lr=0.1))
    one.step(draw(0, 4))
    with pytest.warns(ConflictOptWarning, match="weights of points are kept below 1.1: pde"):
        one.step(draw(0, 4))
    one.step(draw(0, 4))
    assert one.opt.reports["cap"].count == 2


def test_losses_whose_points_are_not_weighted_need_no_residuals():
    w = nn.Parameter(torch.ones(3, dtype=torch.float64))
    opt = MultiLossOptimizer(optim.SGD([w], lr=0.0), make("rba", eta=0.5))
    r = draw(0, 3) * w
    opt.step({"pde": r.square().mean(), "bc": w.abs().sum()}, {"pde": r})
    level = 0.5 * r.detach().abs() / r.detach().abs().max()
    expected = 2 / 3 * level**2 * r.detach() ** 2 + 1
    torch.testing.assert_close(w.grad, expected)
