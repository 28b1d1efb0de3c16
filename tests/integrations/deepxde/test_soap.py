"""SOAP in place of the Adam that a script compiles with."""

from __future__ import annotations

import pytest
import torch

from conflictopt.integrations.deepxde import PatchError, patch, row_batches, unpatch
from conflictopt.optim.guarded_soap import RAMP, GuardedSOAP

pytest.importorskip("pytorch_optimizer")
from pytorch_optimizer import SOAP


def test_alone_it_is_bitwise_the_torch_loops(heat, same):
    model, plain = heat(), heat()
    patch(model, "soap:rate=0.5:refresh=3:warm=4")
    model.compile("adam", lr=2e-2, verbose=0)
    other = GuardedSOAP(torch.optim.Adam(plain.net.parameters(), lr=2e-2), 0.5, 3, 4)
    plain.compile(other, verbose=0)
    for each in (model, plain):
        each.train(iterations=20, verbose=0)
    assert same(model, plain)


@pytest.mark.parametrize("option", ["rate=0.1", "refresh=2", "warm=3"])
def test_options_change_the_run(heat, same, option):
    models = []
    for method in ("soap:warm=0", f"soap:{option}" + ":warm=0" * ("warm" not in option)):
        model = heat()
        patch(model, method)
        model.compile("adam", lr=1e-2, verbose=0)
        model.train(iterations=12, verbose=0)
        models.append(model)
    assert not same(*models)


def test_rates_follow_the_scripts_schedule(heat):
    model, rates = heat(), []
    made = patch(model, "soap:rate=0.5:warm=0")
    made.on_step.append(lambda p: rates.append(p.optimizer.inner.soap.param_groups[0]["lr"]))
    model.compile("adam", lr=1e-2, decay=("step", 3, 0.1), verbose=0)
    model.train(iterations=7, verbose=0)
    full = [5e-3] * 3 + [5e-4] * 3 + [5e-5]
    assert rates == pytest.approx([rate * (k + 1) / RAMP for k, rate in enumerate(full)])


@pytest.mark.parametrize(
    "method", ["soap:warm=5+ntk", "soap:warm=5+pcgrad", "soap:warm=5+ntk+align"]
)
def test_methods_and_alignment_go_with_it(heat, method):
    model = heat()
    made = patch(model, method)
    model.compile("adam", lr=1e-2, verbose=0)
    model.train(iterations=90, display_every=90, verbose=0)
    assert isinstance(made.optimizer.inner.soap, SOAP)
    assert made.steps == 90 == model.train_state.step
    assert made.optimizer.update == ("align" if "align" in method else "trust")
    assert made.optimizer.conflicts.taken == 0
    history = model.losshistory.loss_train
    assert history[-1].sum() < 0.5 * history[0].sum()


def test_unknowns_are_trained(inverse):
    model = inverse()
    patch(model, "soap:warm=5+ntk")
    model.compile("adam", lr=1e-2, external_trainable_variables=model.unknown, verbose=0)
    before = model.unknown.item()
    model.train(iterations=20, verbose=0)
    assert model.unknown.item() != before


def test_l_bfgs_keeps_its_place(heat, lbfgs):
    lbfgs(iterations=10)
    model = heat()
    made = patch(model, "soap+ntk")
    model.compile("adam", lr=1e-2, verbose=0)
    model.train(iterations=10, verbose=0)
    model.compile("L-BFGS", verbose=0)
    model.train(verbose=0)
    assert isinstance(made.optimizer.inner, torch.optim.LBFGS)
    assert made.steps > 10


def test_decay_is_refused_and_unpatched_models_have_their_adam(heat):
    model = heat(regularization=["l2", 1e-3])
    patch(model, "soap")
    with pytest.raises(PatchError, match="expected no weight decay"):
        model.compile("adam", lr=1e-2, verbose=0)
    model = heat()
    patch(model, "soap")
    model.compile("adam", lr=1e-2, verbose=0)
    model.train(iterations=2, verbose=0)
    unpatch(model)
    assert isinstance(model.opt, torch.optim.Adam)


def test_it_resumes_from_deepxdes_own_checkpoint(heat, tmp_path):
    def compiled():
        model = heat()
        patch(model, "soap:warm=3+ntk+align")
        model.compile("adam", lr=1e-2, verbose=0)
        return model

    model = compiled()
    model.train(iterations=8, verbose=0)
    path = model.save(str(tmp_path / "model"), verbose=0)
    model.train(iterations=6, verbose=0)
    resumed = compiled()
    resumed.restore(path, verbose=0)
    resumed.train(iterations=6, verbose=0)
    for a, b in zip(model.net.parameters(), resumed.net.parameters(), strict=True):
        assert torch.equal(a, b)


def test_fresh_points_are_others_every_few_steps(heat, monkeypatch, same):
    seen = []
    chosen = row_batches.ChosenObjective

    def noted(rows, source, choice):
        seen.append(choice.equation.tobytes())
        return chosen(rows, source, choice)

    monkeypatch.setattr(row_batches, "ChosenObjective", noted)
    models = []
    for fresh in (None, True, True):
        model = heat()
        made = patch(model, "soap:warm=3+ntk", fresh_points=fresh)
        model.compile("adam", lr=1e-2, verbose=0)
        model.train(iterations=2 * row_batches.EVERY + 1, verbose=0)
        models.append(model)
    assert any("steps draw their points from" in line for line in made.log)
    assert len(set(seen)) == 3
    assert same(*models[1:])
    assert not same(*models[:2])


def test_fresh_points_that_cannot_be_had_are_refused(inverse):
    model = inverse()
    model.data.bc_points = model.data.bc_points
    patch(model, "soap", fresh_points=True)
    model.compile("adam", lr=1e-2, verbose=0)
    with pytest.raises(PatchError, match="fresh points can be drawn"):
        model.train(iterations=2, verbose=0)


@pytest.mark.parametrize(
    ("method", "compiled", "message"),
    [
        ("soap+rba", {}, "weights belong to single points"),
        ("soap+pcgrad", {"loss": "MAE"}, "fresh_points=True reads residuals"),
    ],
)
def test_what_does_not_go_with_fresh_points_is_refused(heat, method, compiled, message):
    model = heat()
    patch(model, method, fresh_points=True)
    model.compile("adam", lr=1e-2, verbose=0, **compiled)
    with pytest.raises(PatchError, match=message):
        model.train(iterations=2, verbose=0)


def test_l_bfgs_says_that_it_takes_the_scripts_points(heat, lbfgs):
    lbfgs(iterations=10)
    model = heat()
    made = patch(model, "soap+ntk", fresh_points=True)
    model.compile("L-BFGS", verbose=0)
    model.train(verbose=0)
    assert any("LBFGS keeps its place, on the script's own points" in line for line in made.log)
