"""Point weights in DeepXDE: at which points residuals lie, and that weights stay there."""

from __future__ import annotations

import math
from itertools import pairwise

import deepxde as dde
import numpy as np
import pytest
import torch

from conflictopt import Chain, MethodError, make
from conflictopt.integrations.deepxde import PatchError, patch

METHODS = {
    "rba": {"eta": 0.3, "gamma": 0.7, "on": "all"},
    "sa_pinn": {"lr": 0.1},
    "causal": {"chunks": 4},
}
CARRIED = ("rba", "sa_pinn")
every_method = pytest.mark.parametrize("name", METHODS)
every_memory = pytest.mark.parametrize("name", CARRIED)
both_engines = pytest.mark.parametrize("engine", ["rows", "graph"])


@pytest.fixture
def poisson():
    """``poisson()``: two outputs in a square, two equations, a wall, an outlet and inner points."""

    def build(**data):
        dde.config.set_random_seed(0)
        square = dde.geometry.Rectangle([0, 0], [1, 1])
        inner = np.linspace([0.2, 0.3], [0.7, 0.6], 5)

        def pde(x, u):
            u_x = dde.grad.jacobian(u, x, i=0, j=0)
            return [u_x - u[:, 1:], dde.grad.jacobian(u, x, i=1, j=1) + x[:, :1]]

        conditions = [
            dde.icbc.DirichletBC(square, lambda x: x[:, 1:], lambda x, on: on and x[0] < 1),
            dde.icbc.NeumannBC(square, lambda x: 1, lambda x, on: on and x[0] == 1, component=1),
            dde.icbc.PointSetBC(inner, inner[:, :1], component=1),
        ]
        points = {"num_domain": 12, "num_boundary": 16, "num_test": 10, **data}
        net = dde.nn.FNN([2, 8, 2], "tanh", "Glorot normal")
        return dde.Model(dde.data.PDE(square, pde, conditions, **points), net)

    return build


@pytest.fixture
def begin():
    """``begin(model, method, ...)``: patched, compiled and ready for its first step."""

    def start(model, method, optimizer="sgd", lr=0.0, compiled=None, **options):
        made = patch(model, method, **options)
        model.compile(optimizer, lr=lr, verbose=0, **(compiled or {}))
        model.train(0, verbose=0)
        return made

    return start


def method_of(name, **options):
    return make(name, **{**METHODS[name], **options})


def one_step(model):
    state = model.train_state
    state.set_data_train(*model.data.train_next_batch())
    model.train_step(state.X_train, state.y_train, state.train_aux_vars)


def entries(model):
    """Per loss entry of the model, by name: its residual, and its points."""
    state, seen = model.train_state, []
    inputs = torch.as_tensor(state.X_train).requires_grad_()
    model.net.train()
    outputs = model.net(inputs)

    def watch(target, prediction):
        seen.append(prediction - target)
        return prediction.square().mean()

    model.data.losses(state.y_train, outputs, watch, inputs, model)
    dde.gradients.clear()
    starts = np.cumsum([0, *model.data.num_bcs])
    conditions = [model.data.train_x[a:b] for a, b in pairwise(starts)]
    equations = len(seen) - len(conditions)
    inside = model.data.train_x[starts[-1] :]
    places = [inside] * equations + conditions
    return list(zip(seen, map(torch.as_tensor, places), strict=True))


def weights_of(name, model, found, equations):
    """The weights at the first step, written by hand."""
    if name == "sa_pinn":
        return [torch.ones_like(r) for r, _ in found]
    if name == "rba":
        return [(0.3 * r.detach().abs() / r.abs().max().item()) ** 2 for r, _ in found]
    means = torch.zeros(4, dtype=torch.float64)
    places = []
    for r, x in found[:equations]:
        place = (x[:, -1:] > x[:, -1]).sum(dim=1) * 4 // len(x)  # points of one time share it
        places.append(place)
        for i in place.unique():
            means[i] += r.detach()[place == i].square().mean().double()
    chunk = torch.tensor([math.exp(-means[:i].sum()) for i in range(4)])
    inside = [chunk[place][:, None] for place in places]
    return inside + [torch.ones_like(r) for r, _ in found[equations:]]


def remembered(model, key="level"):
    """Per residual the memory of every point, by its coordinates."""
    state = model.conflictopt.optimizer.session.state
    return {
        name.removesuffix("points"): {
            tuple(x.tolist()): v.tolist()
            for x, v in zip(points, state[name.removesuffix("points") + key], strict=True)
        }
        for name, points in state.items()
        if name.endswith("points")
    }


