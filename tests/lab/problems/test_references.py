"""Numerical references: the solvers, evaluation anywhere, the table, the store, the errors."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from conflictopt.core.errors import ConflictOptError
from conflictopt.lab.problems import references
from conflictopt.lab.problems.language import parse
from conflictopt.lab.problems.references import etdrk4
from conflictopt.lab.problems.references.cache import stored
from conflictopt.lab.problems.references.cole_hopf import cole_hopf
from conflictopt.lab.problems.references.etdrk4 import Equation, solve
from conflictopt.lab.problems.references.evolution import Evolution
from conflictopt.lab.problems.references.fourier import Modes
from conflictopt.lab.problems.references.from_specification import periodic_of, reference_of
from conflictopt.lab.problems.references.reference_error import ReferenceSolutionError
from conflictopt.lab.problems.references.table import check_table

SUITE = json.loads((Path(references.__file__).parents[1] / "suite.json").read_text("utf-8"))
ENTRIES = {
    entry["id"]: entry
    for entry in SUITE["configs"]
    if (entry["reference"] or {}).get("kind") == "numerical"
}
CIRCLE = Modes((0.0, 2 * np.pi), 64)


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(autouse=True)
def store(monkeypatch, shared_store):
    monkeypatch.setenv("CONFLICTOPT_CACHE", str(shared_store))
    return shared_store


@pytest.fixture
def own_store(monkeypatch, tmp_path):
    monkeypatch.setenv("CONFLICTOPT_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def solved(monkeypatch):
    """The steps of every call of the solver."""
    calls, run = [], etdrk4.solve
    monkeypatch.setattr(etdrk4, "solve", lambda *a: (calls.append(a[-1]), run(*a))[1])
    return calls


def numbers_of(entry):
    texts = {**entry["parameters"], **{k: v["true"] for k, v in entry["unknowns"].items()}}
    return {name: float(parse(text, {})) for name, text in texts.items()}


def build(entry, make=reference_of):
    return make(entry, numbers_of(entry), parse)


def changed(name, **fields):
    """A copy of an entry with other fields, by path with ``__`` between its parts."""
    entry = copy.deepcopy(ENTRIES[name])
    for path, value in fields.items():
        *above, last = path.split("__")
        place = entry
        for key in above:
            place = place[key]
        place[last] = value
    return entry


def coarse(name, points, step, **fields):
    resolution = {"reference__etdrk4__N": points, "reference__etdrk4__dt": step}
    return changed(name, **{**resolution, **fields})


# ---------------------------------------------------------------- Cole-Hopf


def test_cole_hopf_agrees_with_etdrk4():
    entry = ENTRIES["burgers_nu0p1"]
    by_quadrature, by_steps = build(entry), build(entry, periodic_of)
    steps = [100, 1000, 2000]
    modes = by_steps.modes
    found = modes.on_grid(by_quadrature.frames(steps)) - modes.on_grid(by_steps.frames(steps))
    assert np.abs(found).max() < 1e-11


def test_quadrature_has_converged():
    x, t = np.random.default_rng(0).uniform([-1, 0], 1, size=(300, 2)).T
    for viscosity in (0.1, 0.01 / np.pi):
        fine = cole_hopf(x, t, viscosity)
        assert np.abs(cole_hopf(x, t, viscosity, 600) - fine).max() < 1e-14
        assert np.abs(cole_hopf(x, t, viscosity, 20) - fine).max() > 1e-6


def test_cole_hopf_at_the_start_and_the_ends():
    x = np.linspace(-1, 1, 33)
    start = cole_hopf(x, np.zeros(33), 0.01)
    assert (start == -np.sin(np.pi * x)).all()
    assert np.abs(cole_hopf(x, np.full(33, 1e-12), 0.01) - start).max() < 1e-10
    mixed = cole_hopf(np.array([0.3, 0.3, -1.0, 1.0]), np.array([0.0, 0.5, 0.5, 0.9]), 0.01)
    assert mixed[0] == -np.sin(np.pi * 0.3)
    assert mixed[1] == cole_hopf([0.3], [0.5], 0.01)[0]
    assert np.abs(mixed[2:]).max() < 1e-14


def test_cole_hopf_works_in_little_memory():
    x = np.linspace(-1, 1, 20_000)
    tracemalloc.start()
    try:
        cole_hopf(x, np.full(20_000, 0.5), 0.1, nodes=200)  # [N, nodes] would be 32 MB
        assert tracemalloc.get_traced_memory()[1] < 4e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("x", "t", "viscosity", "nodes"),
    [
        ([0.0], [-0.1], 0.1, 100),
        ([np.nan], [0.1], 0.1, 100),
        ([0.0, 0.1], [0.1], 0.1, 100),
        ([0.0], [0.1], 0.0, 100),
        ([0.0], [0.1], 0.1, 1),
    ],
)
def test_cole_hopf_refuses(x, t, viscosity, nodes):
    with pytest.raises(ReferenceSolutionError, match="expected"):
        cole_hopf(x, t, viscosity, nodes)


# ---------------------------------------------------------------- ETDRK4


def test_linear_equations_are_exact():
    speed, diffusion, t = 3.0, 0.1, 0.7
    equation = Equation(
        lambda k: -1j * speed * k - diffusion * k**2, lambda k: 0.0, lambda u: u, np.sin
    )
    (found,) = solve(equation, CIRCLE, 0.1, [7])
    exact = np.exp(-diffusion * t) * np.sin(CIRCLE.grid() - speed * t)
    assert np.abs(CIRCLE.on_grid(found) - exact).max() < 1e-14
    heat = Equation(lambda k: -(k**2), lambda k: 0.0, lambda u: u, np.sin)
    frames = CIRCLE.on_grid(solve(heat, CIRCLE, 0.05, [0, 1, 20]))
    decay = np.exp(-0.05 * np.array([0, 1, 20]))
    assert np.abs(frames - decay[:, None] * np.sin(CIRCLE.grid())).max() < 1e-14


def test_nonlinear_equation_against_its_closed_form():
    # logistic growth, everywhere the same: u = e^t / (e^t + 3)
    equation = Equation(lambda k: 1.0, lambda k: 1.0, lambda u: -(u**2), lambda x: 0.25)
    (found,) = solve(equation, CIRCLE, 1 / 400, [400])
    assert np.abs(CIRCLE.on_grid(found) - np.e / (np.e + 3)).max() < 1e-11


@pytest.mark.parametrize("convective", [False, True])
def test_fourth_order_in_time(convective):
    if convective:
        parts = (lambda k: -0.1 * k**2, lambda k: -0.5j * k, np.square)
    else:
        parts = (lambda k: 1 - 0.1 * k**2, lambda k: 1.0, lambda u: -(u**3))
    equation = Equation(*parts, lambda x: np.sin(x) + 0.3 * np.cos(2 * x))
    ends = [solve(equation, CIRCLE, 1 / n, [n])[0] for n in (40, 80, 160, 2560)]
    errors = [np.abs(CIRCLE.on_grid(e - ends[-1])).max() for e in ends[:-1]]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (np.abs(orders - 4) < 0.25).all(), orders


def test_oversampling_keeps_a_kink_from_being_aliased():
    modes = Modes((-1.0, 1.0), 64)
    n = np.arange(1, 32)
    exact = 64 * 2 * (-1.0) ** n / (np.pi * n) ** 2 * np.exp(-1j * np.pi * n)

    def error(oversample):
        equation = Equation(lambda k: k, lambda k: k, lambda u: u, lambda x: x**2, oversample)
        return np.abs(equation.start(modes)[1:-1] - exact).max()

    assert error(32) < 1e-2 * error(1)


def test_allen_cahn_converges():
    # the layers that form by t = 1 are 0.01 wide
    solutions = [build(coarse("allen_cahn", n, "1/400")) for n in (256, 512, 1024)]
    points = solutions[0].strip.product(np.linspace(-1, 1, 101), np.array([0.25, 1.0]))
    *rough, fine = (s.values(points)["u"].reshape(2, 101) for s in solutions)
    errors = [np.abs(u - fine).max(axis=1) for u in rough]
    assert (errors[0] < [5e-6, 5e-3]).all(), errors
    assert (errors[1] < [1e-7, 5e-6]).all(), errors


def test_blow_up_is_an_error():
    equation = Equation(lambda k: 0.0, lambda k: 1.0, lambda u: u**2, lambda x: 2 + np.cos(x))
    with pytest.raises(ReferenceSolutionError, match="not finite at t=10"):
        solve(equation, CIRCLE, 0.1, [0, 1, 100])


@pytest.mark.parametrize("steps", [[], [-1], [2, 2], [3, 1]])
def test_steps_increase(steps):
    equation = Equation(lambda k: k, lambda k: k, lambda u: u, np.sin)
    with pytest.raises(ReferenceSolutionError, match="increasing"):
        solve(equation, CIRCLE, 0.1, steps)
    with pytest.raises(ReferenceSolutionError, match="time step > 0"):
        solve(equation, CIRCLE, 0.0, [1])


@pytest.mark.parametrize("points", [2, 63])
def test_grids_are_even(points):
    with pytest.raises(ReferenceSolutionError, match="even number"):
        Modes((0.0, 1.0), points)


# ---------------------------------------------------------------- evaluation


@pytest.mark.parametrize("order", range(5))
def test_interpolation_of_a_band_limited_function_is_exact(order):
    modes, rng = Modes((-1.0, 1.0), 16), np.random.default_rng(1)
    a, b, phase = rng.normal(size=9), rng.normal(size=9), np.pi * np.arange(9)
    b[-1] = 0.0  # the grid cannot hold the sine of the highest mode

    def function(x, order):
        angle = np.multiply.outer(x, phase) + order * np.pi / 2
        return (phase**order * (a * np.cos(angle) + b * np.sin(angle))).sum(-1)

    coefficients = modes.coefficients(function(modes.grid(), 0))
    x = rng.uniform(-1, 1, size=300)
    scale = np.abs(function(x, order)).max()
    for found in (
        modes.at(coefficients, x, order),
        modes.pairwise(np.tile(coefficients, (300, 1)), x, order),
    ):
        assert np.abs(found - function(x, order)).max() < 1e-13 * scale
    if order % 2 == 0:
        on_grid = modes.on_grid(coefficients, order)
        assert np.abs(on_grid - function(modes.grid(), order)).max() < 1e-13 * scale


def test_interpolation_in_time_is_exact_at_frames_and_of_sixth_order():
    x, between = np.array([0.4]), np.linspace(0, 1, 997)

    def error(intervals):
        times = np.linspace(0, 1, intervals + 1)
        frames = np.multiply.outer(np.sin(9 * times), CIRCLE.coefficients(np.cos(CIRCLE.grid())))
        evolution = Evolution(CIRCLE, times, frames, np.zeros(33))
        exact = np.cos(0.4) * np.sin(9 * times)
        assert np.abs(evolution.at(np.repeat(x, len(times)), times) - exact).max() < 1e-14
        found = evolution.at(np.repeat(x, 997), between)
        return np.abs(found - np.cos(0.4) * np.sin(9 * between)).max()

    assert 2**5 < error(20) / error(40) < 2**7


def test_interpolation_follows_an_initial_layer():
    times = np.linspace(0, 1, 11)
    decay = CIRCLE.wavenumbers**2
    start = CIRCLE.coefficients(np.exp(np.cos(CIRCLE.grid())))
    frames = np.exp(-np.multiply.outer(times, decay)) * start
    evolution = Evolution(CIRCLE, times, frames, decay)
    found = evolution.at(np.array([0.3]), np.array([0.013]))
    exact = CIRCLE.at(np.exp(-0.013 * decay) * start, np.array([0.3]))
    assert abs(found - exact) < 1e-13


@pytest.fixture(scope="module")
def fisher():
    """A cheap entry at its own settings."""
    return build(ENTRIES["reaction_diffusion_nu3_rho5"])


def test_error_between_frames(fisher):
    assert fisher.step == 1 / 4000
    steps = np.setdiff1d(np.r_[0:40, 40:4000:97], np.arange(0, 4001, 10))
    x = np.random.default_rng(2).uniform(0, 2 * np.pi, size=101)
    exact = fisher.modes.at(fisher.frames(steps), x)
    found = fisher.values(fisher.strip.product(x, steps * fisher.step))["u"]
    assert np.abs(found - exact.ravel()).max() < 5e-9


def test_grid_of_a_periodic_reference(fisher):
    points, values = fisher.grid()
    assert points.shape == (256 * 101, 2)
    x, t = points.reshape(101, 256, 2).T
    assert np.allclose(x[:, 0], 2 * np.pi * np.arange(256) / 256)
    assert np.allclose(t[0], np.linspace(0, 1, 101))
    u = values["u"].reshape(101, 256)
    assert (u[0] == np.exp(-8 * (x[:, 0] - np.pi) ** 2 / np.pi**2)).all()
    stride = slice(None, None, 2)
    frames = fisher.modes.on_grid(fisher.frames([40, 4000]))[:, stride]
    assert np.abs(u[[1, -1]] - frames).max() < 1e-13
    some = np.random.default_rng(3).integers(0, len(points), size=500)
    assert np.abs(fisher.values(points[some])["u"] - values["u"][some]).max() < 1e-13


def test_periodic_values_and_slopes_meet_at_the_ends(fisher):
    times = np.linspace(0.003, 1, 7)
    ends = [fisher.strip.product(np.array([end]), times) for end in (0.0, 2 * np.pi)]
    for order in (0, 1, 2):
        low, high = (fisher.derivatives(p, "u", order) for p in ends)
        assert np.abs(low - high).max() < 1e-11


def test_grid_of_a_burgers_reference():
    reference = build(changed("burgers_nu0p01", reference__quadrature_points=200))
    points, values = reference.grid()
    x, t = points.T
    assert (x.min(), x.max(), t.min(), t.max()) == (-1, 1, 0, 1)
    assert len(np.unique(x)) == 256
    some = np.random.default_rng(4).integers(0, len(points), size=50)
    fine = cole_hopf(x[some], t[some], 0.01)
    assert np.abs(values["u"][some] - fine).max() < 1e-13
    assert np.abs(reference.values(points[some])["u"] - fine).max() < 1e-13


def test_inputs_in_another_order():
    small = coarse("kuramoto_sivashinsky", 64, "1/800")
    swapped = {**small, "inputs": ["t", "x"]}
    points = np.random.default_rng(5).uniform([-1, 0], 1, size=(50, 2))
    one, other = build(small), build(swapped)
    assert (one.values(points)["u"] == other.values(points[:, ::-1])["u"]).all()
    assert (one.grid()[0] == other.grid()[0][:, ::-1]).all()


def test_an_interval_of_time_that_begins_later():
    small = coarse("kuramoto_sivashinsky", 64, "1/800")
    late = {**small, "domain": {"x": ["-1", "1"], "t": ["2", "3"]}}
    points = np.array([[0.3, 0.0], [0.1, 0.37], [-0.5, 1.0]])
    found = build(late).values(points + np.array([0, 2]))["u"]
    assert np.abs(found - build(small).values(points)["u"]).max() < 1e-13
    assert build(late).grid()[0][:, 1].min() == 2


def test_auxiliary_outputs_follow_from_the_main_one():
    waves = build(coarse("kuramoto_sivashinsky", 128, "1/2000"))
    points = np.random.default_rng(6).uniform([-1, 0], 1, size=(200, 2))
    second = waves.derivatives(points, "u", 2)
    assert np.abs(waves.values(points)["w"] - second).max() < 1e-11 * np.abs(second).max()
    phases = build(coarse("cahn_hilliard_1d", 256, "1/2000"))
    points, values = phases.grid()
    later = points[:, 1] > 0
    u, curvature = values["u"][later], phases.derivatives(points[later], "u", 2)
    assert np.abs(values["mu"][later] - (0.01 * (u**3 - u) - 1e-6 * curvature)).max() < 1e-10


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([[0.0, 1.5]], r"t in \[0, 1\], found 1.5"),
        ([[-0.5, 0.5]], r"x in \[0, 6.28319\]"),
        ([[0.0, np.nan]], "found nan"),
        ([0.0, 0.5], r"points \[N, 2\] in the order \(x, t\), found shape \[2\]"),
        ([[0.0, 0.5, 0.5]], r"found shape \[1, 3\]"),
    ],
)
def test_bad_points_are_refused(fisher, points, words):
    with pytest.raises(ReferenceSolutionError, match=words):
        fisher.values(points)


def test_derivatives_refuse(fisher):
    with pytest.raises(ReferenceSolutionError, match="outputs u, found 'v'"):
        fisher.derivatives([[0.0, 0.5]], "v", 1)
    with pytest.raises(ReferenceSolutionError, match="order >= 0"):
        fisher.derivatives([[0.0, 0.5]], "u", -1)


def test_float32_ends_are_inside(fisher):
    end = np.array([[2 * np.pi, 1.0]], dtype=np.float32)
    assert float(end[0, 0]) > 2 * np.pi
    assert np.isfinite(fisher.values(end)["u"]).all()


# ---------------------------------------------------------------- the table


def residual(reference, numbers, expressions):
    values = check_table(reference).values
    names = {"_".join([out, "".join(i)]).rstrip("_"): v for (out, i), v in values.items()}
    scale = max(1.0, np.abs(names["u_t"]).max())
    return max(
        np.abs(e(**{**names, **numbers})).max() / scale  # every name that a lambda may want
        for e in expressions
    )


def test_residuals_of_shipped_settings(fisher):
    found = residual(
        fisher,
        {"nu": 3, "rho": 5},
        [lambda u, u_t, u_xx, nu, rho, **_: u_t - nu * u_xx - rho * u * (1 - u)],
    )
    assert found < 1e-10 < fisher.tolerance


def test_residuals_of_a_burgers_reference():
    reference = build(coarse("burgers_nu0p1", 128, "1/1000", reference__quadrature_points=200))
    found = residual(
        reference, {"nu": 0.1}, [lambda u, u_t, u_x, u_xx, nu, **_: u_t + u * u_x - nu * u_xx]
    )
    assert found < 1e-8


def test_residuals_with_auxiliary_outputs():
    waves = build(coarse("kuramoto_sivashinsky", 128, "1/4000"))
    numbers = numbers_of(ENTRIES["kuramoto_sivashinsky"])
    first = [
        lambda u, u_t, u_x, w, w_xx, a, b, g, **_: u_t + a * u * u_x + b * w + g * w_xx,
        lambda u_t, u, u_x, u_xx, u_xxxx, a, b, g, **_: u_t + a * u * u_x + b * u_xx + g * u_xxxx,
    ]
    assert residual(waves, numbers, first) < 2e-6
    assert residual(waves, numbers, [lambda w, u_xx, **_: w - u_xx]) < 1e-12
    assert residual(waves, numbers, [lambda u_x, w_x, u_xxx, **_: w_x - u_xxx]) < 1e-10


def test_points_of_the_table(fisher):
    table = check_table(fisher, fractions=(0.0, 0.5))
    assert table.points.shape == (2 * 512, 2)
    assert np.unique(table.points[:, 1]).tolist() == [3 / 4000, 0.5]
    assert set(table.values) == {("u", i) for i in [("t",)] + [("x",) * n for n in range(5)]}
    some = slice(512, None, 17)
    exact = fisher.values(table.points[some])["u"]
    assert np.abs(table.values["u", ()][some] - exact).max() < 1e-13
    for fractions in ((), (1.5,)):
        with pytest.raises(ReferenceSolutionError, match="fractions"):
            check_table(fisher, fractions)


# ---------------------------------------------------------------- the store

TINY = ("kuramoto_sivashinsky", 32, "1/400")


def test_second_call_does_not_solve_again(own_store, solved, capfd):
    first = build(coarse(*TINY)).grid()[1]
    again = build(coarse(*TINY)).grid()[1]
    assert len(solved) == 1
    assert all((first[name] == again[name]).all() for name in first)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "change",
    [
        {"parameters__g": "1/201"},
        {"reference__initial": "-sin(pi*x)/2"},
        {"reference__etdrk4__linear_symbol": "b*k**2 - g*k**4 - 1"},
        {"reference__etdrk4__nonlinear_symbol": "-a*I*k/3"},
        {"reference__etdrk4__pointwise": "u**3"},
        {"reference__etdrk4__oversample": 2},
        {"reference__etdrk4__N": 34},
        {"reference__etdrk4__dt": "1/800"},
        {"domain__x": ["-1", "2"]},
        {"domain__t": ["0", "2"]},
    ],
)
def test_every_number_and_expression_is_part_of_the_key(own_store, solved, change):
    build(coarse(*TINY)).grid()
    build(coarse(*TINY, **change)).grid()
    assert len(solved) == 2


def test_numbers_differ_to_the_last_digit(own_store, solved):
    entry = coarse(*TINY)
    for g in (0.005, np.nextafter(0.005, 1)):
        reference_of(entry, {**numbers_of(entry), "g": g}, parse).grid()
    assert len(solved) == 2


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
def test_a_damaged_file_is_computed_again(own_store, solved, damage):
    good = build(coarse(*TINY)).grid()[1]["u"]
    (file,) = own_store.rglob("output.pkl")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x10
    kept = {"truncate": len(content) // 2, "flip": len(content), "empty": 0}[damage]
    file.write_bytes(content[:kept])
    assert (build(coarse(*TINY)).grid()[1]["u"] == good).all()
    assert (build(coarse(*TINY)).grid()[1]["u"] == good).all()
    assert len(solved) == 2


def test_a_folder_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CONFLICTOPT_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(ReferenceSolutionError, match=r"below'.*set CONFLICTOPT_CACHE"):
        build(coarse(*TINY)).grid()


SCRIPT = """
import pathlib, sys, time, types
root, me, other = sys.argv[1:]
for name in ("conflictopt", "conflictopt.lab.problems"):  # without what they import: that is slow
    package = sys.modules[name] = types.ModuleType(name)
    package.__path__ = [str(pathlib.Path(root, *name.split(".")))]
