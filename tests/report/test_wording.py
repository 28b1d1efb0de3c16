"""Numbers and names in words, the same everywhere."""

import subprocess
import sys

import pytest

from conflictopt.wording import (
    capital,
    counted,
    factor,
    joined,
    number,
    percent,
    probability,
    share,
    shortened,
    times,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.500"),
        (123.4, "123"),
        (1.0, "1.00"),
        (0.00001234, "1.23e-5"),
        (123456.0, "1.23e5"),
        (None, "-"),
        (1e-12, "1.00e-12"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "cell", "sentence"),
    [
        (0.0, "0%", "0%"),
        (0.004, "<1%", "less than 1%"),
        (0.005, "0%", "0%"),
        (0.5, "50%", "50%"),
        (0.994, "99%", "99%"),
        (0.996, ">99%", "more than 99%"),
        (1.0, "100%", "100%"),
    ],
)
def test_shares_are_not_rounded_to_all_or_nothing(value, cell, sentence):
    assert (percent(value), share(value)) == (cell, sentence)


@pytest.mark.parametrize(
    ("value", "sentence", "cell"),
    [(0.5, "0.5", "0.500x"), (3.0, "3", "3.00x"), (1000.0, "1,000", "1.00e3x")],
)
def test_factors(value, sentence, cell):
    assert (factor(value), times(value)) == (sentence, cell)


def test_large_factors_are_orders_of_magnitude():
    assert [factor(v) for v in (999.4, 999.6, 1e6)] == ["999", "1,000", "1.0e+06"]


def test_no_number_is_a_dash():
    assert [f(None) for f in (number, percent, probability, times)] == ["-"] * 4
    assert [probability(p) for p in (1e-5, 0.031)] == ["<0.0001", "0.031"]


def test_words():
    assert [counted(1, "run"), counted(2, "run")] == ["1 run", "2 runs"]
    assert [joined("a"), joined("ab"), joined("abc")] == ["a", "a and b", "a, b and c"]
    assert [capital("a loss"), capital("")] == ["A loss", ""]


def test_both_ends_of_a_long_name_stay():
    assert shortened("boundary_inlet", 14) == "boundary_inlet"
    assert shortened("boundary_inlet_velocity", 9) == "boun…city"


def test_words_and_styles_need_no_heavy_library():
    code = (
        "import sys, conflictopt.wording as w, conflictopt.plotting as p\n"
        "print([m for m in ('matplotlib', 'rich', 'jinja2', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