# -- residuals and their points ------------------------------------------------------------------


@pytest.mark.parametrize("groups", ["kind", "each"])
@pytest.mark.parametrize("problem", ["poisson", "heat"])
def test_every_residual_comes_with_the_points_it_was_taken_at(request, begin, problem, groups):
    model = request.getfixturevalue(problem)(num_boundary=20)
    made = begin(model, method_of("sa_pinn"), groups=groups)
    seen, original = [], made.optimizer.step
    made.optimizer.step = lambda closure: (seen.append(closure()), original(closure))
    one_step(model)
    expected = entries(model)
    members = made.groups.members
    for losses in (
        seen[0].together(residuals=True),
        seen[0].apart(by_loss=True, residuals=True),
        seen[0].apart(by_loss=False, residuals=True),
    ):
        for k, name in enumerate(losses.names):
            own = [e for e, owner in zip(expected, members, strict=True) if owner == k]
            pairs = zip(losses.residuals[name], losses.points[name], own, strict=True)
            for (residual, _), points, (r, x) in pairs:
                assert torch.equal(points, x)
                torch.testing.assert_close(residual, r, rtol=1e-4, atol=1e-6)


@both_engines
def test_points_are_those_of_the_equations_and_of_each_condition(heat, begin, engine):
    model = heat(num_boundary=30)
    made = begin(model, method_of("sa_pinn"), engine=engine)
    one_step(model)
    state, x = made.optimizer.session.state, torch.as_tensor(model.data.train_x)
    wall, start = model.data.num_bcs
    assert torch.equal(state["boundary/0/points"], x[:wall])
    assert torch.equal(state["initial/0/points"], x[wall : wall + start])
    assert torch.equal(state["pde/0/points"], x[wall + start :])
    assert (state["boundary/0/points"][:, 0].abs() == 1).all()
    assert (state["initial/0/points"][:, 1] == 0).all()


def test_a_condition_with_two_sides_has_no_points_and_trains(heat, adam):
    def periodic(geometry):
        return [dde.icbc.PeriodicBC(geometry, 0, lambda _, on: on)]

    model = heat(conditions=periodic, num_initial=0)
    patch(model, method_of("sa_pinn"))
    adam(model, 5)
    state = model.conflictopt.optimizer.session.state
    assert "boundary/0/points" not in state
    assert len(state["boundary/0/level"]) == model.data.num_bcs[0] // 2


def test_a_data_set_has_rows_only(adam):
    x = np.linspace(0, 1, 8, dtype=np.float32)[:, None]
    data = dde.data.DataSet(X_train=x, y_train=x**2, X_test=x, y_test=x**2)
    model = dde.Model(data, dde.nn.FNN([1, 8, 1], "tanh", "Glorot normal"))
    patch(model, method_of("rba"))
    adam(model, 5)
    assert set(model.conflictopt.optimizer.session.state) == {"age", "data/0/level"}


# -- the weighted loss ---------------------------------------------------------------------------


@every_method
@both_engines
@pytest.mark.parametrize("groups", ["kind", "each"])
@pytest.mark.parametrize("weights", [None, [2.0, 0.5, 3.0]], ids=["plain", "loss_weights"])
def test_first_step_is_that_of_the_weighted_loss(heat, begin, name, engine, groups, weights):
    model = heat()
    compiled = {"loss_weights": weights}
    made = begin(model, method_of(name), compiled=compiled, engine=engine, groups=groups)
    found = entries(model)
    lam = weights_of(name, model, found, 1)
    scale = weights or [1.0] * 3
    loss = sum(s * (w * r**2).mean() for s, w, (r, _) in zip(scale, lam, found, strict=True))
    expected = torch.autograd.grad(loss, list(model.net.parameters()), allow_unused=True)
    one_step(model)
    for p, g in zip(model.net.parameters(), expected, strict=True):
        torch.testing.assert_close(p.grad, g, rtol=1e-3, atol=1e-6)
    raw = [s * r.square().mean().item() for s, (r, _) in zip(scale, found, strict=True)]
    assert made.optimizer.last.values == pytest.approx(raw, rel=1e-4)


