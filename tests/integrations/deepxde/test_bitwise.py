"""A patched model trains bitwise as the unpatched one, with 'sum' and while 'auto' is profiling."""

import deepxde as dde
import numpy as np
import pytest
import torch


class HalveWeights(dde.callbacks.Callback):
    """Changes ``loss_weights`` while the model trains."""

    def on_batch_end(self):
        self.model.loss_weights = [w / 2 for w in self.model.loss_weights]


@pytest.mark.parametrize("decay", [("step", 5, 0.5), ("exponential", 0.9), ("cosine", 10, 1e-4)])
def test_adam_with_decay(heat, adam, assert_unchanged, decay):
    assert_unchanged(heat, lambda model: adam(model, decay=decay))


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop"])
def test_other_optimizers(heat, assert_unchanged, optimizer):
    def train(model):
        model.compile(optimizer, lr=1e-3, verbose=0)
        model.train(iterations=10, verbose=0)

    assert_unchanged(heat, train)


def test_adam_then_lbfgs(heat, adam, lbfgs, assert_unchanged):
    lbfgs(iterations=20, per_step=5)

    def train(model):
        adam(model)
        model.compile("L-BFGS", verbose=0)
        model.train(verbose=0)

    patched = assert_unchanged(heat, train)
    assert patched.train_state.step > 20


def test_inverse_problem(inverse, adam, lbfgs, assert_unchanged):
    lbfgs()

    def train(model):
        adam(model, external_trainable_variables=model.unknown)
        model.compile("L-BFGS", external_trainable_variables=model.unknown, verbose=0)
        model.train(verbose=0)

    patched = assert_unchanged(inverse, train)
    assert patched.unknown.item() != pytest.approx(0.8, abs=1e-4)


def test_float64(heat, adam, assert_unchanged):
    dde.config.set_default_float("float64")
    patched = assert_unchanged(heat, adam)
    assert next(patched.net.parameters()).dtype == torch.float64


def test_loss_weights(heat, adam, assert_unchanged):
    assert_unchanged(heat, lambda model: adam(model, loss_weights=[1, 10, 0.1]))


def test_loss_weights_changed_while_training(heat, assert_unchanged):
    def train(model):
        model.compile("adam", lr=1e-2, loss_weights=[4.0, 2.0, 1.0], verbose=0)
        model.train(iterations=10, callbacks=[HalveWeights()], verbose=0)

    assert_unchanged(heat, train)


@pytest.mark.parametrize("kind", ["l1", "l2"])
def test_regulariser(heat, adam, assert_unchanged, kind):
    build = lambda: heat(regularization=[kind, 1e-3])  # noqa: E731
    try:
        build().compile("adam", lr=1e-3, verbose=0)
    except NotImplementedError:
        pytest.skip(f"this DeepXDE has no {kind} regulariser")
    patched = assert_unchanged(build, adam)
    assert patched.conflictopt.groups.names == ("pde", "boundary", "initial")


def test_resampled_points(heat, assert_unchanged):
    # Constant conditions: DeepXDE caches others by the id of the points, which resampling reuses.
    def conditions(geometry):
        wall = dde.icbc.DirichletBC(geometry, lambda x: 0, lambda _, on: on)
        return [wall, dde.icbc.IC(geometry, lambda x: 1, lambda _, on: on)]

    def train(model):
        model.compile("adam", lr=1e-2, verbose=0)
        resampler = dde.callbacks.PDEPointResampler(period=3, bc_points=True)
        model.train(iterations=12, callbacks=[resampler], verbose=0)

    assert_unchanged(lambda: heat(conditions=conditions, train_distribution="pseudo"), train)


def test_minibatches_of_point_data(inverse, assert_unchanged):
    def train(model):
        model.compile("adam", lr=1e-2, external_trainable_variables=model.unknown, verbose=0)
        resampler = dde.callbacks.PDEPointResampler(period=1, bc_points=True)
        model.train(iterations=10, callbacks=[resampler], verbose=0)

    assert_unchanged(lambda: inverse(batch_size=4), train)


def test_auxiliary_variables(heat, adam, assert_unchanged):
    def pde(x, u, source):
        return dde.grad.hessian(u, x, i=0, j=0) - source

    build = lambda: heat(pde=pde, auxiliary_var_function=lambda x: np.sin(x[:, :1]))  # noqa: E731
    assert_unchanged(build, adam)


