"""Derivatives and operators of the language against sympy's own functions and derivatives."""

from __future__ import annotations

import itertools
import math

import hypothesis.strategies as st
import pytest
import sympy as sp
from hypothesis import HealthCheck, given, settings

from conflictopt.lab.problems import LanguageError
from conflictopt.lab.problems.jets import Jets
from conflictopt.lab.problems.scope import Scope

INPUTS, OUTPUTS = ("x", "y", "t"), ("u", "v")
X = {n: sp.Symbol(n, real=True) for n in INPUTS}
SPACE = [X["x"], X["y"]]
K = sp.Symbol("k", real=True)
U = {o: sp.Function(o, real=True)(*X.values()) for o in OUTPUTS}
NORMAL = sp.symbols("n0 n1", real=True)
KNOWN = {"a": sp.Rational(3, 10), "k": K, "h": sp.sin(X["x"]) * K + X["t"]}
EXACT = {"u": sp.exp(-X["t"]) * sp.sin(X["x"] * X["y"]), "v": X["x"] + K * X["t"] ** 2}


def read(text, inputs=INPUTS, outputs=OUTPUTS, exact=EXACT, names=KNOWN, boundary=False):
    """An expression with sympy's functions and derivatives in place of our symbols."""
    jets = Jets(inputs, outputs)
    space = [n for n in inputs if n != "t"]
    normal = {n: jets.value_only(f"normal_{i}") for i, n in enumerate(space)} if boundary else None
    found = Scope(jets, names, exact, normal).read(text)
    functions = {o: sp.Function(o, real=True)(*jets.coordinates) for o in outputs}
    back = {}
    for symbol in found.free_symbols:
        key = jets.key(symbol)
        if key is not None:
            output, index = key
            by = [jets.coordinates[i] for i in index]
            back[symbol] = functions[output].diff(*by) if by else functions[output]
        elif symbol in jets.opaque:
            number = jets.opaque[symbol].rpartition("_")[2]
            back[symbol] = NORMAL[int(number)] if number.isdigit() else sp.Symbol("opaque")
    return found.xreplace(back)


def same(found, expected):
    """Equality at numbers in place of the functions, their derivatives and the symbols."""
    expected = sp.sympify(expected).doit()
    parts = found.atoms(sp.Derivative) | expected.atoms(sp.Derivative)
    parts = [*sorted(parts, key=sp.default_sort_key), *U.values(), *X.values(), K, *NORMAL]
    values = {p: sp.Rational(13 + 7 * i % 29, 40 + i) for i, p in enumerate(parts)}
    first, second = (complex(e.xreplace(values).evalf(30, maxn=400)) for e in (found, expected))
    return abs(first - second) <= 1e-13 * (1 + abs(second))


# ---------------------------------------------------------------- random expressions

_numbers = st.sampled_from(["2", "0.25", "3e-1", "1/7", "pi"])
_derivative = st.tuples(
    st.sampled_from(OUTPUTS), st.lists(st.sampled_from(INPUTS), min_size=1, max_size=3)
)


def _leaf_number(text):
    return text, sp.pi if text == "pi" else sp.Rational(text)


def _leaf_derivative(pair):
    output, names = pair
    return f"{output}_{''.join(names)}", sp.Derivative(U[output], *(X[n] for n in names))


_leaves = st.one_of(
    _numbers.map(_leaf_number),
    st.sampled_from(list(X.items())),
    st.sampled_from(list(U.items())),
    st.sampled_from(list(KNOWN.items())),
    st.sampled_from([(f"exact_{o}", e) for o, e in EXACT.items()]),
    _derivative.map(_leaf_derivative),
)


def _binary(parts):
    sign, (a, f), (b, g) = parts
    return {
        "+": (f"{a} + ({b})", f + g),
        "-": (f"({a}) - ({b})", f - g),
        "*": (f"({a})*({b})", f * g),
        "/": (f"({a})/(5 + cos({b}))", f / (5 + sp.cos(g))),
    }[sign]


