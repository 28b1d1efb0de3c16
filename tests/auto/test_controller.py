"""Profile, verdict, plan, second look, new verdicts: what a run trains with, and what it says."""

from dataclasses import replace

import pytest
import torch

from conflictopt import MethodError, Needs, Reweighting, Thresholds, make
from conflictopt.adapters import attached
from conflictopt.auto.observation import observing

pytestmark = pytest.mark.usefixtures("papers_rule")

ONE = make("constant", weights=[2.0, 1.0, 1.0])
TREAT = {
    "none": make("sum"),
    "reweighting": ONE,
    "adapters + reweighting": make("relobralo"),
}


def verdict(regime, confidence=1.0, samples=1000):
    """A planted verdict: as if the profile had said so."""
    return lambda found: replace(found, regime=regime, confidence=confidence, samples=samples)


def test_the_plan_is_applied_when_the_profile_is_complete(loops):
    loop = loops.Loop()
    course, log = loops.course_of(loop, treat=TREAT, verdicts=[verdict("magnitude")])
    loop.run(59, course)
    assert course.diagnosis is course.plan is None
    loop.run(1, course)
    assert course.diagnosis.regime == "magnitude"
    assert course.plan.kind == "reweighting"
    assert course.applied
    assert loop.optimizer.aggregator == ONE
    assert course.trained_with == [(60, "Constant")]
    assert course.profile.steps.tolist() == list(range(60))
    assert log[0].startswith("magnitude, so reweighting: ")
    assert log[1] == "Constant, as planned."


def test_a_benign_run_stays_bitwise_plain_through_every_verdict(loops):
    ends = []
    for chosen in (False, True):
        loops.reset()
        loop = loops.Loop(losses=loops.noisy)
        course = None
        if chosen:
            verdicts = [verdict("benign")] * 3
            course, _ = loops.course_of(
                loop, verdicts=verdicts, rediagnose_every=80, look="race", race_steps=1
            )
        loop.run(230, course)
        ends.append(loop.everything())
    assert loops.same(*ends)
    assert [d.step for d in course.decisions] == [60, 140, 220]
    assert not observing(loop.optimizer.aggregator)


def test_a_race_without_a_switch_leaves_no_trace(loops):
    """The run that raced and kept its plan is the run that applied it without a race."""
    ends = []
    for look in ({}, {"look": "race", "race_steps": 15}):
        loops.reset()
        loop = loops.Loop(losses=loops.noisy)
        treat = {**TREAT, "none": make("sum")}
        course, log = loops.course_of(loop, treat=treat, verdicts=[verdict("magnitude")], **look)
        loop.run(100, course)
        ends.append((loop.everything(), course.plan.kind))
    assert ends[1][1] == "reweighting"
    assert loops.same(*(end for end, _ in ends))
    assert log[1].startswith("second look: 'reweighting (softadapt)' won the race (log")
    assert "Cost: 30 extra steps, " in log[1]
    assert course.decisions[0].race.extra_steps == 30


def test_the_winner_of_the_race_goes_on_instead_of_the_plan(loops):
    loop = loops.Loop()
    stuck = make("constant", weights=[1e-9, 1e-9, 1e-9])
    treat = {**TREAT, "reweighting": stuck}
    # SGD: the weights of a loss scale the step
    loop.kind = torch.optim.SGD
    loop.__post_init__()
    course, _ = loops.course_of(
        loop, treat=treat, verdicts=[verdict("magnitude")], look="race", race_steps=60
    )
    loop.run(61, course)
    assert course.plan.kind == "none"
    assert course.plan.reason.startswith("'none' won the race")
    assert loop.optimizer.aggregator == make("sum")
    assert loop.optimizer.completed == 61


def test_race_steps_is_the_length_of_the_race(loops):
    scores = []
    for steps in (5, 20):
        loop = loops.Loop()
        course, _ = loops.course_of(
            loop, treat=TREAT, verdicts=[verdict("benign")], look="race", race_steps=steps
        )
        loop.run(60, course)
        outcome = course.decisions[0].race
        assert outcome.steps == steps
        scores.append(outcome.branches[0].score)
    assert scores[0] != scores[1]


