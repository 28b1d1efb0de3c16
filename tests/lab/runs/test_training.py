"""One run: identities, fairness, and what its record says."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from conflictopt.core.errors import MethodError
from conflictopt.core.plain_data import plain_data
from conflictopt.lab.problems import derivatives_of, load_suite
from conflictopt.lab.runs.budget import BUDGETS, BudgetError, budget
from conflictopt.lab.runs.training import _Run, plan_identity, train
from conflictopt.methods.expression import MethodExpression

SMOKE = BUDGETS["smoke"]
SHORT = replace(SMOKE, steps=24, profile_steps=12, curve_points=24)
KEYS = {
    *("schema", "problem", "family", "K", "method", "options", "seed", "budget", "settings"),
    *("status", "message", "relative_l2", "error", "unknowns", "steps", "wall_time_s"),
    *("cpu_time_s", "parameters", "curve", "coefficients", "conflict", "diagnosis", "plan"),
    *(
        "trained_with",
        "decisions",
        "reports",
        "conflicts",
        "profile",
        "versions",
        "machine",
        "digest",
        "started",
    ),
}


def run(problem, method, seed=0, chosen=SHORT):
    return train(load_suite()[problem], MethodExpression.parse(method), seed, chosen)


def trained(problem, method, seed=0, chosen=SHORT):
    made = _Run(load_suite()[problem], MethodExpression.parse(method), seed, chosen)
    assert made.loop() is None
    return made


def parameters(made):
    return [*made._net.parameters(), *made._unknowns.values()]


@pytest.mark.parametrize("name", ["burgers_2d", "inverse_wave_1d_noise2", "thermoelastic_1d"])
def test_none_is_bitwise_a_plain_adam_loop(name):
    """Profile, wrapper and bookkeeping change nothing."""
    made = trained(name, "none", seed=3)
    problem = load_suite()[name]
    points = problem.draw(problem.counts(SHORT.small_points, SHORT.point_scale), 3)
    equations, unknowns = problem.losses(points), problem.unknowns()
    net = problem.network(problem.sizes(SHORT.width(problem.spec.network.width)), 3)
    adam = torch.optim.Adam([*net.parameters(), *unknowns.values()], lr=SHORT.learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, SHORT.rate)
    derive = derivatives_of(net)
    for _ in range(SHORT.steps):
        adam.zero_grad()
        sum(equations.at(derive, unknowns).together().scalars()).backward()
        adam.step()
        schedule.step()
    for mine, theirs in zip(parameters(made), [*net.parameters(), *unknowns.values()], strict=True):
        assert torch.equal(mine, theirs)


def test_auto_is_plain_until_the_profile_ends():
    plain_run, auto = run("burgers_2d", "none"), run("burgers_2d", "auto:curvature=False")
    steps = [i for i, s in enumerate(auto["curve"]["step"]) if s <= SHORT.profile_steps]
    for loss, values in plain_run["curve"]["losses"].items():
        assert [values[i] for i in steps] == [auto["curve"]["losses"][loss][i] for i in steps]
    assert plain_run["conflict"] == auto["conflict"]
    assert plain_run["diagnosis"] == auto["diagnosis"]


def test_auto_carries_its_plan_out():
    chosen = replace(SMOKE, steps=60)
    # a rank asks for adapters beside what the rule says
    record = run("burgers_2d", "auto:reweighting=lr_annealing:rank=2", chosen=chosen)
    assert record["diagnosis"]["regime"] == "persistent"
    assert record["plan"]["adapters"]
    assert record["plan"]["reweighting"] == "lr_annealing"
    assert record["trained_with"][0] == (0, "Sum")
    assert record["trained_with"][1][0] == chosen.profile_steps
    assert record["parameters"]["adapters"] > 0


def test_methods_start_from_the_same_points_and_weights():
    first = {
        m: trained("heat_1d", m, chosen=replace(SHORT, steps=1, profile_steps=1))
        for m in ("none", "pcgrad", "ntk+config")
    }
    starts = [
        [a.wanted for a in made._equations.parts]
        + [a.x.tolist() for a in made._equations.whole.assemblies]
        for made in first.values()
    ]
    assert starts[0] == starts[1] == starts[2]
    losses = {m: made._curve.to_json()["losses"] for m, made in first.items()}
    for values in losses.values():
        assert values == losses["none"]


def test_other_seeds_have_other_points_and_weights():
    a, b = (run("heat_1d", "none", seed=s)["curve"]["losses"]["pde"][0] for s in (0, 1))
    assert a != b


def test_a_run_is_reproducible():
    a, b = (run("inverse_wave_1d_noise2", "pcgrad", seed=2) for _ in range(2))
    for timed in ("wall_time_s", "cpu_time_s", "started", "curve"):
        a.pop(timed), b.pop(timed)
    assert a == b


@pytest.mark.parametrize(
    "method",
    ["none", "ntk", "pcgrad", "config", "ntk+pcgrad", "adapters+ntk", "wide+none", "multi_adam",
     "rba", "grad_norm:form=one_sided", "adapters:routing=exclusive+none", "auto:curvature=False"],
)  # fmt: skip
def test_records_are_complete_and_plain(method):
    record = run("inverse_wave_1d_noise2", method)
    assert record.keys() == KEYS
    assert json.loads(json.dumps(plain_data(record, "null"), allow_nan=False))["status"] == "ok"
    assert record["steps"] == SHORT.steps
    assert record["curve"]["step"][-1] == SHORT.steps
    assert record["error"] == pytest.approx(np.prod(list(record["relative_l2"].values())))
    found = record["unknowns"]["csq"]
    assert found["relative_error"] == pytest.approx(abs(found["found"] - 2) / 2)
    assert (record["profile"] is not None) == (method == "none")


def test_identity_is_known_before_training():
    problem, method = load_suite()["heat_1d"], MethodExpression.parse("adapters:rank=2+ntk")
    identity = plan_identity(problem, method, 1, SHORT)
    record = train(problem, method, 1, SHORT)
    assert {k: record[k] for k in identity} == identity


def test_wide_has_the_parameters_of_adapters():
    for name in ("heat_1d", "mhd_alfven_2d"):
        wide = run(name, "wide+none")["parameters"]
        adapted = run(name, "adapters+none")["parameters"]
        total = adapted["network"] + adapted["adapters"]
        assert abs(wide["network"] - total) <= 0.1 * total


def test_attach_decides_when_adapters_come():
    at0, later = run("heat_1d", "adapters+none"), run("heat_1d", "adapters:attach=6+none")
    assert [s for s, _ in at0["trained_with"]] == [0]
    assert [s for s, _ in later["trained_with"]] == [0, 6]
    assert at0["relative_l2"] != later["relative_l2"]
    assert later["conflict"]["samples"] == 6
    with pytest.raises(MethodError, match="attach below the run's 24 steps, found 24"):
        run("heat_1d", "adapters:attach=24+none")


def test_after_decides_when_methods_begin():
    found = run("heat_1d", "adapters:attach=6+ntk+after:steps=10")
    assert [s for s, _ in found["trained_with"]] == [0, 6, 10]
    late = run("heat_1d", "ntk+after:steps=23")
    plain, early = run("heat_1d", "none"), run("heat_1d", "ntk+after:steps=3")
    assert len({r["error"] for r in (plain, early, late)}) == 3
    with pytest.raises(MethodError, match="after:steps below the run's 24 steps, found 24"):
        run("heat_1d", "ntk+after:steps=24")


def test_frozen_adapters_leave_the_run_as_it_is():
    """A control: attaching and routing change nothing but what the adapters learn."""
    frozen = run("heat_1d", "adapters:learning_rate=1e-12:attach=6+none")
    assert frozen["error"] == pytest.approx(run("heat_1d", "none")["error"], rel=1e-6)


def test_a_run_that_diverges_has_a_record():
    record = run("kdv_two_soliton", "none", chosen=replace(SHORT, learning_rate=1e30))
    assert record["status"] == "diverged"
    assert "step" in record["message"]
    assert record["error"] is None
    assert json.dumps(plain_data(record, "null"), allow_nan=False)


def test_bounds_that_acted_are_in_the_record_and_quiet(recwarn):
    record = run("poisson_5d", "lr_annealing")
    assert not [w for w in recwarn if "ConflictOpt" in w.category.__name__]
    assert isinstance(record["reports"], dict)


def test_global_random_state_is_untouched():
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002  (the user's state)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    run("heat_1d", "graddrop")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002


def test_budgets():
    assert budget("cpu").steps == 3000
    assert budget("cpu", 1200).steps == 1200
    for chosen in BUDGETS.values():
        assert chosen.rate(0) == 1
        assert chosen.rate(chosen.steps) == pytest.approx(chosen.final_rate / chosen.learning_rate)
    assert BUDGETS["cpu"].width(64) == 32
    assert BUDGETS["smoke"].width(16) == 8
    with pytest.raises(BudgetError, match="smoke, cpu, paper"):
        budget("huge")
    few = r"more steps than the profile's 1000, found 1000: give steps \(--steps\) a larger number"
    with pytest.raises(BudgetError, match=few):
        budget("cpu", 1000)


@pytest.mark.parametrize(
    ("field", "value"),
    [("steps", 30), ("profile_steps", 20), ("profile_every", 3), ("small_points", False),
     ("point_scale", 0.2), ("width_scale", 0.5), ("learning_rate", 2e-3), ("final_rate", 1e-4),
     ("curve_points", 3)],
)  # fmt: skip
def test_every_part_of_a_budget_changes_the_run(field, value):
    usual = run("heat_1d", "none", chosen=replace(SHORT, point_scale=1 / 8))
    other = run("heat_1d", "none", chosen=replace(SHORT, **{"point_scale": 1 / 8, field: value}))
    assert usual["settings"] != other["settings"]
    told = ("relative_l2", "conflict", "curve")
    times = {"cpu_time_s"}
    kept = [
        {k: {n: v for n, v in r[k].items() if n not in times} for k in told} for r in (usual, other)
    ]
    assert kept[0] != kept[1]
