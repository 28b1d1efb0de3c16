"""The language without derivatives: numbers, names, functions; everything else is refused."""

from __future__ import annotations

import builtins
import math
import operator
import os
import sys
from fractions import Fraction

import hypothesis.strategies as st
import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given, settings

from conflictopt.core.errors import ConflictOptError
from conflictopt.lab.problems import LanguageError
from conflictopt.lab.problems.functions import Fixed, array_function, tensor_function
from conflictopt.lab.problems.language import FUNCTIONS, MAX_EXPONENT, MAX_LENGTH, parse

X, Y = sp.symbols("x y", real=True)
NAMES = {"x": X, "y": Y, "a": sp.Rational(1, 3)}
DOCUMENTED = ("sin", "cos", "tan", "exp", "log", "sqrt", "sinh", "cosh", "tanh", "atan")


# ---------------------------------------------------------------- what it accepts


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1", Fraction(1, 10)),
        ("1e-3", Fraction(1, 1000)),
        ("2.50", Fraction(5, 2)),
        ("1.5e3", Fraction(1500)),
        ("7", Fraction(7)),
        ("0x10", Fraction(16)),
        ("1/3", Fraction(1, 3)),
        ("0.1 + 0.2", Fraction(3, 10)),
        ("2**-2", Fraction(1, 4)),
        ("-2**2", Fraction(-4)),
        ("(-2)**2", Fraction(4)),
        ("2**3**2", Fraction(512)),
        ("8/4/2", Fraction(1)),
        ("+-+3", Fraction(-3)),
        ("10/4*2", Fraction(5)),
        ("  5 ", Fraction(5)),
        (3, Fraction(3)),
        (0.1, Fraction(1, 10)),
        (-2.5, Fraction(-5, 2)),
    ],
)
def test_numbers_are_exact_rationals(text, value):
    found = parse(text, {})
    assert isinstance(found, sp.Rational)
    assert Fraction(found.p, found.q) == value


@given(st.fractions(max_denominator=10**6), st.fractions(max_denominator=10**6))
@settings(max_examples=60, deadline=None)
def test_arithmetic_is_that_of_fractions(p, q):
    for sign in "+-*/":
        if sign == "/" and not q:
            continue
        known = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
        text = f"({p.numerator}/{p.denominator}) {sign} ({q.numerator}/{q.denominator})"
        found = parse(text, {})
        assert Fraction(found.p, found.q) == known[sign](p, q)


@given(st.floats(-1e6, 1e6, allow_nan=False))
@settings(max_examples=60, deadline=None)
def test_a_float_is_the_decimal_that_prints_it(number):
    found = parse(repr(number), {})
    assert Fraction(found.p, found.q) == Fraction(repr(number))
    assert float(found) == number


def test_constants_and_names():
    assert parse("pi", {}) is sp.pi
    assert parse("x", NAMES) is X
    assert parse("a*x + y/a", NAMES) == X / 3 + 3 * Y
    assert parse("pi", {"pi": sp.Integer(3)}) == 3  # the entry refuses such a name
    assert parse("1_000", {}) == 1000


def test_the_documented_functions_are_known():
    assert set(DOCUMENTED) <= set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_numpys_and_torchs(name):
    numpys = {"Abs": np.abs, "atan": np.arctan}.get(name) or getattr(np, name)
    expression = parse(f"{name}(x/2 + y) + {name}(2)*x", NAMES)
    x, y = np.random.default_rng(0).uniform(0.1, 1.2, (2, 20))
    expected = numpys(x / 2 + y) + numpys(2.0) * x
    (found,) = array_function([X, Y], [expression])(x, y)
    assert found == pytest.approx(expected, rel=1e-14)
    tensors = torch.tensor(x), torch.tensor(y)
    found = tensor_function([X, Y], expression)(*tensors)
    assert found.dtype == torch.float64
    assert found.numpy() == pytest.approx(expected, rel=1e-14)


def slope_of(name):
    """The derivative of ``x * f(x)``, by torch and by sympy."""
    x = torch.linspace(0.2, 0.9, 7, dtype=torch.float64, requires_grad=True)
    expression = parse(f"x*{name}(x)", NAMES)
    (expected,) = torch.autograd.grad(tensor_function([X], expression)(x).sum(), x)
    return tensor_function([X], sp.diff(expression, X))(x.detach()), expected


@pytest.mark.parametrize("name", [f for f in FUNCTIONS if f != "Abs"])
def test_derivatives_of_every_function_can_be_computed(name):
    found, expected = slope_of(name)
    assert torch.allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("number", ["sqrt(20)", "pi", "exp(1)", "sqrt(2)**x", "sin(1)", "1/3"])
def test_numbers_inside_torch_functions(number):
    expression = parse(f"{number}*sin({number}*x)", NAMES)
    x = np.linspace(0.1, 1, 5)
    expected = [float(expression.subs(X, sp.Float(v, 30)).evalf(25)) for v in x]
    found = tensor_function([X], expression)(torch.tensor(x))
    assert found.numpy() == pytest.approx(expected, rel=1e-14)
    assert tensor_function([X], expression)(torch.tensor(x).float()).dtype == torch.float32


