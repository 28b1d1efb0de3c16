"""What to do next: lines that work when they are copied."""

from __future__ import annotations

import dataclasses
import shlex

import pytest
import torch

import conflictopt
from conflictopt import Plan, diagnose, select
from conflictopt.report.advice import advise
from conflictopt.report.plan_code import loop_lines, patch_line
from conflictopt.report.script import Script
from conflictopt.selection.rule import Rule

from .reporting import SCRIPT, cases, findings, plan, profile


def advice(case, script=SCRIPT):
    diagnosis = diagnose(cases()[case])
    return advise(diagnosis, select(diagnosis), script=script)


def codes(found):
    return [line.text for line in found.lines]


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (plan("none", None), None),
        (plan("reweighting", "grad_norm"), 'patch(model, "grad_norm")'),
        (plan("surgery", None, "pcgrad"), 'patch(model, "pcgrad")'),
        (
            plan("reweighting + surgery", "ntk", "pcgrad"),
            'patch(model, Chain(make("ntk"), make("pcgrad")))',
        ),
        (
            plan("adapters + reweighting + surgery", "ntk", "pcgrad"),
            'patch(model, Chain(make("ntk"), make("pcgrad"), make("adapters")))',
        ),
        (
            plan("adapters + reweighting"),
            'patch(model, Chain(make("ntk"), make("adapters")))',
        ),
        (
            plan("adapters + reweighting", rank=8, routing="exclusive"),
            'patch(model, Chain(make("ntk"), make("adapters", routing=\'exclusive\')), '
            "adapters=AdapterDesign(rank=8, routing='exclusive'))",
        ),
    ],
)
def test_the_line_of_code_is_that_of_the_plan(made, line):
    found = advise(diagnose(cases()["persistent"]), made, script=SCRIPT)
    assert [t for t in codes(found) if t.startswith("patch")] == ([line] if line else [])


@pytest.mark.parametrize(
    "made",
    [
        plan("reweighting", "grad_norm"),
        plan("reweighting", "ntk"),
        plan("adapters + reweighting", "ntk", rank=2, routing="exclusive"),
        plan("surgery", None, "config"),
        plan("adapters + reweighting + surgery", "ntk", "pcgrad"),
    ],
)
def test_the_lines_for_a_torch_loop_run(made):
    lines = codes(advise(diagnose(cases()["persistent"]), made))
    loop = [t for t in lines if not t.startswith("patch")]
    generator = torch.Generator().manual_seed(0)
    layers = [torch.nn.Linear(1, 4), torch.nn.Tanh(), torch.nn.Linear(4, 4), torch.nn.Tanh()]
    net = torch.nn.Sequential(*layers, torch.nn.Linear(4, 1))
    names = {**vars(conflictopt), "net": net, "losses": ["a", "b"]}
    names["optimizer"] = torch.optim.SGD(net.parameters(), lr=1e-3)
    steps = [t for t in loop if t.startswith("opt.step")]
    for line in loop:
        if line not in steps:
            exec(line, names)
    x = torch.rand(6, 1, generator=generator)
    names["residuals"] = {"a": net(x), "b": net(x[:2]) - 1}
    names["losses"] = {k: r.square().mean() for k, r in names["residuals"].items()}
    exec(steps[0] if steps else "opt.step(losses)", names)
    assert names["opt"].last.names == ("a", "b")


def test_the_action_names_every_part():
    made = plan("adapters + reweighting + surgery", "ntk", "pcgrad")
    action = advise(diagnose(cases()["persistent"]), made).action
    assert action.startswith("Give each loss a small adapter of its own in the network, let 'ntk'")
    assert ", and let 'pcgrad' combine their gradients (remove from each gradient" in action
    alone = advise(diagnose(cases()["persistent"]), plan("surgery", None, "pcgrad")).action
    assert alone.startswith("Let 'pcgrad' combine their gradients")


def test_nothing_to_do_is_the_script_itself():
    found = advice("benign", Script("a b.py", ("--n", "3")))
    assert codes(found) == ["python 'a b.py' --n 3"]
    assert found.action == "Nothing needs to be changed; train as you do now."


def test_commands_keep_the_profile_and_the_arguments():
    script = Script("heat.py", ("--n", "3"), 300, ("--groups", "each"))
    first = codes(advice("persistent", script))[0]
    expected = "conflictopt run heat.py --method auto --profile-steps 300 --groups each -- --n 3"
    assert first == expected


def test_too_close_profiles_longer_first():
    lines = codes(advice("close"))
    assert shlex.split(lines[0])[1:] == ["diagnose", "my script.py", "--profile-steps", "2000"]
    assert lines[1].startswith("python")
    assert advice("close").action == "Profile longer to be sure. Until then train as you do now."


@pytest.mark.parametrize(
    ("samples", "steps", "words"),
    [
        # a complete profile of few steps: more of them
        (5, 50, []),
        # enough steps, of which too few were looked at
        (20, 200, ["--profile-steps", "200", "--profile-every", "1"]),
        # training ended before the profile did
        (3, 1000, ["--profile-every", "1"]),
    ],
)
def test_too_short_says_how_to_have_more_samples(samples, steps, words):
    diagnosis = diagnose(profile(("pde", "boundary"), samples=samples))
    found = advise(diagnosis, select(diagnosis), script=Script("heat.py", (), steps))
    assert shlex.split(codes(found)[0])[1:] == ["diagnose", "heat.py", *words]
    if steps == 1000:
        assert found.action.startswith("Let the script train for at least 50 steps")


