"""Which sums of derivatives travel as one component, and that nothing else changes by it."""

from __future__ import annotations

import random

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conflictopt.lab.derivatives.indices import Operator, Wanted
from conflictopt.lab.problems import Problem, Suite, derivatives_of
from conflictopt.lab.problems.jets import Jets
from conflictopt.lab.problems.operators import plan
from conflictopt.lab.problems.scope import Scope

INPUTS, OUTPUTS = ("x", "y", "t"), ("u", "v")
IDS = list(Suite())
UNKNOWN = sp.Symbol("k", real=True)


def read(*texts, inputs=INPUTS, outputs=OUTPUTS):
    """Jets, expressions, and the symbols that are known at every point."""
    jets = Jets(inputs, outputs)
    normal = {n: jets.value_only(f"normal_{i}") for i, n in enumerate(inputs) if n != "t"}
    scope = Scope(jets, {"k": UNKNOWN, "a": sp.Rational(1, 4)}, {}, normal)
    found = [scope.read(t) for t in texts]
    return jets, found, frozenset(jets.coordinates) | frozenset(jets.opaque)


def planned(*texts, **options):
    return plan(*read(*texts, **options))


def restored(jets, found):
    """The rewritten expressions with the operators written out."""
    back = {}
    for symbol, (output, index) in found.symbols.items():
        if isinstance(index, int):
            operator = found.wanted.operators[index]
            terms = [*((i, i) for i in operator.seconds), *((j,) for j in operator.firsts)]
            weights = found.weights[index]
            assert len(weights) == len(terms) == operator.terms
            pairs = zip(weights, terms, strict=True)
            back[symbol] = sp.Add(*(w * jets.symbol(output, t) for w, t in pairs))
    return [e.xreplace(back) for e in found.expressions]


def equal(first, second, tries=3):
    """At random values of all symbols."""
    source = random.Random(0)
    symbols = sorted(first.free_symbols | second.free_symbols, key=sp.default_sort_key)
    for _ in range(tries):
        at = {s: sp.Float(source.uniform(0.3, 1.7), 30) for s in symbols}
        a, b = (complex(e.xreplace(at).evalf(25)) for e in (first, second))
        if not abs(a - b) <= 1e-12 * (1 + abs(b)):
            return False
    return True


def components(wanted):
    return len(wanted.closure()) + len(wanted.operators)


def check(jets, expressions, fixed):
    """A plan, checked: the same expressions, no more components, weights known at every point."""
    found = plan(jets, expressions, fixed)
    for original, back in zip(expressions, restored(jets, found), strict=True):
        assert equal(original, back)
    needed = {jets.key(s)[1] for e in expressions for s in e.free_symbols if jets.key(s)}
    assert components(found.wanted) <= components(Wanted(tuple(needed)))
    assert all(w.free_symbols <= fixed for own in found.weights for w in own)
    used = {s for e in found.expressions for s in e.free_symbols}
    assert set(found.symbols) == used - fixed - {UNKNOWN}
    partials = {i for _, i in found.symbols.values() if isinstance(i, tuple)}
    assert set(found.wanted.partials) == partials
    return found


# ---------------------------------------------------------------- the suite


@pytest.mark.grid
@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("what", ["equations", "everything"])
def test_rewritten_equations_are_the_same(suite, name, what):
    spec = suite[name].spec
    members = [m for ls in spec.losses for m in ls.members]
    if what == "equations":
        members = [m for m in members if m.place.kind == "interior"]
    jets, expressions = spec.jets, [m.expression for m in members]
    fixed = frozenset(jets.coordinates) | frozenset(jets.opaque)
    found = plan(jets, expressions, fixed)
    for original, back in zip(expressions, restored(jets, found), strict=True):
        assert equal(original, back, tries=2)
    needed = {jets.key(s)[1] for e in expressions for s in e.free_symbols if jets.key(s)}
    assert components(found.wanted) <= components(Wanted(tuple(needed)))
    assert all(w.free_symbols <= fixed for own in found.weights for w in own)
    allowed = fixed | {u.symbol for u in spec.unknowns.values()} | set(found.symbols)
    assert all(e.free_symbols <= allowed for e in found.expressions)


def test_it_pays_in_the_suite(suite):
    """In twenty dimensions a Laplacian is one component in place of twenty."""
    spec = suite["poisson_20d"].spec
    expression = spec.losses[0].members[0].expression
    found = plan(spec.jets, [expression], frozenset(spec.jets.coordinates))
    assert len(found.wanted.operators) == 1
    assert components(found.wanted) == 1 + 20 + 1


# ---------------------------------------------------------------- single cases


def test_a_heat_equation_in_two_dimensions():
    found = planned("u_t - a*(u_xx + u_yy) + u**3")
    assert found.wanted == Wanted(((),), (Operator((0, 1), (2,)),))
    assert found.weights == ((1, 1, -4),)
    (expression,) = found.expressions
    (symbol,) = [s for s, (_, i) in found.symbols.items() if i == 0]
    assert expression.coeff(symbol) == -sp.Rational(1, 4)


def test_one_second_derivative_alone_is_no_gain():
    assert not planned("u_xx + u").wanted.operators
    assert not planned("u_t + u*u_x + u_xxx").wanted.operators
    assert not planned("u_x + u_t").wanted.operators
    assert not planned("u - x").wanted.operators


def test_weights_may_depend_on_the_point():
    found = planned("u_xx + x*y*u_yy + sin(t)*u_t")
    x, y, t = (sp.Symbol(n, real=True) for n in INPUTS)
    assert found.wanted.operators == (Operator((0, 1), (2,)),)
    assert found.weights == ((1, x * y, sp.sin(t)),)


