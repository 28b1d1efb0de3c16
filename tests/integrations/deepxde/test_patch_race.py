"""Second look and new verdicts of a patched model."""

import json

import deepxde as dde
import numpy as np
import pytest
import torch

from conflictopt import MethodError, make
from conflictopt.integrations.deepxde import PatchError, patch

pytestmark = pytest.mark.usefixtures("papers_rule")

SHORT = {"profile_steps": 20, "profile_every": 2}
RACE = {**SHORT, "look": "race", "race_steps": 7}
# the boundary is dropped, which the veto notices
RUNAWAY = make("constant", weights=(1.0, 0.0))


@pytest.fixture
def drawing(heat):
    """``drawing()``: a problem that draws all of its points, pseudorandomly."""

    def walls(geometry):
        return [dde.icbc.DirichletBC(geometry, lambda x: 1, lambda _, on: on)]

    def build(**data):
        points = {"num_initial": 0, "train_distribution": "pseudo", **data}
        return heat(pde=lambda x, u: u, conditions=walls, **points)

    return build


def parameters(model):
    return [p.detach().clone() for p in model.net.parameters()]


def same_ends(a, b):
    return all(map(torch.equal, parameters(a), parameters(b)))


def test_a_race_that_plain_training_wins_leaves_the_whole_run_plain(
    drawing, forced, assert_unchanged
):
    """With a schedule, resampled points and unknowns: all of it goes on as if nothing was tried."""

    def train(model):
        unknown = dde.Variable(0.5)
        resample = dde.callbacks.PDEPointResampler(period=6)
        model.compile(
            "adam",
            lr=1e-2,
            decay=("step", 5, 0.8),
            external_trainable_variables=[unknown],
            verbose=0,
        )
        model.train(iterations=50, display_every=10, callbacks=[resample], verbose=0)
        ends.append((model.data.train_x.copy(), np.random.rand()))  # noqa: NPY002

    ends = []
    options = {"reweighting": RUNAWAY, "thresholds": forced["benign"]}
    patched = assert_unchanged(drawing, train, "auto", **RACE, **options)
    (decision,) = patched.conflictopt.decisions
    assert decision.race.winner.kind == "none"
    assert decision.race.extra_steps == 14
    np.testing.assert_array_equal(ends[0][0], ends[1][0])
    assert ends[0][1] == ends[1][1]


@pytest.mark.parametrize("regime", ["magnitude", "persistent"])
def test_the_winner_goes_on_as_if_it_had_not_raced(conflicting, adam, forced, regime):
    raced, other = conflicting(), conflicting()
    made = patch(raced, "auto", thresholds=forced[regime], **RACE)
    adam(raced, 30)
    winner = made.decisions[0].race.winner.kind
    by_kind = {"none": "benign", "reweighting": "magnitude", "adapters + reweighting": "persistent"}
    patch(other, "auto", thresholds=forced[by_kind[winner]], **SHORT)
    adam(other, 30)
    assert made.steps == 30
    assert made.plan.kind == winner == other.conflictopt.plan.kind
    assert made.trained_with == other.conflictopt.trained_with
    assert same_ends(raced, other)


def test_a_runaway_plan_is_vetoed_and_the_log_says_so(conflicting, adam, forced):
    model = conflicting()
    options = {"reweighting": RUNAWAY, "thresholds": forced["magnitude"], "race_steps": 60}
    made = patch(model, "auto", **{**RACE, **options})
    adam(model, 30)
    assert made.plan.kind == "none"
    assert made.optimizer.aggregator == make("sum")
    assert made.plan.reason.startswith("'none' won the race")
    (line,) = [line for line in made.log if "second look" in line]
    assert line.startswith("step 20: second look: 'none' won the race (log of the relative")
    assert "vetoed by its conditions" in line
    assert "Cost: 120 extra steps, " in line
    assert json.dumps(made.decisions[0].to_json())


def test_race_steps_is_the_length_of_the_race(conflicting, adam, forced):
    scores = []
    for steps in (3, 9):
        model = conflicting()
        options = {"thresholds": forced["benign"], "race_steps": steps}
        made = patch(model, "auto", **{**RACE, **options})
        adam(model, 20)
        scores.append([b.score for b in made.decisions[0].race.branches])
    assert scores[0] != scores[1]


