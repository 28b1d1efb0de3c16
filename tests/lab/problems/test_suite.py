"""The shipped suite: what is in it, and that every exact solution solves its problem."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from importlib import resources

import numpy as np
import pytest
import sympy as sp
import torch

from conflictopt.lab.derivatives import nested
from conflictopt.lab.problems import Problem, SpecError, Suite, load_suite, problem, read_problems
from conflictopt.lab.problems.assembly import Assembly, ResidualTask
from conflictopt.lab.problems.functions import tensor_function
from conflictopt.lab.problems.points import draw
from conflictopt.lab.problems.selfcheck import check

FILE = resources.files(problem.__package__).joinpath("suite.json")
ENTRIES = {c["id"]: c for c in json.loads(FILE.read_text("utf-8"))["configs"]}
CLOSED = [name for name, c in ENTRIES.items() if c["exact"]]
NUMERICAL = [name for name, c in ENTRIES.items() if not c["exact"]]
SCALAR_UNKNOWNS = [
    name
    for name in CLOSED
    if any(u["kind"] == "scalar" for u in ENTRIES[name]["unknowns"].values())
]
FAMILIES = {
    "forward_k3": (28, 3),
    "inverse_k3": (14, 3),
    "multiphysics_k4": (6, 4),
    "multiphysics_k5": (5, 5),
    "multiphysics_k6": (4, 6),
    "param_varying": (17, 3),
    "high_dim": (11, 3),
}
# every family, geometry, kind of condition and operator of the language
REPRESENTATIVE = [
    "kdv_two_soliton",
    "laplace_annulus",
    "poisson_2d",
    "reaction_rho5",
    "advection_beta30",
    "kovasznay_re20",
    "euler_bernoulli_beam",
    "elasticity_plate_2d",
    "inverse_kdv",
    "inverse_poisson_field_noise1",
    "inverse_wave_1d_noise2",
    "thermoelastic_2d_quasistatic",
    "piezoelectric_1d",
    "biot_poroelastic_1d",
    *[n for n, c in ENTRIES.items() if c["family"] == "multiphysics_k5"][:1],
    *[n for n, c in ENTRIES.items() if c["family"] == "multiphysics_k6"][:1],
    *[n for n, c in ENTRIES.items() if c["geometry"]["type"] == "ball"],
    "hjb_10d",
    "convection_diffusion_20d",
]


# ---------------------------------------------------------------- what is in it


def test_the_file_is_as_it_was_proven():
    """The entries were checked by an independent program; another file would need that again."""
    digest = hashlib.sha256(FILE.read_bytes()).hexdigest()
    assert digest == "8054344e178ebc52d097392063b745421503431dc5fdc5584cefd20e267715aa"


def test_85_configurations_in_seven_families(suite):
    assert len(suite) == len(ENTRIES) == 85
    assert Counter(p.family for p in suite.values()) == {f: n for f, (n, _) in FAMILIES.items()}
    assert {f: len(names) for f, names in suite.families().items()} == {
        f: n for f, (n, _) in FAMILIES.items()
    }
    for found in suite.values():
        assert found.K == FAMILIES[found.family][1] == len(set(found.loss_names))
    inverse = [p for p in suite.values() if p.family == "inverse_k3"]
    assert all(p.spec.unknowns or p.spec.fields for p in inverse)
    assert all(p.spec.sensors is not None for p in inverse)


def test_it_is_a_mapping(suite):
    assert list(suite) == list(ENTRIES)
    assert "burgers_1d" in suite
    assert "burgers" not in suite
    assert 3 not in suite
    assert suite["burgers_1d"] is suite["burgers_1d"]
    assert load_suite() is load_suite() is suite
    assert Suite() is not suite


def test_a_wrong_id_comes_with_suggestions(suite):
    with pytest.raises(SpecError, match=r"not in the suite\. Did you mean burgers_1d"):
        suite["burger_1d"]
    with pytest.raises(SpecError, match=r"entry 'qqqqq', id: not in the suite\. See"):
        suite["qqqqq"]


def test_the_suite_is_a_specification_file(suite):
    with resources.as_file(FILE) as path:
        found = read_problems(path)
    assert [p.id for p in found] == list(suite)
    assert [p.digest for p in found] == [p.digest for p in suite.values()]
    assert len({p.digest for p in found}) == 85


@pytest.mark.parametrize("name", ENTRIES)
def test_what_is_suggested(suite, name):
    found, entry = suite[name], ENTRIES[name]
    assert found.counts() == entry["points"]
    small = found.counts(small=True)
    for loss in found.spec.losses:
        least = sum(p.minimum for p in loss.places)
        assert small[loss.name] == max(entry["points_small"][loss.name], least)
    hidden = [entry["network"]["width"]] * entry["network"]["hidden_layers"]
    assert found.sizes() == [len(entry["inputs"]), *hidden, len(entry["outputs"])]
    assert found.title == entry["title"]
    assert list(found.loss_names) == entry["loss_names"]
    assert list(found.spec.metric_outputs) == entry["metric_outputs"]
    texts = [m.text for loss in found.spec.losses for m in loss.members]
    assert texts == [m["expr"] for loss in entry["losses"] for m in loss["members"]]


# ---------------------------------------------------------------- exact solutions


@pytest.mark.grid
@pytest.mark.parametrize("name", CLOSED)
def test_the_exact_solution_is_the_expanded_one(suite, name):
    """The field ``exact_expanded`` says it again, for sympy's own parser and nothing of ours."""
    found, entry = suite[name], ENTRIES[name]
    x = found.spec.geometry.interior(40, np.random.default_rng(0))
    values = found.solution.values(x)
    symbols = sp.symbols(found.inputs, real=True)
    for output, text in entry["exact_expanded"].items():
        expected = sp.lambdify(symbols, sp.sympify(text), "numpy")(*x.T)
        assert values[output] == pytest.approx(expected, rel=1e-10, abs=1e-10)
        assert values[output].shape == (40,)


