"""What ``auto`` does, step by step by hand: record, diagnose, select, apply."""

import copy
import pickle

import pytest
import torch

from conflictopt import (
    Chain,
    ConflictOptWarning,
    MethodError,
    Plan,
    Recorder,
    diagnose,
    make,
    select,
)
from conflictopt.adapters import attached

pytestmark = pytest.mark.usefixtures("papers_rule")

BOTH = Plan("adapters + reweighting", "ntk", True, "planted.")


def test_by_hand_is_what_auto_does(loop, loops):
    auto, hand = loop("magnitude").run(30), loops.Loop(Recorder(loops.STEPS, 1)).run(loops.STEPS)
    thresholds = loops.forced("magnitude")
    plan = select(diagnose(hand.opt, thresholds))
    plan.apply(hand.opt)
    assert loops.same(auto, hand.run(10))
    assert (plan, hand.opt.aggregator) == (auto.opt.plan, make("ntk"))


def test_a_recorder_gives_the_profile_of_its_run(loops):
    recorder = Recorder(loops.STEPS, 1)
    made = loops.Loop(recorder).run(5)
    assert recorder.profile().steps.tolist() == list(range(5))
    assert (made.opt.profile.gramians == recorder.profile().gramians).all()
    assert diagnose(made.opt).samples == diagnose(recorder.profile()).samples == 5


def test_a_recorder_in_a_chain_does_too(loops):
    recorder = Recorder(loops.STEPS, 1)
    made = loops.Loop(Chain(recorder, make("pcgrad"))).run(3)
    assert len(recorder.profile().steps) == made.opt.completed == 3


def test_a_recorder_follows_its_run_to_another_optimizer_and_a_copy(loops):
    recorder = Recorder(loops.STEPS, 1)
    made = loops.Loop(recorder).run(2)
    made.opt = made.opt.rewrap(torch.optim.SGD(made.net.parameters(), lr=1e-3))
    made.run(2)
    assert len(recorder.profile().steps) == 4
    for way in (copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))):
        twin = way(made.opt)
        assert len(twin.aggregator.profile().steps) == 4
    assert recorder == Recorder(loops.STEPS, 1)


def test_before_a_step_there_is_no_profile(loops):
    recorder = Recorder()
    with pytest.raises(MethodError, match="no optimizer uses"):
        recorder.profile()
    made = loops.Loop(recorder)
    with pytest.raises(MethodError, match="has seen none"):
        recorder.profile()
    assert made.opt.profile is None
    with pytest.raises(MethodError, match="at least one recorded step"):
        diagnose(made.opt)


def test_a_run_that_nothing_records_says_what_does(loops):
    made = loops.Loop("pcgrad").run(1)
    with pytest.raises(MethodError, match=r"recorded, found PCGrad: train with .*Recorder\(\)"):
        diagnose(made.opt)
    assert made.opt.diagnosis is made.opt.plan is None


def test_a_plan_with_adapters_attaches_and_trains_them(loops):
    made = loops.Loop("sum").run(2)
    done = BOTH.apply(made.opt, made.net)
    assert done is BOTH
    assert made.opt.aggregator == Chain(make("ntk"), make("adapters"))
    made.run(2)
    assert all((u != 0).any() for u in attached(made.net).up)


def test_the_seed_of_its_adapters_can_be_chosen(loops):
    downs = []
    for seed in (0, 0, 1):
        made = loops.Loop("sum").run(1)
        BOTH.apply(made.opt, made.net, seed=seed)
        downs.append(attached(made.net).down[0].detach())
    assert torch.equal(downs[0], downs[1])
    assert not torch.equal(downs[0], downs[2])


def test_it_needs_a_model_and_names_for_them(loops):
    with pytest.raises(MethodError, match="expected model= with the plan"):
        BOTH.apply(loops.Loop("sum").run(1).opt)
    made = loops.Loop("sum")
    with pytest.raises(MethodError, match="a first step, which names the losses"):
        BOTH.apply(made.opt, made.net)


def test_where_no_adapters_go_the_rest_is_applied(loops):
    made = loops.Loop("sum").run(1)
    with pytest.warns(ConflictOptWarning, match="no adapters go with this network"):
        done = BOTH.apply(made.opt, made.net[:1])
    assert (done.kind, made.opt.aggregator) == ("reweighting", make("ntk"))


def test_surgery_rests_under_a_line_search(loops):
    plan = Plan("reweighting + surgery", "grad_norm", False, "planted.", surgery="pcgrad")
    made = loops.Loop("sum", kind=torch.optim.LBFGS)
    plan.apply(made.opt)
    assert made.opt.aggregator == make("grad_norm")


def test_a_plan_goes_through_plain_data(loops):
    plan = Plan("adapters + reweighting", "ntk", True, "planted.", {"rank": 2})
    assert Plan.from_json(plan.to_json()) == plan
