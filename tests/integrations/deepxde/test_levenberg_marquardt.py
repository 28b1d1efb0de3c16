"""Levenberg-Marquardt under DeepXDE: compiled with, or named by the method."""

from __future__ import annotations

import deepxde as dde
import pytest
import torch

from conflictopt import ConflictOptWarning, LossError, MethodError
from conflictopt.curvature.optimizer import LevenbergMarquardt
from conflictopt.integrations.deepxde import PatchError, patch, unpatch

NAMED = "levenberg_marquardt"


def ratio(model):
    """The last loss over the first."""
    return model.losshistory.loss_train[-1].sum() / model.losshistory.loss_train[0].sum()


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("how", ["compiled", "named", "named after compile"])
def test_few_steps_lower_the_losses_by_orders_of_magnitude(heat, how, precision):
    dde.config.set_default_float(precision)
    model = heat()
    if how == "compiled":
        patch(model, "sum")
        model.compile(LevenbergMarquardt(model.net), verbose=0)
    elif how == "named":
        patch(model, NAMED)
        model.compile("adam", lr=1e-3, verbose=0)
    else:
        model.compile("adam", lr=1e-3, verbose=0)
        patch(model, NAMED)
    model.train(iterations=30, display_every=10, verbose=0)
    assert model.conflictopt.steps == 30
    assert model.losshistory.steps == [0, 10, 20, 30]
    assert model.train_state.best_step == 30
    assert ratio(model) < 1e-5


@pytest.mark.parametrize("method", ["ntk", "relobralo", "dwa", "lr_annealing"])
def test_reweightings_go_with_it(heat, method):
    model = heat()
    made = patch(model, f"{NAMED}+{method}")
    model.compile("adam", lr=1e-3, verbose=0)
    model.train(iterations=20, verbose=0)
    assert made.optimizer.aggregator.label != "sum"
    assert ratio(model) < 1e-3


def test_unknowns_are_trained(inverse):
    model = inverse()
    patch(model, NAMED)
    model.compile("adam", lr=1e-3, external_trainable_variables=model.unknown, verbose=0)
    model.train(iterations=30, verbose=0)
    assert abs(model.unknown.item() - 0.8) > 0.1
    assert ratio(model) < 1e-4


def test_unknowns_are_adopted_by_an_instance(inverse):
    model = inverse()
    patch(model, "sum")
    with pytest.warns(UserWarning, match="added 1 external_trainable_variables to the Levenberg"):
        model.compile(
            LevenbergMarquardt(model.net),
            external_trainable_variables=model.unknown,
            verbose=0,
        )
    model.train(iterations=30, verbose=0)
    assert abs(model.unknown.item() - 0.8) > 0.1
    assert ratio(model) < 1e-4


def test_weights_of_the_user_and_groups_are_kept(heat):
    def last(weights):
        model = heat()
        # all rows of the points that the plain run shows its losses at
        whole = f"{NAMED}:rows=None"
        made = patch(model, whole, groups="each", fresh_points=False)
        model.compile("adam", lr=1e-3, loss_weights=weights, verbose=0)
        model.train(iterations=1, verbose=0)
        assert made.groups.names == ("pde", "boundary", "initial")
        return made.optimizer.inner.last.before

    model = heat()
    model.compile("adam", lr=1e-3, loss_weights=[1, 100, 1], verbose=0)
    model.train(iterations=0, verbose=0)
    assert last([1, 100, 1]) == pytest.approx(model.losshistory.loss_train[0].sum(), rel=1e-4)


def test_several_outputs_and_hard_constraints(heat):
    def pde(x, u):
        one, two = dde.grad.jacobian(u, x, i=0, j=1), dde.grad.jacobian(u, x, i=1, j=1)
        return [one - u[:, 1:], two + u[:, :1]]

    net = dde.nn.FNN([2, 8, 8, 2], "tanh", "Glorot normal")
    net.apply_output_transform(lambda x, u: torch.cos(x[:, :1]) + x[:, 1:] * u)
    model = heat(pde=pde, conditions=lambda _: [], net=net, num_initial=0, num_boundary=0)
    made = patch(model, NAMED, groups="each")
    model.compile("adam", lr=1e-3, verbose=0)
    model.train(iterations=25, verbose=0)
    assert made.groups.names == ("pde_0", "pde_1")
    assert ratio(model) < 1e-4


def test_l_bfgs_is_replaced_too_and_the_damping_goes_on(heat, lbfgs):
    lbfgs(iterations=6)
    model = heat()
    made = patch(model, NAMED)
    model.compile("adam", lr=1e-3, verbose=0)
    model.train(iterations=5, verbose=0)
    inner = made.optimizer.inner
    model.compile("L-BFGS", verbose=0)
    ended = []
    callback = dde.callbacks.Callback()
    callback.on_train_end = lambda: ended.append(model.train_state.step)
    model.train(verbose=0, callbacks=[callback])
    assert made.optimizer.inner is inner
    assert (made.steps, ended, model.losshistory.steps[-1]) == (11, [11], 11)
    assert "6 steps of LevenbergMarquardt" in made.log[-1]


def test_schedules_of_the_replaced_optimizer_do_nothing(heat, recwarn):
    model = heat()
    patch(model, NAMED)
    model.compile("adam", lr=1e-3, decay=("step", 1, 0.1), verbose=0)
    model.train(iterations=20, verbose=0)
    assert ratio(model) < 1e-4
    assert not [w for w in recwarn if "lr_scheduler" in str(w.message)]