def test_adapters_race_where_they_were_selected(loops):
    loop = loops.Loop()
    course, _ = loops.course_of(
        loop, treat=TREAT, verdicts=[verdict("persistent")], look="race", race_steps=5
    )
    loop.run(60, course)
    kinds = [b.plan for b in course.decisions[0].race.branches]
    assert kinds == ["adapters + reweighting", "none", "reweighting"]
    assert (attached(loop.net) is not None) == course.plan.adapters


def test_the_verdict_follows_a_regime_that_changes_half_way(loops):
    """Two fits that agree until step 120, and pull in opposite directions from then on."""
    loop = loops.Loop(losses=loops.turning)
    thresholds = Thresholds(magnitude_ratio=1e6)
    course, log = loops.course_of(loop, thresholds=thresholds, rediagnose_every=120)
    loop.run(400, course)
    assert [(d.step, d.diagnosis.regime) for d in course.decisions] == [
        (60, "benign"),
        (180, "persistent"),
        (300, "persistent"),
    ]
    assert [d.switched for d in course.decisions] == [True, True, False]
    assert course.plan.kind == "adapters + reweighting"
    assert attached(loop.net) is not None
    # the record of the first profile stays
    assert course.diagnosis.regime == "benign"
    told = [line for line in log if line.startswith("rediagnosed over the steps 120 to 179: ")]
    assert "persistent, so adapters + reweighting instead of none: 'data' and 'bc'" in told[0]
    assert any(
        line.startswith("rediagnosed over the steps 240 to 299: persistent (")
        and line.endswith("so adapters + reweighting stays.")
        for line in log
    )


@pytest.mark.parametrize(
    ("undecided", "sentence"),
    [
        (verdict("persistent", confidence=0.5), "persistent, but too close to call ("),
        (verdict("persistent", samples=3), "3 samples are too few, so none stays."),
    ],
)
def test_an_undecided_verdict_switches_nothing(loops, undecided, sentence):
    loop = loops.Loop()
    verdicts = [verdict("benign"), undecided, verdict("magnitude")]
    course, log = loops.course_of(loop, treat=TREAT, verdicts=verdicts, rediagnose_every=60)
    loop.run(125, course)
    assert course.plan.kind == "none"
    assert loop.optimizer.aggregator.plain
    assert log[-1].startswith("rediagnosed over the steps 60 to 119: ")
    assert sentence in log[-1]
    assert log[-1].endswith("so none stays.")
    loop.run(60, course)
    assert course.plan.kind == "reweighting"
    assert course.trained_with == [(60, "Sum"), (180, "Constant")]


def test_adapters_stay_when_a_later_plan_has_none(loops):
    loop = loops.Loop()
    verdicts = [verdict("persistent"), verdict("benign")]
    course, log = loops.course_of(loop, verdicts=verdicts, rediagnose_every=60)
    loop.run(120, course)
    assert course.plan.kind == "none"
    assert loop.optimizer.aggregator.plain
    before = [p.detach().clone() for p in attached(loop.net).parameters()]
    loop.run(3, course)
    after = list(attached(loop.net).parameters())
    # every loss reaches all of them
    assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert sum("attached adapters" in line for line in log) == 1


def test_a_switch_must_win_its_race(loops):
    loop = loops.Loop()
    loop.kind = torch.optim.SGD
    loop.__post_init__()
    treat = {**TREAT, "reweighting": make("constant", weights=[1e-9, 1e-9, 1e-9])}
    verdicts = [verdict("benign"), verdict("magnitude")]
    course, log = loops.course_of(
        loop, treat=treat, verdicts=verdicts, rediagnose_every=60, look="race", race_steps=60
    )
    loop.run(121, course)
    assert [b.plan for b in course.decisions[1].race.branches] == ["none", "reweighting"]
    assert course.plan.kind == "none"
    assert log[-1].endswith("but in the second look none stays.")


def test_a_profile_too_short_to_decide_races_nothing(loops):
    loop = loops.Loop()
    course, log = loops.course_of(loop, steps=20, look="race")
    loop.run(20, course)
    assert course.plan.kind == "none"
    assert course.decisions[0].race is None
    assert log[0].startswith("too short, so none: ")


