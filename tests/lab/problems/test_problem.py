"""Problem: identity, counts, network, errors."""

from __future__ import annotations

import copy
import math
import pickle
import re

import numpy as np
import pytest
import torch
from torch import nn

from conflictopt.lab.problems import Problem, SpecError, derivatives_of
from conflictopt.lab.problems.network import FullyConnected, parameter_count, widened

# ---------------------------------------------------------------- identity


def test_pickling(problem, losses_of):
    found = problem()
    copies = [pickle.loads(pickle.dumps(found)), copy.deepcopy(found), copy.copy(found)]
    for again in copies:
        assert again.digest == found.digest
        assert again.spec.raw == found.spec.raw
        assert again.loss_names == found.loss_names
        assert losses_of(again) == losses_of(found)
        assert again.solution.values(np.ones((1, 2))) == found.solution.values(np.ones((1, 2)))


def test_points_can_be_pickled(problem, losses_of):
    found = problem()
    points = found.draw(found.counts(), 0)
    again = pickle.loads(pickle.dumps(points))
    assert losses_of(pickle.loads(pickle.dumps(found)), again) == losses_of(found, points)


EDITS = {
    "title": "other",
    "family": "other",
    "notes": "a note",
    "domain.x": ["0", "1.0"],
    "parameters.a": "0.25",
    "unknowns.k.init": "3",
    "definitions.f": "exp(-t)*sin(x)",
    "losses.0.n_points": 33,
    "losses.0.members.0.expr": "u_t - a*u_xx + k*v - f + 0*u",
    "losses.1.members.0.at": {"x": 0},
    "exact.v": "x - t + 0",
    "data.seed": 8,
    "points_small": {"pde": 4},
    "network": {"width": 64},
    "test": {"n": 10_000},
}


def test_any_edit_changes_the_digest(problem):
    digests = [
        problem().digest,
        *(problem({field: value}).digest for field, value in EDITS.items()),
    ]
    assert len(set(digests)) == len(EDITS) + 1
    assert all(re.fullmatch("[0-9a-f]{16}", d) for d in digests)


def test_the_order_of_fields_does_not_change_the_digest(entry):
    turned = dict(reversed(entry().items()))
    assert Problem.from_entry(turned).digest == Problem.from_entry(entry()).digest
    assert Problem.from_entry(entry()).digest == Problem.from_entry(entry()).digest


def test_what_it_is(problem):
    found = problem()
    assert (found.id, found.family, found.title) == ("tiny", "user", "tiny")
    assert (found.inputs, found.outputs) == (("x", "t"), ("u", "v"))
    assert (found.K, found.loss_names) == (4, ("pde", "bc", "ic", "data"))
    assert found.equations == ("pde",)
    assert found.unknown_names == ("k",)
    assert repr(found) == "Problem('tiny')"


def test_equations_are_the_losses_inside(suite):
    assert suite["kovasznay_re20"].equations == ("momentum", "continuity")
    assert suite["thermoelastic_2d_steady"].equations == ("heat", "equilibrium")


def test_a_description_names_everything(suite):
    for found in suite.values():
        text = found.text()
        assert text.startswith(f"{found.id}: {found.title}\n")
        for loss in found.spec.losses:
            assert f"  loss {loss.name}, {loss.points} points" in text
            for member in loss.members:
                assert f"    {member.text} = 0" in text
        for name in (*found.unknown_names, *found.spec.parameters, *found.outputs):
            assert name in text


# ---------------------------------------------------------------- sizes and counts


def test_counts(problem):
    changes = {"losses.0.n_points": 1000, "points_small": {"pde": 100}}
    found = problem(changes)
    assert found.counts() == {"pde": 1000, "bc": 16, "ic": 16, "data": 16}
    assert found.counts(small=True) == {"pde": 100, "bc": 3, "ic": 2, "data": 2}
    assert found.counts(scale=0.25) == {"pde": 250, "bc": 8, "ic": 8, "data": 8}
    assert found.counts(scale=0.25, least=2) == {"pde": 250, "bc": 4, "ic": 4, "data": 4}
    assert found.counts(small=True, scale=0.5)["pde"] == 50
    assert found.counts(scale=2) == {"pde": 2000, "bc": 32, "ic": 32, "data": 32}


def test_counts_are_at_least_one_per_place(problem):
    found = problem()
    assert found.counts(scale=1e-9, least=1) == {"pde": 1, "bc": 3, "ic": 1, "data": 1}


def test_sizes(problem):
    found = problem({"network": {"hidden_layers": 3, "width": 20}})
    assert found.sizes() == [2, 20, 20, 20, 2]
    assert found.sizes(7) == [2, 7, 7, 7, 2]
    assert found.sizes(7, parameters=10_000) == widened([2, 7, 7, 7, 2], 10_000)


@pytest.mark.parametrize("sizes", [[2, 8, 8, 1], [3, 5, 4], [50, 64, 64, 64, 64, 1], [2, 1, 1]])
def test_parameters_are_counted(sizes):
    net = FullyConnected(sizes, [0] * sizes[0], [1] * sizes[0], 0)
    assert sum(p.numel() for p in net.parameters()) == parameter_count(sizes)