@every_method
@both_engines
def test_the_l1_penalty_keeps_weight_one(heat, begin, name, engine):
    build = lambda: heat(regularization=["l1", 1e-2])  # noqa: E731
    try:
        build().compile("sgd", lr=0.0, verbose=0)
    except NotImplementedError:
        pytest.skip("this DeepXDE has no L1 regulariser")
    model = build()
    made = begin(model, method_of(name), engine=engine)
    found = entries(model)
    lam = weights_of(name, model, found, 1)
    params = list(model.net.parameters())
    loss = sum((w * r**2).mean() for w, (r, _) in zip(lam, found, strict=True))
    loss = loss + 1e-2 * sum(p.abs().sum() for p in params)
    expected = torch.autograd.grad(loss, params)
    one_step(model)
    for p, g in zip(params, expected, strict=True):
        torch.testing.assert_close(p.grad, g, rtol=1e-3, atol=1e-6)
    assert made.optimizer.last.values == pytest.approx(
        [r.square().mean().item() for r, _ in found], rel=1e-4
    )


@every_method
@both_engines
@pytest.mark.parametrize("groups", ["kind", "each"])
def test_several_equations_and_conditions(poisson, begin, name, engine, groups):
    model = poisson()
    begin(model, method_of(name), engine=engine, groups=groups)
    found = entries(model)
    lam = weights_of(name, model, found, 2)
    loss = sum((w * r**2).mean() for w, (r, _) in zip(lam, found, strict=True))
    expected = torch.autograd.grad(loss, list(model.net.parameters()), allow_unused=True)
    one_step(model)
    for p, g in zip(model.net.parameters(), expected, strict=True):
        torch.testing.assert_close(p.grad, g, rtol=1e-3, atol=1e-6)


@both_engines
@pytest.mark.parametrize("other", ["pcgrad", "grad_norm", "ntk"])
def test_a_chain_is_the_other_method_on_weighted_losses(heat, begin, engine, other):
    options = {} if other == "pcgrad" else {"momentum": 0.0}
    options = {**options, "probes": "exact"} if other == "ntk" else options
    model, plain = heat(num_boundary=20), heat(num_boundary=20)
    chain = Chain(method_of("rba"), make(other, **options))
    made = begin(model, chain, engine=engine)
    one_step(model)
    reference = begin(plain, make(other, **options), engine="graph")
    lam = weights_of("rba", plain, entries(plain), 1)
    original = plain.data.losses

    def losses(targets, outputs, loss_fn, inputs, model, aux=None):
        roots = iter([w.sqrt() for w in lam])
        return original(
            targets, outputs, lambda t, r: loss_fn(t, next(roots) * r), inputs, model, aux
        )

    plain.data.losses = losses
    one_step(plain)
    torch.testing.assert_close(
        made.optimizer.last.coefficients, reference.optimizer.last.coefficients, rtol=2e-3, atol=0
    )
    for p, q in zip(model.net.parameters(), plain.net.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=5e-3, atol=1e-5)


def test_surgery_on_weighted_losses_takes_each_from_its_own_rows(heat, adam):
    seen = {}
    for kind in ("alone", "chained"):
        model = heat(num_domain=400)
        surgery = make("pcgrad")
        patch(model, surgery if kind == "alone" else Chain(method_of("rba"), surgery))
        adam(model, 2)
        rows = seen[kind] = []
        model.net.register_forward_pre_hook(lambda _, args, rows=rows: rows.append(len(args[0])))
        state = model.train_state
        model.train_step(state.X_train, state.y_train, state.train_aux_vars)
    assert seen["chained"] == seen["alone"]


# -- training ------------------------------------------------------------------------------------


@every_method
@both_engines
@pytest.mark.parametrize("problem", ["poisson", "heat"])
def test_training_lowers_the_losses(request, adam, name, engine, problem):
    model = request.getfixturevalue(problem)()
    options = {"start_at": "residual"} if name == "rba" else {}
    made = patch(model, method_of(name, **options), engine=engine)
    adam(model, 40)
    history = model.losshistory.loss_train
    assert history[-1].sum() < history[0].sum()
    assert made.steps == 40
    assert (made.optimizer.last.coefficients == 1).all()


@every_method
@pytest.mark.parametrize("groups", ["kind", {"all of it": [0], "edges": ["boundary", "initial"]}])
def test_engines_lead_to_the_same_run(heat, adam, name, groups):
    histories = []
    for engine in ("rows", "graph"):
        model = heat(num_boundary=30)
        patch(model, method_of(name), engine=engine, groups=groups)
        adam(model, 15, lr=1e-3)
        histories.append(np.array(model.losshistory.loss_train))
    np.testing.assert_allclose(*histories, rtol=2e-3)