def test_line_searches_race_nothing_and_say_so(loops):
    loop = loops.Loop(kind=torch.optim.LBFGS, lr=0.1)
    loop.advance = lambda steps: loop.optimizer.step(lambda: loop.at(loop.x))
    course, log = loops.course_of(
        loop, treat=TREAT, steps=2, verdicts=[verdict("benign")], look="race"
    )
    loop.run(2, course)
    assert course.decisions[0].race is None
    assert any(line.startswith("no second look under LBFGS: ") for line in log)


def test_a_fixed_method_is_diagnosed_once_and_kept(loops):
    loop = loops.Loop()
    course, log = loops.course_of(loop, verdicts=[verdict("magnitude")], rediagnose_every=60)
    course._rules = replace(course._rules, treat=None)
    method = loop.optimizer.aggregator
    loop.run(130, course)
    assert course.plan.kind == "reweighting"
    assert not course.applied
    assert loop.optimizer.aggregator is method
    assert len(log) == 1


def test_listeners_hear_of_the_first_diagnosis_before_its_plan(loops):
    loop, heard = loops.Loop(), []
    course, _ = loops.course_of(
        loop, verdicts=[verdict("persistent"), verdict("benign")], rediagnose_every=60
    )
    course.on_diagnosis.append(lambda: heard.append((course.plan.kind, attached(loop.net))))
    loop.run(120, course)
    assert heard == [("adapters + reweighting", None)]


def test_a_verdict_on_a_part_of_the_profile_does_not_replace_that_on_all_of_it(loops):
    loop = loops.Loop()
    course, _ = loops.course_of(loop)
    loop.run(10, course)
    assert course.conclude().samples == 10
    loop.run(50, course)
    assert course.diagnosis.samples == 60
    assert course.applied


def test_nor_does_it_under_a_fixed_method(loops):
    loop = loops.Loop()
    course, _ = loops.course_of(loop)
    course._rules = replace(course._rules, treat=None)
    loop.run(10, course)
    assert course.conclude().samples == 10
    loop.run(60, course)
    assert course.diagnosis.samples == 60


class _Counting(Reweighting):
    """A method that holds state of its own, as those of other packages may."""

    needs, source, claim = Needs.LOSSES, "", ""

    def __init__(self):
        self.calls = 0

    def update(self, view, state):
        self.calls += 1
        return view.ones(), state


def test_a_race_leaves_the_method_in_force_as_it_was(loops):
    loop, counting = loops.Loop(), _Counting()
    treat = {**TREAT, "reweighting": counting}
    verdicts = [verdict("magnitude"), verdict("benign")]
    course, _ = loops.course_of(loop, treat=treat, verdicts=verdicts, rediagnose_every=60)
    loop.run(60, course)
    course._options = replace(course._options, look="race", race_steps=25)
    loop.run(60, course)
    assert [b.plan for b in course.decisions[1].race.branches] == ["reweighting", "none"]
    assert counting.calls == 60


def test_an_adopted_plan_is_rediagnosed_too(loops):
    loop = loops.Loop()
    course, log = loops.course_of(
        loop, treat=TREAT, verdicts=[verdict("benign"), verdict("magnitude")], rediagnose_every=70
    )
    other = loops.Loop()
    loops.course_of(other)
    plan = replace(_plan("reweighting"), reason="planted.")
    course.adopt(plan, ONE, "restored from a checkpoint")
    assert log == ["Constant, restored from a checkpoint."]
    assert course.conclude() is None
    loop.run(71, course)
    assert course.plan.kind == "none"
    assert course.diagnosis is course.decisions[0].diagnosis


def _plan(kind):
    from conflictopt import Plan

    return Plan(kind, "planted", False, "planted.")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"look": "glance"}, "look=None or 'race', found 'glance'"),
        ({"race_steps": 0, "look": "race"}, "race_steps"),
        ({"race_steps": True, "look": "race"}, "race_steps"),
        ({"race_steps": 20}, "race_steps with look='race' only"),
        ({"rediagnose_every": 0}, "rediagnose_every"),
        ({"rediagnose_every": 59}, "at least the profile's 60 steps, found 59"),
    ],
)
def test_bad_options(loops, options, message):
    with pytest.raises(MethodError, match=message):
        loops.course_of(loops.Loop(), **options)
