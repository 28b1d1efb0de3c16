"""Every method trains forward and inverse problems, with Adam and L-BFGS where it can."""

import deepxde as dde
import numpy as np
import pytest
import torch

from conflictopt import GramianSurgery, LineSearchError, MethodError, NonFiniteError, make
from conflictopt.integrations.deepxde import PatchError, patch
from conflictopt.methods.registry import METHODS, method_class

SURGERY = [n for n in METHODS if issubclass(method_class(n), GramianSurgery)]
NO_SCALAR = [n for n in METHODS if getattr(method_class(n), "signed", False)]
NO_SCALAR += [n for n in METHODS if not method_class(n).linear]
OPTIONS = {"constant": {"weights": (1.0, 2.0, 3.0)}, "rba": {"start_at": "residual"}}


def absolute(target, prediction):
    """A loss that is no mean square (DeepXDE 1.13 cannot look its own up by name)."""
    return (target - prediction).abs().mean()


@pytest.fixture
def build(heat, inverse):
    """``build(problem, method)``: a patched model and its compile options."""

    def of(problem, name):
        model = heat() if problem == "forward" else inverse()
        patch(model, make(name, **OPTIONS.get(name, {})))
        unknown = getattr(model, "unknown", None)
        return model, {} if unknown is None else {"external_trainable_variables": unknown}

    return of


@pytest.mark.parametrize("problem", ["forward", "inverse"])
@pytest.mark.parametrize("name", METHODS)
def test_adam(build, adam, name, problem):
    model, options = build(problem, name)
    kind = "sgd" if method_class(name).steps_itself else "adam"
    adam(model, 40, optimizer=kind, **options)
    first, last = model.losshistory.loss_train[0], model.losshistory.loss_train[-1]
    assert last.sum() < first.sum()
    if problem == "inverse":
        assert model.unknown.item() != pytest.approx(0.8, abs=1e-4)
        assert "physics" in model.conflictopt.optimizer.layout().names


@pytest.mark.parametrize(
    ("name", "problem"),
    [(name, "forward") for name in METHODS if name not in NO_SCALAR]
    + [(name, "inverse") for name in METHODS if name not in {*SURGERY, *NO_SCALAR}],
)
def test_lbfgs(build, lbfgs, name, problem):
    lbfgs(iterations=10, per_step=5)
    model, options = build(problem, name)
    model.compile("L-BFGS", verbose=0, **options)
    model.train(verbose=0)
    first, last = model.losshistory.loss_train[0], model.losshistory.loss_train[-1]
    assert last.sum() < first.sum()
    assert model.conflictopt.steps == 2


@pytest.mark.parametrize("name", SURGERY)
def test_surgery_by_blocks_refuses_a_line_search_over_unknowns(build, lbfgs, name):
    lbfgs()
    model, options = build("inverse", name)
    model.compile("L-BFGS", verbose=0, **options)
    start = [p.clone() for p in model.net.parameters()]
    with pytest.raises(LineSearchError, match="LBFGS"):
        model.train(verbose=0)
    assert all(torch.equal(a, b) for a, b in zip(start, model.net.parameters(), strict=True))


@pytest.mark.parametrize("name", [n for n in NO_SCALAR if not method_class(n).steps_itself])
def test_a_method_without_objective_refuses_lbfgs_at_compile(heat, adam, name):
    model = heat()
    patch(model, name)
    adam(model, 5)
    with pytest.raises(LineSearchError, match=f"{make(name).label} has no scalar objective"):
        model.compile("L-BFGS", verbose=0)


@pytest.mark.parametrize("name", [n for n in METHODS if method_class(n).steps_itself])
@pytest.mark.parametrize("optimizer", ["adam", "L-BFGS"])
def test_a_method_with_moments_of_its_own_asks_for_sgd_at_compile(heat, name, optimizer):
    model = heat()
    patch(model, name)
    with pytest.raises(MethodError, match=r"expected torch\.optim\.SGD without momentum around"):
        model.compile(optimizer, lr=1e-3, verbose=0)


