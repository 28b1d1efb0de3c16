"""Problems as DeepXDE models: the same losses, gradients and training steps as the suite's own."""

from __future__ import annotations

import random

import deepxde as dde
import numpy as np
import pytest
import torch

from conflictopt import MultiLossOptimizer
from conflictopt.integrations.deepxde import PatchError, model_of, patch
from conflictopt.integrations.deepxde.problems.geometry import geometry_of
from conflictopt.integrations.deepxde.problems.residuals import normals
from conflictopt.lab.problems import Problem, Suite, derivatives_of, load_suite
from conflictopt.lab.problems.geometry import Box, Shell
from conflictopt.lab.problems.regions import sample

SUITE = Suite()
IN_A_BALL = [n for n in SUITE if SUITE[n].spec.raw["geometry"]["type"] == "ball"]

ENTRY = {
    "id": "small",
    "inputs": ["x", "t"],
    "outputs": ["u", "v"],
    "domain": {"x": [0, 1], "t": [0, 2]},
    "geometry": {"type": "interval"},
    "unknowns": {"k": {"kind": "scalar", "true": "2", "init": "1/2"}},
    "losses": [
        {
            "name": "pde",
            "n_points": 24,
            "members": [
                {"type": "pde", "at": "interior", "expr": "u_t - k*u_xx + x*v"},
                {"type": "pde", "at": "interior", "expr": "v_t - u*v_x"},
            ],
        },
        {
            "name": "bc",
            "n_points": 12,
            "members": [
                {"type": "dirichlet", "at": {"x": 0}, "expr": "u - exact_u"},
                {"type": "neumann", "at": {"x": 1}, "expr": "dn(u) - t"},
                {"type": "periodic", "at": {"x": [0, 1]}, "expr": "v"},
            ],
        },
        {
            "name": "data",
            "n_points": 8,
            "members": [{"type": "data", "at": "sensors", "expr": "u - data_u"}],
        },
    ],
    "exact": {"u": "x*sin(t)", "v": "x + t"},
    "data": {"observed": ["u"], "noise": 0.1},
}


@pytest.fixture(autouse=True, scope="module")
def one_store(tmp_path_factory):
    """References are solved once and stored apart from the user's."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CONFLICTOPT_CACHE", str(tmp_path_factory.mktemp("references")))
        yield


@pytest.fixture
def double():
    """DeepXDE in float64; the folder's conftest sets float32 again."""
    dde.config.set_default_float("float64")


def small(**changes):
    """The small problem with other fields; of its losses by ``pde``, ``bc``, ``data``."""
    losses = [{**loss, **changes.pop(loss["name"], {})} for loss in ENTRY["losses"]]
    return Problem.from_entry({**ENTRY, "losses": losses, **changes})


def pde(*expressions):
    return {"members": [{"type": "pde", "at": "interior", "expr": e} for e in expressions]}


def compiled(problem, points, sizes, seed=3, **options):
    made = model_of(problem, points=points, sizes=sizes, seed=seed)
    unknowns = list(made.unknowns.values())
    options = {"optimizer": "adam", "lr": 1e-3, "verbose": 0, **options}
    made.model.compile(external_trainable_variables=unknowns, **options)
    return made


def theirs_and_ours(problem, points, sizes):
    """Losses by name, and the gradients of their sum, in network and unknowns."""
    made = compiled(problem, points, sizes)
    data, net = made.model.data, made.model.net
    net.train()
    _, vector = made.model.outputs_losses_train(data.train_x, data.train_y, None)
    losses = {name: sum(vector[i].item() for i in own) for name, own in made.groups.items()}
    theirs = torch.autograd.grad(
        vector.sum(), [*net.parameters(), *made.unknowns.values()], allow_unused=True
    )
    ours = problem.network(sizes, 3, torch.float64)
    unknowns = problem.unknowns(torch.float64)
    equations = problem.losses(points, torch.float64)
    together = equations.at(derivatives_of(ours), unknowns).together()
    gradients = torch.autograd.grad(
        together.total(), [*ours.parameters(), *unknowns.values()], allow_unused=True
    )
    own = dict(zip(together.names, together.values(), strict=True))
    return (losses, theirs), (own, gradients)