import numpy as np
from conflictopt.lab.problems.references.cache import stored
from conflictopt.lab.problems.references.etdrk4 import Equation, solve
from conflictopt.lab.problems.references.fourier import Modes
equation = Equation(lambda k: -k**2, lambda k: 1.0, lambda u: -u**3, np.sin)
def compute():
    pathlib.Path(me).touch()
    while not pathlib.Path(other).exists():  # both have looked into the store by then
        time.sleep(0.01)
    return solve(equation, Modes((0.0, 6.0), 16), 0.1, [0, 5, 9])
print(stored("tiny", compute).tobytes().hex())
"""


def test_two_processes_at_once(own_store):
    root = str(Path(references.__file__).parents[4])
    flags = [str(own_store / name) for name in "ab"]
    running = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", SCRIPT, root, *order],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for order in (flags, flags[::-1])
    ]
    outs = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0, 0], outs
    assert outs[0] == outs[1]
    kept = stored("tiny", lambda: pytest.fail("computed again"))
    assert kept.tobytes().hex() == outs[0][0].strip()
    assert len(list(own_store.rglob("output.pkl*"))) == 1


# ---------------------------------------------------------------- the specification


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_every_entry_can_be_read(name):
    entry = ENTRIES[name]
    reference = build(entry)
    assert reference.outputs == tuple(entry["outputs"])
    assert reference.tolerance == float(entry["reference"]["tolerance"])
    assert reference.modes.points == entry["reference"]["etdrk4"]["N"]


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("allen_cahn", {"reference__method": "magic"}, "reference.method: expected one of cole_h"),
        ("allen_cahn", {"reference__method": None}, "reference.method: missing"),
        ("allen_cahn", {"reference__initial": None}, "reference.initial: missing"),
        ("allen_cahn", {"domain__t": None}, "domain.t: missing"),
        ("allen_cahn", {"domain__t": ["0"]}, "domain.t: expected two ends"),
        ("allen_cahn", {"domain__t": ["1", "1"]}, "t: expected an interval"),
        ("allen_cahn", {"inputs": ["x"]}, "one space input and 't'"),
        ("allen_cahn", {"reference__etdrk4__pointwise": "u**"}, "reference.etdrk4.pointwise: "),
        ("allen_cahn", {"reference__etdrk4__linear_symbol": "q*k"}, "linear_symbol: .*'q'"),
        ("allen_cahn", {"reference__etdrk4__N": "100/3"}, "etdrk4.N: expected a whole number"),
        (
            "allen_cahn",
            {"reference__etdrk4__dt": "sqrt(-1)"},
            "etdrk4.dt: .*not real",
        ),
        ("allen_cahn", {"reference__etdrk4__dt": "0"}, "time step > 0, found 0"),
        ("burgers_nu0p1", {"reference__etdrk4__dt": "-1"}, "time step > 0, found -1"),
        ("allen_cahn", {"reference__etdrk4__dt": "1/300"}, "time step that divides 1/400"),
        ("allen_cahn", {"reference__etdrk4__oversample": 0}, "oversample >= 1"),
        ("allen_cahn", {"outputs": ["u", "w"]}, "expected the outputs u, w to be the main"),
        ("allen_cahn", {"parameters": {"D": "1", "r": "1", "k": "1"}}, "'k' is a parameter"),
        ("kuramoto_sivashinsky", {"reference__aux_outputs__w": "u_t"}, "aux_outputs.w: .*'u_t'"),
        ("burgers_nu0p1", {"reference__initial": "sin(pi*x)"}, r"from -sin\(pi\*x\) on \[-1, 1\]"),
        ("burgers_nu0p1", {"domain__x": ["-1", "3"]}, r"found -sin\(pi\*x\) on \[-1.0, 3.0\]"),
        ("burgers_nu0p1", {"parameters__nu": "-1"}, "reference.viscosity > 0"),
    ],
)
def test_errors_name_the_field(name, change, words):
    with pytest.raises(ReferenceSolutionError, match=words) as caught:
        build(changed(name, **change))
    assert isinstance(caught.value, (ConflictOptError, ValueError))