def test_ntk_gets_residuals_whose_weighted_mean_square_is_the_loss(heat, adam):
    model = heat()
    made = patch(model, "ntk", groups={"inside": [0], "edges": [1, 2]})
    model.compile("adam", lr=1e-3, loss_weights=[1.0, 10.0, 0.5], verbose=0)
    model.train(0, verbose=0)
    seen, original = [], made.optimizer.step
    made.optimizer.step = lambda closure: (seen.append(closure()), original(closure))
    model.train(iterations=1, verbose=0)
    for losses in (seen[0].together(residuals=True), seen[0].apart(by_loss=True, residuals=True)):
        assert [len(losses.residuals[n]) for n in losses.names] == [1, 2]
        for loss, name in zip(losses.by_loss().values(), losses.names, strict=True):
            square = sum(w * r.square().mean() for r, w in losses.residuals[name])
            torch.testing.assert_close(square, loss)


def test_ntk_ignores_the_l1_penalty(heat, adam):
    build = lambda: heat(regularization=["l1", 1e-3])  # noqa: E731
    try:
        build().compile("adam", lr=1e-3, verbose=0)
    except NotImplementedError:
        pytest.skip("this DeepXDE has no L1 regulariser")
    model = build()
    patch(model, "ntk")
    adam(model, 3, loss_weights=[1.0, 2.0, 3.0])
    assert model.conflictopt.optimizer.last.names == ("pde", "boundary", "initial")


@pytest.mark.parametrize("loss", [absolute, ["MSE", absolute, "MSE"]], ids=["one", "several"])
def test_another_loss_than_mse_is_refused_before_any_update(heat, adam, loss):
    model = heat()
    patch(model, "ntk")
    start = [p.clone() for p in model.net.parameters()]
    with pytest.raises(PatchError, match=r"mean-square losses; loss '.*Choose .*'pcgrad'"):
        adam(model, 1, loss=loss)
    assert all(torch.equal(a, b) for a, b in zip(start, model.net.parameters(), strict=True))


def test_another_loss_than_mse_trains_with_a_method_that_needs_no_residuals(heat, adam):
    model = heat()
    patch(model, "auto", reweighting="lr_annealing", profile_steps=5, profile_every=1)
    adam(model, 10, loss=absolute)
    assert model.conflictopt.steps == 10


def test_residuals_that_cannot_be_counted_are_refused(adam):
    class Odd(dde.data.DataSet):
        def losses(self, targets, outputs, loss_fn, inputs, model, aux=None):
            return [(outputs - targets).square().mean(), outputs.square().mean()]

    x = np.linspace(0, 1, 8, dtype=np.float32)[:, None]
    data = Odd(X_train=x, y_train=x, X_test=x, y_test=x)
    model = dde.Model(data, dde.nn.FNN([1, 8, 1], "tanh", "Glorot normal"))
    patch(model, "ntk")
    with pytest.raises(PatchError, match="Odd computed 2 losses from 0 residuals"):
        adam(model, 1)


def test_a_nan_loss_is_named(heat, adam):
    model = heat(pde=lambda x, u: u * float("nan"))
    patch(model, "pcgrad")
    with pytest.raises(NonFiniteError, match="'pde' = nan"):
        adam(model, 5)


def test_a_nan_loss_can_be_skipped(heat):
    def pde(x, u):
        return u * float("nan") if model.train_state.step == 4 else u

    model = heat(pde=pde)
    patch(model, "pcgrad", on_nonfinite="skip")
    model.compile("adam", lr=1e-3, verbose=0)
    model.train(iterations=6, display_every=100, verbose=0)
    assert model.conflictopt.optimizer.skipped == 1
    assert model.conflictopt.steps == 5
    assert all(bool(p.isfinite().all()) for p in model.net.parameters())
