"""Losses evaluated apart: on which rows, within which tolerance, and when not at all."""

from __future__ import annotations

import gc
import weakref

import deepxde as dde
import numpy as np
import pytest
import torch

from conflictopt import MethodError, Recorder, make
from conflictopt.integrations.deepxde import patch


class MeanFree(torch.nn.Module):
    """Subtracts the mean over the batch: no layer that could be known by its name."""

    def forward(self, x):
        return x - x.mean(dim=0)


class OwnCondition(dde.icbc.DirichletBC):
    """A condition with an error of its own."""

    def error(self, X, inputs, outputs, beg, end, aux_var=None):
        return 2 * super().error(X, inputs, outputs, beg, end, aux_var)


class OwnLosses(dde.data.TimePDE):
    """A problem with losses of its own."""

    def losses(self, *args, **kwargs):
        return [2 * loss for loss in super().losses(*args, **kwargs)]


def network(*layers):
    class Net(dde.nn.NN):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.Sequential(*layers)

        def forward(self, x):
            return self.layers(x)

    dde.config.set_random_seed(0)
    for layer in layers:
        if isinstance(layer, torch.nn.Linear):
            layer.reset_parameters()
    return Net()


def around(layer):
    return network(torch.nn.Linear(2, 8), torch.nn.Tanh(), layer, torch.nn.Linear(8, 1))


def coupled(x, u):
    return dde.grad.jacobian(u, x, i=0, j=1) - u.mean()


def noisy(x, u):
    return dde.grad.jacobian(u, x, i=0, j=1) + 0.1 * torch.rand_like(u)


def noisy_by_numpy(x, u):
    return dde.grad.jacobian(u, x, i=0, j=1) + float(np.random.rand())  # noqa: NPY002


def counting_on_all_rows(x, u):
    return dde.grad.jacobian(u, x, i=0, j=1) * torch.ones(48, 1)


def own_condition(geometry):
    return [OwnCondition(geometry, lambda x: 1, lambda _, on: on)]


OBSTACLES = {
    "BatchNorm1d couples the rows": lambda heat: heat(net=around(torch.nn.BatchNorm1d(8))),
    "losses draws random numbers": lambda heat: heat(net=around(torch.nn.Dropout(0.2))),
    "something couples the rows of a batch": lambda heat: heat(net=around(MeanFree())),
    "the loss 'pde' is": lambda heat: heat(pde=coupled),
    "draws random numbers": lambda heat: heat(pde=noisy),
    "evaluating the losses draws": lambda heat: heat(pde=noisy_by_numpy),
    "a loss fails: RuntimeError": lambda heat: heat(pde=counting_on_all_rows, num_test=None),
    "the condition OwnCondition": lambda heat: heat(conditions=own_condition),
}


@pytest.mark.parametrize("reason", OBSTACLES)
def test_falls_back_and_says_why(heat, adam, reason):
    model = OBSTACLES[reason](heat)
    made = patch(model, "pcgrad")
    adam(model, 3)
    assert [reason in line for line in made.log] == [True]


@pytest.mark.parametrize("reason", OBSTACLES)
def test_asked_for_by_name_it_refuses_and_says_why(heat, adam, reason):
    model = OBSTACLES[reason](heat)
    patch(model, "pcgrad", engine="rows")
    with pytest.raises(MethodError, match="engine 'rows' needs losses that .*" + reason):
        adam(model, 3)


@pytest.mark.parametrize("reason", OBSTACLES)
@pytest.mark.parametrize("method", ["sum", Recorder(steps=6, every=2)], ids=["sum", "profile"])
def test_a_plain_run_stays_bitwise_plain_all_the_same(heat, adam, assert_unchanged, method, reason):
    def build():
        np.random.seed(0)  # noqa: NPY002
        return OBSTACLES[reason](heat)

    patched = assert_unchanged(build, lambda model: adam(model, 6), method)
    for name, buffer in patched.net.named_buffers():
        assert torch.isfinite(buffer).all(), name


def test_a_problem_with_losses_of_its_own(heat, adam):
    model = heat()
    model.data.__class__ = OwnLosses
    made = patch(model, "pcgrad")
    adam(model, 3)
    assert "OwnLosses computes its losses in a way of its own" in made.log[0]


def test_examined_again_after_a_compile(heat, adam):
    model = heat()
    made = patch(model, "pcgrad")
    adam(model, 2)
    model.data.pde = coupled
    adam(model, 2)
    assert ["whole batch" in line for line in made.log] == [True]


@pytest.mark.parametrize(
    ("method", "boundary", "expected"),
    [
        ("sum", 8, lambda n, wall, start: [wall + start + n]),
        ("constant", 8, lambda n, wall, start: [n, wall + start]),
        ("pcgrad", 8, lambda n, wall, start: [n, wall + start]),
        ("pcgrad", 600, lambda n, wall, start: [n, wall, start]),
    ],
    ids=["sum", "weighted", "surgery", "surgery with many points"],
)
def test_each_row_goes_through_the_network_once(heat, adam, method, boundary, expected):
    model = heat(num_boundary=boundary)
    option = {"constant": {"weights": {"pde": 2.0}}}.get(method, {})
    patch(model, make(method, **option))
    adam(model, 3)
    seen = []
    model.net.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    state = model.train_state
    model.train_step(state.X_train, state.y_train, state.train_aux_vars)
    wall, start = model.data.num_bcs
    assert seen == expected(len(state.X_train) - wall - start, wall, start)


def test_few_condition_points_are_not_worth_a_pass_for_a_sum(heat, adam):
    model = heat(num_domain=400)
    patch(model, make("constant", weights={"pde": 2.0}))
    adam(model, 3)
    seen = []
    model.net.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    state = model.train_state
    model.train_step(state.X_train, state.y_train, state.train_aux_vars)
    assert seen == [len(state.X_train)]


@pytest.mark.parametrize("method", ["pcgrad", "config", "ntk", "grad_norm", "lr_annealing"])
def test_engines_lead_to_the_same_run(heat, adam, method):
    histories = []
    for engine in ("rows", "graph"):
        model = heat(num_boundary=30)
        patch(model, method, engine=engine)
        adam(model, 20, lr=1e-3)
        histories.append(np.array(model.losshistory.loss_train))
    np.testing.assert_allclose(*histories, rtol=2e-3)


def test_conditions_follow_resampled_points(heat):
    def conditions(geometry):
        return [dde.icbc.DirichletBC(geometry, lambda x: 1, lambda _, on: on)]

    model = heat(conditions=conditions, num_initial=0, train_distribution="pseudo")
    made = patch(model, "pcgrad", engine="rows")
    model.compile("sgd", lr=0.0, verbose=0)
    for _ in range(4):
        model.data.resample_train_points()
        model.train(iterations=1, verbose=0, disregard_previous_best=True)
        state = model.train_state
        vector = model.outputs_losses_train(state.X_train, None, None)[1]
        assert made.optimizer.last.losses.tolist() == pytest.approx(vector.tolist(), rel=1e-5)


def test_nothing_of_a_step_stays_alive(heat, adam):
    model = heat()
    patch(model, "pcgrad")
    adam(model, 2)
    alive = []
    model.net.register_forward_hook(lambda _m, _i, out: alive.append(weakref.ref(out)))
    state = model.train_state
    gc.disable()
    try:
        model.train_step(state.X_train, state.y_train, state.train_aux_vars)
        assert len(alive) == 2
        assert all(ref() is None for ref in alive)
    finally:
        gc.enable()