def test_forward_mode_differentiation(heat, adam, assert_unchanged):
    def pde(x, u):  # in this mode derivatives come as (values, function)
        u_t, u_xx = dde.grad.jacobian(u, x, i=0, j=1), dde.grad.hessian(u, x, i=0, j=0)
        return u_t[0] - 0.3 * u_xx[0]

    dde.config.set_default_autodiff("forward")
    assert_unchanged(lambda: heat(pde=pde), adam)


@pytest.mark.parametrize("parallel", [False, True], ids=["FNN", "PFNN"])
def test_system_of_equations(heat, adam, assert_unchanged, parallel):
    def pde(x, y):
        u_t = dde.grad.jacobian(y, x, i=0, j=1)
        v_t = dde.grad.jacobian(y, x, i=1, j=1)
        return [u_t - y[:, 1:], v_t + y[:, :1]]

    def conditions(geometry):
        start = lambda _, on: on  # noqa: E731
        return [
            dde.icbc.IC(geometry, lambda x: 0, start, component=0),
            dde.icbc.IC(geometry, lambda x: 1, start, component=1),
        ]

    def build():
        dde.config.set_random_seed(0)
        layers = [2, [8, 8], [8, 8], 2] if parallel else [2, 8, 8, 2]
        kind = dde.nn.PFNN if parallel else dde.nn.FNN
        net = kind(layers, "tanh", "Glorot normal")
        return heat(pde=pde, conditions=conditions, net=net)

    assert_unchanged(build, adam)


def test_dataset_in_minibatches(assert_unchanged):
    def build():
        dde.config.set_random_seed(0)
        x = np.linspace(0, 1, 20, dtype=np.float32)[:, None]
        data = dde.data.DataSet(X_train=x, y_train=x**2, X_test=x, y_test=x**2)
        return dde.Model(data, dde.nn.FNN([1, 8, 1], "tanh", "Glorot normal"))

    def train(model):
        model.compile("adam", lr=1e-2, verbose=0)
        model.train(iterations=10, batch_size=5, verbose=0)

    assert_unchanged(build, train)


def test_operator_data_in_minibatches(assert_unchanged):
    def build():
        dde.config.set_random_seed(0)
        draw = np.random.default_rng(0)
        x = (draw.random((20, 3), np.float32), draw.random((20, 1), np.float32))
        y = x[0].sum(axis=1, keepdims=True) * x[1]
        data = dde.data.Triple(X_train=x, y_train=y, X_test=x, y_test=y)
        return dde.Model(data, dde.nn.DeepONet([3, 8, 8], [1, 8, 8], "tanh", "Glorot normal"))

    def train(model):
        model.compile("adam", lr=1e-2, verbose=0)
        model.train(iterations=10, batch_size=5, verbose=0)

    assert_unchanged(build, train)


def test_sum_with_a_profile(heat, adam, assert_unchanged):
    options = {"record": True, "profile_steps": 10, "profile_every": 2}
    patched = assert_unchanged(heat, adam, **options)
    assert patched.conflictopt.profile.steps.tolist() == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("groups", ["kind", "each", {"inside": [0], "edges": ["boundary", 2]}])
def test_grouping_changes_nothing(heat, adam, assert_unchanged, groups):
    assert_unchanged(heat, adam, groups=groups)


def test_auto_while_profiling(heat, adam, assert_unchanged):
    options = {"method": "auto", "profile_steps": 20, "profile_every": 3}
    patched = assert_unchanged(heat, lambda model: adam(model, 20), **options)
    assert patched.conflictopt.diagnosis is not None


def test_auto_profiling_across_a_recompile(heat, adam, lbfgs, assert_unchanged):
    lbfgs(iterations=20, per_step=5)

    def train(model):
        adam(model, 7)
        model.compile("L-BFGS", verbose=0)
        model.train(verbose=0)

    options = {"method": "auto", "profile_steps": 12, "profile_every": 1}
    patched = assert_unchanged(heat, train, **options)
    assert patched.conflictopt.diagnosis is None
    assert patched.conflictopt.steps > 7


def test_auto_after_a_benign_profile(conflicting, adam, assert_unchanged, forced):
    options = {"method": "auto", "profile_steps": 5, "thresholds": forced["benign"]}
    patched = assert_unchanged(conflicting, adam, **options)
    assert patched.conflictopt.plan.kind == "none"
