"""Every option changes the outcome as its description says; bad values are refused by name."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import nn

from conflictopt import CurvatureOptions, LevenbergMarquardt, MethodError
from conflictopt.curvature import growth, optimizer
from conflictopt.curvature.rows import BatchedRows
from conflictopt.curvature.system import NormalEquations


@pytest.fixture
def dampings(monkeypatch):
    """The lambda of every system that was solved, in order, each once."""
    seen, solve = [], NormalEquations.solve

    def noted(self, residuals, damping):
        if not seen or seen[-1] != damping:
            seen.append(damping)
        return solve(self, residuals, damping)

    monkeypatch.setattr(NormalEquations, "solve", noted)
    return seen


class Stuck:
    """A residual that is least where the parameters are."""

    def __init__(self):
        self.theta = nn.Parameter(torch.zeros(2, dtype=torch.float64))
        self.calls = 0

    def __call__(self):
        self.calls += 1
        moved = bool((self.theta != 0).any())
        return {"r": self.theta + 1 + 10 * moved}


@pytest.mark.parametrize(("rows", "expected"), [(None, 200), (60, 60), (500, 200), (2, 32)])
def test_rows(make_heat, rows, expected):
    heat = make_heat(100)
    opt = LevenbergMarquardt(net := heat.net(), rows=rows)
    heat.train(net, opt, 1)
    # at least 16 of each loss
    assert opt.last.rows == expected


def test_rows_are_drawn_anew_for_each_step_in_proportion(make_heat, monkeypatch):
    heat = make_heat(100)
    net = heat.net()
    sizes = []

    def residuals():
        found = heat.residuals(net)
        return {"pde": found["pde"], "ic": found["ic"][:50]}

    opt = LevenbergMarquardt(net, rows=60, most_rows=60)
    draw = optimizer.draw
    monkeypatch.setattr(optimizer, "draw", lambda *a: sizes.append(draw(*a).chosen) or draw(*a))
    for _ in range(2):
        opt.step(residuals)
    assert [[len(c) for c in chosen] for chosen in sizes] == [[40, 20], [40, 20]]
    assert not torch.equal(sizes[0][0], sizes[1][0])


def noisy(seed, **options):
    """Steps of few rows on one parameter and much noise: they soon lower nothing for others."""
    draw = torch.Generator().manual_seed(seed)
    noise = torch.randn(2000, generator=draw, dtype=torch.float64)
    theta = nn.Parameter(torch.ones(1, dtype=torch.float64))
    opt = LevenbergMarquardt([theta], **options)
    seen = []
    for _ in range(60):
        opt.step(lambda: {"r": theta - noise})
        seen.append(opt.last.rows)
    return sorted(set(seen))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"growth": 2.0, "most_rows": 150}, [40, 80, 150]),
        ({"growth": 1.5, "most_rows": 100}, [40, 60, 90, 100]),
        ({"growth": 1.0}, [40]),
        ({"growth": 2.0, "most_rows": 40}, [40]),
    ],
)
def test_growth_and_most_rows(monkeypatch, options, expected):
    monkeypatch.setattr(growth, "_PATIENCE", 4)
    assert noisy(0, rows=40, **options) == expected


def test_rows_do_not_grow_while_the_loss_falls():
    options = CurvatureOptions(rows=40)
    state = growth.first_rows(options)
    for k in range(200):
        growth.grow(state, 0.9**k, options)
    assert state["rows"] == 40


def test_damping(heat):
    lengths = []
    for damping in (1e-3, 1e-1, 10.0):
        net, start = heat.net(), heat.net()
        heat.train(net, LevenbergMarquardt(net, damping=damping, geodesic=False), 1)
        pairs = zip(net.parameters(), start.parameters(), strict=True)
        lengths.append(math.sqrt(sum(float((a - b).detach().square().sum()) for a, b in pairs)))
    assert lengths[0] > lengths[1] > lengths[2] > 0


@pytest.mark.parametrize("lower", [2.0, 5.0])
def test_lower(dampings, lower):
    theta = nn.Parameter(torch.ones(2, dtype=torch.float64))
    opt = LevenbergMarquardt([theta], lower=lower, rows=None)
    for _ in range(3):
        opt.step(lambda: {"r": theta})
        assert (opt.last.taken, opt.last.trials) == (True, 1)
    assert dampings[0] / dampings[1] == pytest.approx(lower)
    assert dampings[1] / dampings[2] == pytest.approx(lower)


@pytest.mark.parametrize("trials", [1, 4])
@pytest.mark.parametrize("higher", [1.5, 3.0])
def test_higher_and_trials(dampings, higher, trials):
    stuck = Stuck()
    opt = LevenbergMarquardt([stuck.theta], higher=higher, trials=trials, geodesic=False)
    opt.step(stuck)
    assert (opt.last.taken, opt.last.trials) == (False, trials)
    assert stuck.calls == 1 + trials
    assert dampings == pytest.approx([dampings[0] * higher**k for k in range(trials)])
    # the next step begins with more
    opt.step(stuck)
    assert dampings[trials] == pytest.approx(dampings[0] * higher**trials)


class Opposed:
    """Two rows that no step can lower at once; each step sees one of them, in turn."""

    def __init__(self):
        self.theta, self.turn = nn.Parameter(torch.zeros(1, dtype=torch.float64)), 0

    def __call__(self):
        raise AssertionError("only rows are asked for")

    def batch(self, rows, generator):
        self.turn += 1
        sign = 1.0 if self.turn % 2 else -1.0
        return lambda: {"r": 1 + sign * self.theta}


@pytest.mark.parametrize("fresh", [True, False])
def test_fresh_damping(fresh):
    """Steps that undo each other are damped, though each lowers its own rows at once."""
    opposed = Opposed()
    opt = LevenbergMarquardt([opposed.theta], fresh_damping=fresh, geodesic=False)
    found = []
    for _ in range(6):
        opt.step(opposed)
        assert (opt.last.taken, opt.last.trials) == (True, 1)
        found.append(opt.last.damping)
    assert (max(found[2:]) > found[0]) == fresh


def test_fresh_damping_resumes_bitwise():
    def run(opt, opposed, steps):
        for _ in range(steps):
            opt.step(opposed)
        return opposed.theta.item()

    whole, first, then = Opposed(), Opposed(), Opposed()
    expected = run(LevenbergMarquardt([whole.theta], fresh_damping=True), whole, 6)
    opt = LevenbergMarquardt([first.theta], fresh_damping=True)
    run(opt, first, 3)
    then.theta.data.copy_(first.theta.data)
    then.turn = first.turn
    other = LevenbergMarquardt([then.theta], fresh_damping=True)
    other.load_state_dict(opt.state_dict())
    assert run(other, then, 3) == expected


@pytest.mark.parametrize("geodesic", [True, False])
def test_geodesic(geodesic):
    theta = nn.Parameter(torch.full((2,), 0.5, dtype=torch.float64))
    calls = []
    opt = LevenbergMarquardt([theta], geodesic=geodesic)
    opt.step(lambda: calls.append(1) or {"r": torch.exp(theta) - 1})
    assert opt.last.trials == 1
    assert len(calls) == (3 if geodesic else 2)


def test_measured(heat):
    """As the equations are met, measurements that are mostly noise get less weight."""
    noise = torch.randn(24, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = {}
    for measured in ((), ("data",)):
        net = heat.net()
        opt = LevenbergMarquardt(net, rows=None, measured=measured)

        def residuals(net=net):
            return {**heat.residuals(net), "data": net(heat.points) - 5 * noise}

        for _ in range(15):
            opt.step(residuals)
        found[measured] = {n: float(r.detach().square().mean()) for n, r in residuals().items()}
    plain, weighted = found[()], found[("data",)]
    assert weighted["pde"] < plain["pde"]
    assert weighted["ic"] < plain["ic"]
    assert weighted["data"] > plain["data"]


def test_measurements_alone_count_in_full():
    theta = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    opt = LevenbergMarquardt([theta], measured=("data",))
    assert opt.step(lambda: {"data": theta - 1}) == pytest.approx(1.0)


def test_engine(heat, same, monkeypatch):
    asked = []
    of = BatchedRows.of
    monkeypatch.setattr(BatchedRows, "of", lambda *a: asked.append(1) or of(*a))
    nets = {}
    for engine in ("auto", "layers", "batched"):
        asked.clear()
        nets[engine] = heat.net()
        heat.train(nets[engine], LevenbergMarquardt(nets[engine], engine=engine), 1)
        assert bool(asked) == (engine == "batched")
    assert same(nets["auto"], nets["layers"])
    for one, other in zip(nets["auto"].parameters(), nets["batched"].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0.0, atol=1e-8)


def test_memory(make_heat):
    heat = make_heat(100)
    opt = LevenbergMarquardt(net := heat.net(), memory=8 * 40 * 67)
    assert sum(p.numel() for p in net.parameters()) == 67
    heat.train(net, opt, 1)
    assert opt.last.rows == 40


def test_seed(make_heat, same):
    heat = make_heat(100)
    nets = [heat.net() for _ in range(3)]
    for net, seed in zip(nets, (0, 0, 1), strict=True):
        heat.train(net, LevenbergMarquardt(net, rows=40, seed=seed), 2)
    assert same(nets[0], nets[1])
    assert not same(nets[0], nets[2])


def test_options_are_given_together_or_by_name(heat, same):
    net, other = heat.net(), heat.net()
    together = CurvatureOptions(rows=40, damping=0.3)
    one = LevenbergMarquardt(net, options=together, seed=3)
    two = LevenbergMarquardt(other, rows=40, damping=0.3, seed=3)
    assert one.options == two.options == dataclasses.replace(together, seed=3)


BAD = {
    "rows": (0, -1, 1.5, True, "300"),
    "growth": (0.5, math.nan, math.inf, "2", None, True),
    "most_rows": (0, 1.5, None),
    "damping": (0, -1.0, math.nan, math.inf, "1", None, True),
    "lower": (1.0, 0.5, math.nan, None),
    "higher": (1.0, 0.0, math.inf, "2"),
    "trials": (0, 2.0, None),
    "geodesic": ("yes", 1, None),
    "keep_best": ("yes", 1, None),
    "fresh_damping": ("yes", 1, None),
    "alone": ("yes", 1, None),
    "measured": ("data", 3, (1,), None),
    "engine": ("fast", None),
    "memory": (0, -1, math.inf, None),
    "seed": (-1, 1.5, None, True, "0"),
}


def test_every_option_has_values_that_are_refused():
    assert set(BAD) == {f.name for f in dataclasses.fields(CurvatureOptions)}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in BAD.items() for v in vs])
def test_bad_values_are_refused_by_name(heat, name, value):
    with pytest.raises(MethodError, match=f"expected {name} as"):
        LevenbergMarquardt(heat.net(), **{name: value})


def test_unknown_options_are_told(heat):
    with pytest.raises(MethodError, match=r"unknown option 'dampning'\. Did you mean 'damping'"):
        LevenbergMarquardt(heat.net(), dampning=1.0)


def test_measured_losses_that_are_none_are_told(heat):
    net = heat.net()
    opt = LevenbergMarquardt(net, measured=("data", "ic"))
    message = "expected measured as names of losses, found data and the losses pde, ic"
    with pytest.raises(MethodError, match=message):
        heat.train(net, opt, 1)


@pytest.mark.parametrize("lr", [-1.0, math.nan, "1"])
def test_bad_learning_rates_are_refused(heat, lr):
    with pytest.raises(MethodError, match="expected lr as a number >= 0"):
        LevenbergMarquardt(heat.net(), lr=lr)
