"""Losses of a step: together and apart, residuals, points, gradients."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import sympy as sp
import torch

from conflictopt import Losses, MultiLossOptimizer
from conflictopt.lab.problems import Problem, batches, derivatives_of
from conflictopt.lab.problems.objective import EquationsObjective

IDS = [
    "burgers_2d",
    "laplace_annulus",
    "kovasznay_re20",
    "inverse_kovasznay_noise1",
    "advection_beta30",
    "thermoelastic_2d_steady",
    "poisson_20d",
]


@pytest.fixture
def small(suite):
    """``small(name, mode)``: an objective of a small float64 network, and what it was made of."""

    def build(name, mode="taylor", scale=1 / 16, seed=0):
        problem = suite[name] if isinstance(name, str) else name
        points = problem.draw(problem.counts(small=True, scale=scale), seed)
        net = problem.network(problem.sizes(8), seed, torch.float64)
        unknowns = problem.unknowns(torch.float64)
        equations = problem.losses(points, torch.float64)
        return problem, points, net, unknowns, equations.at(derivatives_of(net, mode), unknowns)

    return build


def gradients(value, net, unknowns):
    parameters = [*net.parameters(), *unknowns.values()]
    found = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
    return torch.cat(
        [
            (torch.zeros_like(p) if g is None else g).reshape(-1)
            for p, g in zip(parameters, found, strict=True)
        ]
    )


def close(a, b, tolerance=1e-11):
    return bool((a - b).norm() <= tolerance * (b.norm() + 1e-12))


@pytest.mark.parametrize("name", IDS)
def test_together_and_apart_agree(small, name):
    problem, _, net, unknowns, objective = small(name)
    together, apart = objective.together(), objective.apart(by_loss=True)
    assert together.names == apart.names == problem.loss_names == objective.names
    assert together.groups == apart.groups
    assert apart.values() == pytest.approx(together.values(), rel=1e-12)
    for k in range(problem.K):
        first, second = (gradients(ls.by_loss()[k], net, unknowns) for ls in (together, apart))
        assert close(first, second)
    assert close(*(gradients(ls.total(), net, unknowns) for ls in (together, apart)))


@pytest.mark.parametrize("name", IDS)
def test_taylor_and_nested_mode_agree(small, name):
    found = [small(name, mode) for mode in ("taylor", "nested")]
    losses = [f[-1].together() for f in found]
    assert losses[0].values() == pytest.approx(losses[1].values(), rel=1e-11)
    assert close(
        *(gradients(ls.total(), f[2], f[3]) for ls, f in zip(losses, found, strict=True)), 1e-10
    )


@pytest.mark.parametrize("name", IDS)
def test_one_pass_or_two(small, monkeypatch, name):
    """Conditions on values alone may have a pass of their own: nothing else changes."""
    found = []
    for least in (0, 10**9):
        monkeypatch.setattr(batches, "WORTHWHILE", least)
        *_, net, unknowns, objective = small(name)
        losses = objective.together()
        found.append((losses, gradients(losses.total(), net, unknowns)))
    assert found[0][0].values() == pytest.approx(found[1][0].values(), rel=1e-12)
    assert found[0][0].groups == found[1][0].groups
    assert close(found[0][1], found[1][1])


def test_two_passes_pay_for_many_conditions(suite):
    problem = suite["burgers_2d"]
    passes = []
    for scale in (1 / 16, 1):
        equations = problem.losses(problem.draw(problem.counts(scale=scale), 0))
        net, calls = problem.network(problem.sizes(4)), []

        def derive(x, wanted, weights, net=net, calls=calls):
            calls.append((len(x), wanted.order))
            return derivatives_of(net)(x, wanted, weights)

        equations.at(derive, {}).together()
        passes.append(calls)
    assert passes[0] == [(625 + 125 + 62, 2)]
    assert sorted(passes[1]) == [(3000, 0), (10_000, 2)]


def test_together_is_evaluated_once(small):
    *_, objective = small("kovasznay_re20")
    assert isinstance(objective, EquationsObjective)
    assert objective.together() is objective.together(residuals=True)
    assert objective.apart(by_loss=False) is None
    assert objective.apart(by_loss=True) is not objective.apart(by_loss=True)
    assert objective.together_because is None
    assert objective.count == 3


def test_losses_apart_lie_in_graphs_of_their_own(small):
    problem, _, _, _, objective = small("thermoelastic_2d_steady")
    assert objective.together().graphs is None
    apart = objective.apart(by_loss=True)
    assert apart.graphs == apart.groups
    own = apart.graphs_by_loss()
    assert [own[k] for k in range(problem.K)] == [{k} for k in range(problem.K)]


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("apart", [False, True])
def test_residuals_and_points(small, name, apart):
    problem, points, _net, _unknowns, objective = small(name)
    losses = objective.apart(by_loss=True) if apart else objective.together(residuals=True)
    assert set(losses.residuals) == set(losses.points) == set(problem.loss_names)
    for k, spec in enumerate(problem.spec.losses):
        pairs = losses.residual_pairs(k)
        at = losses.points[spec.name]
        assert len(pairs) == len(at) == len(spec.members)
        total = 0.0
        for member, (r, weight), x in zip(spec.members, pairs, at, strict=True):
            block = points.blocks[spec.name, member.place]
            assert r.shape == (block.count,)
            assert x.shape == (block.count, len(problem.inputs))
            assert np.array_equal(x.numpy(), block.points.x)
            assert weight == 1.0
            total += float(r.detach().square().mean())
        assert losses.values()[k] == pytest.approx(total, rel=1e-12)
    losses.check()
    assert losses.total().dtype == torch.float64


def test_a_loss_is_the_sum_of_the_mean_squares_of_its_members(problem):
    """Written out by hand for the small entry, with autograd."""
    found = problem()
    points = found.draw(found.counts(), 0)
    net = found.network(found.sizes(7), 1, torch.float64)
    unknowns = found.unknowns(torch.float64)
    k = unknowns["k"]
    spec = {ls.name: ls for ls in found.spec.losses}

    def at(loss, number, partner=False):
        block = points.blocks[loss, spec[loss].places[number]]
        x = torch.tensor(block.points.partner if partner else block.points.x, requires_grad=True)
        u, v = net(x).unbind(1)
        return block, x, u, v

    def d(value, x, i):
        return torch.autograd.grad(value.sum(), x, create_graph=True)[0][:, i]

    _, x, u, v = at("pde", 0)
    f = torch.sin(x[:, 0]) * torch.exp(-x[:, 1])
    first = d(u, x, 1) - 0.25 * d(d(u, x, 0), x, 0) + k * v - f
    second = d(v, x, 1) - u * d(v, x, 0)
    expected = {"pde": first.square().mean() + second.square().mean()}
    left = at("bc", 0)[2]
    _, x, u, v = at("bc", 1)
    ends = at("bc", 2)[3] - at("bc", 2, partner=True)[3]
    expected["bc"] = (
        left.square().mean() + (d(u, x, 0) + u * v).square().mean() + ends.square().mean()
    )
    _, x, u, _ = at("ic", 0)
    expected["ic"] = (u - 2 * x[:, 0]).square().mean()  # k=2 in the exact solution
    block, _, u, _ = at("data", 0)
    expected["data"] = (u - torch.tensor(block.data["u"])).square().mean()

    losses = found.losses(points, torch.float64).at(derivatives_of(net), unknowns).together()
    assert losses.names == tuple(expected)
    for number, value in enumerate(expected.values()):
        assert losses.values()[number] == pytest.approx(value.item(), rel=1e-12)
        assert close(
            gradients(losses.by_loss()[number], net, unknowns), gradients(value, net, unknowns)
        )


def test_gradients_by_finite_differences(small):
    """Also in the unknowns."""
    problem, points, net, unknowns, _ = small("inverse_convection_diffusion_noise1")
    equations = problem.losses(points, torch.float64)

    def value():
        return equations.at(derivatives_of(net), unknowns).together().total()

    gradient = gradients(value(), net, unknowns)
    parameters = [*net.parameters(), *unknowns.values()]
    ends = np.cumsum([p.numel() for p in parameters])
    assert len(gradient) == ends[-1]
    chosen = [*range(0, ends[-1] - 2, 37), ends[-1] - 2, ends[-1] - 1]
    for k in chosen:
        number = int(np.searchsorted(ends, k, side="right"))
        flat = parameters[number].data.reshape(-1)
        assert flat.data_ptr() == parameters[number].data_ptr()
        place = k - (ends[number] - parameters[number].numel())
        kept, found = flat[place].item(), []
        for step in (1e-6, -1e-6):
            flat[place] = kept + step
            found.append(value().item())
        flat[place] = kept
        slope = (found[0] - found[1]) / 2e-6
        assert gradient[k].item() == pytest.approx(slope, rel=1e-5, abs=1e-7)
    assert all(gradient[-2:].abs() > 1e-8)


def test_the_exact_solution_has_no_loss_but_noise(suite):
    """A network that is the exact solution, through the whole objective in nested mode."""
    problem = suite["inverse_convection_diffusion_noise1"]
    points = problem.draw(problem.counts(small=True), 0)
    symbols = problem.spec.jets.coordinates
    exact = sp.lambdify(
        symbols, problem.spec.exact["u"], [{"exp": torch.exp, "sqrt": torch.sqrt}, "math"]
    )

    def net(x):
        return exact(*x.unbind(1))[:, None]

    unknowns = {n: torch.tensor(u.true) for n, u in problem.spec.unknowns.items()}
    losses = problem.losses(points, torch.float64).at(derivatives_of(net, "nested"), unknowns)
    values = dict(zip(losses.names, losses.together().values(), strict=True))
    assert values["pde"] < 1e-12
    assert values["bc_ic"] < 1e-20
    spread = problem.solution.values(
        points.blocks["data", problem.spec.losses[2].places[0]].points.x
    )
    assert values["data"] == pytest.approx((0.01 * spread["u"].std()) ** 2, rel=0.25)


def test_float32(small):
    problem, points, net, _, objective = small("inverse_kovasznay_noise1")
    single = problem.network(problem.sizes(8), dtype=torch.float32)
    single.load_state_dict(net.state_dict())
    losses = problem.losses(points).at(derivatives_of(single), problem.unknowns()).together()
    losses.check()
    assert losses.total().dtype == torch.float32
    assert losses.values() == pytest.approx(objective.together().values(), rel=1e-4)


def test_it_trains_with_the_optimizer(problem):
    found = problem()
    net, unknowns = found.network(found.sizes(8)), found.unknowns()
    equations = found.losses(found.draw(found.counts(), 0))
    adam = torch.optim.Adam([*net.parameters(), *unknowns.values()], lr=1e-2)
    optimizer = MultiLossOptimizer(adam, "pcgrad")
    values = []
    for _ in range(60):
        optimizer.step(equations.at(derivatives_of(net), unknowns))
        values.append(float(optimizer.last.losses.sum()))
    assert values[-1] < 0.5 * values[0]
    assert unknowns["k"].item() != 1.0


def test_losses_is_what_it_returns(problem):
    found = problem()
    equations = found.losses(found.draw(found.counts(), 0), torch.float64)
    net = found.network(found.sizes(5), 0, torch.float64)
    losses = equations.at(derivatives_of(net), found.unknowns(torch.float64)).together()
    assert isinstance(losses, Losses)
    assert losses.names == equations.names == ("pde", "bc", "ic", "data")
    assert losses.groups == (0, 0, 1, 1, 1, 2, 3)


@pytest.mark.slow
def test_the_same_bits_in_every_process():
    """Expressions hold their terms in sets; sums are taken in one order nevertheless."""
    code = (
        "import hashlib, torch; torch.set_num_threads(1)\n"
        "from conflictopt.lab.problems import load_suite, derivatives_of\n"
        "problem = load_suite()['thermoelastic_2d_dynamic']\n"
        "points = problem.draw(problem.counts(True, 1/16), 0)\n"
        "net = problem.network(problem.sizes(8))\n"
        "losses = problem.losses(points).at(derivatives_of(net), problem.unknowns()).together()\n"
        "g = torch.autograd.grad(losses.total(), list(net.parameters()))\n"
        "print(hashlib.sha256(b''.join(t.numpy().tobytes() for t in g)).hexdigest())\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(found) == 1


def test_the_same_bits_whatever_was_read_before(suite, monkeypatch):
    """sympy numbers its symbols and sorts them as text, 9 after 10: sums keep their order."""
    found = []
    for before in range(90, 130, 5):
        monkeypatch.setattr(sp.Dummy, "_count", 10**7 - before)
        problem = Problem.from_entry(suite["burgers_2d"].spec.raw)
        net = problem.network(problem.sizes(8))
        equations = problem.losses(problem.draw(problem.counts(True, 1 / 16), 0))
        total = equations.at(derivatives_of(net), {}).together().total()
        found.append(gradients(total, net, {}))
    assert all(torch.equal(g, found[0]) for g in found)


def test_later_changes_of_the_points_change_nothing(problem):
    found = problem()
    points = found.draw(found.counts(), 0)
    equations = found.losses(points, torch.float64)
    net, unknowns = found.network(found.sizes(5), 0, torch.float64), found.unknowns(torch.float64)
    before = equations.at(derivatives_of(net), unknowns).together().values()
    for block in points.blocks.values():
        block.points.x[:] = 0
    assert equations.at(derivatives_of(net), unknowns).together().values() == before


def test_conditions_on_derivatives_of_high_order(minimal):
    changes = {"losses.0.members.0.expr": "u_xxxx - 24", "exact": {"u": "x**4"}}
    found = Problem.from_entry(minimal(changes))
    equations = found.losses(found.draw(found.counts(), 0), torch.float64)
    exact = equations.at(derivatives_of(lambda x: x**4, "nested"), {}).together()
    assert exact.values() == [0.0]