def assert_parity(problem, points, sizes):
    (losses, theirs), (own, ours) = theirs_and_ours(problem, points, sizes)
    assert losses == pytest.approx(own, rel=1e-10)
    for a, b in zip(theirs, ours, strict=True):
        if a is None or b is None:
            assert a is b is None or (a if b is None else b).abs().max() == 0
        else:
            assert (a - b).norm() <= 1e-10 * b.norm()


# ---------------------------------------------------------------- parity


@pytest.mark.grid
@pytest.mark.parametrize("name", list(SUITE))
def test_losses_and_gradients_are_the_suites(double, name):
    problem = load_suite()[name]
    points = problem.draw(problem.counts(small=True, scale=1 / 16), 0)
    assert_parity(problem, points, problem.sizes(8))


def test_the_small_problem(double):
    problem = small()
    assert_parity(problem, problem.draw(problem.counts(), 1), [2, 7, 9, 2])


def test_derivatives_to_fourth_order(double):
    problem = small(pde=pde("u_xxxx + u_xxt*v_xt - k*u_ttt", "v_xxt + u"))
    assert_parity(problem, problem.draw(problem.counts(), 1), [2, 7, 2])


def test_float32_is_the_default():
    problem = small()
    points = problem.draw(problem.counts(), 0)
    made = compiled(problem, points, [2, 6, 6, 2])
    _, vector = made.model.outputs_losses_train(made.model.data.train_x, None, None)
    assert vector.dtype == torch.float32
    net = problem.network([2, 6, 6, 2], 3)
    together = problem.losses(points).at(derivatives_of(net), problem.unknowns()).together()
    found = [sum(vector[i].item() for i in own) for own in made.groups.values()]
    assert found == pytest.approx(together.values(), rel=2e-5)


# ---------------------------------------------------------------- training


@pytest.mark.parametrize("kind", ["forward", "inverse", "suite"])
def test_training_steps_are_the_suites(double, kind):
    """Adam through a patched model, and through the optimizer on the problem's own losses."""
    forward = {"pde": pde("u_t - 2*u_xx + x*v", "v_t - u*v_x"), "unknowns": {}}
    problem = {
        "forward": lambda: small(**forward),
        "inverse": small,
        "suite": lambda: SUITE["inverse_convection_diffusion_noise1"],
    }[kind]()
    sizes = [2, 8, 8, len(problem.outputs)]
    points = problem.draw(problem.counts(small=True), 0)
    made = model_of(problem, points=points, sizes=sizes, seed=3)
    patched = patch(made.model, "sum", groups=made.groups)
    unknowns = list(made.unknowns.values())
    made.model.compile("adam", lr=1e-2, external_trainable_variables=unknowns, verbose=0)
    made.model.train(iterations=8, display_every=100, verbose=0)
    assert patched.steps == 8

    net, own = problem.network(sizes, 3, torch.float64), problem.unknowns(torch.float64)
    optimizer = MultiLossOptimizer(
        torch.optim.Adam([*net.parameters(), *own.values()], lr=1e-2), "sum"
    )
    equations = problem.losses(points, torch.float64)
    for _ in range(8):
        optimizer.step(equations.at(derivatives_of(net), own))
    theirs = [*made.model.net.parameters(), *unknowns]
    ours = [*net.parameters(), *own.values()]
    for a, b in zip(theirs, ours, strict=True):
        assert torch.allclose(a.detach(), b.detach(), rtol=1e-8, atol=1e-8)
    for name, value in own.items():
        start = problem.spec.unknowns[name].start
        assert abs(value.item() - start) > 1e-3
        assert made.unknowns[name].item() == pytest.approx(value.item(), abs=1e-8)


@pytest.mark.parametrize("name", ["klein_gordon", "thermoelastic_2d_steady", "inverse_kdv"])
def test_groups_are_what_patch_takes(name):
    problem = SUITE[name]
    points = problem.draw(problem.counts(small=True, scale=1 / 16), 0)
    made = model_of(problem, points=points, sizes=problem.sizes(6))
    patched = patch(made.model, "auto", groups=made.groups, profile_steps=4, profile_every=1)
    unknowns = list(made.unknowns.values())
    made.model.compile("adam", lr=1e-3, external_trainable_variables=unknowns, verbose=0)
    with pytest.warns():  # a profile of four samples is short, and says so
        made.model.train(iterations=6, display_every=100, verbose=0)
    assert tuple(patched.profile.names) == problem.loss_names
    assert sorted(i for own in made.groups.values() for i in own) == list(
        range(sum(len(loss.members) for loss in problem.spec.losses))
    )


