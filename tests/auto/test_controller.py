"""``auto`` in a torch loop: profile, verdict, plan, method."""

import copy
import pickle

import pytest
import torch

from conflictopt import (
    Chain,
    ConflictOptWarning,
    MethodError,
    MultiLossOptimizer,
    TrainingOptions,
    make,
)
from conflictopt.adapters import attached

pytestmark = pytest.mark.usefixtures("papers_rule")


def test_the_profile_is_bitwise_the_plain_run(loop, loops):
    plain, auto = loops.Loop(None).run(loops.STEPS), loop("magnitude").run(loops.STEPS)
    assert loops.same(plain, auto)
    assert auto.opt.aggregator == make("ntk")
    assert not loops.same(plain.run(1), auto.run(1))


def test_a_benign_run_stays_bitwise_plain(loop, loops):
    plain, auto = loops.Loop(None).run(50), loop("benign").run(50)
    assert loops.same(plain, auto)
    assert (auto.opt.plan.kind, auto.opt.aggregator) == ("none", make("sum"))


def test_nothing_is_decided_before_the_profile_is_complete(loop, loops):
    made = loop().run(loops.STEPS - 1).opt
    assert made.diagnosis is made.plan is None
    assert made.decisions == []
    assert len(made.profile.steps) == loops.STEPS - 1


def test_the_decision_and_its_numbers_stay_on_the_optimizer(loop, loops):
    made = loop("magnitude").run(loops.STEPS + 5).opt
    assert made.diagnosis.regime == "magnitude"
    assert made.diagnosis.samples == loops.STEPS
    assert made.plan.kind == "reweighting"
    assert [(d.step, d.diagnosis, d.plan) for d in made.decisions] == [
        (loops.STEPS, made.diagnosis, made.plan)
    ]
    assert made.profile.steps.tolist() == list(range(loops.STEPS))
    assert made.control.trained_with == [(0, "Sum"), (loops.STEPS, "NTK")]
    assert made.control.log[0].startswith(f"step {loops.STEPS}: magnitude, so reweighting: ")
    assert "no steps on residuals, as nobody said how many" in made.control.log[1]
    assert made.control.log[2] == f"step {loops.STEPS}: NTK, as planned."


def test_adapters_are_attached_to_the_model_and_train(adapted, loops):
    made = adapted().run(loops.STEPS)
    assert made.opt.aggregator == Chain(make("ntk"), make("adapters"))
    assert all((u == 0).all() for u in attached(made.net).up)
    made.run(3)
    assert all((u != 0).any() for u in attached(made.net).up)


def test_without_a_model_the_plan_goes_without_its_adapters(loop, loops):
    made = loop("persistent").run(loops.STEPS - 1)
    with pytest.warns(ConflictOptWarning, match="no model= to attach them to"):
        made.run(1)
    assert (made.opt.plan.kind, made.opt.aggregator) == ("reweighting", make("ntk"))


def test_losses_without_residuals_get_surgery_in_place_of_what_reads_them(loop, loops):
    made = loop("magnitude", residuals=False).run(loops.STEPS + 2).opt
    assert (made.plan.kind, made.aggregator) == ("surgery", make("pcgrad"))
    assert "since: none came with the losses" in made.control.log[0]


def test_a_reweighting_of_ones_own_that_reads_residuals_needs_them_at_once(loop):
    with pytest.raises(MethodError, match="reweighting ntk reads residuals, and none came"):
        loop(residuals=False, reweighting="ntk").run(1)


def test_residuals_that_are_not_those_of_the_losses_are_refused_at_once(loop):
    made = loop()
    found = made.residuals()
    losses = {n: 2 * r.square().mean() for n, r in found.items()}
    with pytest.raises(MethodError, match="mean square"):
        made.opt.step(losses, residuals=found)


@pytest.mark.parametrize("reweighting", ["grad_norm", make("grad_norm", cap=3.0)])
def test_the_reweighting_can_be_chosen(loop, loops, reweighting):
    made = loop("magnitude", reweighting=reweighting).run(loops.STEPS).opt
    chosen = make(reweighting) if isinstance(reweighting, str) else reweighting
    assert made.aggregator == chosen


def test_the_length_of_the_profile_can_be_chosen(loop):
    assert loop(profile_steps=7).run(8).opt.decisions[0].step == 7