@pytest.mark.parametrize("name", ["rba", "sa_pinn"])
def test_weights_on_equations_only_stay_there(poisson, adam, name):
    model = poisson()
    patch(model, make(name, on="equations"), groups="each")
    adam(model, 5)
    state = model.conflictopt.optimizer.session.state
    assert {k.split("/")[0] for k in state} == {"age", "pde_0", "pde_1"}


def test_causal_weights_follow_the_time_of_the_equations_points(heat, begin):
    model = heat()
    made = begin(model, make("causal", chunks=4, tolerance=0.5))
    seen, original = [], made.optimizer.aggregator.weigh
    object.__setattr__(
        made.optimizer.aggregator,
        "weigh",
        lambda *args: (seen.append(original(*args)), seen[-1])[1],
    )
    one_step(model)
    weights, _ = seen[0]
    x = model.data.train_x[sum(model.data.num_bcs) :]
    inside = weights["pde"][0].flatten()[np.argsort(x[:, 1], kind="stable")]
    assert len(inside) == len(x)
    assert len(inside.unique()) == 4
    assert inside.max() == 1
    assert set(weights) == {"pde"}


@every_method
def test_double_precision(heat, adam, name):
    dde.config.set_default_float("float64")
    model = heat()
    patch(model, method_of(name))
    adam(model, 5)
    state = model.conflictopt.optimizer.session.state
    assert {v.dtype for k, v in state.items() if k != "age"} <= {torch.float64}
    assert {p.grad.dtype for p in model.net.parameters()} == {torch.float64}


@every_method
def test_lbfgs(heat, lbfgs, name):
    lbfgs(iterations=15, per_step=5)
    model = heat()
    options = {"start_at": "residual"} if name == "rba" else {}
    patch(model, method_of(name, **options))
    model.compile("L-BFGS", verbose=0)
    model.train(verbose=0)
    history = model.losshistory.loss_train
    assert history[-1].sum() < history[0].sum()
    assert model.conflictopt.steps == 3
    age = model.conflictopt.optimizer.session.state.get("age")
    assert name == "causal" or int(age) == 3


def test_lbfgs_goes_on_with_the_weights_of_adam(heat, adam, lbfgs):
    lbfgs(iterations=5, per_step=5)
    model = heat()
    made = patch(model, method_of("sa_pinn"))
    adam(model, 10)
    before = remembered(model)
    model.compile("L-BFGS", verbose=0)
    model.train(verbose=0)
    assert int(made.optimizer.session.state["age"]) == 11
    after = remembered(model)
    for key, levels in before.items():
        assert levels.keys() == after[key].keys()
        assert all(after[key][x][0] >= level[0] for x, level in levels.items())


@pytest.mark.parametrize("batch_size", [None, 4])
@every_method
def test_inverse_problems(inverse, name, batch_size):
    model = inverse(batch_size)
    options = {"start_at": "residual"} if name == "rba" else {}
    made = patch(model, method_of(name, **options))
    model.compile("adam", lr=1e-2, external_trainable_variables=model.unknown, verbose=0)
    resampler = dde.callbacks.PDEPointResampler(period=1, pde_points=False, bc_points=True)
    callbacks = [] if batch_size is None else [resampler]
    model.train(iterations=20, callbacks=callbacks, verbose=0)
    assert made.steps == 20
    assert model.unknown.item() != pytest.approx(0.8, abs=1e-4)


def test_a_minibatch_of_measurements_has_its_own_points(inverse):
    model = inverse(4)
    made = patch(model, method_of("sa_pinn"))
    model.compile("adam", lr=1e-2, external_trainable_variables=model.unknown, verbose=0)
    resampler = dde.callbacks.PDEPointResampler(period=1, pde_points=False, bc_points=True)
    seen = []
    made.on_step.append(
        lambda made: seen.append(
            (made.optimizer.session.state["data/0/points"], model.data.bcs[1].batch_indices.copy())
        )
    )
    model.train(iterations=6, callbacks=[resampler], verbose=0)
    for points, indices in seen:
        assert torch.equal(points, torch.as_tensor(model.data.bcs[1].points[indices]))
    assert len({tuple(indices) for _, indices in seen}) > 1