def test_weights_are_exchangeable():
    problem = small()
    ours = problem.network([2, 5, 6, 2])
    theirs = dde.nn.FNN([2, 5, 6, 2], "tanh", "Glorot normal")
    assert set(ours.state_dict()) == set(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    ours.load_state_dict(theirs.state_dict())


def test_the_network_predicts_what_ours_does(double):
    problem = small()
    made = compiled(problem, None, [2, 6, 2])
    x = problem.spec.geometry.interior(9, np.random.default_rng(0))
    with torch.no_grad():
        expected = problem.network([2, 6, 2], 3, torch.float64)(torch.tensor(x))
    assert made.model.predict(x) == pytest.approx(expected.numpy(), rel=1e-12)


def test_without_points_the_full_numbers_are_drawn(double):
    problem = small()
    made = compiled(problem, None, [2, 6, 2], seed=4)
    points = problem.draw(problem.counts(), 4)
    assert np.array_equal(
        made.model.data.anchors, points.blocks["pde", problem.spec.losses[0].places[0]].points.x
    )
    assert made.model.net.linears[0].in_features == 2
    default = model_of(problem).model.net
    assert [layer.out_features for layer in default.linears] == [64, 64, 64, 64, 2]


def test_unknowns_are_variables_at_their_start():
    made = model_of(small(), sizes=[2, 4, 2])
    assert list(made.unknowns) == ["k"]
    assert made.unknowns["k"].item() == 0.5
    assert made.unknowns["k"].requires_grad
    assert model_of(small(unknowns={}, parameters={"k": "1"}), sizes=[2, 4, 2]).unknowns == {}


def test_global_generators_are_left_alone():
    def states():
        legacy = np.random.get_state()  # noqa: NPY002
        return random.getstate(), legacy[1].tolist(), legacy[2], torch.get_rng_state().tolist()

    problems = [small(), SUITE["laplace_annulus"], SUITE["beltrami_3d"], SUITE["poisson_20d"]]
    before = states()
    for problem in problems:
        points = problem.draw(problem.counts(small=True, scale=1 / 16), 0)
        model_of(problem, points=points, sizes=problem.sizes(4))
    assert states() == before


# ---------------------------------------------------------------- geometry


@pytest.mark.parametrize(
    ("geometry", "kind"),
    [
        (Box(("x",), (0,), (2,)), "Interval"),
        (Box(("x", "y"), (0, 0), (2, 1)), "Rectangle"),
        (Box(("x", "y", "z"), (0, 0, 0), (2, 1, 1)), "Cuboid"),
        (Box(tuple("abcde"), (0,) * 5, (1,) * 5), "Hypercube"),
        (Shell(("x", "y"), (-2, -2), (2, 2), (0, 0), 0, 2), "Disk"),
        (Shell(("x", "y", "z"), (-2,) * 3, (2,) * 3, (0,) * 3, 0, 2), "Sphere"),
        (Shell(tuple("abcde"), (-2,) * 5, (2,) * 5, (0,) * 5, 0, 2), "Hypersphere"),
        (Shell(("x", "y"), (-2, -2), (2, 2), (0, 0), 1, 2), "CSGDifference"),
    ],
)
def test_geometries(geometry, kind):
    made = geometry_of(geometry)
    assert type(made).__name__ == kind
    x = geometry.interior(50, np.random.default_rng(0))
    assert made.inside(x).all()
    outside = x + 10
    assert not made.inside(outside).any()
    timed = type(geometry)(
        **{
            **{f: getattr(geometry, f) for f in geometry.__dataclass_fields__},
            "names": (*geometry.names, "t"),
            "lower": (*geometry.lower, 0),
            "upper": (*geometry.upper, 3),
        }
    )
    made = geometry_of(timed)
    assert type(made).__name__ == "GeometryXTime"
    assert (made.timedomain.t0, made.timedomain.t1) == (0, 3)


@pytest.mark.parametrize("name", ["laplace_annulus", "beltrami_3d", "poisson_2d", *IN_A_BALL])
def test_normals_are_those_of_the_points(name):
    """From the coordinates alone, also after float32."""
    problem = SUITE[name]
    geometry = problem.spec.geometry
    for loss in problem.spec.losses:
        for place in loss.places:
            if place.has_normal:
                points = sample(place, geometry, 60, np.random.default_rng(0))
                for x in (points.x, points.x.astype(np.float32).astype(float)):
                    assert normals(problem, place, x) == pytest.approx(points.normal, abs=1e-6)


# ---------------------------------------------------------------- what DeepXDE cannot say


@pytest.mark.parametrize("expression", ["v_xx", "u + v", "2*v", "v_t", "x*v", "v_xt"])
def test_periodic_conditions(expression):
    members = [{"type": "periodic", "at": {"x": [0, 1]}, "expr": expression}]
    problem = small(bc={"members": members})
    with pytest.raises(PatchError, match=r"periodic condition is on an output or its first") as e:
        model_of(problem, sizes=[2, 4, 2])
    assert f"found '{expression}'" in str(e.value)
    problem.losses(problem.draw(problem.counts(), 0))  # the suite's own can


@pytest.mark.parametrize("expression", ["v", "v_x", "u_x"])
def test_periodic_conditions_that_it_can_say(double, expression):
    members = [{"type": "periodic", "at": {"x": [0, 1]}, "expr": expression}]
    problem = small(bc={"members": members})
    assert_parity(problem, problem.draw(problem.counts(), 0), [2, 6, 2])


def test_equations_at_different_points():
    problem = SUITE["kovasznay_re20"]
    same = problem.draw({"momentum": 20, "continuity": 20, "bc": 20}, 0)
    model_of(problem, points=same, sizes=problem.sizes(4))
    other = problem.draw({"momentum": 20, "continuity": 10, "bc": 20}, 0)
    with pytest.raises(PatchError, match="evaluates all equations at the same points"):
        model_of(problem, points=other, sizes=problem.sizes(4))


@pytest.mark.parametrize("expression", ["2*u - 2*data_u", "data_u - u", "u*data_u - 1"])
def test_data_are_compared_by_subtraction(expression):
    members = [{"type": "data", "at": "sensors", "expr": expression}]
    with pytest.raises(PatchError, match="DeepXDE compares with data by subtraction, found"):
        model_of(small(data={"members": members}), sizes=[2, 4, 2])


def test_data_of_several_outputs_in_one_member(double):
    entry = {**ENTRY, "data": {"observed": ["u", "v"], "noise": 0.1}}
    losses = [dict(loss) for loss in ENTRY["losses"]]
    expression = "u + 2*v*x - data_u - data_v"
    losses[2]["members"] = [{"type": "data", "at": "sensors", "expr": expression}]
    problem = Problem.from_entry({**entry, "losses": losses})
    assert_parity(problem, problem.draw(problem.counts(), 0), [2, 6, 2])


def test_another_backend(monkeypatch):
    monkeypatch.setattr(dde.backend, "backend_name", "jax")
    with pytest.raises(PatchError, match="expected DeepXDE's PyTorch backend, found jax"):
        model_of(small())


# ---------------------------------------------------------------- once wrong


@pytest.mark.parametrize(
    "changes",
    [
        {"bc": {"members": [{"type": "dirichlet", "at": {"x": 1}, "expr": "u/x - 1"}]}},
        {"pde": pde("u_t - u_xx - u_x/x")},
    ],
    ids=["condition", "equation"],
)
def test_what_is_singular_at_other_points(double, changes):
    """Infinite at x=0, where only another condition lives."""
    losses = [{**loss, **changes.get(loss["name"], {})} for loss in ENTRY["losses"]]
    wall = {"type": "dirichlet", "at": {"x": 0}, "expr": "v"}
    losses[1] = {**losses[1], "members": [wall, *losses[1]["members"]]}
    problem = Problem.from_entry(
        {**ENTRY, "losses": losses, "unknowns": {}, "parameters": {"k": 1}}
    )
    assert_parity(problem, problem.draw(problem.counts(), 0), [2, 6, 2])


@pytest.mark.filterwarnings("ignore:for linears")
def test_a_model_is_on_one_device():
    """DeepXDE makes CUDA torch's default device; here a device that needs no hardware."""
    problem = small()
    with torch.device("meta"):
        made = model_of(problem, sizes=[2, 4, 2])
    tensors = [*made.model.net.parameters(), *made.model.net.buffers(), *made.unknowns.values()]
    assert {t.device.type for t in tensors} == {"meta"}