@pytest.mark.parametrize(
    "sizes", [[2, 8, 8, 1], [3, 5, 5, 5, 4], [2, 64, 64, 64, 64, 1], [20, 6, 1]]
)
@pytest.mark.parametrize("factor", [1.0, 1.01, 1.07, 1.5, 3.0, 10.0])
def test_widened_networks_come_nearest(sizes, factor):
    wanted = int(parameter_count(sizes) * factor)
    found = widened(sizes, wanted)
    assert len(found) == len(sizes)
    assert (found[0], found[-1]) == (sizes[0], sizes[-1])
    assert len(set(found[1:-1])) == 1
    every = [[sizes[0], *[w] * (len(sizes) - 2), sizes[-1]] for w in range(1, 600)]
    nearest = min(abs(parameter_count(s) - wanted) for s in every)
    assert abs(parameter_count(found) - wanted) == nearest


def test_widening_to_the_same_number_changes_nothing():
    assert widened([2, 32, 32, 1], parameter_count([2, 32, 32, 1])) == [2, 32, 32, 1]


# ---------------------------------------------------------------- the network


def test_initial_weights_are_glorot_normal(problem):
    net = problem().network([2, 300, 200, 1], seed=3, dtype=torch.float64)
    for layer in net.linears[:2]:
        weight = layer.weight.detach()
        std = math.sqrt(2 / (layer.in_features + layer.out_features))
        assert weight.std().item() == pytest.approx(std, rel=0.08)
        assert abs(weight.mean().item()) < 4 * std / math.sqrt(weight.numel())
        kurtosis = (weight**4).mean() / (weight**2).mean() ** 2
        assert kurtosis.item() == pytest.approx(3, abs=0.5)
    assert all((layer.bias == 0).all() for layer in net.linears)


def test_weights_follow_the_seed(problem):
    def weights(**options):
        return torch.cat(
            [p.reshape(-1) for p in problem().network([2, 9, 9, 2], **options).parameters()]
        )

    assert torch.equal(weights(seed=1), weights(seed=1))
    assert torch.equal(weights(), weights(seed=0))
    changed = weights(seed=1) != weights(seed=2)
    assert changed.sum() == 2 * 9 + 9 * 9 + 9 * 2
    assert weights(dtype=torch.float64).dtype == torch.float64
    assert weights().dtype == torch.float32


def test_inputs_are_scaled_to_minus_one_and_one(suite):
    for name in ("sine_gordon_breather", "laplace_annulus", "poisson_50d"):
        problem = suite[name]
        net, geometry = problem.network(dtype=torch.float64), problem.spec.geometry
        ends = torch.tensor([geometry.lower, geometry.upper], dtype=torch.float64)
        scaled = net._input_transform(ends)
        assert torch.allclose(scaled, torch.tensor([[-1.0], [1.0]]).double().expand_as(scaled))


def test_the_network_is_what_it_says(problem):
    net = problem().network([2, 5, 6, 2], seed=4, dtype=torch.float64)
    x = torch.rand(7, 2, generator=torch.Generator().manual_seed(0)).double()
    h = 2 * x - 1
    for layer in net.linears[:-1]:
        h = torch.tanh(h @ layer.weight.t() + layer.bias)
    assert torch.allclose(net(x), h @ net.linears[-1].weight.t() + net.linears[-1].bias, rtol=1e-14)
    assert net(x).shape == (7, 2)


def test_unknowns_start_where_the_specification_says(problem):
    for dtype in (torch.float32, torch.float64):
        found = problem({"unknowns.k.init": "1/3"}).unknowns(dtype)
        assert list(found) == ["k"]
        assert isinstance(found["k"], nn.Parameter)
        assert found["k"].dtype == dtype
        assert found["k"].ndim == 0
        assert found["k"].item() == torch.tensor(1 / 3, dtype=dtype).item()


def test_unknowns_are_new_every_time(problem):
    found = problem()
    assert found.unknowns()["k"] is not found.unknowns()["k"]
    assert problem({"unknowns": {}, "parameters.k": "2"}).unknowns() == {}


# ---------------------------------------------------------------- errors


class Nearly(nn.Module):
    """The exact solution with an error that is known."""

    def __init__(self, problem, factor, dtype=torch.float64):
        super().__init__()
        self.problem, self.factor = problem, factor
        self.like = nn.Parameter(torch.zeros((), dtype=dtype))

    def forward(self, x):
        values = self.problem.solution.values(x.double().numpy())
        columns = [torch.tensor(values[o].copy()) for o in self.problem.outputs]
        factors = torch.tensor([self.factor + 0.1 * k for k in range(len(columns))])
        return (torch.stack(columns, 1) * (1 + factors)).to(self.like.dtype)


