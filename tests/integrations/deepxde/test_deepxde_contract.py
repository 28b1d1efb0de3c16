"""The facts about DeepXDE that the integration relies on, without conflictopt."""

import inspect

import deepxde as dde
import numpy as np
import pytest
import torch


@pytest.fixture
def model(heat):
    """A compiled model with its training data in place."""
    made = heat()
    made.compile("adam", lr=1e-3, verbose=0)
    made.train(iterations=0, verbose=0)
    return made


@pytest.fixture
def batch():
    def of(model):
        state = model.train_state
        return state.X_train, state.y_train, state.train_aux_vars

    return of


def held(optimizer):
    return {id(p) for group in optimizer.param_groups for p in group["params"]}


def test_train_step_is_an_attribute_called_with_inputs_targets_auxiliary(model):
    calls = []
    model.train_step = lambda inputs, targets, auxiliary: calls.append((inputs, targets, auxiliary))
    model.train(iterations=2, verbose=0)
    assert len(calls) == 2
    assert calls[0][0] is model.data.train_x


def test_compile_is_looked_up_on_the_model(heat):
    assert "compile" not in vars(heat())
    assert list(inspect.signature(dde.Model.compile).parameters)[1] == "optimizer"


def test_an_uncompiled_model_has_no_optimizer(heat):
    assert heat().opt is None


def test_loss_vector_is_stacked_weighted_and_differentiable(heat, batch):
    model = heat()
    model.compile("adam", lr=1e-3, verbose=0)
    model.train(iterations=0, verbose=0)
    plain = model.outputs_losses_train(*batch(model))[1]
    model.compile("adam", lr=1e-3, loss_weights=[1, 10, 100], verbose=0)
    weighted = model.outputs_losses_train(*batch(model))[1]
    assert weighted.shape == (3,)
    assert weighted.requires_grad
    torch.testing.assert_close(weighted, plain * torch.tensor([1.0, 10.0, 100.0]))


def test_loss_weights_are_read_at_each_call(model, batch):
    before = model.outputs_losses_train(*batch(model))[1]
    model.loss_weights = [2.0, 2.0, 2.0]
    torch.testing.assert_close(model.outputs_losses_train(*batch(model))[1], 2 * before)


def test_the_plain_step_minimises_the_sum_of_the_vector(model, batch):
    seen = []
    model.opt.step = lambda closure: seen.append(closure())
    model.train_step(*batch(model))
    assert torch.equal(seen[0], model.outputs_losses_train(*batch(model))[1].sum())


def test_l1_regulariser_appends_one_entry(heat, batch):
    model = heat(regularization=["l1", 1e-2])
    try:
        model.compile("adam", lr=1e-3, verbose=0)
    except NotImplementedError:
        pytest.skip("this DeepXDE has no L1 regulariser")
    model.train(iterations=0, verbose=0)
    vector = model.outputs_losses_train(*batch(model))[1]
    penalty = 1e-2 * sum(p.abs().sum() for p in model.net.parameters())
    assert vector.shape == (4,)
    torch.testing.assert_close(vector[-1], penalty)
    assert tuple(model.net.regularizer) == ("l1", 1e-2)


def test_optimizer_is_read_late(model, batch):
    class Counting(torch.optim.SGD):
        steps = 0

        def step(self, closure=None):
            self.steps += 1
            return super().step(closure)

    model.opt = Counting(model.net.parameters(), lr=0.0)
    model.train(iterations=3, verbose=0)
    assert model.opt.steps == 3


def test_recompiling_replaces_optimizer_and_step(model):
    opt, step = model.opt, model.train_step
    model.compile("adam", lr=1e-3, verbose=0)
    assert model.opt is not opt
    assert model.train_step is not step


def test_evaluating_the_losses_makes_every_network_parameter_trainable(model):
    first = next(model.net.parameters())
    first.requires_grad_(False)
    model.train(iterations=0, verbose=0)
    assert first.requires_grad


