"""Every method of the registry reads what it declares, and no more."""

from __future__ import annotations

import pytest
import torch

from conflictopt import Chain, Needs, Recorder, make
from conflictopt.core.buffer import RowBuffer
from conflictopt.core.gradients import GradientSource
from conflictopt.core.layout import ParameterLayout
from conflictopt.core.losses import Losses
from conflictopt.core.objective import Given
from conflictopt.core.points import point_sets
from conflictopt.core.step import Spec, StepView
from conflictopt.methods.registry import METHODS, method_class
from conflictopt.methods.reweighting._periodic import PeriodicReweighting

NAMES = ("a", "b", "c")
ALLOWED = {
    Needs.LOSSES: {"values"},
    Needs.POINTS: set(),
    Needs.ROW: {"row"},
    Needs.NORMS: {"values", "norms"},
    Needs.GRAMIAN: {"values", "norms", "gramian"},
    Needs.ROWS: {"values", "norms", "gramian", "rows", "touched"},
    Needs.RESIDUALS: {"values", "residual_traces"},
}
OPTIONS = {
    "causal": [{"chunks": 2}],
    "constant": [{"weights": {"b": 2.0}}],
    "adapters": [{"routing": "shared"}, {"routing": "exclusive"}],
    "grad_norm": [{"form": "mean"}, {"form": "one_sided"}],
    "lr_annealing": [{"variant": "weighted"}, {"variant": "raw"}, {"variant": "mean"}],
}
BUILT = [(name, options) for name in METHODS for options in OPTIONS.get(name, [{}])]
PERIODIC = [n for n in METHODS if issubclass(method_class(n), PeriodicReweighting)]


class Spy(GradientSource):
    """Notes what is asked for from outside, and what was computed for it."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.asked = []
        self.inside = False

    def __getattribute__(self, name):
        found = super().__getattribute__(name)
        watched = name in {"touched", *ALLOWED[Needs.ROWS], "row", "residual_traces"}
        if not watched or self.inside:
            return found

        def ask(*args):
            self.asked.append(name)
            self.inside = True
            try:
                return found(*args)
            finally:
                self.inside = False

        return ask


@pytest.fixture
def march():
    """``march(method, steps)``: per step what the method asked for, and the source."""

    def go(method, steps):
        w = torch.linspace(0.1, 0.9, 6, dtype=torch.float64).requires_grad_()
        owned = [torch.ones(2, dtype=torch.float64, requires_grad=True) for _ in NAMES]
        blocks = {f"adapter/{n}": [p] for n, p in zip(NAMES, owned, strict=True)}
        layout = ParameterLayout.build([w, *owned], blocks)
        spec = Spec(NAMES, (True, False, False), layout.dtype, layout.device, layout.outline)
        generator = torch.Generator().manual_seed(0)
        state, seen = method.init(spec), []
        for t in range(steps):
            residuals = {
                n: torch.sin((k + 1) * w + t) * p.sum() - k
                for k, (n, p) in enumerate(zip(NAMES, owned, strict=True))
            }
            points = {n: torch.arange(6.0)[:, None] for n in NAMES}
            terms = {n: r.square().mean() for n, r in residuals.items()}
            losses = Losses.of(terms, residuals, points=points)
            retain = bool(method.needs & Needs.RESIDUALS)
            source = Spy(Given(losses), layout, RowBuffer, plain=method.plain, retain=retain)
            view = StepView(spec, t, layout, lambda: generator, source, [])
            if method.needs & Needs.POINTS:
                _, state = method.weigh(spec, point_sets(losses), state)
            state = method.choose(view, state).state
            seen.append((set(source.asked), source))
        return seen

    return go


def declared(method):
    return set().union(*[ALLOWED[need] for need in Needs if need in method.needs])


@pytest.mark.parametrize(("name", "options"), BUILT)
def test_a_method_reads_what_it_declares(name, options, march):
    method = make(name, **options)
    for asked, source in march(method, 4):
        assert asked <= declared(method)
        if method.needs in (Needs.LOSSES, Needs.POINTS, Needs.ROW, Needs.RESIDUALS):
            assert not source.has_rows
        if method.needs == Needs.NORMS:
            assert not source._gramians


@pytest.mark.parametrize("name", METHODS)
def test_a_method_declares_what_it_reads(name, march):
    """The dearest thing that it declares is one that some variant of it reads."""
    methods = [make(n, **options) for n, options in BUILT if n == name]
    asked = {a for m in methods for seen, _ in march(m, 1) for a in seen}
    dearest = {
        Needs.ROW: {"row"},
        Needs.NORMS: {"norms"},
        Needs.GRAMIAN: {"gramian"},
        Needs.ROWS: {"rows"},
        Needs.RESIDUALS: {"residual_traces"},
    }
    assert dearest.get(methods[0].needs, set()) <= asked


@pytest.mark.parametrize("name", PERIODIC)
@pytest.mark.parametrize("refresh", [1, 3])
def test_a_periodic_method_reads_when_it_refreshes(name, refresh, march):
    method = make(name, refresh=refresh)
    read = [bool(asked) for asked, _ in march(method, 8)]
    assert read == [t % refresh == 0 for t in range(8)]


def test_a_profile_reads_when_it_samples(march):
    seen = march(Recorder(steps=8, every=3), 8)
    assert [asked for asked, _ in seen] == [
        {"gramian", "values"} if t in (0, 3) else set() for t in range(8)
    ]


def test_a_chain_reads_what_its_members_do(march):
    method = Chain(make("ntk", refresh=4), make("grad_norm", refresh=2))
    both = {"residual_traces", "norms"}
    assert [asked for asked, _ in march(method, 5)] == [both, set(), {"norms"}, set(), both]