def test_adapters_of_a_race_leave_no_trace(conflicting, adam, forced):
    model = conflicting()
    made = patch(model, "auto", thresholds=forced["persistent"], **RACE)
    adam(model, 20)
    kinds = [b.plan for b in made.decisions[0].race.branches]
    assert kinds == ["adapters + reweighting", "none", "reweighting"]
    held = [id(p) for g in model.opt.param_groups for p in g["params"]]
    assert len(held) == len(set(held)) == len(list(model.net.parameters()))
    assert (made.adapters is not None) == made.plan.adapters


# -- held-out points --------------------------------------------------------------------------


def held_out(model):
    made = model.conflictopt
    data, batch = made._held_out._source()
    return data, batch[0], made._held_out.losses(made.groups)


@pytest.mark.parametrize("distribution", ["Hammersley", "pseudo", "uniform", "Sobol"])
def test_points_are_drawn_anew_whatever_the_distribution(heat, adam, distribution):
    model = heat(train_distribution=distribution)
    patch(model, "auto", **RACE)
    adam(model, 1)
    before = model.data.train_x.copy()
    data, points, found = held_out(model)
    assert data is not model.data
    inside = points[sum(data.num_bcs) :]
    # corners of the domain are drawn again and again
    assert not (inside[:, None] == before[None]).all(axis=2).any(axis=1)[-16:].any()
    assert set(found.losses) == {"pde", "boundary", "initial"}
    assert found.conditions == ("boundary", "initial")
    assert found == held_out(model)[2]
    np.testing.assert_array_equal(before, model.data.train_x)


def test_losses_there_are_those_of_the_problem_there(heat, adam):
    model = heat()
    patch(model, "auto", **RACE)
    adam(model, 3)
    data, points, found = held_out(model)
    other = heat()
    other.net.load_state_dict(model.net.state_dict())
    other.data = data
    other.compile("adam", lr=1e-3, verbose=0)
    losses = other.outputs_losses_train(points, None, None)[1].tolist()
    assert list(found.losses.values()) == pytest.approx(losses, rel=1e-6)


def test_anchors_are_not_held_out(heat, adam):
    anchors = np.array([[0.123, 0.456]], dtype=np.float32)
    model = heat(anchors=anchors)
    patch(model, "auto", **RACE)
    adam(model, 1)
    assert (model.data.train_x == anchors).all(axis=1).any()
    assert not (held_out(model)[1] == anchors).all(axis=1).any()


def test_minibatches_of_data_are_not_used_up(inverse, forced, assert_unchanged):
    def train(model):
        resample = dde.callbacks.PDEPointResampler(period=3, bc_points=True)
        model.compile("adam", lr=1e-2, external_trainable_variables=[model.unknown], verbose=0)
        model.train(iterations=30, display_every=10, callbacks=[resample], verbose=0)

    weights = make("constant", weights=(1.0, 0.0, 0.0))
    options = {"reweighting": weights, "thresholds": forced["benign"], "race_steps": 40}
    made = assert_unchanged(lambda: inverse(batch_size=4), train, "auto", **{**RACE, **options})
    assert made.conflictopt.decisions[0].race.winner.kind == "none"


def test_given_points_are_judged_on_the_models_test_points(heat, adam):
    inside = np.random.default_rng(0).uniform(-0.9, 0.9, (12, 2)).astype(np.float32)
    model = heat(num_domain=0, num_boundary=8, num_initial=8, anchors=np.abs(inside))
    patch(model, "auto", **RACE)
    adam(model, 1)
    data, points, found = held_out(model)
    assert data is model.data
    assert points is model.train_state.X_test
    assert set(found.losses) == {"pde", "boundary", "initial"}


