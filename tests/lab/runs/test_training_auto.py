"""``auto`` in a study: profile, verdict and plan, at equal points, schedule and steps."""

from dataclasses import replace

import pytest
import torch

from conflictopt.core.errors import MethodError
from conflictopt.lab.problems import load_suite
from conflictopt.lab.runs.budget import BUDGETS
from conflictopt.lab.runs.training import _Run, plan_identity
from conflictopt.methods.expression import MethodExpression

pytestmark = pytest.mark.usefixtures("papers_rule")

# fifty samples are enough to decide
SHORT = replace(BUDGETS["smoke"], steps=130, profile_steps=50, profile_every=1)


def trained(method, problem="heat_1d", chosen=SHORT):
    made = _Run(load_suite()[problem], MethodExpression.parse(method), 0, chosen)
    assert made.loop() is None
    return made


def decisions_of(made):
    return [d.to_json() for d in made._phases.controller.decisions]


def ends(made):
    return [p.detach() for p in (*made._net.parameters(), *made._unknowns.values())]


def test_a_plan_begins_after_the_profile_and_is_the_method_that_says_so():
    planned = trained("auto:reweighting=ntk:rank=4")
    (decision,) = decisions_of(planned)
    assert decision["step"] == 50
    expression = {
        "none": "none",
        "reweighting": "ntk+after:steps=50",
        "adapters + reweighting": "adapters:attach=50+ntk+after:steps=50",
    }[planned._phases.controller.plan.kind]
    said = trained(expression)
    assert len(ends(planned)) == len(ends(said))
    assert all(map(torch.equal, ends(planned), ends(said)))


def test_the_length_of_the_profile_is_an_option():
    """Told as the budget's it changes nothing, shorter the plan comes sooner."""
    budgets, told, short = map(trained, ("auto", "auto:profile_steps=50", "auto:profile_steps=30"))
    assert all(map(torch.equal, ends(budgets), ends(told)))
    assert [(d["step"], d["steps"]) for d in decisions_of(short)] == [(30, [0, 29])]
    assert short._phases.controller.profile.steps.tolist() == list(range(30))


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("auto:profile_steps=0", "profile_steps as a positive integer"),
        ("auto:profile_steps=130", "profile_steps below the run's 130 steps, found 130"),
        ("auto:look=race", "method 'auto' has no option"),
    ],
)
def test_what_cannot_be(method, message):
    with pytest.raises(MethodError, match=message):
        plan_identity(load_suite()["heat_1d"], MethodExpression.parse(method), 0, SHORT)
