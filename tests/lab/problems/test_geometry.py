"""Points lie where they should, uniformly, with outward normals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from conflictopt.lab.problems.domain import read_place
from conflictopt.lab.problems.entry import Entry
from conflictopt.lab.problems.geometry import Box, Shell, latin_hypercube
from conflictopt.lab.problems.regions import even_counts, even_parts, sample

ENTRY = Entry("here", {})
BOX = Box(("x", "y", "t"), (-1.0, 0.0, 0.0), (2.0, 0.5, 3.0))
TIME_FIRST = Box(("t", "x"), (0.0, -1.0), (2.0, 1.0))
RING = Shell(("x", "y", "t"), (-1.5, -2.0, 0.0), (2.5, 2.0, 1.0), (0.5, 0.0), 1.0, 2.0)
BALL = Shell(tuple(f"x{i}" for i in range(1, 6)), (-2.0,) * 5, (2.0,) * 5, (0.0,) * 5, 0.0, 2.0)
SHELL = Shell(("x", "y", "z"), (-2.0,) * 3, (2.0,) * 3, (0.0,) * 3, 0.5, 2.0)
CUBE = Box(tuple(f"x{i}" for i in range(20)), (0.0,) * 20, (1.0,) * 20)
EVERY = {"box": BOX, "time first": TIME_FIRST, "ring": RING, "ball": BALL, "shell": SHELL}
EVERY |= {"cube": CUBE}
every_geometry = pytest.mark.parametrize("geometry", EVERY.values(), ids=EVERY)


def rng(seed=0):
    return np.random.default_rng(seed)


def at(geometry, place):
    return read_place(ENTRY, place, "at", geometry)


def uniform(sample_, low=0.0, high=1.0):
    """A loose test: p-values below 1e-4 do not occur by chance here, the seeds are fixed."""
    return stats.kstest(sample_, "uniform", args=(low, high - low)).pvalue > 1e-4


# ---------------------------------------------------------------- interior


@every_geometry
def test_interior_points_lie_inside(geometry):
    x = geometry.interior(500, rng())
    assert x.shape == (500, len(geometry.names))
    assert (x >= geometry.lower).all()
    assert (x <= geometry.upper).all()
    if isinstance(geometry, Shell):
        radius = np.linalg.norm(x[:, geometry.space] - np.array(geometry.centre), axis=1)
        assert ((radius >= geometry.inner) & (radius <= geometry.outer)).all()


@every_geometry
def test_the_same_seed_gives_the_same_points(geometry):
    assert (geometry.interior(50, rng(3)) == geometry.interior(50, rng(3))).all()
    assert (geometry.interior(50, rng(3)) != geometry.interior(50, rng(4))).all()


@pytest.mark.parametrize("geometry", [BOX, CUBE], ids=["box", "cube"])
def test_a_box_is_a_latin_hypercube(geometry):
    """One point in each of n equal slices of every axis."""
    n = 64
    x = geometry.interior(n, rng())
    scaled = (x - np.array(geometry.lower)) / (np.array(geometry.upper) - np.array(geometry.lower))
    assert (np.sort(np.floor(scaled * n), axis=0) == np.arange(n)[:, None]).all()
    inside = scaled * n % 1  # ... uniformly within its slice
    assert uniform(inside.ravel())


def test_axes_are_independent():
    x = latin_hypercube(4000, 3, rng())
    assert np.abs(np.corrcoef(x.T) - np.eye(3)).max() < 0.06
    counts = np.histogramdd(x, bins=4)[0].ravel()
    assert stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("geometry", [RING, BALL, SHELL], ids=["ring", "ball", "shell"])
def test_shells_are_filled_uniformly(geometry):
    m = len(geometry.space)
    x = geometry.interior(4000, rng(1))
    offset = x[:, geometry.space] - np.array(geometry.centre)
    radius = np.linalg.norm(offset, axis=1)
    inner, outer = geometry.inner**m, geometry.outer**m
    assert uniform(radius**m, inner, outer)
    directions = offset / radius[:, None]
    assert np.abs(directions.mean(axis=0)).max() < 0.05
    assert directions.T @ directions / len(x) == pytest.approx(np.eye(m) / m, abs=0.03)
    # on the sphere in m dimensions, (1 + d_1)/2 is Beta((m-1)/2, (m-1)/2)
    half = (m - 1) / 2
    assert stats.kstest((1 + directions[:, 0]) / 2, "beta", args=(half, half)).pvalue > 1e-4
    assert abs(np.corrcoef(radius, directions[:, 0])[0, 1]) < 0.06
    if "t" in geometry.names:
        assert uniform(x[:, -1])


def test_one_point():
    for geometry in EVERY.values():
        assert geometry.interior(1, rng()).shape == (1, len(geometry.names))


# ---------------------------------------------------------------- places


def level(geometry, place, x):
    """A function that is 0 at a place and grows outwards, from the geometry's description alone."""
    if isinstance(geometry, Shell):
        radius = np.linalg.norm(x[geometry.space] - np.array(geometry.centre))
        return min((s * (radius - r) for r, s in place.spheres), key=abs)
    return min((s * (x[i] - value) for i, value, s in place.faces), key=abs)