def test_checkpoints_go_on(heat, tmp_path):
    def of(path=None):
        model = heat()
        patch(model, f"{NAMED}+ntk")
        model.compile("adam", lr=1e-3, verbose=0)
        if path is not None:
            model.restore(path)
        return model

    first = of()
    first.train(iterations=5, verbose=0)
    path = first.save(str(tmp_path / "m"))
    second = of(path)
    assert second.conflictopt.steps == 5
    for model in (first, second):
        model.train(iterations=5, verbose=0)
    for a, b in zip(first.net.parameters(), second.net.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_checkpoint_of_another_optimizer_gives_the_parameters(heat, adam, tmp_path):
    first, second = heat(), heat()
    adam(first, 5)
    path = first.save(str(tmp_path / "m"))
    patch(second, NAMED)
    second.compile("adam", lr=1e-3, verbose=0)
    with pytest.warns(ConflictOptWarning, match="the damping starts afresh"):
        second.restore(path)
    for a, b in zip(first.net.parameters(), second.net.parameters(), strict=True):
        assert torch.equal(a, b)
    second.train(iterations=20, verbose=0)
    assert second.conflictopt.optimizer.inner.param_groups[0]["lr"] == 1.0
    assert ratio(second) < 1e-3


def test_unpatched_it_is_what_the_script_compiled(heat):
    model = heat()
    patch(model, NAMED)
    model.compile("adam", lr=1e-3, verbose=0)
    model.train(iterations=2, verbose=0)
    unpatch(model)
    assert (model.opt_name, type(model.opt)) == ("adam", torch.optim.Adam)
    model.train(iterations=2, verbose=0)


def test_without_a_patch_the_error_says_what_to_do(heat):
    model = heat()
    model.compile(LevenbergMarquardt(model.net), verbose=0)
    with pytest.raises(LossError, match=r"patch\(model, 'sum'\)"):
        model.train(iterations=1, verbose=0)


def absolute(target, prediction):
    return (target - prediction).abs().mean()


@pytest.mark.parametrize(
    ("method", "build", "options", "message"),
    [
        ("sum", {}, {"loss": absolute}, "mean square"),
        ("auto", {}, {}, "expected a fixed method with LevenbergMarquardt, found 'auto'"),
        ("sum", {"regularization": ["l2", 1e-3]}, {}, "without regularization"),
    ],
)
def test_an_instance_refuses_what_cannot_work(heat, adam, method, build, options, message):
    model = heat(**build)
    patch(model, method)
    with pytest.raises((PatchError, MethodError), match=message):
        adam(model, 1, lr=None, optimizer=LevenbergMarquardt(model.net), **options)


def test_a_named_one_refuses_what_cannot_work(heat):
    with pytest.raises(MethodError, match="expected reweightings of whole losses"):
        patch(heat(), f"{NAMED}+pcgrad")
    with pytest.raises(MethodError, match="only studies have"):
        patch(heat(), "lbfgs")
    model = heat()
    model.compile(LevenbergMarquardt(model.net), verbose=0)
    with pytest.raises(PatchError, match="and the method names another"):
        patch(model, NAMED)
    model = heat(regularization=["l2", 1e-3])
    patch(model, NAMED)
    with pytest.raises(PatchError, match="expected no weight decay"):
        model.compile("adam", lr=1e-3, verbose=0)


@pytest.mark.parametrize(
    ("groups", "measured"),
    [
        ("kind", ("data",)),
        ("each", ("data",)),
        ({"both": ["boundary", "data"], "equation": ["pde"]}, ()),
        ({"seen": ["data"], "rest": ["pde", "boundary"]}, ("seen",)),
        ({"all": ["pde", "boundary", "data"]}, ()),
    ],
)
def test_measurements_are_weighed_where_there_are_unknowns(inverse, groups, measured):
    model = inverse()
    made = patch(model, NAMED, groups=groups)
    model.compile("adam", lr=1e-3, external_trainable_variables=model.unknown, verbose=0)
    model.train(iterations=2, verbose=0)
    assert made.optimizer.inner.options.measured == measured
    assert any("as measurements, as there are unknowns" in x for x in made.log) == bool(measured)


def test_without_unknowns_points_are_conditions(inverse):
    model = inverse()
    made = patch(model, NAMED)
    model.compile("adam", lr=1e-3, verbose=0)
    model.train(iterations=2, verbose=0)
    assert made.optimizer.inner.options.measured == ()


@pytest.mark.parametrize("flag", ["converged", "stuck"])
@pytest.mark.parametrize("how", ["compiled", "named"])
def test_training_ends_once_converged_or_stuck(heat, monkeypatch, how, flag):
    model = heat()
    made = patch(model, NAMED if how == "named" else "sum")
    optimizer = "adam" if how == "named" else LevenbergMarquardt(model.net)
    model.compile(optimizer, lr=1e-3 if how == "named" else None, verbose=0)
    monkeypatch.setattr(LevenbergMarquardt, flag, property(lambda self: self._memory["steps"] == 4))
    model.train(iterations=50, verbose=0)
    assert (made.steps, model.losshistory.steps[-1]) == (4, 4)
    told = "were rounding errors" if flag == "converged" else "had led nowhere for long"
    assert any(told in line for line in made.log)