def test_a_constant_becomes_an_array():
    (found,) = array_function([X], [sp.Rational(1, 3)])(np.zeros(4))
    assert found.shape == (4,)
    assert (found == 1 / 3).all()


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_taking_out_fixed_parts_changes_nothing(data):
    parts = st.sampled_from(
        [X, Y, X * Y, sp.sin(X), Y**2, sp.Integer(2), X + Y, sp.pi, 1 / (2 + X)]
    )
    expression = sp.Integer(0)
    for _ in range(data.draw(st.integers(1, 4))):
        a, b, c = (data.draw(parts) for _ in range(3))
        expression += data.draw(st.sampled_from([a * b * c, sp.cos(a * b) * c, (a + b) ** 2 / 3]))
    fixed = Fixed()
    reduced = fixed.take_out(expression, frozenset([Y]))
    back = reduced.xreplace({symbol: whole for whole, symbol in fixed.symbols.items()})
    assert sp.expand(back - expression).equals(0)
    assert all(not whole.has(Y) for whole in fixed.symbols)
    assert not reduced.has(X)


# ---------------------------------------------------------------- what it refuses

NOT_OF_THE_LANGUAGE = [
    "x.real",
    "x.__class__",
    "().__class__.__mro__",
    "x[0]",
    "x if x else y",
    "x < y",
    "x == y",
    "x and y",
    "not x",
    "~x",
    "x @ y",
    "x // y",
    "x % y",
    "x | y",
    "x & y",
    "x << 2",
    "lambda: x",
    "(lambda: x)()",
    "[x for x in y]",
    "{x for x in y}",
    "{x: y for x in y}",
    "sum(x for x in y)",
    "[x]",
    "(x, y)",
    "{x}",
    "{}",
    "'x'",
    '"x" * 9',
    "b'x'",
    "f'{x}'",
    "True",
    "None",
    "...",
    "1j",
    "(x := 1)",
    "*x",
    "sin(*x)",
    "sin(x=1)",
    "sin(**x)",
    "sin(x)(y)",
    "(sin)(x)(x)",
    "sin",
    "sin(x, y)",
    "sin()",
    "await x",
    "yield",
    "eval(x)",
    "exec(x)",
    "open(x)",
    "getattr(x, y)",
    "factorial(5)",
    "Symbol(x)",
    "Function(x)",
    "asin(x)",
    "max(x, y)",
    "d(x, x)",
    "lap(x)",
    "__import__",
    "__import__('os').system('true')",
    "__builtins__",
    "_",
    "nan",
    "inf",
    "oo",
    "zoo",
    "I",
    "E",
    "import os",
    "x = 1",
    "x; y",
    "x\ny",
    "x #",
    "# x",
    "",
    "   ",
    "x +",
    "(x",
    "x y",
    "2x",
    "x^2",
    "\x00",
    "x\x00y",
    "\ud800",
    "√x",
]
ODD = {"x #", "sin"}  # a comment; a function without arguments is an unknown name


@pytest.mark.parametrize("text", [t for t in NOT_OF_THE_LANGUAGE if t not in ODD])
def test_everything_else_is_refused_and_quoted(text):
    with pytest.raises(LanguageError) as caught:
        parse(text, NAMES)
    assert f"'{text}'" in str(caught.value)
    assert isinstance(caught.value, ConflictOptError)
    assert isinstance(caught.value, ValueError)


def test_a_comment_is_not_read():
    assert parse("x # + y", NAMES) == X


@pytest.mark.parametrize("value", [None, True, False, [], {}, ("x",), b"x", 1j, sp.Integer(1)])
def test_only_text_and_numbers(value):
    with pytest.raises(LanguageError, match="expected an expression as text, found"):
        parse(value, NAMES)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none(value):
    with pytest.raises(LanguageError):
        parse(value, NAMES)


@pytest.mark.parametrize(
    "text",
    [
        "1/0",
        "x/0",
        "x/(x - x)",
        "0**-1",
        "log(0)",
        "tan(pi/2)",
        "1/sin(0)",
        "1/0 - 1/0",
        "y/(1 - 3*a)",
        "2**(1/0)",
    ],
)
def test_divisions_by_zero(text):
    with pytest.raises(LanguageError) as caught:
        parse(text, NAMES)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "9**9**9",
        "x**1001",
        "x**-1001",
        "2**(x - x + 2000)",
        "10**10**100",
        "(2**500)**(2**10)",
        "x**(10**1000)",
    ],
)
def test_huge_exponents(text):
    with pytest.raises(LanguageError, match=f"an exponent beyond {MAX_EXPONENT}"):
        parse(text, NAMES)


def test_the_largest_exponents():
    assert parse("x**1000", NAMES) == X**1000
    assert parse("x**-1000", NAMES) == X**-1000
    assert parse("x**y", NAMES) == X**Y


