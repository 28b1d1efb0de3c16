"""The halves of the suite: complete, leak-free, and even in every family."""

from __future__ import annotations

import json
from collections import Counter
from importlib import resources

import pytest

from conflictopt.lab.problems import SpecError, load_suite, suite
from conflictopt.lab.problems.halves import HALVES, equation_of, half_of, problems_of

SUITE = load_suite()
EQUATIONS = {
    c["id"]: tuple(c["equations"])
    for c in json.loads(
        resources.files(suite.__package__).joinpath("suite.json").read_text("utf-8")
    )["configs"]
}
NEEDED_FOR_CALIBRATION = (
    "helmholtz_2d_a1_4",
    "klein_gordon",
    "heat_1d",
    "reaction_rho5",
    "inverse_diffusion_1d",
    "biot_poroelastic_1d",
    "compressible_euler_1d",
    "mhd_hartmann_ha5",
    "heat_5d_ball",
    "advection_beta30",
)


def test_every_problem_is_in_one_half():
    listed = [p for half in HALVES for p in problems_of(half)]
    assert len(listed) == len(set(listed)) == len(SUITE)
    assert set(listed) == set(SUITE)


def test_the_halves_are_about_equal():
    sizes = [len(problems_of(half)) for half in HALVES]
    assert abs(sizes[0] - sizes[1]) <= 3


def test_every_family_is_divided():
    """As evenly as whole equations allow: the four thermoelastic problems stay together."""
    for family, names in SUITE.families().items():
        counts = Counter(half_of(name) for name in names)
        assert set(counts) == set(HALVES), family
        assert abs(counts["calibration"] - counts["reporting"]) <= (
            2 if family == "multiphysics_k4" else 1
        ), family


def test_an_equation_stays_on_one_side():
    sides: dict[str, set[str]] = {}
    for name in SUITE:
        sides.setdefault(equation_of(name), set()).add(half_of(name))
    assert all(len(found) == 1 for found in sides.values()), sides


def test_equal_equations_are_one_group():
    """Problems whose equations read the same never lie on two sides."""
    sides: dict[tuple[str, ...], set[str]] = {}
    for name in SUITE:
        sides.setdefault(EQUATIONS[name], set()).add(half_of(name))
    assert all(len(found) == 1 for found in sides.values())


def test_parameter_studies_stay_with_their_equation():
    for name in SUITE.families()["param_varying"]:
        stem = name.rsplit("_", 1)[0]
        relatives = [p for p in SUITE if p.startswith(stem) or p.startswith(f"inverse_{stem}")]
        assert {half_of(p) for p in relatives if p != "reaction_diffusion_nu3_rho5"} == {
            half_of(name)
        }


def test_what_the_ablation_runs_on_is_in_the_calibration_half():
    assert {half_of(p) for p in NEEDED_FOR_CALIBRATION} == {"calibration"}


def test_both_halves_hold_every_kind_of_forward_problem():
    """First and second order in time, steady, third order and above, systems."""
    for half in HALVES:
        texts = [
            " ".join(EQUATIONS[p]) for p in problems_of(half) if SUITE[p].family == "forward_k3"
        ]
        assert any("u_tt" in t for t in texts)
        assert any("u_t " in t for t in texts)
        assert any("_t" not in t for t in texts)
        assert any("xxx" in t for t in texts)


def test_refusals():
    with pytest.raises(SpecError, match="not in the suite"):
        half_of("mine")
    with pytest.raises(SpecError, match="calibration, reporting"):
        problems_of("third")  # type: ignore[arg-type]