def _unary(parts):
    name, (a, f) = parts
    return {
        "sin": (f"sin({a})", sp.sin(f)),
        "tanh": (f"tanh({a})", sp.tanh(f)),
        "atan": (f"atan({a})", sp.atan(f)),
        "exp": (f"exp(-({a})**2)", sp.exp(-(f**2))),
        "square": (f"({a})**2", f**2),
        "cube": (f"+({a})**3", f**3),
        "minus": (f"-({a})", -f),
        "d": (f"d({a}, y)", sp.Derivative(f, X["y"])),
        "dd": (f"d({a}, t, x)", sp.Derivative(f, X["x"], X["t"])),
        "lap": (f"lap({a})", sum(sp.Derivative(f, s, 2) for s in SPACE)),
        "gradsq": (f"gradsq({a})", sum(sp.Derivative(f, s) ** 2 for s in SPACE)),
    }[name]


def _grow(inner):
    unary = ["sin", "tanh", "atan", "exp", "square", "cube", "minus", "d", "dd", "lap", "gradsq"]
    return st.one_of(
        st.tuples(st.sampled_from("+-*/"), inner, inner).map(_binary),
        st.tuples(st.sampled_from(unary), inner).map(_unary),
    )


@given(st.recursive(_leaves, _grow, max_leaves=4))
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_random_expressions(case):
    text, expected = case
    assert same(read(text), expected)


def test_the_comparison_sees_differences():
    assert same(
        read("u_x*sin(u) + k*v_t"), U["u"].diff(X["x"]) * sp.sin(U["u"]) + K * U["v"].diff(X["t"])
    )
    for wrong in ("u_y*sin(u) + k*v_t", "u_x*sin(v) + k*v_t", "u_x*sin(u) + v_t"):
        assert not same(read(wrong), U["u"].diff(X["x"]) * sp.sin(U["u"]) + K * U["v"].diff(X["t"]))


# ---------------------------------------------------------------- derivatives by name


@pytest.mark.parametrize("letters", ["xxt", "xyt", "xxyy", "xyxy"])
def test_the_order_of_differentiation_does_not_matter(letters):
    found = {read(f"u_{''.join(p)}") for p in itertools.permutations(letters)}
    assert found == {U["u"].diff(*(X[n] for n in letters))}


def test_one_symbol_per_derivative():
    jets = Jets(INPUTS, OUTPUTS)
    scope = Scope(jets, {}, {})
    assert scope.read("u_xxt") is scope.read("u_txx") is jets.symbol("u", (2, 0, 0))
    assert jets.key(scope.read("u_txx")) == ("u", (0, 0, 2))
    assert scope.read("u_x") != scope.read("v_x")
    assert jets.key(X["x"]) is None


def test_inputs_of_more_than_one_letter():
    inputs = tuple(f"x{i}" for i in range(1, 13))
    coordinates = [sp.Symbol(n, real=True) for n in inputs]
    u = sp.Function("u", real=True)(*coordinates)
    one = {"inputs": inputs, "outputs": ("u",), "exact": {}}
    assert read("u_x3x3", **one) == u.diff(coordinates[2], 2)
    assert read("u_x1x12", **one) == u.diff(coordinates[0], coordinates[11])
    assert read("u_x11x1", **one) == u.diff(coordinates[10], coordinates[0])
    assert read("u_x12", **one) == u.diff(coordinates[11])
    assert read("d(u, x10, x1)", **one) == u.diff(coordinates[9], coordinates[0])


