"""Against torchjd and conflictfree where they are right, and where they are not.

The peers are oracles of the tests only. Sums against means: torchjd averages in ``UPGrad``,
``DualProj``, ``CAGrad`` and ``AlignedMTL``, so that K times its update is ours.
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from conflictopt import make

jd = pytest.importorskip("torchjd.aggregation")
linalg = pytest.importorskip("torchjd.linalg")
conflictfree = pytest.importorskip("conflictfree.grad_operator")

seeds = st.integers(0, 2**31)
shapes = st.sampled_from([(2, 3), (2, 8), (3, 5), (4, 9), (5, 12)])
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*not DPP"),
    pytest.mark.filterwarnings("ignore::conflictopt.ConflictOptWarning"),
]


def exact_projector():
    """torchjd's own solver without what it adds to the Gramian."""
    return linalg.QuadprogProjector(norm_eps=0.0, reg_eps=1e-12)


PEERS = {
    "upgrad": (lambda count: jd.UPGrad(projector=exact_projector()), True),
    "dualproj": (lambda count: jd.DualProj(projector=exact_projector()), True),
    "imtl_g": (lambda count: jd.IMTLG(), False),
    "aligned_mtl": (lambda count: jd.AlignedMTL(), True),
    "config": (lambda count: jd.ConFIG(), False),
    "cagrad": (lambda count: jd.CAGrad(c=0.4, norm_eps=0.0), True),
    "nash_mtl": (lambda count: jd.NashMTL(n_tasks=count, optim_niter=200), False),
}
"""Per method torchjd's aggregator for K losses, and whether it takes the mean."""
TOLERANCE = {"cagrad": 2e-3, "nash_mtl": 2e-3, "upgrad": 1e-5, "dualproj": 1e-5}


@pytest.fixture(scope="module")
def update(step):
    """``update(name, rows, ...)``: our update from gradients."""

    def of(name, rows, generator=None, **options):
        method = make(name, **options)
        view = step(rows, generator=generator)
        c, _, direction = method.choose(view, method.init(view.spec))
        return c @ rows if direction is None else direction

    return of


def cosines(rows, d):
    return rows @ d / rows.norm(dim=1) / d.norm()


def solves_the_game(rows, d):
    """Whether ``a_k (g_k . d)`` is one number for all losses, ``d = sum_k a_k g_k``."""
    weights = torch.linalg.lstsq(rows.T, d[:, None]).solution[:, 0]
    gains = weights * (rows @ d)
    return bool((gains - gains.mean()).abs().max() < 1e-3 * gains.mean().abs())


def pair(ratio, cosine=-0.9):
    """Two gradients at a fixed angle, the first ``ratio`` times as long."""
    return torch.tensor([[ratio, 0.0], [cosine, math.sqrt(1 - cosine**2)]], dtype=torch.float64)


# -- the same updates --------------------------------------------------------------------------


@pytest.mark.parametrize("name", PEERS)
@given(seed=seeds, shape=shapes)
def test_same_update_as_torchjd(name, seed, shape, update, random_rows):
    rows = random_rows(seed, *shape, span=0.3)
    build, mean = PEERS[name]
    expected = build(shape[0])(rows) * (shape[0] if mean else 1)
    found = update(name, rows)
    if name == "imtl_g" and float(cosines(rows, expected).min()) < 0:
        expected = -expected  # known deviation, below
    if name == "nash_mtl" and not solves_the_game(rows, expected):
        return  # known deviation, below
    error = float((found - expected).norm() / expected.norm())
    assert error < TOLERANCE.get(name, 1e-6)


@given(seed=seeds, shape=shapes)
@pytest.mark.slow
def test_mgda_is_what_torchjds_steps_converge_to(seed, shape, update, random_rows):
    rows = random_rows(seed, *shape, span=0.3)
    ours, theirs = update("mgda", rows), jd.MGDA(epsilon=1e-9, max_iters=3000)(rows)
    assert ours.norm() <= theirs.norm() * (1 + 1e-9)
    torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.02 * float(theirs.norm()))


@pytest.mark.parametrize(("name", "peer"), [("pcgrad", jd.PCGrad), ("gradvac", jd.GradVac)])
@given(seed=seeds, span=st.sampled_from([0.0, 1.0]))
def test_no_order_to_draw_for_two_losses(name, peer, seed, span, update, random_rows):
    rows = random_rows(seed, 2, 6, span=span)
    torch.testing.assert_close(update(name, rows), peer()(rows), rtol=1e-5, atol=1e-7)


def test_graddrop_has_torchjds_distribution(update):
    rows = torch.tensor([[2.0, -1.0, 1.0], [-1.0, -3.0, 0.5]]).repeat(1, 4000)
    theirs = jd.GradDrop()(rows).reshape(4000, 3).mean(dim=0)
    ours = update("graddrop", rows).reshape(4000, 3).mean(dim=0)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0.15)