def test_a_first_derivative_that_is_needed_elsewhere_stays():
    found = planned("u_t + u*u_t - u_xx - u_yy")
    assert (2,) in found.wanted.partials
    assert all(2 not in op.firsts for op in found.wanted.operators)
    found = planned("u_t - u_xx - u_yy", "v_t**2 + v")
    assert (2,) in found.wanted.partials
    found = planned("u_t - u_xx - u_yy", "u_xt")
    assert all(2 not in op.firsts for op in found.wanted.operators)


def test_the_same_operator_is_shared():
    found = planned("u_t - lap(u) + v", "v_t - lap(v) - u")
    assert len(found.wanted.operators) == 1
    assert sorted(k for k in found.symbols.values() if k[1] == 0) == [("u", 0), ("v", 0)]
    found = planned("u_t - lap(u)", "v_t - 2*lap(v)")
    assert len(found.wanted.operators) == 2


@pytest.mark.parametrize(
    "text",
    [
        "u_t - u_xx - k*u_yy",
        "k*u_xx + u_yy/k",
        "u_xx + u*u_yy",
        "u_xx + u_x*u_yy",
        "u_xx + v*u_yy + v_x",
        "u_xx + exp(u)*u_yy",
    ],
)
def test_shares_that_change_are_not_absorbed(text):
    jets, expressions, fixed = read(text)
    assert not check(jets, expressions, fixed).wanted.operators


@pytest.mark.parametrize(
    "text",
    [
        "u_xx**2 + u_yy",
        "u_xx*u_yy - u_xy**2",
        "sin(u_xx) + u_yy",
        "sin(u_xx + u_yy)",
        "(u_xx + u_yy)**2",
        "Abs(u_xx + u_yy)",
        "u_xx/(1 + u_yy)",
        "u_xx*u_yy",
        "exp(u_xx)",
    ],
)
def test_nonlinear_second_derivatives_are_not_absorbed(text):
    jets, expressions, fixed = read(text)
    assert not check(jets, expressions, fixed).wanted.operators


@pytest.mark.parametrize(
    "text",
    [
        "k*(u_xx + u_yy) + u_t",
        "u*(u_xx + u_yy) - v_t",
        "(u_xx + u_yy)/(1 + u**2)",
        "k*u**2*lap(u) + gradsq(u)",
        "(u_t - lap(u))*v",
    ],
)
def test_a_common_factor_may_change(text):
    jets, expressions, fixed = read(text)
    found = check(jets, expressions, fixed)
    assert len(found.wanted.operators) == 1
    assert set(found.wanted.operators[0].seconds) == {0, 1}


def test_an_unknown_in_front_of_the_rate_is_not_absorbed():
    jets, expressions, fixed = read("u_t - k*(u_xx + u_yy)")
    found = check(jets, expressions, fixed)
    assert found.wanted.operators == (Operator((0, 1)),)
    assert (2,) in found.wanted.partials


def test_normals_are_known_at_every_point():
    jets, expressions, fixed = read("u_xx + u_yy + dn(u)", "dn(u) - u")
    check(jets, expressions, fixed)


_factor = st.sampled_from(
    ["1", "2", "x", "k", "u", "v", "(1 + y**2)", "u_x", "v_t", "sin(t)", "1/3"]
)
_jet = st.sampled_from(
    ["u_xx", "u_yy", "u_tt", "v_xx", "v_yy", "v_tt", "u_xy", "u_x", "u_t", "v_x", "v_t", "u", "v"]
)
_second = st.sampled_from(["u_xx", "u_yy", "u_tt", "v_xx", "v_yy"])
_form = st.sampled_from(["{f}*{j}", "{f}*{j}*{k}", "sin({j})", "{f}*{j}**2", "{f}*{k}", "{f}*{k}"])
_term = st.builds(lambda p, f, j, k: p.format(f=f, j=j, k=k), _form, _factor, _jet, _second)
_expression = st.lists(_term, min_size=1, max_size=5).map(" + ".join)


@given(st.lists(_expression, min_size=1, max_size=3))
@settings(max_examples=150, deadline=None)
def test_random_equations(texts):
    jets, expressions, fixed = read(*texts)
    if any(not any(jets.key(s) for s in e.free_symbols) for e in expressions):
        return
    check(jets, expressions, fixed)


def test_it_says_the_same_every_time():
    """Symbols are met in sets; the plan does not follow their order."""
    texts = "u_tt + u_xx + u_yy + v_t", "v_xx + 2*v_yy + u_t + v_t"
    found = [planned(*texts) for _ in range(3)]
    assert len({(f.wanted, f.weights) for f in found}) == 1


# ---------------------------------------------------------------- once wrong


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("coefficient", "dtype"),
    [
        ("(x - 1/2 + Abs(x - 1/2))", torch.float64),  # no diffusion on the left half
        ("exp(-((x - 1/2)/(1/100))**2)", torch.float64),  # a narrow layer, elsewhere 0
        ("exp(-100*x)", torch.float32),  # the reciprocal is infinite in float32
    ],
)
def test_a_coefficient_may_vanish(minimal, coefficient, dtype):
    changes = {"inputs": ["x", "t"], "domain.t": [0, 1], "losses.0.n_points": 50}
    changes["losses.0.members.0.expr"] = f"u_t - {coefficient}*u_xx"
    found = Problem.from_entry(minimal(changes))
    equations = found.losses(found.draw(found.counts(), 0), dtype)
    (value,) = equations.at(derivatives_of(found.network(dtype=dtype)), {}).together().values()
    assert np.isfinite(value)
