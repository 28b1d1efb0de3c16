"""The points of a run: shared, reproducible, and the same measurements for every run."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from conflictopt.lab.problems import Problem

IDS = ("burgers_2d", "laplace_annulus", "inverse_kovasznay_noise1", "elasticity_plate_2d")


def arrays(points):
    """All coordinates, as a list of arrays."""
    found = []
    for block in points.blocks.values():
        found += [block.points.x, *block.data.values()]
        found += [a for a in (block.points.partner, block.points.normal) if a is not None]
    return found


def same(a, b):
    first, second = arrays(a), arrays(b)
    return len(first) == len(second) and all(
        p.shape == q.shape and (p == q).all() for p, q in zip(first, second, strict=True)
    )


def block(problem, points, loss, number=0):
    """Of a loss the block at its place of that number."""
    spec = next(ls for ls in problem.spec.losses if ls.name == loss)
    return points.blocks[loss, spec.places[number]]


@pytest.mark.parametrize("name", IDS)
def test_a_seed_decides_the_points(suite, name):
    problem = suite[name]
    counts = problem.counts(small=True)
    assert same(problem.draw(counts, 3), problem.draw(counts, 3))
    first, second = problem.draw(counts, 3), problem.draw(counts, 4)
    for key, at in first.blocks.items():
        if key[1].kind != "sensors":
            assert not (at.points.x == second.blocks[key].points.x).all()


def test_problems_differ(entry):
    first, second = (Problem.from_entry(entry({"id": n})) for n in ("first", "second"))
    counts = first.counts()
    inside = [p.draw(counts, 0).blocks["pde", p.spec.losses[0].places[0]] for p in (first, second)]
    assert (inside[0].points.x != inside[1].points.x).all()
    again = Problem.from_entry(entry({"id": "first", "title": "other"}))
    assert same(first.draw(counts, 0), again.draw(counts, 0))


def test_global_generators_are_left_alone(problem, suite):
    def states():
        legacy = np.random.get_state()  # noqa: NPY002
        return random.getstate(), legacy[1].tolist(), legacy[2], torch.get_rng_state().tolist()

    before = states()
    for found in (problem(), suite["inverse_kovasznay_noise1"]):
        found.draw(found.counts(small=True), 0)
        found.network(seed=1)
        found.test_set  # noqa: B018
    assert states() == before


def test_every_loss_and_place_has_its_points(problem):
    found = problem()
    points = found.draw(found.counts(), 0)
    assert points.counts() == {"pde": 32, "bc": 16, "ic": 16, "data": 16}
    places = [(ls.name, p) for ls in found.spec.losses for p in ls.places]
    assert list(points.blocks) == places
    assert [block(found, points, "bc", i).count for i in range(3)] == [6, 5, 5]
    assert block(found, points, "bc", 2).points.partner is not None
    x = block(found, points, "bc", 1)
    assert (x.points.x[:, 0] == 1).all()
    assert (x.points.normal == 1).all()


def test_members_at_one_place_share_points(problem):
    changes = {"losses.1.members.0.at": {"x": "1"}}
    found = problem(changes)
    bc = found.spec.losses[1]
    assert len(bc.places) == 2
    assert bc.members[0].place == bc.members[1].place
    points = found.draw(found.counts(), 0)
    assert [block(found, points, "bc", i).count for i in range(2)] == [8, 8]


def test_equations_share_interior_points(suite):
    problem = suite["kovasznay_re20"]
    points = problem.draw({"momentum": 30, "continuity": 30, "bc": 40}, 0)
    momentum, continuity = (block(problem, points, n) for n in ("momentum", "continuity"))
    assert momentum is continuity
    points = problem.draw({"momentum": 30, "continuity": 20, "bc": 40}, 0)
    momentum, continuity = (block(problem, points, n) for n in ("momentum", "continuity"))
    assert (momentum.points.x[:20] == continuity.points.x).all()
    assert (momentum.count, continuity.count) == (30, 20)


def test_counts_are_at_least_one_per_face(suite):
    problem = suite["poisson_50d"]
    points = problem.draw(dict.fromkeys(problem.loss_names, 1), 0)
    least = {ls.name: sum(p.minimum for p in ls.places) for ls in problem.spec.losses}
    assert points.counts() == least
    assert max(least.values()) == 50


def test_all_points_are_in_the_domain(suite):
    for name in IDS:
        problem = suite[name]
        geometry = problem.spec.geometry
        for array in problem.draw(problem.counts(small=True), 1).blocks.values():
            x = array.points.x
            assert (x >= np.array(geometry.lower) - 1e-12).all()
            assert (x <= np.array(geometry.upper) + 1e-12).all()


# ---------------------------------------------------------------- measurements


def test_sensors_do_not_depend_on_the_run(problem):
    found = problem()
    first, second = (block(found, found.draw(found.counts(), s), "data") for s in (0, 1))
    assert (first.points.x == second.points.x).all()
    assert (first.data["u"] == second.data["u"]).all()
    fewer = block(found, found.draw({**found.counts(), "pde": 8}, 5), "data")
    assert (fewer.data["u"] == first.data["u"]).all()
    other = problem({"data.seed": 8})
    moved = block(other, other.draw(found.counts(), 0), "data")
    assert (moved.points.x != first.points.x).all()


def test_noise_has_the_stated_level(problem):
    changes = {"losses.3.n_points": 4000, "data.observed": ["u", "v"]}
    quiet, noisy = (problem({**changes, "data.noise": level}) for level in (0, 0.1))
    drawn = [block(p, p.draw(p.counts(), 0), "data") for p in (quiet, noisy)]
    assert (drawn[0].points.x == drawn[1].points.x).all()
    exact = noisy.solution.values(drawn[0].points.x)
    noise = {}
    for output in ("u", "v"):
        assert (drawn[0].data[output] == exact[output]).all()
        noise[output] = drawn[1].data[output] - exact[output]
        level = 0.1 * exact[output].std()
        assert noise[output].std() == pytest.approx(level, rel=0.04)
        assert abs(noise[output].mean()) < 4 * level / np.sqrt(4000)
        kurtosis = (noise[output] ** 4).mean() / (noise[output] ** 2).mean() ** 2
        assert kurtosis == pytest.approx(3, abs=0.3)
    assert abs(np.corrcoef(noise["u"], noise["v"])[0, 1]) < 0.06


def test_only_observed_outputs_have_data(problem):
    found = problem()
    assert set(block(found, found.draw(found.counts(), 0), "data").data) == {"u"}
    assert not block(found, found.draw(found.counts(), 0), "pde").data


def test_noise_uses_the_true_unknowns(problem):
    """k is 2, training starts at 1."""
    found = problem({"data.noise": 0})
    at = block(found, found.draw(found.counts(), 0), "data")
    x, t = at.points.x.T
    assert at.data["u"] == pytest.approx(2 * x * np.cos(t))


# ---------------------------------------------------------------- once wrong


def test_no_more_points_than_counted(suite):
    """A square has four faces, x=0 one, the start one: 3 + 3 + 2 points become 4 + 3 + 2."""
    problem = suite["inverse_taylor_green_noise1"]
    counts = problem.counts(scale=1e-6)
    assert problem.draw(counts, 0).counts() == counts