@pytest.mark.parametrize(
    ("steps", "every", "words"),
    [
        # the one sample is all of a profile of 30 steps: one of the default's thousand
        (30, "40", []),
        # training ended after it; of 30 steps no profile could have enough samples
        (30, "1", ["--profile-steps", "50", "--profile-every", "1"]),
    ],
)
def test_one_sample_says_how_to_have_more(steps, every, words):
    diagnosis = diagnose(profile(("pde", "boundary"), samples=1))
    script = Script("heat.py", (), steps, ("--profile-every", every))
    lines = codes(advise(diagnosis, select(diagnosis), script=script))
    assert shlex.split(lines[0])[1:] == ["diagnose", "heat.py", *words]


def test_too_short_under_l_bfgs_says_what_a_step_is():
    diagnosis = diagnose(profile(("pde", "boundary"), samples=3))
    script = Script("heat.py", iterations=1000)
    action = advise(diagnosis, select(diagnosis), script=script).action
    assert "one step of the optimizer is up to 1000 of them" in action
    assert "Compile and train with Adam first, as is usual, for at least 50 steps" in action
    assert 'LBFGS_options["iter_per_step"] = 20, with at least 1000 iterations in all' in action


def test_a_script_that_takes_steps_enough_only_looks_at_more_of_them():
    diagnosis = diagnose(profile(("pde", "boundary"), samples=20))
    script = Script("heat.py", (), 200, iterations=1000)
    action = advise(diagnosis, select(diagnosis), script=script).action
    assert action == "Take a profile with more samples. Until then train as you do now."


def test_the_evidence_is_told_once():
    found = findings(cases()["persistent"])
    evidence = found.rule.evidence["plans.persistent"]
    assert found.advice.basis.count(evidence) == 1
    unexplained = dataclasses.replace(found.plan, reason="why.")
    assert advise(found.diagnosis, unexplained, found.rule).basis.count(evidence) == 1
    assert evidence not in advise(found.diagnosis, plan("reweighting"), found.rule).basis


def test_weights_that_stay_are_told_and_a_race_won_by_plain_training_is_not_taken_for_that():
    found = findings(cases()["persistent"])
    kept = Plan("none", None, False, "why.", left_out="ntk")
    advice = advise(found.diagnosis, kept, found.rule, Script("heat.py"))
    assert advice.action.startswith("Keep your weights")
    assert [line.label for line in advice.lines] == ["Run", "Compare"]
    assert "--option reweighting=ntk --against none" in advice.lines[1].text
    assert advise(found.diagnosis, kept, found.rule).lines == ()
    raced = Plan("none", None, False, "plain training won.")
    said = advise(found.diagnosis, raced, found.rule, Script("heat.py"))
    assert said.action == "Nothing needs to be changed; train as you do now."


def test_another_rule_has_its_own_evidence():
    default = Rule.default()
    rule = Rule(default.thresholds, default.plans, {"plans.persistent": "Seen twice."})
    diagnosis = diagnose(cases()["persistent"])
    assert "Seen twice." in advise(diagnosis, select(diagnosis), rule).basis


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("persistent", "persistent"),
        ("magnitude", "magnitude"),
        ("benign", "benign"),
        ("close", "too_close"),
        ("short", None),
        ("one", None),
    ],
)
def test_which_entry_of_the_rule_applied(case, expected):
    assert diagnose(cases()[case]).situation == expected


@pytest.mark.parametrize("case", ["persistent", "close", "benign", "one"])
def test_the_odds_are_those_of_the_confidence(case):
    diagnosis = diagnose(cases()[case])
    shares = diagnosis.odds
    assert sum(shares.values()) == pytest.approx(1)
    assert shares[diagnosis.regime] == diagnosis.confidence
    assert diagnose(cases()["single sample"]).odds == {}


def test_a_method_of_ones_own_is_no_name_of_ours():
    diagnosis = diagnose(cases()["magnitude"])
    for kind, shown in (
        ("reweighting", "(model, Own(...))"),
        ("adapters + reweighting", "Own(...),"),
    ):
        text = " ".join(line.text for line in advise(diagnosis, plan(kind, "Own")).lines)
        assert shown in text
        assert '"Own"' not in text


@pytest.mark.parametrize("weights", [None, "ntk"])
def test_curvature_is_advised_by_what_does_it(weights):
    kind = "curvature + reweighting" if weights else "curvature"
    made = Plan(kind, weights, False, "residuals can be read.")
    assert patch_line(made).text == 'patch(model, "auto")'
    first, then = loop_lines(made)
    assert first.text == f"opt = MultiLossOptimizer(LevenbergMarquardt(net), '{weights or 'sum'}')"
    assert "Losses.of_residuals" in then.text
    action = advise(diagnose(cases()["persistent"]), made).action
    assert action.startswith("Step on the residuals of all losses together")
    assert ("'ntk'" in action) == bool(weights)