def test_outputs_with_underscores_and_digits():
    outputs = ("s_11", "phi_", "u")
    jets = Jets(("x", "t"), outputs)
    scope = Scope(jets, {}, {})
    assert jets.key(scope.read("s_11_xt")) == ("s_11", (0, 1))
    assert jets.key(scope.read("phi__x")) == ("phi_", (0,))
    assert scope.read("s_11") is jets.symbol("s_11")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("u_q", "'u_q' is no derivative: 'q' is not made of the inputs"),
        ("u_xz", "'u_xz' is no derivative: 'xz' is not made of the inputs"),
        ("u_xi", "'u_xi' is no derivative: 'xi' is not made of the inputs"),
        ("w_x", "unknown name 'w_x'"),
        ("w", "unknown name 'w'"),
        ("exact_w", "unknown name 'exact_w'"),
        ("data_w", "unknown name 'data_w'"),
        ("i", "unknown name 'i'"),
        ("xi*u", "unknown name 'xi'"),
        ("alfa*u", "unknown name 'alfa'"),
        ("d(u)", "'d' takes an expression and the inputs to differentiate by"),
        ("d()", "'d' takes an expression and the inputs to differentiate by"),
        ("d(u, z)", "'d' takes an expression and the inputs to differentiate by"),
        ("d(u, u)", "'d' takes an expression and the inputs to differentiate by"),
        ("d(u, 2)", "'d' takes an expression and the inputs to differentiate by"),
        ("d(u, x*y)", "'d' takes an expression and the inputs to differentiate by"),
        ("d(u, xi)", "'d' takes an expression and the inputs to differentiate by"),
        ("d(u, x=2)", "is not part of the language"),
        ("d(u, *x)", "'d' takes an expression and the inputs to differentiate by"),
        ("lap(u, x)", "'lap' takes one argument, found 2"),
        ("lap()", "'lap' takes one argument, found 0"),
        ("gradsq(u, v)", "'gradsq' takes one argument, found 2"),
        ("sumi(u, v)", "'sumi' takes one argument, found 2"),
        ("sumi()", "'sumi' takes one argument, found 0"),
        ("dn(u)", "'dn' away from the boundary"),
        ("grad(u)", "unknown function 'grad'"),
        ("u(x, t)", "unknown function 'u'"),
        ("lap", "unknown name 'lap'"),
        ("d(data_u, x)", "a derivative of 'data_u', which is known by its values alone"),
        ("lap(u*data_u)", "a derivative of 'data_u', which is known by its values alone"),
        ("u.diff(x)", "is not part of the language"),
        ("u - u_x^2", "'u - u_x ^ 2' is not part of the language (powers are written with **)"),
        ("__import__('os')", "unknown function '__import__'"),
    ],
)
def test_messages(text, message):
    with pytest.raises(LanguageError) as caught:
        read(text)
    assert message in str(caught.value)
    assert f"in '{text}'" in str(caught.value)


def test_unknown_names_come_with_suggestions():
    with pytest.raises(LanguageError, match="did you mean 'kappa'"):
        read("kapa*u", names={"kappa": K})


# ---------------------------------------------------------------- operators


def test_the_laplacian_leaves_time_out():
    u = U["u"]
    assert read("lap(u)") == u.diff(X["x"], 2) + u.diff(X["y"], 2)
    assert read("lap(t**2)") == 0
    assert read("gradsq(u)") == u.diff(X["x"]) ** 2 + u.diff(X["y"]) ** 2
    one = {"inputs": ("t", "s"), "outputs": ("u",), "exact": {}}
    s, t = sp.symbols("s t", real=True)
    assert read("lap(u)", **one) == sp.Function("u", real=True)(t, s).diff(s, 2)


def test_derivatives_of_products_and_of_the_exact_solution():
    assert same(read("d(x*u*v, x)"), (X["x"] * U["u"] * U["v"]).diff(X["x"]))
    assert same(read("d(h*u_x, x, t)"), (KNOWN["h"] * U["u"].diff(X["x"])).diff(X["x"], X["t"]))
    assert read("d(exact_u, x, t)") == EXACT["u"].diff(X["x"], X["t"])
    assert read("exact_v - v") == EXACT["v"] - U["v"]
    assert read("lap(exact_u)") == EXACT["u"].diff(X["x"], 2) + EXACT["u"].diff(X["y"], 2)


def test_without_a_closed_form_the_exact_solution_is_known_by_values():
    jets = Jets(INPUTS, OUTPUTS)
    scope = Scope(jets, {}, {})
    found = scope.read("u - exact_u")
    assert found == jets.symbol("u") - jets.value_only("exact_u")
    assert jets.opaque[jets.value_only("exact_u")] == "exact_u"
    assert scope.read("exact_u") is scope.read("exact_u")
    with pytest.raises(LanguageError, match="a derivative of 'exact_u'"):
        scope.read("d(exact_u, x)")


def test_the_normal_derivative():
    expected = NORMAL[0] * U["u"].diff(X["x"]) + NORMAL[1] * U["u"].diff(X["y"])
    assert same(read("dn(u)", boundary=True), expected)
    of_exact = sum(n * EXACT["u"].diff(s) for n, s in zip(NORMAL, SPACE, strict=True))
    assert same(read("dn(u - exact_u)", boundary=True), expected - of_exact)
    product = sum(n * (U["u"] * U["v"]).diff(s) for n, s in zip(NORMAL, SPACE, strict=True))
    assert same(read("3*dn(u*v) + u", boundary=True), 3 * product + U["u"])
    with pytest.raises(LanguageError, match="a derivative of 'normal_0'"):
        read("dn(dn(u))", boundary=True)