def test_the_profile_is_of_the_losses_without_point_weights(heat, adam):
    model, plain = heat(), heat()
    patch(model, method_of("rba"), record=True, profile_steps=2, profile_every=1)
    patch(plain, "sum", record=True, profile_steps=2, profile_every=1)
    for each in (model, plain):
        adam(each, 1, lr=0.0)
        each.conflictopt.conclude()
    np.testing.assert_allclose(
        model.conflictopt.profile.gramians[0], plain.conflictopt.profile.gramians[0], rtol=1e-3
    )


# -- points that change --------------------------------------------------------------------------


@both_engines
@every_memory
def test_resampled_points_take_over_what_the_nearest_remember(heat, begin, name, engine):
    model = heat(train_distribution="pseudo", num_domain=30)
    made = begin(model, method_of(name), engine=engine)
    session = made.optimizer.session
    for _ in range(3):
        one_step(model)
    old = {k: v.clone() for k, v in session.state.items()}
    model.data.resample_train_points(pde_points=True, bc_points=False)
    found = []
    original = made.optimizer.aggregator.advance
    object.__setattr__(
        made.optimizer.aggregator,
        "advance",
        lambda r, memory, step: (found.append(memory["level"]), original(r, memory, step))[1],
    )
    one_step(model)
    known, fresh = old["pde/0/points"], torch.as_tensor(model.data.train_x_all)
    assert torch.equal(session.state["pde/0/points"], fresh)
    assert not torch.equal(known, fresh)
    extent = known.max(dim=0).values - known.min(dim=0).values
    where = ((fresh[:, None] - known) / extent).square().sum(dim=2).argmin(dim=1)
    assert torch.equal(found[0], old["pde/0/level"][where])
    for level, key in zip(found[1:], ("boundary", "initial"), strict=True):
        assert torch.equal(level, old[f"{key}/0/level"])


@both_engines
def test_points_and_weights_stay_together_through_a_resampler(heat, engine):
    model = heat(train_distribution="pseudo")
    made = patch(model, method_of("sa_pinn"), engine=engine)
    model.compile("adam", lr=1e-3, verbose=0)
    seen = []
    made.on_step.append(
        lambda made: seen.append((made.optimizer.session.state, model.train_state.X_train))
    )
    resampler = dde.callbacks.PDEPointResampler(period=3)
    model.train(iterations=10, callbacks=[resampler], verbose=0)
    assert len({x.tobytes() for _, x in seen}) == 4
    begin = sum(model.data.num_bcs)
    for state, x in seen:
        assert torch.equal(state["pde/0/points"], torch.as_tensor(x[begin:]))
    assert seen[-1][0]["pde/0/level"].min() > 1


@every_memory
def test_shuffled_points_change_nothing(heat, begin, name):
    runs = []
    for shuffled in (False, True):
        model = heat()
        begin(model, method_of(name), optimizer="adam", lr=1e-2)
        draw = np.random.default_rng(0)
        for _ in range(6):
            if shuffled:
                points = model.data.train_x_all[draw.permutation(len(model.data.train_x_all))]
                model.data.train_x_all = points
                model.data.train_x = np.vstack((model.data.train_x_bc, points))
            one_step(model)
        runs.append(([p.detach() for p in model.net.parameters()], remembered(model)))
    for p, q in zip(runs[0][0], runs[1][0], strict=True):
        torch.testing.assert_close(p, q, rtol=1e-3, atol=1e-5)
    for key, levels in runs[0][1].items():
        assert levels.keys() == runs[1][1][key].keys()
        for x, level in levels.items():
            assert level == pytest.approx(runs[1][1][key][x], rel=1e-3)


@every_memory
def test_added_points_join_and_the_others_keep_their_weights(heat, begin, name):
    model = heat()
    begin(model, method_of(name))
    for _ in range(3):
        one_step(model)
    before = remembered(model)["pde/0/"]
    count = len(model.data.train_x_all)
    model.data.add_anchors(np.array([[0.123, 0.456], [-0.3, 0.7]]))
    method = model.conflictopt.optimizer.aggregator
    object.__setattr__(
        method, "advance", lambda r, memory, step: (torch.ones_like(r.residuals), memory)
    )
    one_step(model)
    after = remembered(model)["pde/0/"]
    assert len(model.data.train_x_all) == count + 2
    assert all(after[x] == level for x, level in before.items())
    assert set(map(tuple, after.values())) <= set(map(tuple, before.values()))