def test_too_short_a_profile_decides_nothing_and_says_so(loops):
    made = loops.Loop("auto", profile_steps=10, profile_every=1).run(9)
    with pytest.warns(ConflictOptWarning, match="a profile of 10 samples decides nothing"):
        made.run(1)
    assert made.opt.plan.kind == "none"


def test_a_fixed_method_can_be_profiled_beside(loop, loops):
    beside, alone = loop(method="pcgrad", record=True), loops.Loop("pcgrad")
    beside.run(loops.STEPS + 5)
    alone.run(loops.STEPS + 5)
    assert loops.same(beside, alone)
    assert beside.opt.diagnosis.samples == loops.STEPS
    assert beside.opt.decisions == []


def test_a_verdict_on_a_part_of_the_profile_does_not_replace_that_on_all_of_it(loop, loops):
    made = loop().run(10)
    assert made.opt.control.conclude(made.opt).samples == 10
    made.run(loops.STEPS - 10)
    assert made.opt.diagnosis.samples == loops.STEPS
    assert made.opt.control.applied


def test_listeners_hear_of_the_diagnosis_before_its_plan(adapted, loops):
    made, heard = adapted(), []
    control = made.opt.control
    control.on_diagnosis.append(lambda: heard.append((control.plan.kind, attached(made.net))))
    made.run(loops.STEPS + 5)
    assert heard == [("adapters + reweighting", None)]


def test_surgery_rests_when_the_run_goes_on_with_a_line_search(loop, loops):
    made = loop("magnitude", residuals=False).run(loops.STEPS + 1)
    searching = made.opt.rewrap(torch.optim.LBFGS(made.net.parameters()))
    assert searching.aggregator == make("sum")
    assert "as LBFGS trains now" in searching.control.log[-1]
    assert searching.plan is made.opt.plan
    back = searching.rewrap(torch.optim.Adam(made.net.parameters()))
    assert back.aggregator == make("pcgrad")


@pytest.mark.parametrize("steps", [5, 25])
@pytest.mark.parametrize("way", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_copies_go_on_alike(loop, loops, steps, way):
    made = loop("magnitude").run(steps)
    twin = loops.Loop("sum")
    twin.net, twin.opt, twin.schedule = way((made.net, made.opt, made.schedule))
    assert loops.same(made.run(30 - steps), twin.run(30 - steps))
    assert twin.opt.plan == made.opt.plan


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profile_stps": 5}, "unknown option 'profile_stps'. Did you mean 'profile_steps'?"),
        ({"profile_steps": 0}, "profile_steps as a positive integer"),
        ({"profile_every": -1}, "profile_every as a positive integer"),
        ({"every": 0}, "every as a positive integer"),
        ({"on_nonfinite": "ignore"}, "on_nonfinite='raise' or 'skip'"),
        ({"reweighting": "pcgrad"}, "a reweighting method, found 'pcgrad'"),
        ({"reweighting": object()}, "as reweighting: expected an aggregator"),
    ],
)
def test_bad_options(loops, options, message):
    with pytest.raises(MethodError, match=message):
        loops.Loop("auto", **options)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("pcgrad", {"reweighting": "ntk"}, "expected reweighting with method 'auto'"),
        ("pcgrad", {"evry": 2}, "unknown option 'evry'. Did you mean 'every'"),
        ("pcgrad", {"model": torch.nn.Linear(1, 1)}, "expected model= with method 'auto'"),
    ],
)
def test_options_without_use_are_refused(loops, method, options, message):
    with pytest.raises(MethodError, match=message):
        loops.Loop(method, **options)


def test_options_come_as_one_object_too(loops):
    options = TrainingOptions(profile_steps=7, profile_every=1, thresholds=loops.forced("benign"))
    by_object = loops.Loop("auto", options=options).run(7)
    assert by_object.opt.decisions[0].step == 7
    assert loops.Loop("auto", options=options, profile_steps=9).opt.control.options == (
        TrainingOptions(profile_steps=9, profile_every=1, thresholds=loops.forced("benign"))
    )


def test_a_control_keeps_its_own_options(loop, loops):
    control = loop().opt.control
    with pytest.raises(MethodError, match="expected a control alone"):
        MultiLossOptimizer(torch.optim.Adam(loops.Loop().net.parameters()), control, every=2)