def test_long_text():
    with pytest.raises(LanguageError, match=f"{MAX_LENGTH + 1} characters; at most {MAX_LENGTH}"):
        parse("x" * (MAX_LENGTH + 1), NAMES)
    assert parse("x" + " " * (MAX_LENGTH - 1), NAMES) == X


@pytest.mark.parametrize(
    "text",
    ["-" * 20000 + "x", "(" * 5000 + "x" + ")" * 5000, "+".join(["x"] * 30000), "x**" * 9000 + "x"],
    ids=["signs", "brackets", "terms", "powers"],
)
def test_deep_nesting_is_refused(text):
    with pytest.raises(LanguageError) as caught:
        parse(text, NAMES)
    assert text[:40] in str(caught.value)


def test_deep_nesting_of_functions_is_refused_at_any_recursion_limit():
    text = "sin(" * 80 + "x" + ")" * 80
    assert parse(text, NAMES).count(sp.sin) == 80
    depth, frame = 0, sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + 60)
    try:
        with pytest.raises(LanguageError, match=r"nested|recursion"):
            parse(text, NAMES)
    finally:
        sys.setrecursionlimit(limit)


def test_unknown_names_come_with_suggestions():
    with pytest.raises(LanguageError, match=r"unknown name 'alpa', did you mean 'alpha'\?"):
        parse("2*alpa", {"alpha": X})
    with pytest.raises(LanguageError, match=r"unknown name 'q' \(known: pi, x, y, a\) in 'q\*x'"):
        parse("q*x", NAMES)
    with pytest.raises(LanguageError, match=r"unknown function 'sinus' \(known: sin, cos"):
        parse("sinus(x)", NAMES)


# ---------------------------------------------------------------- nothing is evaluated


def test_parsing_never_evaluates_text(monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("evaluated")

    refused = []
    with monkeypatch.context() as patched:
        for name in ("eval", "exec", "open"):
            patched.setattr(builtins, name, never)
        patched.setattr(sp, "sympify", never)
        patched.setattr(sp, "parse_expr", never)
        patched.setattr(os, "system", never)
        found = parse("sin(x)**2 + 0.25*a*pi - 1e-3", NAMES)
        for text in NOT_OF_THE_LANGUAGE:
            try:
                parse(text, NAMES)
            except LanguageError:
                refused.append(text)
    assert found == sp.sin(X) ** 2 + sp.pi / 12 - sp.Rational(1, 1000)
    assert set(NOT_OF_THE_LANGUAGE) - set(refused) <= ODD


@pytest.mark.parametrize(
    "text",
    [
        "__import__('pathlib').Path({p!r}).touch()",
        "open({p!r}, 'w')",
        "sin(open({p!r}, 'w'))",
        "[open({p!r}, 'w') for q in (1,)]",
        "(lambda: open({p!r}, 'w'))()",
        "f'{{open({p!r}, chr(119))}}'",
        "().__class__.__base__.__subclasses__()",
        "x if open({p!r}, 'w') else x",
        "x.subs(x, open({p!r}, 'w'))",
        "sin(x, evaluate=open({p!r}, 'w'))",
        "exec(\"open({p!r}, 'w')\")",
    ],
)
def test_malicious_text_has_no_effect(text, tmp_path):
    with pytest.raises(LanguageError):
        parse(text.format(p=str(tmp_path / "touched")), NAMES)
    assert not list(tmp_path.iterdir())


def test_names_never_become_code(tmp_path):
    """Compiled functions name their arguments themselves."""
    evil = sp.Symbol(f"x) or open({str(tmp_path / 'touched')!r}, 'w'", real=True)
    (found,) = array_function([evil], [evil + 1])(np.ones(2))
    assert found.tolist() == [2, 2]
    assert tensor_function([evil], sp.sin(evil))(torch.zeros(2)).tolist() == [0, 0]
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- once wrong


def test_the_derivative_of_abs_can_be_computed():
    found, expected = slope_of("Abs")
    assert torch.allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("text", ["1e999", "x*1e400", "1e5000000"])
def test_literals_beyond_float64_are_refused(text):
    with pytest.raises(LanguageError):
        parse(text, NAMES)


def test_an_exponent_that_is_no_number_is_refused():
    with pytest.raises(LanguageError):
        parse("2**(0/0)", NAMES)


def test_hexadecimal_literals_that_are_too_long_are_refused():
    with pytest.raises(LanguageError):
        parse("0x" + "f" * 5000, NAMES)


def test_powers_of_powers_are_bounded():
    with pytest.raises(LanguageError):
        parse("(9**999)**99", NAMES)


@pytest.mark.parametrize(
    "text", ["1/(1/0)", "x + 1/(1/0)", "sin(Abs(1/0))", "atan(Abs(1/0))", "exp(-Abs(1/0))"]
)
def test_divisions_by_zero_inside(text):
    with pytest.raises(LanguageError):
        parse(text, NAMES)


@pytest.mark.parametrize("text", ["sqrt(-1)", "x*(-8)**(1/3)", "log(-1) + x"])
def test_complex_numbers_are_refused(text):
    with pytest.raises(LanguageError):
        parse(text, NAMES)