def slopes(function, at_):
    """Central differences."""
    steps = 1e-6 * np.eye(len(at_))
    return np.array([(function(at_ + s) - function(at_ - s)) / 2e-6 for s in steps])


PLACES = [
    ("box", {"x": "-1"}),
    ("box", {"x": 2}),
    ("box", {"y": "1/2"}),
    ("box", {"faces_of": ["y"]}),
    ("box", {"faces_of": ["y", "x"]}),
    ("box", "boundary"),
    ("time first", "boundary"),
    ("time first", {"x": 1}),
    ("cube", "boundary"),
    ("ring", "boundary"),
    ("ring", {"circle": 1}),
    ("ring", {"circle": "2"}),
    ("ball", "boundary"),
    ("ball", {"circle": 2}),
    ("shell", "boundary"),
]
every_place = pytest.mark.parametrize(("name", "where"), PLACES, ids=str)


@every_place
def test_points_of_a_place_and_their_normals(name, where):
    geometry = EVERY[name]
    place = at(geometry, where)
    points = sample(place, geometry, 83, rng())
    x, normal = points.x, points.normal
    assert x.shape == (83, len(geometry.names))
    assert normal.shape == (83, len(geometry.space))
    assert points.partner is None
    assert place.has_normal
    assert (x >= np.array(geometry.lower) - 1e-12).all()
    assert (x <= np.array(geometry.upper) + 1e-12).all()
    assert np.linalg.norm(normal, axis=1) == pytest.approx(np.ones(83), rel=1e-12)
    assert all(abs(level(geometry, place, row)) < 1e-12 for row in x)
    if isinstance(geometry, Shell):
        for row, n in zip(x, normal, strict=True):
            assert slopes(lambda p: level(geometry, place, p), row)[geometry.space] == (
                pytest.approx(n, abs=1e-6)
            )
    if isinstance(geometry, Box):
        outside = x.copy()
        outside[:, geometry.space] += 1e-3 * normal
        leaves = (outside < geometry.lower) | (outside > geometry.upper)
        assert leaves.any(axis=1).all()
        on_the_way = leaves[:, geometry.space] & (normal == 0)
        assert not on_the_way.any()


@every_place
def test_points_of_a_place_are_spread_evenly(name, where):
    geometry = EVERY[name]
    place = at(geometry, where)
    x = sample(place, geometry, 2000, rng(2)).x
    if isinstance(geometry, Shell):
        offset = x[:, geometry.space] - np.array(geometry.centre)
        radius = np.linalg.norm(offset, axis=1)
        counts = [int(np.isclose(radius, r, rtol=1e-12).sum()) for r, _ in place.spheres]
        directions = offset / radius[:, None]
        m = len(geometry.space)
        assert directions.T @ directions / len(x) == pytest.approx(np.eye(m) / m, abs=0.03)
        assert np.abs(directions.mean(axis=0)).max() < 0.05
    else:
        counts = [int((x[:, i] == value).sum()) for i, value, _ in place.faces]
        for i, value, _ in place.faces:
            on = x[x[:, i] == value]
            for j in range(x.shape[1]):
                if j != i:
                    assert uniform(on[:, j], geometry.lower[j], geometry.upper[j])
    assert sum(counts) == 2000
    assert max(counts) - min(counts) <= 1


