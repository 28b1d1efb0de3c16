"""Patching, re-compiling, unpatching, and DeepXDE's callbacks."""

import deepxde as dde
import numpy as np
import pytest
import torch

from conflictopt import LineSearchError, MultiLossOptimizer
from conflictopt.integrations.deepxde import Patch, PatchError, patch, unpatch


def test_patch_returns_what_it_puts_on_the_model(heat):
    model = heat()
    made = patch(model, "sum")
    assert isinstance(made, Patch)
    assert model.conflictopt is made
    assert made.optimizer is None
    assert made.steps == 0


@pytest.mark.parametrize("method", ["pcgrad", "ntk", "adapters", "auto"])
def test_patching_before_or_after_compile_is_the_same(heat, adam, same, method):
    before, after = heat(), heat()
    options = {"profile_steps": 5, "profile_every": 1}
    patch(before, method, **options)
    adam(before, 10)
    after.compile("adam", lr=1e-2, verbose=0)
    patch(after, method, **options)
    after.train(iterations=10, display_every=5, verbose=0)
    assert same(before, after)


def test_a_model_can_be_patched_between_two_stages(heat, adam):
    model = heat()
    adam(model, 5)
    patch(model, "pcgrad")
    model.train(iterations=5, verbose=0)
    assert model.conflictopt.steps == 5
    assert model.train_state.step == 10


def test_the_models_optimizer_is_a_multi_loss_optimizer(heat, adam):
    model = heat()
    patch(model, "pcgrad", seed=3)
    adam(model, 5)
    assert isinstance(model.opt, MultiLossOptimizer)
    assert isinstance(model.opt.inner, torch.optim.Adam)
    assert model.opt is model.conflictopt.optimizer
    assert model.opt.last.names == ("pde", "boundary", "initial")


def test_patching_leaves_the_global_random_generators_alone(conflicting, forced, papers_rule):
    model = conflicting()
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    patch(model, "auto", profile_steps=5, profile_every=1, thresholds=forced["persistent"])
    model.compile("adam", lr=1e-2, verbose=0)
    model.train(iterations=10, verbose=0)
    assert model.conflictopt.adapters is not None
    after = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert np.array_equal(before[1], after[1])


def test_recompiling_keeps_the_state_of_the_method(heat, adam):
    model = heat()
    patch(model, "grad_norm")
    adam(model, 10)
    state = model.opt.session.state
    assert int(state["age"]) == 10
    model.compile("adam", lr=1e-3, verbose=0)
    assert model.opt.session.state is state
    model.train(iterations=5, verbose=0)
    assert int(model.opt.session.state["age"]) == 15
    assert model.conflictopt.steps == 15


def test_recompiling_keeps_the_adapters_and_trains_them(heat, adam):
    model = heat()
    patch(model, "adapters")
    adam(model, 5)
    adapters = model.conflictopt.adapters
    before = [p.clone() for p in adapters.parameters()]
    adam(model, 5)
    assert model.conflictopt.adapters == adapters
    held = {id(p) for group in model.opt.param_groups for p in group["params"]}
    assert all(id(p) in held for p in adapters.parameters())
    pairs = zip(before, adapters.parameters(), strict=True)
    assert not any(torch.equal(a, b) for a, b in pairs)


def test_unpatch_gives_the_plain_model_back(heat):
    plain, model = heat(), heat()
    own = set(vars(plain))
    patch(model, "pcgrad")
    model.compile("adam", lr=1e-2, verbose=0)
    unpatch(model)
    assert set(vars(model)) == own
    assert type(model.opt) is torch.optim.Adam


def test_training_after_unpatch_is_the_plain_training(heat, adam, same):
    plain, model = heat(), heat()
    patch(model, "sum")
    adam(model, 10)
    unpatch(model)
    for each in (plain, model):
        if each is plain:
            adam(each, 10)
        each.train(iterations=10, verbose=0)
        adam(each, 5)
    assert same(plain, model)


def test_unpatching_an_uncompiled_model(heat, adam, same):
    plain, model = heat(), heat()
    patch(model, "pcgrad")
    unpatch(model)
    adam(plain), adam(model)
    assert same(plain, model)


def test_unpatch_leaves_the_adapters_in_the_trained_function(heat, adam):
    model = heat()
    patch(model, "adapters")
    adam(model, 10)
    points = np.array([[0.1, 0.2], [0.3, 0.4]])
    before, adapters = model.predict(points), model.conflictopt.adapters
    unpatch(model)
    assert np.array_equal(before, model.predict(points))
    up = [p.clone() for p in adapters.up]
    model.train(iterations=5, verbose=0)
    assert all(not torch.equal(a, b) for a, b in zip(up, adapters.up, strict=True))


def test_a_model_can_be_patched_again_after_unpatch(heat, adam):
    model = heat()
    patch(model, "pcgrad")
    adam(model, 5)
    unpatch(model)
    patch(model, "config")
    model.train(iterations=5, verbose=0)
    assert model.conflictopt.steps == 5


def test_unpatching_a_plain_model_is_refused(heat):
    with pytest.raises(PatchError, match="this model is not patched"):
        unpatch(heat())


def test_variable_value_records_the_unknown(inverse, tmp_path):
    model = inverse()
    patch(model, "pcgrad")
    model.compile("adam", lr=1e-2, external_trainable_variables=model.unknown, verbose=0)
    path = tmp_path / "variables.dat"
    watch = dde.callbacks.VariableValue(model.unknown, period=2, filename=str(path))
    model.train(iterations=6, callbacks=[watch], verbose=0)
    rows = [line.split(" ", 1) for line in path.read_text().splitlines()]
    assert [step for step, _ in rows] == ["0", "2", "4", "6"]
    assert len({value for _, value in rows}) == 4


def test_early_stopping_stops(heat):
    model = heat()
    patch(model, "pcgrad")
    model.compile("adam", lr=0.0, verbose=0)
    stop = dde.callbacks.EarlyStopping(patience=3)
    model.train(iterations=100, callbacks=[stop], verbose=0)
    assert model.conflictopt.steps < 10


def test_timer_stops(heat):
    model = heat()
    patch(model, "pcgrad")
    model.compile("adam", lr=1e-3, verbose=0)
    model.train(
        iterations=10**6, callbacks=[dde.callbacks.Timer(0.001)], verbose=0, display_every=1
    )
    assert 0 < model.conflictopt.steps < 1000


def test_a_network_with_one_head_per_output_gets_adapters_at_every_head(heat, adam):
    def pde(x, y):
        return [y[:, :1] - 1, y[:, 1:] - 2]

    net = dde.nn.PFNN([2, [8, 8], [8, 8], 2], "tanh", "Glorot normal")
    wall = lambda g: [dde.icbc.DirichletBC(g, lambda x: 0, lambda _, on: on)]  # noqa: E731
    model = heat(pde=pde, conditions=wall, net=net)
    patch(model, "adapters")
    adam(model, 5)
    assert model.conflictopt.adapters.layers == ("layers.2.0", "layers.2.1")
    assert all((u != 0).any() for u in model.conflictopt.adapters.up)


def test_unpatching_after_a_refused_compile_leaves_the_plain_optimizer(heat, adam):
    model = heat()
    patch(model, "config")
    adam(model, 3)
    with pytest.raises(LineSearchError):
        model.compile("L-BFGS", verbose=0)
    unpatch(model)
    assert isinstance(model.opt, torch.optim.LBFGS)
    assert "compile" not in vars(model)
    model.compile("adam", lr=1e-3, verbose=0)
    model.train(iterations=2, verbose=0)
    assert not hasattr(model, "conflictopt")
