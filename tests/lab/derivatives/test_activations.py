"""Activations' derivatives to order six, and the formula of Faa di Bruno."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import mpmath
import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conflictopt.lab.derivatives.activations import ACTIVATIONS
from conflictopt.lab.derivatives.components import components
from conflictopt.lab.derivatives.indices import Operator, Wanted, composition

ORACLES = {"tanh": mpmath.tanh, "sin": mpmath.sin}
BELL = [1, 1, 2, 5, 15, 52, 203]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivatives_to_order_six(name):
    z = torch.tensor([-2.5, -0.9, -0.1, 0.0, 1e-3, 0.4, 1.0, 3.0], dtype=torch.float64)
    f = list(ACTIVATIONS[name].value_(z.clone()))
    while len(f) < 7:
        f.append(ACTIVATIONS[name].derivative(f))
    with mpmath.workdps(40):
        for order, found in enumerate(f):
            expected = [float(mpmath.diff(ORACLES[name], mpmath.mpf(v.item()), order)) for v in z]
            assert found.tolist() == pytest.approx(expected, rel=1e-12, abs=1e-13), order


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_value_is_in_place_and_keeps_the_dtype(name, dtype):
    z = torch.linspace(-1, 1, 6, dtype=dtype).reshape(2, 3)
    expected = getattr(torch, name)(z)
    value, slope = ACTIVATIONS[name].value_(z)
    assert value is z
    assert torch.equal(value, expected)
    assert slope.dtype == dtype
    assert ACTIVATIONS[name].derivative([value, slope]).dtype == dtype


# ---------------------------------------------------------------- compositions


@pytest.mark.parametrize("index", [(0,) * n for n in range(1, 7)])
def test_the_number_of_terms_is_bells(index):
    terms = composition(index)
    assert sum(t.count for t in terms) == BELL[len(index)]
    assert all(sum(map(len, t.factors)) == len(index) for t in terms)


INDICES = [
    index
    for order in range(1, 5)
    for index in itertools.combinations_with_replacement(range(3), order)
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_compositions_against_sympy(index):
    """For every outer function: f = exp(c z) has f^(m) = c^m f, so powers of c tell orders."""
    x = sp.symbols("x0 x1 x2")
    c = sp.Symbol("c")
    z = sp.Function("z")(*x)
    expected = sp.exp(c * z).diff(*(x[i] for i in index)) / sp.exp(c * z)
    found = sp.Add(
        *(
            t.count
            * c ** len(t.factors)
            * sp.Mul(*(z.diff(*(x[i] for i in factor)) for factor in t.factors))
            for t in composition(index)
        )
    )
    assert sp.expand(expected - found) == 0


@given(st.lists(st.integers(0, 4), min_size=1, max_size=5).map(sorted).map(tuple))
@settings(max_examples=60, deadline=None)
def test_terms_are_distinct_and_sorted(index):
    terms = composition(index)
    assert len({t.factors for t in terms}) == len(terms)
    for term in terms:
        assert all(tuple(sorted(f)) == f for f in term.factors)
        assert tuple(sorted(itertools.chain(*term.factors))) == index


# ---------------------------------------------------------------- what is carried along


@given(
    st.lists(st.lists(st.integers(0, 3), max_size=4).map(sorted).map(tuple), max_size=4),
    st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=3), max_size=2),
)
@settings(max_examples=80, deadline=None)
def test_the_closure_is_closed(partials, seconds):
    wanted = Wanted(tuple(dict.fromkeys(partials)), tuple(Operator(tuple(s)) for s in seconds))
    closure = wanted.closure()
    assert closure[0] == ()
    assert len(set(closure)) == len(closure)
    assert set(wanted.partials) <= set(closure)
    for index in closure:
        for term in composition(index) if index else ():
            assert set(term.factors) <= set(closure)
    assert {(i,) for s in seconds for i in s} <= set(closure)
    lengths = [len(i) for i in closure]
    assert lengths == sorted(lengths)
    assert wanted.order == max([*map(len, partials), *(2 for _ in seconds)], default=0)


@given(st.lists(st.lists(st.integers(0, 3), max_size=4).map(sorted).map(tuple), max_size=5))
@settings(max_examples=80, deadline=None)
def test_the_order_of_components(partials):
    parts = components(Wanted(tuple(partials)))
    assert sorted(parts.partials) == sorted(Wanted(tuple(partials)).closure())
    assert parts.count == len(parts.partials)
    assert parts.partials[0] == ()
    for i in range(parts.squares):
        (first,) = parts.partials[1 + i]
        assert parts.partials[1 + parts.firsts + i] == (first, first)
    assert all(len(p) == 1 for p in parts.partials[1 : 1 + parts.firsts])
    assert sum(len(p) == 1 for p in parts.partials) == parts.firsts
    assert sum(len(p) == 2 and p[0] == p[1] for p in parts.partials) == parts.squares
    covered = Counter(p.target for p in parts.products)
    for number, index in enumerate(parts.partials):
        whole = len(composition(index)) - 1 if index else 0
        square = 1 + parts.firsts <= number < 1 + parts.firsts + parts.squares
        assert covered[number] == (0 if square else whole)
        assert parts.partials.index(index) == number


def test_unsorted_indices_are_refused():
    with pytest.raises(ValueError, match=r"expected sorted derivative indices, found \(1, 0\)"):
        Wanted(((1, 0),))


def test_an_operator_carries_its_first_derivatives_only():
    parts = components(Wanted(((),), (Operator((0, 1, 2), (3,)),)))
    assert parts.partials == ((), (0,), (1,), (2,))
    assert parts.count == 5
    assert parts.order == 2
    assert math.prod(parts.operators[0]) == 6