def test_lbfgs_loop_reads_the_iteration_counter_from_the_state_dict(heat, lbfgs):
    lbfgs(iterations=7)
    model = heat()
    model.compile("L-BFGS", verbose=0)
    model.opt.state_dict = lambda: {"state": {0: {"n_iter": 7}}}
    model.train(verbose=0)
    assert model.train_state.step == 7


def test_an_extra_key_survives_loading_and_plain_adam_accepts_it(model, heat, tmp_path):
    model.train(iterations=1, verbose=0)
    saved = {**model.opt.state_dict(), "conflictopt": {"weights": torch.ones(3), "names": ["pde"]}}
    model.opt.state_dict = lambda: saved
    path = model.save(str(tmp_path / "model"))
    loaded = torch.load(path, weights_only=True)["optimizer_state_dict"]
    assert torch.equal(loaded["conflictopt"]["weights"], torch.ones(3))
    other = heat()
    other.compile("adam", lr=1e-3, verbose=0)
    other.restore(path)
    assert other.opt.state_dict()["state"].keys() == saved["state"].keys()


def test_an_optimizer_instance_drops_the_unknowns(inverse):
    model = inverse()
    model.compile("adam", lr=1e-3, external_trainable_variables=model.unknown, verbose=0)
    assert id(model.unknown) in held(model.opt)
    instance = torch.optim.Adam(model.net.parameters(), lr=1e-3)
    model.compile(instance, external_trainable_variables=model.unknown, verbose=0)
    assert model.opt is instance
    assert model.external_trainable_variables == [model.unknown]
    assert id(model.unknown) not in held(model.opt)


def test_losses_train_is_looked_up_at_each_call_and_takes_the_loss_functions(model, batch):
    original, seen = model.data.losses_train, []

    def losses_train(targets, outputs, loss_fn, *args, **kwargs):
        seen.append(loss_fn)
        return original(targets, outputs, loss_fn, *args, **kwargs)

    model.data.losses_train = losses_train
    model.outputs_losses_train(*batch(model))
    assert len(seen) == 1
    assert callable(seen[0])


def test_dde_backend_takes_precedence_over_ddebackend(monkeypatch):
    monkeypatch.setenv("DDE_BACKEND", "pytorch")
    monkeypatch.setenv("DDEBACKEND", "jax")
    assert dde.backend.get_preferred_backend() == "pytorch"
    assert dde.backend.backend_name == "pytorch"


@pytest.mark.parametrize(
    "name", ["IC", "DirichletBC", "OperatorBC", "PointSetBC", "PointSetOperatorBC"]
)
def test_conditions_have_these_class_names(name):
    assert inspect.isclass(getattr(dde.icbc, name))


def test_condition_points_lie_in_the_order_of_the_conditions(model):
    data = model.data
    assert len(data.num_bcs) == len(data.bcs) == 2
    assert sum(data.num_bcs) == len(data.train_x_bc)
    at_boundary, at_start = np.split(data.train_x_bc, data.num_bcs[:1])
    assert data.geom.on_boundary(at_boundary).all()
    assert data.geom.on_initial(at_start).all()


def test_pfnn_ends_in_one_linear_layer_per_output():
    net = dde.nn.PFNN([2, [8, 8], [8, 8], 2], "tanh", "Glorot normal")
    assert [type(m) for m in net.layers[-1]] == [torch.nn.Linear, torch.nn.Linear]


def test_nncg_takes_a_closure_that_calls_no_backward(heat, batch):
    model = heat()
    model.compile("NNCG", verbose=0)
    model.train(iterations=0, verbose=0)
    values = []
    model.opt.step = lambda closure: values.append(closure())
    model.train_step(*batch(model))
    assert model.opt_name == "NNCG"
    assert values[0].requires_grad
    assert all(p.grad is None for p in model.net.parameters())


def test_mixed_precision_is_a_flag_of_the_configuration():
    try:
        dde.config.set_default_float("mixed")
    except ValueError:
        pytest.skip("this DeepXDE has no mixed precision for PyTorch")
    assert dde.config.mixed is True
