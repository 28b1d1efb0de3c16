"""Problems that are built to be in a regime are found to be in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from conflictopt import diagnose
from conflictopt.lab.synthetic.case import KINDS, REGIMES, Case, CaseError
from conflictopt.lab.synthetic.network import network, tasks
from conflictopt.lab.synthetic.quadratics import quadratics
from conflictopt.lab.synthetic.training import exact_regime, trained_profile

CASES = 10


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("regime", REGIMES)
def test_built_cases_are_found(regime, kind):
    found = [diagnose(trained_profile(Case(regime, kind, seed))) for seed in range(CASES)]
    right = [d.regime == regime and not d.too_close and not d.too_short for d in found]
    assert sum(right) >= CASES - 1
    assert all(d.regime == regime for d in found if not d.too_close)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_benign_cases_that_conflict_at_first_are_transient(kind):
    seeds = [s for s in range(12) if parts(Case("benign", kind, s))]
    assert 2 <= len(seeds) <= 10
    for seed in seeds[:4]:
        d = diagnose(trained_profile(Case("benign", kind, seed)))
        assert d.regime == "benign"
        assert d.pairs[0].transient
        assert d.pairs[0].cosine_late > 0


def parts(case):
    if case.kind == "network":
        return tasks(case).parting > 0
    return bool(quadratics(case).curvatures.any())


@pytest.mark.parametrize("kind", KINDS)
def test_half_the_samples_are_too_few(kind):
    d = diagnose(trained_profile(Case("benign", kind, 1, samples=49)))
    assert d.too_short


@pytest.mark.parametrize("kind", KINDS)
def test_a_case_is_the_same_problem_every_time_and_leaves_the_global_source(kind):
    state = torch.random.get_rng_state()
    first, again = (trained_profile(Case("benign", kind, 5, samples=8)) for _ in range(2))
    other = trained_profile(Case("benign", kind, 6, samples=8))
    assert np.array_equal(first.gramians, again.gramians)
    assert first.gramians.shape != other.gramians.shape or not np.allclose(
        first.gramians, other.gramians
    )
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("regime", REGIMES)
def test_quadratics_have_the_angles_and_norms_that_were_chosen(regime):
    """Without noise, to what training moves."""
    case = Case(regime, "quadratics", 3)
    problem = quadratics(case)
    x = problem.start().requires_grad_()
    losses = problem.losses(x, np.zeros_like(problem.directions))
    rows = [torch.autograd.grad(v, x)[0][:-1].numpy() for v in losses.values()]
    np.testing.assert_allclose(np.stack(rows), problem.sizes[:, None] * problem.directions)
    np.testing.assert_allclose(np.linalg.norm(problem.directions, axis=1), 1.0)


def test_the_difficulty_moves_a_case_to_its_threshold():
    cosine = [
        np.prod(quadratics(Case("persistent", "quadratics", 2, d)).directions[:2], axis=0).sum()
        for d in (0.0, 0.5, 1.0)
    ]
    assert cosine[0] < cosine[1] < cosine[2] < -0.09
    sizes = [quadratics(Case("magnitude", "quadratics", 2, d)).sizes for d in (0.0, 0.5, 1.0)]
    ratios = [s.max() / s.min() for s in sizes]
    assert ratios[0] > ratios[1] > ratios[2] == pytest.approx(10.0)


@pytest.mark.parametrize("regime", REGIMES)
def test_the_exact_regime_is_the_one_built_and_beyond_the_threshold_another(regime):
    clear = [exact_regime(Case(regime, "quadratics", s)) for s in range(6)]
    assert clear == [regime] * 6
    near = {exact_regime(Case(regime, "quadratics", s, 1.0)) for s in range(10)}
    assert len(near) > 1


def test_near_a_threshold_confidence_is_lower():
    mean = {
        d: np.mean(
            [
                diagnose(trained_profile(Case("persistent", "quadratics", s, d))).confidence
                for s in range(6)
            ]
        )
        for d in (0.0, 1.0)
    }
    assert mean[1.0] < 0.9 < mean[0.0]


def test_network_weights_come_from_the_given_source():
    a, b = (network(torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert not torch.equal(a[0].weight, b[0].weight)
    assert a[2].weight.abs().max() <= 0.25


@pytest.mark.parametrize(
    "wrong", [{"regime": "odd"}, {"kind": "odd"}, {"difficulty": 1.5}, {"samples": 0}]
)
def test_cases_that_do_not_exist(wrong):
    with pytest.raises(CaseError, match="expected a regime of"):
        Case(**{"regime": "benign", "kind": "quadratics", "seed": 0, **wrong})


def test_networks_near_a_threshold_have_no_known_regime():
    with pytest.raises(CaseError, match="Use kind='quadratics'"):
        Case("benign", "network", 0, difficulty=0.5)
    with pytest.raises(CaseError, match="whose distribution is known"):
        exact_regime(Case("benign", "network", 0))