def test_relative_l2_of_a_known_error(problem):
    found = problem()
    assert found.relative_l2(Nearly(found, 0.2)) == pytest.approx({"u": 0.2, "v": 0.3}, rel=1e-6)
    assert found.relative_l2(Nearly(found, 0.0))["u"] < 1e-15
    single = found.relative_l2(Nearly(found, 0.2, torch.float32))
    assert single == pytest.approx({"u": 0.2, "v": 0.3}, rel=1e-5)
    only = problem({"metric_outputs": ["v"]})
    assert set(only.relative_l2(Nearly(only, 0.2))) == {"v"}


def test_relative_l2_by_brute_force(suite):
    for name in ("burgers_2d", "laplace_annulus", "poisson_20d"):
        problem = suite[name]
        net = problem.network(problem.sizes(8), 1)
        points, exact = problem.test_set
        assert len(points) == problem.spec.raw["test"]["n"]
        with torch.no_grad():
            found = net(torch.tensor(points).float()).double().numpy()
        for output, error in problem.relative_l2(net).items():
            difference = found[:, problem.outputs.index(output)] - exact[output]
            expected = math.sqrt((difference**2).sum() / (exact[output] ** 2).sum())
            assert error == pytest.approx(expected, rel=1e-12)


def test_the_test_set(problem):
    first, second = problem(), problem({"title": "again"})
    points, exact = first.test_set
    assert points.shape == (10_000, 2)
    assert (points == second.test_set[0]).all()
    assert first.test_set is first.test_set
    assert (problem({"test": {"seed": 1}}).test_set[0] != points).all()
    assert problem({"test": {"n": 37}}).test_set[0].shape == (37, 2)
    x, t = points.T
    assert exact["u"] == pytest.approx(2 * x * np.cos(t))
    assert exact["v"] == pytest.approx(x - t)


def test_the_test_set_of_a_ring_is_inside(suite):
    points, _ = suite["laplace_annulus"].test_set
    radius = np.linalg.norm(points, axis=1)
    assert ((radius >= 1) & (radius <= 2)).all()
    assert (radius**2).mean() == pytest.approx(2.5, abs=0.05)


def test_the_test_set_of_a_numerical_reference(suite):
    problem = suite["reaction_diffusion_nu3_rho5"]
    points, exact = problem.test_set
    assert points.shape == (256 * 101, 2)
    assert exact["u"].shape == (256 * 101,)
    values = problem.solution.values(points[::997])
    assert values["u"] == pytest.approx(exact["u"][::997], abs=1e-6)


def test_adapters_do_not_disturb(problem):
    import conflictopt

    found = problem()
    net = found.network(found.sizes(6))
    before = found.relative_l2(net)
    conflictopt.attach(net, found.loss_names, rank=2)
    assert found.relative_l2(net) == before


def test_another_default_device(problem):
    """What is asked of the problem is on the processor whatever torch's default is."""
    found = problem()
    with torch.device("meta"):
        points = found.draw(found.counts(), 0)
        net, unknowns = found.network(found.sizes(5)), found.unknowns()
        equations = found.losses(points)
        losses = equations.at(derivatives_of(net), unknowns).together()
        assert all(math.isfinite(v) for v in losses.values())
        assert all(math.isfinite(e) for e in found.relative_l2(net).values())


def test_costs_grow_with_the_work(suite):
    class Budget:
        steps, small_points, point_scale = 100, False, 1.0

        def width(self, suggested):
            return suggested

    class Longer(Budget):
        steps = 200

    class Fewer(Budget):
        point_scale = 0.1

    for name in ("heat_1d", "poisson_50d", "burgers_1d"):
        assert suite[name].cost(Longer()) == pytest.approx(2 * suite[name].cost(Budget()))
        assert suite[name].cost(Fewer()) < suite[name].cost(Budget())
    assert suite["poisson_50d"].cost(Budget()) > suite["heat_1d"].cost(Budget())


# ---------------------------------------------------------------- once wrong


def test_fewer_parameters_than_before():
    """The docstring: the hidden width that comes nearest to a number of parameters."""
    found = widened([2, 64, 64, 1], 500)
    every = [[2, w, w, 1] for w in range(1, 100)]
    nearest = min(abs(parameter_count(s) - 500) for s in every)
    assert abs(parameter_count(found) - 500) == nearest


def test_later_changes_of_the_dictionary_change_nothing(entry):
    content = entry()
    found = Problem.from_entry(content)
    content["losses"][0]["members"][0]["expr"] = "u_t"
    assert found.digest == Problem.from_entry(entry()).digest


def test_counts_without_a_loss(problem):
    found = problem()
    counts = found.counts()
    del counts["ic"]
    with pytest.raises(ValueError, match="ic"):
        found.draw(counts, 0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("solution", ["log(x - 1/2)", "sqrt(-1)*x", "sqrt(x - 1/2)"])
def test_an_exact_solution_that_is_not_real(problem, solution):
    with pytest.raises(SpecError, match="exact"):
        problem({"exact.u": solution}).test_set  # noqa: B018


@pytest.mark.filterwarnings("ignore")
def test_a_metric_output_that_is_zero(problem):
    def errors():
        found = problem({"exact.v": "0", "metric_outputs": ["v"]})
        return found.relative_l2(found.network(found.sizes(4)))

    with pytest.raises(SpecError, match="v"):
        errors()
