"""What cannot be supported is refused with a reason; what DeepXDE drops is adopted aloud."""

import deepxde as dde
import pytest
import torch

import conflictopt
from conflictopt import AdapterDesign, MethodError, MultiLossOptimizer
from conflictopt.integrations.deepxde import PatchError, patch


def adopted(model, optimizer, **options):
    """Compile with an optimizer instance that does not hold the unknown."""
    model.compile(optimizer, external_trainable_variables=model.unknown, verbose=0, **options)


def test_unknowns_that_an_instance_drops_are_adopted_and_trained(inverse):
    model = inverse()
    patch(model, "sum")
    with pytest.warns(UserWarning, match="added 1 external_trainable_variables to the Adam"):
        adopted(model, torch.optim.Adam(model.net.parameters(), lr=1e-2))
    model.train(iterations=10, verbose=0)
    assert model.unknown.item() != pytest.approx(0.8, abs=1e-3)
    assert model.conflictopt.log[0].startswith("added 1 external_trainable_variables")


def test_an_instance_that_holds_the_unknowns_needs_no_adoption(inverse, recwarn):
    model = inverse()
    patch(model, "sum")
    params = [*model.net.parameters(), model.unknown]
    adopted(model, torch.optim.Adam(params, lr=1e-2))
    assert model.conflictopt.log == []
    assert "physics" in model.conflictopt.optimizer.blocks


MESSAGE = (
    r"1 external_trainable_variables are not among the parameters of the {} instance.*"
    r"list\(net.parameters\(\)\) \+ external_trainable_variables"
)


@pytest.mark.parametrize("order", ["patch first", "compile first"])
@pytest.mark.parametrize(
    ("kind", "options"), [(torch.optim.LBFGS, {}), (torch.optim.Adam, {"decay": ("step", 5, 0.5)})]
)
def test_unknowns_that_cannot_be_adopted_are_refused(inverse, kind, options, order):
    model = inverse()
    optimizer = kind(model.net.parameters(), lr=1e-2)
    if order == "patch first":
        patch(model, "sum")
    else:
        adopted(model, optimizer, **options)
    with pytest.raises(PatchError, match=MESSAGE.format(kind.__name__)):
        adopted(model, optimizer, **options) if order == "patch first" else patch(model, "sum")


def test_another_object_than_a_model(heat):
    with pytest.raises(PatchError, match=r"expected a deepxde.Model, found FNN"):
        patch(heat().net)


def test_another_backend(heat, monkeypatch):
    monkeypatch.setattr(dde.backend, "backend_name", "jax")
    with pytest.raises(PatchError, match=r"PyTorch backend, found 'jax'. Set DDEBACKEND=pytorch"):
        patch(heat())


@pytest.mark.parametrize("order", ["patch first", "compile first"])
def test_mixed_precision(heat, order):
    model = heat()
    if order == "patch first":
        patch(model, "sum")
    try:
        dde.config.set_default_float("mixed")
    except ValueError:
        pytest.skip("this DeepXDE has no mixed precision for PyTorch")
    with pytest.raises(PatchError, match=r"mixed precision.*Use float32 or float64"):
        model.compile("adam", lr=1e-3, verbose=0) if order == "patch first" else patch(model, "sum")


@pytest.mark.parametrize("order", ["patch first", "compile first"])
def test_nncg(heat, order):
    model = heat()
    if order == "patch first":
        patch(model, "sum")
    else:
        model.compile("NNCG", verbose=0)
    with pytest.raises(PatchError, match=r"NNCG differentiates.*Use Adam or L-BFGS"):
        model.compile("NNCG", verbose=0) if order == "patch first" else patch(model, "sum")


@pytest.mark.parametrize("order", ["patch first", "compile first"])
def test_a_multi_loss_optimizer_as_the_models_own(heat, order):
    model = heat()
    own = MultiLossOptimizer(torch.optim.Adam(model.net.parameters()), "pcgrad")
    if order == "patch first":
        patch(model, "sum")
    else:
        model.compile(own, verbose=0)
    with pytest.raises(PatchError, match=r"compiled with a MultiLossOptimizer.*plain optimizer"):
        model.compile(own, verbose=0) if order == "patch first" else patch(model, "sum")


def test_a_patched_model(heat):
    model = heat()
    patch(model)
    with pytest.raises(PatchError, match=r"patched already; call unpatch\(model\) first"):
        patch(model)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("pcgard", {}, "unknown method 'pcgard'. Did you mean 'pcgrad'"),
        ("auto", {"reweighting": "nkt"}, "unknown method 'nkt'"),
        (
            "auto",
            {"adapters": "exclusive"},
            "expected adapters as an AdapterDesign, found .exclusive.",
        ),
        ("auto", {"profile_steps": 0}, "expected profile_steps as a positive integer, found 0"),
        ("auto", {"profile_every": 0}, "expected profile_every as a positive integer, found 0"),
        ("pcgrad", {"reweighting": "ntk"}, "expected reweighting with method 'auto', found them"),
        ("pcgrad", {"adapters": AdapterDesign(rank=2)}, "expected adapters with method 'auto'"),
        ("sum", {"on_nonfinite": "ignore"}, "expected on_nonfinite='raise' or 'skip'"),
    ],
)
def test_bad_options_are_refused_at_patch_time(heat, method, options, message):
    model = heat()
    with pytest.raises(MethodError, match=message):
        patch(model, method, **options)
    assert not hasattr(model, "conflictopt")


def test_a_method_of_another_type_is_refused_at_patch_time(heat):
    with pytest.raises((TypeError, conflictopt.ConflictOptError), match="aggregator"):
        patch(heat(), 3)


@pytest.fixture(params=["NNCG", "MultiLossOptimizer", "unknowns"])
def compile_badly(request):
    """``compile_badly(model)``: compile with what cannot be patched."""

    def attempt(model):
        params, options = list(model.net.parameters()), {}
        optimizer = "NNCG"
        if request.param == "MultiLossOptimizer":
            optimizer = MultiLossOptimizer(torch.optim.Adam(params), "pcgrad")
        if request.param == "unknowns":
            optimizer = torch.optim.LBFGS(params)
            options = {"external_trainable_variables": dde.Variable(1.0)}
        model.compile(optimizer, verbose=0, **options)

    return attempt


def test_a_model_that_cannot_be_patched_stays_plain(heat, adam, same, compile_badly):
    plain, model = heat(), heat()
    own = set(vars(model))
    compile_badly(model)
    with pytest.raises(PatchError):
        patch(model, "sum")
    assert set(vars(model)) - own <= {"outputs", "outputs_losses_train", "outputs_losses_test"}
    adam(plain), adam(model)
    assert type(model.opt) is torch.optim.Adam
    assert same(plain, model)


def test_after_a_refused_compile_another_goes_on_patched(heat, adam, same, compile_badly):
    plain, model = heat(), heat()
    patch(model, "sum")
    with pytest.raises(PatchError):
        compile_badly(model)
    adam(plain), adam(model)
    assert model.conflictopt.steps == 20
    assert same(plain, model)
