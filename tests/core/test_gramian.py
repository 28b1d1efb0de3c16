"""Inner products of hard rows, in double precision and without a second copy of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.profiler import ProfilerActivity, profile

from conflictopt.core.buffer import RowBuffer
from conflictopt.core.gramian import _ENTRIES, gramian
from conflictopt.core.layout import ParameterLayout

MIB = 2**20
SMALL = 60
"""A chunk that K = 1..5 divides."""

few = settings(max_examples=100, deadline=None, derandomize=True)


def exact(rows):
    """The Gramian, and per entry the sum of the sizes of what is added up for it."""
    lines = rows.double().tolist()
    products = [[[x * y for x, y in zip(a, b, strict=True)] for b in lines] for a in lines]
    gram = [[math.fsum(p) for p in row] for row in products]
    sizes = [[math.fsum(map(abs, p)) for p in row] for row in products]
    return torch.tensor(gram, dtype=torch.float64), torch.tensor(sizes, dtype=torch.float64)


def hard_rows(seed, count, size, span, dtype):
    draw = torch.Generator().manual_seed(seed)
    rows = torch.randn(count, size, generator=draw, dtype=torch.float64)
    exponents = (2 * torch.rand(count, 1, generator=draw) - 1) * span
    return (rows * 10.0**exponents).to(dtype)


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr("conflictopt.core.gramian._ENTRIES", SMALL)


@few
@given(
    seed=st.integers(0, 2**31),
    count=st.integers(1, 5),
    chunks=st.integers(1, 3),
    extra=st.integers(-1, 1),
    span=st.sampled_from([0, 4, 8]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_hard_rows_at_the_borders_of_chunks(seed, count, chunks, extra, span, dtype):
    rows = hard_rows(seed, count, chunks * SMALL // count + extra, span, dtype)
    expected, sizes = exact(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("conflictopt.core.gramian._ENTRIES", SMALL)
        found = gramian(rows)
    assert ((found - expected).abs() <= 1e-14 * sizes).all()
    assert found.dtype == torch.float64


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_the_border_itself(count, extra):
    rows = hard_rows(0, count, _ENTRIES // count + extra, 8, torch.float32)
    expected, sizes = exact(rows)
    assert ((gramian(rows) - expected).abs() <= 1e-13 * sizes).all()


@pytest.mark.usefixtures("small_chunks")
def test_single_precision_is_added_up_in_double():
    """A small product that is lost beside large ones, which then cancel."""
    rows = torch.full((2, 1001), 1e3)
    rows[:, 0] = 0.1
    rows[0, 1::2] *= -1
    expected, _ = exact(rows)
    assert gramian(rows)[0, 1].item() == pytest.approx(expected[0, 1].item(), rel=1e-6)
    single = np.add.accumulate((rows[0] * rows[1]).numpy())[-1]
    assert single != pytest.approx(expected[0, 1].item(), rel=0.1)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("count", [61, 100])
def test_more_rows_than_a_chunk_has_entries(count):
    rows = hard_rows(1, count, 7, 2, torch.float64)
    expected, sizes = exact(rows)
    assert ((gramian(rows) - expected).abs() <= 1e-14 * sizes).all()


@pytest.mark.usefixtures("small_chunks")
def test_columns_of_a_block():
    rows = hard_rows(2, 3, 200, 4, torch.float32)
    assert torch.equal(gramian(rows[:, 17:150]), gramian(rows[:, 17:150].clone()))


def test_rows_are_left_as_they_are():
    rows = hard_rows(3, 3, 40, 4, torch.float64)
    kept = rows.clone()
    gramian(rows)
    assert torch.equal(rows, kept)


def peak(work):
    """The largest number of bytes that work holds at once beside what there was."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        work()
    now = most = 0
    events = [e for e in found.profiler.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda e: e.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most


@pytest.fixture(scope="module")
def source(source_of):
    """Rows of 1e6 parameters in single precision, 12 MB, and what is read of them."""
    w = torch.zeros(1_000_000, requires_grad=True)
    source = source_of([w.sum(), (2 * w).sum(), -w.sum()], [w])
    source.rows()
    return source


def test_the_measure_sees_a_copy():
    rows = torch.zeros(3, 1_000_000)
    assert peak(lambda: rows.double()) == pytest.approx(rows.numel() * 8, abs=1000)


def test_the_gramian_needs_no_second_copy(source):
    assert peak(lambda: source.gramian(None)) < 3 * MIB


def test_norms_need_no_second_copy(source):
    assert peak(lambda: source.norms("network")) < 3 * MIB


def test_the_check_of_rows_needs_no_second_copy(source):
    assert peak(source.check) < 3 * MIB


def test_writing_rows_needs_no_second_copy():
    layout = ParameterLayout.build([torch.zeros(500_000, requires_grad=True) for _ in range(2)])
    buffer = RowBuffer(3, layout)
    grads = [torch.ones(500_000), None]
    assert peak(lambda: buffer.write(1, grads)) < MIB