def test_initial_and_inner_planes_have_no_normal():
    start = at(BOX, {"t": 0})
    points = sample(start, BOX, 30, rng())
    assert (points.x[:, 2] == 0).all()
    assert points.normal is None
    assert not start.has_normal
    middle = at(BOX, {"x": "1/3"})
    points = sample(middle, BOX, 30, rng())
    assert (points.x[:, 0] == 1 / 3).all()
    assert points.normal is None
    start = at(RING, {"t": 0})
    x = sample(start, RING, 400, rng()).x
    radius = np.linalg.norm(x[:, :2] - np.array([0.5, 0]), axis=1)
    assert (x[:, 2] == 0).all()
    assert uniform(radius**2, 1, 4)


def test_periodic_pairs():
    place = at(BOX, {"y": [0, "1/2"]})
    points = sample(place, BOX, 40, rng())
    assert points.x.shape == points.partner.shape == (40, 3)
    assert points.normal is None
    assert not place.has_normal
    assert (points.x[:, 1] == 0).all()
    assert (points.partner[:, 1] == 0.5).all()
    assert (points.x[:, [0, 2]] == points.partner[:, [0, 2]]).all()
    assert uniform(points.x[:, 0], -1, 2)


def test_what_a_place_is_called():
    assert at(BOX, "boundary").faces == (
        *((0, -1.0, -1), (0, 2.0, 1)),
        *((1, 0.0, -1), (1, 0.5, 1)),
    )
    assert at(TIME_FIRST, "boundary").faces == ((1, -1.0, -1), (1, 1.0, 1))
    assert at(RING, "boundary").spheres == ((2.0, 1), (1.0, -1))
    assert at(BALL, "boundary").spheres == ((2.0, 1),)
    assert at(RING, {"circle": "1"}).spheres == ((1.0, -1),)
    assert at(BOX, {"x": "-1"}).label == '{"x": "-1"}'
    assert at(BOX, {"x": "-1"}) == at(BOX, {"x": "-1"})
    assert at(BOX, "interior").kind == "interior"
    assert at(BOX, "sensors").kind == "sensors"


@pytest.mark.parametrize(
    ("geometry", "where", "least"),
    [
        (BOX, "boundary", 4),
        (CUBE, "boundary", 40),
        (BOX, {"x": "-1"}, 1),
        (BOX, {"faces_of": ["y"]}, 2),
        (BOX, {"y": [0, "1/2"]}, 1),
        (RING, "boundary", 2),
        (BALL, "boundary", 1),
        (BOX, "interior", 1),
    ],
)
def test_at_least_one_point_on_every_face(geometry, where, least):
    place = at(geometry, where)
    assert place.minimum == least
    if place.kind != "interior":
        points = sample(place, geometry, 1, rng())
        assert len(points.x) == least
        for i, value, _ in place.faces if place.kind == "faces" else ():
            assert (points.x[:, i] == value).any()


@given(st.integers(0, 300), st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_even_parts(n, parts):
    found = even_parts(n, parts)
    sizes = [p.stop - p.start for p in found]
    assert len(found) == parts
    assert sum(sizes) == n
    assert max(sizes) - min(sizes) <= 1
    assert found[0].start == 0
    assert all(a.stop == b.start for a, b in itertools.pairwise(found))


@given(st.integers(1, 300))
@settings(max_examples=50, deadline=None)
def test_even_counts(n):
    places = [at(BOX, w) for w in ("boundary", {"t": 0}, {"x": "-1"})]
    counts = even_counts(n, places)
    assert all(c >= p.minimum for c, p in zip(counts, places, strict=True))
    assert sum(counts) == n or n < 12
    assert max(counts) - min(counts) <= 1 or n < 12


def test_the_global_generators_are_left_alone(monkeypatch):
    state = np.random.get_state()  # noqa: NPY002
    for geometry in EVERY.values():
        geometry.interior(10, rng())
        sample(at(geometry, "boundary"), geometry, 10, rng())
    after = np.random.get_state()  # noqa: NPY002
    assert (state[1] == after[1]).all()
    assert state[2] == after[2]
