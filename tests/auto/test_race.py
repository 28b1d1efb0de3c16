"""Races: the better plan wins, runaways are vetoed, and nothing is left behind."""

import json

import pytest
import torch

from conflictopt import MethodError, make
from conflictopt.auto.host import HeldOut
from conflictopt.auto.race import race
from conflictopt.auto.score import relative_loss_sum
from conflictopt.selection.plan import Plan

NONE = Plan("none", None, False, "planted.")
WEIGHTS = Plan("reweighting", "planted", False, "planted.")
ADAPTERS = Plan("adapters + reweighting", "planted", True, "planted.")
UNIT = {"pde": 1.0, "bc": 1.0, "data": 1.0}


def score(found):
    return relative_loss_sum(found, UNIT)


def run(loop, plans, methods, steps=40, **options):
    def enter(plan):
        loop.optimizer.set_aggregator(methods[plan.kind])

    return race(loop, plans, enter, steps, options.pop("score", score), **options)


def constant(*weights):
    return make("constant", weights=list(weights))


def test_the_better_plan_wins_and_the_run_is_where_it_was(loops):
    loop = loops.Loop(losses=loops.noisy)
    loop.advance(5)
    before = loop.everything()
    # nothing trains under zero weights
    methods = {"none": make("sum"), "reweighting": constant(1e-8, 1e-8, 1e-8)}
    outcome = run(loop, (WEIGHTS, NONE), methods)
    assert outcome.winner is NONE
    assert loops.same(before, loop.everything())
    assert (outcome.steps, outcome.extra_steps) == (40, 80)
    assert outcome.seconds > 0
    methods = {"none": make("sum"), "reweighting": constant(10.0, 1.0, 1.0)}
    assert loops.same(before, loop.everything())


def test_weights_that_drop_the_conditions_lose_by_the_veto(loops):
    def opposed(net, x, step):
        return {"pde": net(x).square().mean(), "bc": (net(x[:4]) - 1).square().mean()}

    loop = loops.Loop(losses=opposed)
    loop.advance(60)
    methods = {"none": make("sum"), "reweighting": constant(0.0, 1.0, 0.0)}
    # a score that the collapsing equation buys
    bought = lambda found: found.losses["pde"]  # noqa: E731
    outcome = run(loop, (WEIGHTS, NONE), methods, score=bought)
    runaway, plain = outcome.branches
    assert runaway.status == "vetoed"
    assert runaway.score < plain.score
    assert runaway.conditions > plain.conditions
    assert outcome.winner is NONE
    assert "vetoed by its conditions" in outcome.reason


def test_a_branch_that_diverges_loses_and_is_undone(loops):
    class Exploding(loops.Loop):
        def at(self, x):
            found = super().at(x)
            planted = isinstance(self.optimizer.aggregator, type(make("softadapt")))
            return {n: v * float("nan") for n, v in found.items()} if planted else found

    loop = Exploding()
    loop.advance(3)
    before = loop.everything()
    methods = {"none": make("sum"), "reweighting": make("softadapt")}
    outcome = run(loop, (WEIGHTS, NONE), methods)
    assert [b.status for b in outcome.branches] == ["diverged", "ok"]
    assert outcome.winner is NONE
    assert loops.same(before, loop.everything())


class Told:
    """A host whose branches come to planted losses."""

    def __init__(self, loop, ends):
        self.loop, self.ends, self.now = loop, ends, None

    optimizer = property(lambda self: self.loop.optimizer)

    def enter(self, plan):
        self.now = plan.kind

    def snapshot(self):
        return self.loop.snapshot()

    def advance(self, steps):
        pass

    def held_out(self):
        return HeldOut(self.ends[self.now], ("bc",))

    def race(self, *plans, **options):
        return race(self, plans, self.enter, 1, lambda f: relative_loss_sum(f, UNIT2), **options)


UNIT2 = {"pde": 1.0, "bc": 1.0}


def ends(none, reweighting, adapters=None):
    return {
        "none": {"pde": none[0], "bc": none[1]},
        "reweighting": {"pde": reweighting[0], "bc": reweighting[1]},
        "adapters + reweighting": {"pde": (adapters or none)[0], "bc": (adapters or none)[1]},
    }


@pytest.mark.parametrize("favourite", [0, 1])
def test_the_favourite_wins_ties(loops, favourite):
    host = Told(loops.Loop(), ends((0.50, 0.50), (0.48, 0.48)))
    plans = [(NONE, WEIGHTS), (WEIGHTS, NONE)][favourite]
    assert host.race(*plans).winner is plans[0]
    assert host.race(*plans, margin=0.01).winner is WEIGHTS


def test_conditions_may_be_worse_by_the_margin_only(loops):
    host = Told(loops.Loop(), ends((0.5, 0.1), (0.1, 0.105)))
    assert host.race(WEIGHTS, NONE).winner is WEIGHTS
    assert host.race(WEIGHTS, NONE, margin=0.01).winner is NONE


def test_the_best_of_three(loops):
    host = Told(loops.Loop(), ends((0.5, 0.5), (0.3, 0.3), (0.1, 0.1)))
    assert host.race(NONE, WEIGHTS, ADAPTERS).winner is ADAPTERS
    host = Told(loops.Loop(), ends((0.5, 0.5), (0.3, 0.3), (0.1, 0.9)))
    assert host.race(ADAPTERS, NONE, WEIGHTS).winner is WEIGHTS


def test_if_all_diverge_the_favourite_goes_on(loops):
    nan = float("nan")
    host = Told(loops.Loop(), ends((nan, nan), (nan, 1.0)))
    outcome = host.race(WEIGHTS, NONE)
    assert outcome.winner is WEIGHTS
    assert {b.status for b in outcome.branches} == {"diverged"}


def test_a_plain_branch_that_diverges_vetoes_nothing(loops):
    nan = float("nan")
    host = Told(loops.Loop(), ends((nan, nan), (1.0, 1.0)))
    assert host.race(NONE, WEIGHTS).winner is WEIGHTS


def test_without_conditions_nothing_is_vetoed(loops):
    host = Told(loops.Loop(), ends((0.5, 0.1), (0.1, 0.3)))
    host.held_out = lambda: HeldOut(host.ends[host.now], ())
    assert host.race(WEIGHTS, NONE).winner is WEIGHTS


def test_a_race_needs_the_plain_branch(loops):
    with pytest.raises(MethodError, match="expected a plan 'none' in a race"):
        Told(loops.Loop(), {}).race(WEIGHTS)


def test_an_error_of_the_host_leaves_the_run_as_it_was(loops):
    loop = loops.Loop()
    loop.advance(3)
    before = loop.everything()

    def enter(plan):
        loop.advance(2)
        raise RuntimeError("planted")

    with pytest.raises(RuntimeError, match="planted"):
        race(loop, (NONE,), enter, 1, score)
    assert loops.same(before, loop.everything())


def test_the_outcome_is_plain_data(loops):
    host = Told(loops.Loop(), ends((0.5, 0.5), (0.3, 0.3)))
    content = json.loads(json.dumps(host.race(NONE, WEIGHTS).to_json()))
    assert content["winner"]["kind"] == "reweighting"
    assert [b["plan"] for b in content["branches"]] == ["none", "reweighting"]


def test_branches_draw_the_same_random_numbers(loops):
    loop, seen = loops.Loop(), []

    def enter(plan):
        seen.append(torch.rand(()).item())

    race(loop, (NONE, WEIGHTS), enter, 1, score)
    assert seen[0] == seen[1]
