"""Adapters of any design in DeepXDE models: attach, train, save and restore."""

from __future__ import annotations

import warnings

import deepxde as dde
import numpy as np
import pytest
import torch

from conflictopt.adapters import AdapterDesign
from conflictopt.integrations.deepxde import patch

SHORT = {"profile_steps": 10, "profile_every": 1}
DESIGNS = {
    "last": AdapterDesign(),
    "hidden": AdapterDesign("hidden", rank=1, activation="linear", scale="sum", learning_rate=0.1),
    "weights": AdapterDesign("weights", rank=2, routing="exclusive", orthogonal=True),
    "head": AdapterDesign("head", routing="mixed", share=0.6),
}
POINTS = np.array([[0.1, 0.2], [0.3, 0.4]])


def fnn():
    return dde.nn.FNN([2, 8, 8, 8, 1], "tanh", "Glorot normal")


def parallel():
    return dde.nn.PFNN([2, [8, 8], [8, 8], [8, 8], 2], "tanh", "Glorot normal")


def mixed():
    """One level that both outputs share, then one for each."""
    return dde.nn.PFNN([2, 8, 8, [8, 8], 2], "tanh", "Glorot normal")


NETWORKS = {
    "fnn": (fnn, {"last": ["linears.3"], "weights": ["linears.1", "linears.2"]}),
    "pfnn": (
        parallel,
        {
            "last": ["layers.3.0", "layers.3.1"],
            "weights": [f"layers.{i}.{j}" for i in (1, 2) for j in (0, 1)],
        },
    ),
    "mixed pfnn": (
        mixed,
        {
            "last": ["layers.3.0", "layers.3.1"],
            "weights": ["layers.1", "layers.2.0", "layers.2.1"],
        },
    ),
}


@pytest.fixture(params=NETWORKS)
def build(request, heat):
    """``build()``: a model with three losses, and the layers that placements mean in it."""
    make, layers = NETWORKS[request.param]

    def coupled(x, u):
        """``u`` is driven by the second output, which a condition on its own does not reach."""
        u_t = dde.grad.jacobian(u, x, i=0, j=1)
        return u_t - 0.3 * dde.grad.hessian(u, x, component=0, i=0, j=0) - u[:, 1:]

    options = {} if make is fnn else {"pde": coupled}

    def model():
        dde.config.set_random_seed(0)
        return heat(net=make(), **options)

    model.layers = layers
    return model


def expected_layers(build, placement):
    last, weights = build.layers["last"], build.layers["weights"]
    return {"head": last, "hidden": [*weights, *last]}.get(
        placement, build.layers.get(placement, last)
    )


@pytest.mark.parametrize("placement", DESIGNS)
def test_the_method_adapters_trains_every_design(placement, build, adam):
    model, design = build(), DESIGNS[placement]
    made = patch(model, "adapters", adapters=design)
    adam(model, 12)
    found = made.adapters
    assert found.losses == ("pde", "boundary", "initial")
    assert list(found.layers) == expected_layers(build, placement)
    for field in ("placement", "rank", "activation", "routing", "learning_rate", "orthogonal"):
        assert getattr(found.design, field) == getattr(design, field)
    moved = {n: [u.any() for u in block[1::2]] for n, block in found.blocks().items()}
    assert all(moved["adapter/pde"])
    # conditions are on the first output: theirs alone do not reach a part of the second's own
    assert all(map(any if design.routing == "exclusive" else all, moved.values()))
    assert made.optimizer.rates == dict.fromkeys(found.blocks(), design.learning_rate)
    history = model.losshistory.loss_train
    assert np.sum(history[-1]) < np.sum(history[0])


@pytest.mark.parametrize("placement", [n for n, d in DESIGNS.items() if d.routing == "shared"])
def test_attaching_leaves_the_models_first_step_as_it_was(placement, build, adam):
    """A first step of shared routing moves the trunk as the plain model moves."""
    plain, model = build(), build()
    patch(plain, "sum")
    # evaluated together, as the plain model does: apart, sums run in another order
    patch(model, "adapters", adapters=DESIGNS[placement], engine="graph")
    for m in (plain, model):
        adam(m, 1)
    trunks = [
        [p for n, p in m.net.named_parameters() if "conflictopt" not in n] for m in (plain, model)
    ]
    assert all(torch.equal(a, b) for a, b in zip(*trunks, strict=True))


@pytest.mark.parametrize("placement", DESIGNS)
def test_auto_attaches_the_design_when_its_plan_has_adapters(placement, conflicting, adam, forced):
    model, design = conflicting(), DESIGNS[placement]
    made = patch(model, "auto", adapters=design, thresholds=forced["persistent"], **SHORT)
    adam(model, 16)
    assert made.plan.adapters
    assert made.adapters.design.placement == design.placement
    assert made.adapters.design.routing == design.routing
    assert all(u.any() for u in made.adapters.up)


@pytest.mark.slow
@pytest.mark.parametrize("placement", DESIGNS)
def test_a_model_is_restored_into_a_freshly_patched_one(placement, build, adam, tmp_path):
    first, second = build(), build()
    for model in (first, second):
        patch(model, "adapters", adapters=DESIGNS[placement])
    adam(first, 8)
    path, before = first.save(str(tmp_path / "model")), first.predict(POINTS)
    second.compile("adam", lr=1e-2, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second.restore(path)
    assert np.array_equal(before, second.predict(POINTS))
    assert second.conflictopt.adapters.layers == first.conflictopt.adapters.layers
    for model in (first, second):
        model.train(iterations=5, display_every=5, verbose=0)
    assert np.array_equal(first.predict(POINTS), second.predict(POINTS))


def test_the_saved_design_is_restored_where_the_patch_has_another(heat, adam, tmp_path):
    """What adapters compute comes from the file; how fast they learn, from the patch."""
    first, second = heat(net=fnn()), heat(net=fnn())
    patch(first, "adapters", adapters=DESIGNS["hidden"])
    patch(second, "adapters")
    adam(first, 8)
    path, before = first.save(str(tmp_path / "model")), first.predict(POINTS)
    second.compile("adam", lr=1e-2, verbose=0)
    second.restore(path)
    assert np.array_equal(before, second.predict(POINTS))
    found = second.conflictopt
    assert found.adapters.design.placement == "hidden"
    assert found.optimizer.rates == dict.fromkeys(found.adapters.blocks(), 1.0)


def test_named_layers(heat, adam):
    model = heat(net=fnn())
    made = patch(model, "adapters", adapters=AdapterDesign("hidden", layers=("linears.[12]",)))
    adam(model, 3)
    assert made.adapters.layers == ("linears.1", "linears.2")


def test_the_global_random_state_is_untouched(heat, adam):
    states = []
    for method in ("sum", "adapters"):
        model = heat(net=fnn())
        patch(model, method)
        adam(model, 5)
        states.append(torch.get_rng_state())
    assert torch.equal(*states)