def test_data_sets_are_judged_on_their_test_data(adam):
    x = np.linspace(0, 1, 8, dtype=np.float32)[:, None]
    data = dde.data.DataSet(X_train=x, y_train=x, X_test=x + 1, y_test=x + 1)
    model = dde.Model(data, dde.nn.FNN([1, 8, 1], "tanh", "Glorot normal"))
    patch(model, "auto", **RACE)
    adam(model, 25)
    assert held_out(model)[1] is model.train_state.X_test
    # one loss: nothing to choose between
    assert model.conflictopt.decisions[0].race is None


def test_without_held_out_points_a_race_is_refused_before_the_first_step(heat, adam):
    inside = np.full((3, 2), 0.5, dtype=np.float32)
    model = heat(num_domain=0, num_boundary=8, num_initial=8, anchors=inside, num_test=None)
    patch(model, "auto", **RACE)
    before = parameters(model)
    with pytest.raises(PatchError, match="its TimePDE draws no points of its own"):
        adam(model, 5)
    assert all(map(torch.equal, before, parameters(model)))


# -- verdicts that come again -----------------------------------------------------------------


def test_verdicts_come_again_and_a_benign_run_stays_plain(conflicting, forced, assert_unchanged):
    def train(model):
        model.compile("adam", lr=1e-2, verbose=0)
        model.train(iterations=75, display_every=10, verbose=0)

    options = {"thresholds": forced["benign"], "rediagnose_every": 25}
    patched = assert_unchanged(conflicting, train, "auto", **SHORT, **options)
    decisions = patched.conflictopt.decisions
    assert [(d.step, d.diagnosis.steps) for d in decisions] == [
        (20, (0, 18)),
        (45, (25, 43)),
        (70, (50, 68)),
    ]
    assert patched.conflictopt.log[-1].startswith("step 70: rediagnosed over the steps 50 to 68: ")
    assert patched.conflictopt.log[-1].endswith("so none stays.")


def test_a_profile_under_way_goes_on_from_a_checkpoint(conflicting, adam, forced, tmp_path):
    options = {"thresholds": forced["magnitude"], "rediagnose_every": 20, **SHORT}
    first, second = conflicting(), conflicting()
    for model in (first, second):
        patch(model, "auto", **options)
    adam(first, 30)
    path = first.save(str(tmp_path / "model"))
    first.train(iterations=10, verbose=0)
    second.compile("adam", lr=1e-2, verbose=0)
    second.train(0, verbose=0)
    second.restore(path)
    second.train(iterations=10, verbose=0)
    assert same_ends(first, second)
    ends = [m.conflictopt.decisions[-1] for m in (first, second)]
    assert [d.step for d in ends] == [40, 40]
    assert ends[0].diagnosis == ends[1].diagnosis
    assert second.conflictopt.trained_with == [(0, "Recorder"), (0, "NTK")]


def test_a_recompile_between_two_verdicts(conflicting, adam, forced):
    model = conflicting()
    made = patch(model, "auto", thresholds=forced["magnitude"], rediagnose_every=30, **SHORT)
    adam(model, 35)
    adam(model, 20, lr=1e-3)
    assert [d.step for d in made.decisions] == [20, 50]


def test_lbfgs_races_nothing_and_says_so(conflicting, forced, lbfgs):
    lbfgs(iterations=60, per_step=5)
    dde.optimizers.LBFGS_options["gtol"] = 0
    model = conflicting()
    options = {"profile_steps": 4, "profile_every": 1, "thresholds": forced["magnitude"]}
    made = patch(model, "auto", look="race", **options)
    model.compile("L-BFGS", verbose=0)
    model.train(verbose=0)
    assert made.plan.kind == "reweighting"
    assert made.decisions[0].race is None
    assert any("no second look under LBFGS: " in line for line in made.log)


@pytest.mark.parametrize(
    "options", [{"look": "race"}, {"rediagnose_every": 2000}], ids=lambda o: next(iter(o))
)
def test_a_method_that_is_not_chosen_has_neither(heat, options):
    with pytest.raises(MethodError, match="rediagnose_every with method 'auto', found them"):
        patch(heat(), "ntk", **options)


def test_a_verdict_needs_a_whole_profile(heat):
    with pytest.raises(MethodError, match="at least the profile's 20 steps, found 19"):
        patch(heat(), "auto", rediagnose_every=19, **SHORT)