# ---------------------------------------------------------------- sums over space inputs


def test_sums():
    x, y = SPACE
    u = U["u"]
    assert read("sumi(xi)") == x + y
    assert read("sumi(i)") == 3
    assert read("sumi(2)") == 4
    assert read("sumi(i*xi**i)") == x + 2 * y**2
    assert read("sumi((-1)**i*u_xi)") == -u.diff(x) + u.diff(y)
    assert read("sumi(u_xixi)") == read("lap(u)")
    assert read("sumi(u_xi**2)") == read("gradsq(u)")
    assert read("sumi(u_xit)") == u.diff(x, X["t"]) + u.diff(y, X["t"])
    assert read("sumi(u_txi)") == read("sumi(u_xit)")
    assert read("sumi(d(xi*u, xi))") == 2 * u + x * u.diff(x) + y * u.diff(y)
    assert read("sumi(d(u, xi, xi))") == read("lap(u)")
    assert read("exp(sumi(xi**2))") == sp.exp(x**2 + y**2)
    assert read("sumi(xi)*sumi(i)") == 3 * (x + y)
    assert read("sumi(exact_u)") == 2 * EXACT["u"]


def test_the_inner_sum_binds_its_own_number():
    x, y = SPACE
    assert sp.expand(read("sumi(xi*sumi(xi))") - (x + y) ** 2) == 0
    assert sp.expand(read("sumi(i*sumi(xi) + xi)") - 4 * (x + y)) == 0
    assert read("sumi(i + sumi(i*xi))") == 3 + 2 * (x + 2 * y)
    u = U["u"]
    assert sp.expand(read("sumi(u_xi*sumi(u_xi))") - (u.diff(x) + u.diff(y)) ** 2) == 0
    assert same(read("sumi(d(sumi(xi*u), xi))"), ((x + y) * u).diff(x) + ((x + y) * u).diff(y))
    assert same(
        read("lap(sumi(xi*u_xixi))"),
        sum((x * u.diff(x, 2) + y * u.diff(y, 2)).diff(s, 2) for s in SPACE),
    )


def test_a_sum_leaves_nothing_behind():
    scope = Scope(Jets(INPUTS, OUTPUTS), {}, {})
    with pytest.raises(LanguageError, match="unknown name 'q'"):
        scope.read("sumi(sumi(q))")
    for text in ("xi", "i", "u_xi"):
        with pytest.raises(LanguageError):
            scope.read(text)
    with pytest.raises(LanguageError, match="unknown name 'xi'"):
        scope.read("sumi(xi) + xi")


def test_sums_in_twenty_dimensions():
    inputs = (*(f"x{i}" for i in range(1, 21)), "t")
    coordinates = [sp.Symbol(n, real=True) for n in inputs]
    u = sp.Function("u", real=True)(*coordinates)
    found = read("sumi(i*xi*u_xixi)", inputs=inputs, outputs=("u",), exact={})
    assert found == sum((k + 1) * coordinates[k] * u.diff(coordinates[k], 2) for k in range(20))


def test_a_derivative_is_total():
    """Along a solution: the chain rule through every jet, to fourth order."""
    value = sp.sin(X["x"] * X["t"]) * sp.exp(X["y"])
    jets = Jets(INPUTS, OUTPUTS)
    scope = Scope(jets, {}, {})
    found = scope.read("d(u**2*u_x + sin(u_xt)*x, x, x, t, y)")
    back = {}
    for symbol in found.free_symbols:
        if jets.key(symbol):
            _, index = jets.key(symbol)
            back[symbol] = value.diff(*(jets.coordinates[i] for i in index)) if index else value
    x, y, t = jets.coordinates
    whole = value**2 * value.diff(x) + sp.sin(value.diff(x, t)) * x
    at = {x: sp.Rational(3, 7), y: sp.Rational(2, 5), t: sp.Rational(5, 9)}
    expected = whole.diff(x, x, t, y).subs(at).evalf(30)
    assert math.isclose(found.xreplace(back).subs(at).evalf(30), expected, rel_tol=1e-20)