@given(seed=seeds, shape=shapes)
def test_config_is_conflictfrees(seed, shape, update, random_rows):
    rows = random_rows(seed, *shape, span=1.0, dtype=torch.float32)
    expected = conflictfree.ConFIG_update(list(rows))
    torch.testing.assert_close(update("config", rows), expected, rtol=2e-3, atol=2e-4)


# -- where a peer is wrong, and ours is not ----------------------------------------------------


@pytest.mark.parametrize(("name", "peer"), [("upgrad", jd.UPGrad), ("dualproj", jd.DualProj)])
@pytest.mark.parametrize("ratio", [30.0, 100.0, 1000.0])
def test_torchjds_projections_conflict_when_norms_differ(name, peer, ratio, update):
    rows = pair(ratio)
    assert float(cosines(rows, peer()(rows)).min()) < -0.1
    assert float(cosines(rows, update(name, rows)).min()) > -1e-12


@pytest.mark.parametrize(("name", "peer"), [("upgrad", jd.UPGrad), ("dualproj", jd.DualProj)])
def test_torchjds_projections_are_the_mean_of_small_gradients(name, peer, update):
    rows = 1e-3 * torch.tensor([[1.0, -1.0], [-2.0, 1.0]], dtype=torch.float64)
    theirs = peer()(rows)
    torch.testing.assert_close(theirs, rows.mean(dim=0))
    assert float(cosines(rows, theirs).min()) < -0.1
    assert float(cosines(rows, update(name, rows)).min()) > -1e-12


def test_torchjds_cagrad_stops_for_small_gradients(update):
    rows = 1e-3 * torch.tensor([[1.0, 0.2], [0.1, 1.0]], dtype=torch.float64)
    assert float(jd.CAGrad(c=0.4)(rows).norm()) == 0
    assert float(update("cagrad", rows).norm()) > 1e-3


@pytest.mark.parametrize(("name", "peer"), [("mgda", jd.MGDA()), ("cagrad", jd.CAGrad(c=1.0))])
def test_one_loss_without_gradient_stops_torchjd(name, peer, update):
    rows = torch.tensor([[1.0, 0.2], [0.1, 1.0], [0.0, 0.0]], dtype=torch.float64)
    assert float(peer(rows).norm()) < 2e-2
    torch.testing.assert_close(update(name, rows), update(name, rows[:2]))
    assert float(update(name, rows).norm()) > 0.5


def test_torchjds_imtl_g_moves_along_one_of_two_opposed_gradients(update):
    rows = torch.tensor([[3.0, 0.0], [-2.0, 0.0]], dtype=torch.float64)
    assert float(jd.IMTLG()(rows).norm()) > 1
    assert update("imtl_g", rows).tolist() == [0.0, 0.0]


def test_torchjds_imtl_g_raises_all_losses_when_its_weights_sum_below_zero(update):
    rows = torch.tensor([[0.5, 1.0, 0.0], [0.5, -1.0, 0.0], [0.01, 0.0, 0.01]], dtype=torch.float64)
    assert float(cosines(rows, jd.IMTLG()(rows)).max()) < 0
    assert float(cosines(rows, update("imtl_g", rows)).min()) > 0


def test_torchjds_mgda_is_not_at_the_minimum_at_its_defaults(random_rows, update):
    rows = random_rows(0, 8, 12, span=0.3)
    assert float(jd.MGDA()(rows).norm()) > 1.01 * float(update("mgda", rows).norm())


def test_torchjds_nash_mtl_stops_before_its_game_is_solved(random_rows, update):
    found = 0
    for seed in range(10):
        rows = random_rows(seed, 3, 5, span=0.3)
        found += not solves_the_game(rows, jd.NashMTL(n_tasks=3)(rows))
        assert solves_the_game(rows, update("nash_mtl", rows))
    assert found > 0


def test_conflictfrees_config_of_a_zero_gradient_is_nan(update):
    rows = torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    theirs = conflictfree.ConFIG_update(list(rows), use_least_square=False)
    two = conflictfree.ConFIG_update_double(rows[0], rows[1])
    assert not two.isfinite().all() or not theirs.isfinite().all()
    assert update("config", rows).tolist() == [1.0, 2.0]


def test_conflictfree_takes_the_default_dtype_only(update):
    rows = torch.tensor([[1.0, 2.0, 0.0], [0.0, -1.0, 1.0]], dtype=torch.float64)
    with pytest.raises(RuntimeError, match="dtype"):
        conflictfree.ConFIG_update(list(rows))
    assert update("config", rows).isfinite().all()
