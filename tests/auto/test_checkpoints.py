"""A run under ``auto`` goes on from a checkpoint bitwise, with what it knows and decided."""

import copy

import pytest
import torch

from conflictopt import Chain, CheckpointError, make
from conflictopt.adapters import attach, attached

pytestmark = pytest.mark.usefixtures("papers_rule")


@pytest.fixture
def through_a_file(tmp_path):
    """``through_a_file(saved)``: as ``torch.load`` gives it back, tensors and plain data alone."""

    def travel(saved):
        path = tmp_path / "checkpoint.pt"
        torch.save(saved, path)
        return torch.load(path, weights_only=True)

    return travel


@pytest.mark.parametrize("regime", ["benign", "magnitude"])
@pytest.mark.parametrize("steps", [1, 12, 20, 27])
def test_a_run_resumes_bitwise(loop, loops, through_a_file, regime, steps):
    first = loop(regime).run(steps)
    saved = through_a_file(first.save())
    second = loop(regime).load(saved)
    second.schedule.load_state_dict(first.schedule.state_dict())
    assert loops.same(first.run(40 - steps), second.run(40 - steps))
    a, b = first.opt, second.opt
    assert a.diagnosis == b.diagnosis is not None
    assert a.plan == b.plan
    assert [d.to_json() for d in a.decisions] == [d.to_json() for d in b.decisions]
    assert a.control.trained_with == b.control.trained_with
    assert a.control.log == b.control.log


@pytest.mark.parametrize("steps", [12, 20, 27])
def test_a_run_with_adapters_resumes_bitwise_in_a_fresh_network(
    adapted, loops, through_a_file, steps
):
    first = adapted().run(steps)
    saved = through_a_file(first.save())
    second = adapted().load(saved)
    second.schedule.load_state_dict(first.schedule.state_dict())
    assert (attached(second.net) is not None) == (steps >= loops.STEPS)
    assert loops.same(first.run(40 - steps), second.run(40 - steps))
    assert second.opt.plan.kind == "adapters + reweighting"


def test_the_reason_and_the_numbers_come_back(loop, loops, through_a_file):
    first = loop("magnitude").run(30)
    second = loop("magnitude").load(through_a_file(first.save()))
    assert second.opt.plan.reason == first.opt.plan.reason
    assert (second.opt.profile.gramians == first.opt.profile.gramians).all()
    assert second.opt.diagnosis.text() == first.opt.diagnosis.text()


def test_going_back_to_before_the_adapters(adapted, loops):
    """The run goes on as it did the first time: its adapters are detached, and attached again."""
    made = adapted().run(12)
    saved, schedule = copy.deepcopy(made.save()), copy.deepcopy(made.schedule.state_dict())
    made.run(18)
    straight = [p.detach().clone() for p in made.net.parameters()]
    made.load(saved)
    made.schedule.load_state_dict(schedule)
    assert made.opt.plan is made.opt.diagnosis is attached(made.net) is None
    made.run(18)
    again = list(made.net.parameters())
    assert all(map(torch.equal, straight, again))


def test_adapters_that_the_network_had_stay(adapted, loops):
    """Those of a plan are detached on the way back, those of a user are trained functions."""
    made = adapted().run(3)
    made.opt.add_adapters(attach(made.net, ["pde", "bc"], seed=0))
    with pytest.warns(UserWarning, match="the checkpoint is of the plain optimizer"):
        made.opt.load_state_dict(loops.Loop(None).run(5).opt.state_dict())
    assert attached(made.net) is not None


def test_a_decided_checkpoint_of_release_0_1_begins_a_profile(loop, loops):
    """It has no profile and no plan: the wrapped optimizer goes on, the method starts afresh."""
    first = loop("magnitude").run(25)
    saved = copy.deepcopy(first.save())
    saved["opt"]["conflictopt"]["version"] = 2
    for later in ("control", "digests"):
        del saved["opt"]["conflictopt"][later]
    second = loop("magnitude")
    with pytest.warns(UserWarning, match="the checkpoint is of NTK"):
        second.load(saved)
    assert second.opt.plan is None
    assert loops.same(first, second)
    assert second.run(loops.STEPS).opt.plan.kind == "reweighting"


def test_a_checkpoint_of_the_plain_optimizer_begins_a_profile(loop, loops):
    plain, made = loops.Loop(None).run(5), loop("magnitude").run(25)
    with pytest.warns(UserWarning, match="the checkpoint is of the plain optimizer"):
        made.opt.load_state_dict(plain.opt.state_dict())
    assert made.opt.plan is made.opt.diagnosis is None
    made.run(loops.STEPS)
    assert made.opt.plan.kind == "reweighting"


def test_a_fixed_method_that_is_profiled_stays_that_method(loop, loops):
    """Beside a checkpoint of auto, whose plan is another; and the reverse decides by itself."""
    auto, fixed = loop("magnitude").run(25), loop(method="pcgrad", record=True).run(25)
    saved, other = copy.deepcopy(auto.save()["opt"]), copy.deepcopy(fixed.save()["opt"])
    with pytest.warns(UserWarning, match="the checkpoint is of NTK"):
        fixed.opt.load_state_dict(saved)
    assert fixed.opt.aggregator == Chain(fixed.opt.control.method.recorder, make("pcgrad"))
    assert fixed.opt.plan is None
    with pytest.warns(UserWarning, match="the checkpoint is of Recorder -> PCGrad"):
        auto.opt.load_state_dict(other)
    assert auto.opt.plan is None
    assert auto.run(loops.STEPS).opt.aggregator == make("ntk")


def test_a_fixed_method_loads_a_checkpoint_of_auto(loop, loops):
    made, fixed = loop("magnitude").run(25), loops.Loop("ntk").run(1)
    fixed.load(made.save())
    assert loops.same(made.run(5), fixed.run(5)) or fixed.opt.aggregator == made.opt.aggregator


@pytest.mark.parametrize(
    "damage",
    [
        lambda c: c.pop("plan"),
        lambda c: c.update(plan={"kind": "none"}),
        lambda c: c.update(version=99),
        lambda c: c.update(profile={"names": ["a"]}),
        lambda c: c.update(thresholds=3),
        lambda c: c.update(trained_with=[1]),
    ],
)
def test_a_damaged_state_loads_nothing(loop, loops, damage):
    saved = copy.deepcopy(loop("magnitude").run(25).save()["opt"])
    damage(saved["conflictopt"]["control"])
    saved["conflictopt"]["version"] = 2  # written before there were digests
    made = loop("benign").run(3)
    before, aggregator = made.numbers(), made.opt.aggregator
    with pytest.raises(CheckpointError, match="'auto'"):
        made.opt.load_state_dict(saved)
    assert all(map(torch.equal, before, made.numbers()))
    assert made.opt.aggregator is aggregator
    assert made.opt.plan is None
    assert made.run(loops.STEPS - 3).opt.plan.kind == "none"