def test_rows_whose_number_changes_need_points(heat, begin):
    def periodic(geometry):
        return [dde.icbc.PeriodicBC(geometry, 0, lambda _, on: on)]

    model = heat(conditions=periodic, num_initial=0)
    begin(model, method_of("sa_pinn"))
    one_step(model)
    model.data.num_boundary = 20
    model.data.resample_train_points()
    with pytest.raises(MethodError, match=r"residuals of shape .* for 'boundary/0' as in"):
        one_step(model)


# -- checkpoints ---------------------------------------------------------------------------------


CHECKPOINTS = {
    **{name: lambda name=name: method_of(name) for name in METHODS},
    "chain": lambda: Chain(method_of("sa_pinn"), method_of("rba"), make("ntk", refresh=3)),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_restored_run_continues_bitwise(heat, adam, tmp_path, name):
    first, second = heat(), heat()
    for model in (first, second):
        patch(model, CHECKPOINTS[name]())
    adam(first, 8)
    path = first.save(str(tmp_path / "model"))
    first.train(iterations=8, verbose=0)
    second.compile("adam", lr=1e-2, verbose=0)
    second.train(0, verbose=0)
    second.restore(path)
    second.train(iterations=8, verbose=0)
    ends = zip(first.net.parameters(), second.net.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in ends)
    states = [m.conflictopt.optimizer.session.state for m in (first, second)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def test_restored_weights_meet_their_points_in_another_order(heat, adam, tmp_path):
    first, second = heat(), heat()
    for model in (first, second):
        patch(model, method_of("sa_pinn", lr=0.0))
    adam(first, 1, lr=0.0)
    levels = first.conflictopt.optimizer.session.state["pde/0/level"]
    levels.copy_(torch.arange(len(levels))[:, None] + 1.0)
    before = remembered(first)["pde/0/"]
    path = first.save(str(tmp_path / "model"))
    second.data.train_x_all = second.data.train_x_all[::-1].copy()
    second.data.train_x = np.vstack((second.data.train_x_bc, second.data.train_x_all))
    second.compile("adam", lr=0.0, verbose=0)
    second.train(0, verbose=0)
    second.restore(path)
    second.train(iterations=1, verbose=0)
    assert remembered(second)["pde/0/"] == before


# -- refusals ------------------------------------------------------------------------------------


def absolute(target, prediction):
    return (target - prediction).abs().mean()


@every_method
@pytest.mark.parametrize("loss", [absolute, ["MSE", absolute, "MSE"]], ids=["one", "several"])
def test_another_loss_than_mse_is_refused_before_any_update(heat, adam, name, loss):
    model = heat()
    patch(model, method_of(name))
    start = [p.clone() for p in model.net.parameters()]
    with pytest.raises((PatchError, MethodError), match="mean-square losses; loss '"):
        adam(model, 1, loss=loss)
    assert all(torch.equal(a, b) for a, b in zip(start, model.net.parameters(), strict=True))


def test_the_refusal_says_what_to_do(heat, adam):
    model = heat()
    patch(model, method_of("rba"))
    with pytest.raises(PatchError, match=r"mean-square losses; loss '.*Choose another method"):
        adam(model, 1, loss=absolute)


def test_a_plan_that_needs_mean_squares_is_refused_before_the_profile(heat, adam):
    model = heat()
    patch(model, "auto", reweighting="sa_pinn", profile_steps=5, profile_every=1)
    with pytest.raises(PatchError, match="mean-square losses"):
        adam(model, 1, loss=absolute)


def test_causal_refuses_more_chunks_than_points(heat, adam):
    model = heat()
    patch(model, make("causal", chunks=100))
    with pytest.raises(MethodError, match="at least 100 points of 'pde', one per chunk, found 32"):
        adam(model, 1)


def test_causal_refuses_a_problem_without_points(adam):
    x = np.linspace(0, 1, 8, dtype=np.float32)[:, None]
    data = dde.data.DataSet(X_train=x, y_train=x**2, X_test=x, y_test=x**2)
    model = dde.Model(data, dde.nn.FNN([1, 8, 1], "tanh", "Glorot normal"))
    patch(model, make("causal", chunks=2))
    with pytest.raises(MethodError, match="causal weights need the points of the equation 'data'"):
        adam(model, 1)