@pytest.mark.slow
@pytest.mark.parametrize("name", ENTRIES)
def test_the_exact_solution_solves_the_compiled_problem(suite, name):
    found = suite[name]
    results = check(found)
    texts = [(loss.name, m.text) for loss in found.spec.losses for m in loss.members]
    assert [(r.loss, r.text) for r in results] == texts
    reference = found.spec.reference
    tolerance = 1e-10 if reference is None else float(reference["tolerance"])
    assert max(r.residual / r.scale for r in results) < tolerance
    assert all(np.isfinite(r.residual) for r in results)


def bump(x, k):
    """Not small with any derivative, in any direction, at any face."""
    slopes = 0.7 + 0.37 * (torch.arange(1, x.shape[1] + 1, dtype=x.dtype) * (k + 2) % 5)
    return torch.sin(1.3 + k + x @ slopes)


def residuals(found, amplitude):
    """Per member the largest residual of the exact solution plus a bump in every output."""
    sensors = found.spec.sensors
    spec = replace(found.spec, sensors=sensors and replace(sensors, noise=0.0))
    drawn = draw(spec, found.solution, {loss.name: 40 for loss in spec.losses}, 1)
    tasks = [
        ResidualTask(loss.name, m, drawn.blocks[loss.name, m.place])
        for loss in spec.losses
        for m in loss.members
    ]
    functions = [tensor_function(spec.jets.coordinates, e) for e in spec.exact.values()]
    noise_free = Problem(spec).solution

    def perturbed(x):
        columns = [f(*x.unbind(1)) + amplitude * bump(x, k) for k, f in enumerate(functions)]
        return torch.stack(columns, dim=1)

    def derive(x, wanted, weights):
        return nested.derivatives(perturbed, x, wanted, weights)

    unknowns = {n: torch.tensor(u.true, dtype=torch.float64) for n, u in spec.unknowns.items()}
    values = Assembly(spec, noise_free, tasks, torch.float64).residuals(derive, unknowns)
    return {
        t.member.text: float(r.detach().abs().max()) for t, r in zip(tasks, values, strict=True)
    }


@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_every_member_sees_another_solution(suite, name):
    assert max(residuals(suite[name], 0.0).values()) < 1e-10
    assert min(residuals(suite[name], 0.1).values()) > 1e-6


@pytest.mark.parametrize("name", ["poisson_2d", "inverse_kdv", "reaction_diffusion_nu3_rho5"])
def test_the_self_check_sees_another_equation(name, entry_of):
    """The same in its own terms: a constant too much, in every member but periodic ones."""
    results = check(Problem.from_entry(entry_of(name, "({}) + 1/100")), points=10)
    for result in results:
        periodic = result.text in ("(u) + 1/100", "(u_x) + 1/100") and name.startswith("reaction")
        assert result.residual == pytest.approx(0.0 if periodic else 0.01, abs=1e-5)


@pytest.mark.parametrize("name", SCALAR_UNKNOWNS)
def test_unknowns_matter(suite, name):
    """At the starting values the exact solution does not solve the equations."""
    found = suite[name]
    for unknown in found.spec.unknowns:
        others = {n: u for n, u in found.spec.unknowns.items() if n != unknown}
        u = found.spec.unknowns[unknown]
        moved = replace(found.spec, unknowns={**others, unknown: replace(u, true=u.start)})
        largest = residuals(Problem(moved), 0.0)
        assert max(largest.values()) > 1e-3


@pytest.fixture
def entry_of():
    """``entry_of(name, pattern)``: an entry of the suite with changed expressions."""

    def change(name, pattern):
        entry = json.loads(json.dumps(ENTRIES[name]))
        del entry["equations"]
        for loss in entry["losses"]:
            for member in loss["members"]:
                member["expr"] = pattern.format(member["expr"])
        return entry

    return change


# ---------------------------------------------------------------- once wrong


def test_get_with_a_default(suite):
    assert suite.get("no such problem") is None
