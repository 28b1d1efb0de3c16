"""``auto`` in a study: second look and new verdicts, at equal points, schedule and steps."""

from dataclasses import replace

import pytest
import torch

from conflictopt.core.errors import MethodError
from conflictopt.lab.problems import load_suite
from conflictopt.lab.runs.budget import BUDGETS
from conflictopt.lab.runs.host import HELD_OUT_SEED
from conflictopt.lab.runs.training import _Run, plan_identity
from conflictopt.methods.expression import MethodExpression

pytestmark = pytest.mark.usefixtures("papers_rule")

# fifty samples are enough to decide
SHORT = replace(BUDGETS["smoke"], steps=130, profile_steps=50, profile_every=1)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trained(method, problem="heat_1d", chosen=SHORT):
    made = _Run(load_suite()[problem], MethodExpression.parse(method), 0, chosen)
    assert made.loop() is None
    return made


def decisions_of(made):
    return [d.to_json() for d in made._phases.course.decisions]


def ends(made):
    return [p.detach() for p in (*made._net.parameters(), *made._unknowns.values())]


def test_a_race_costs_no_steps_and_leaves_no_trace():
    """The run after a race is that of its winner without one, bitwise."""
    raced = trained("auto:look=race:race_steps=6")
    (decision,) = decisions_of(raced)
    found = decision["race"]
    assert found["steps"] == 6
    assert found["extra_steps"] == 6 * len(found["branches"])
    assert {b["plan"] for b in found["branches"]} >= {"none", "reweighting"}
    assert set(found["branches"][0]["losses"]) == set(load_suite()["heat_1d"].loss_names)
    assert found["winner"]["kind"] == decision["after"] == raced._phases.course.plan.kind
    assert raced._optimizer.completed == SHORT.steps
    expression = {
        "none": "none",
        "reweighting": "ntk+after:steps=50",
        "adapters + reweighting": "adapters:attach=50+ntk+after:steps=50",
    }[found["winner"]["kind"]]
    plain = trained(expression)
    assert len(ends(raced)) == len(ends(plain))
    assert all(map(torch.equal, ends(raced), ends(plain)))


def test_the_race_is_judged_on_other_points_than_those_trained_on():
    made = trained("none")
    problem = load_suite()["heat_1d"]
    held = made._host.held_out()
    counts = problem.counts(SHORT.small_points, SHORT.point_scale)
    equations = problem.losses(problem.draw(counts, HELD_OUT_SEED))
    found = equations.at(made._host._derive, made._unknowns).together().values()
    assert list(held.losses.values()) == list(found)
    own = made._equations.at(made._host._derive, made._unknowns).together().values()
    assert all(a != b for a, b in zip(found, own, strict=True))
    assert held.conditions == tuple(n for n in problem.loss_names if n not in problem.equations)
    assert held.losses == made._host.held_out().losses


def test_verdicts_come_again():
    once, again = trained("auto"), trained("auto:rediagnose_every=60")
    assert [d["step"] for d in decisions_of(once)] == [50]
    assert [(d["step"], d["steps"]) for d in decisions_of(again)] == [
        (50, [0, 49]),
        (110, [60, 109]),
    ]


def test_the_length_of_the_profile_is_an_option():
    """Told as the budget's it changes nothing, shorter the plan comes sooner."""
    budgets, told, short = map(trained, ("auto", "auto:profile_steps=50", "auto:profile_steps=30"))
    assert all(map(torch.equal, ends(budgets), ends(told)))
    assert [(d["step"], d["steps"]) for d in decisions_of(short)] == [(30, [0, 29])]
    assert short._phases.course.profile.steps.tolist() == list(range(30))


def test_inverse_problems_race_with_their_unknowns():
    raced = trained("auto:look=race:race_steps=3", problem="inverse_wave_1d_noise2")
    assert decisions_of(raced)[0]["race"] is not None


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("auto:look=glance", "look=None or 'race', found 'glance'"),
        ("auto:race_steps=0", "race_steps"),
        ("auto:profile_steps=0", "profile_steps as a positive integer"),
        ("auto:profile_steps=130", "profile_steps below the run's 130 steps, found 130"),
        ("auto:profile_steps=60:rediagnose_every=59", "at least the profile's 60 steps, found 59"),
        ("auto:rediagnose_every=49", "at least the profile's 50 steps, found 49"),
        (
            "auto:rediagnose_every=81",
            "second verdict within the run's 130 steps, found it at .* 131",
        ),
    ],
)
def test_what_cannot_be(method, message):
    with pytest.raises(MethodError, match=message):
        plan_identity(load_suite()["heat_1d"], MethodExpression.parse(method), 0, SHORT)
