"""``KEY=VALUE``, of expressions and of ``--option``."""

import math

import pytest

from conflictopt import MethodError
from conflictopt.methods.expression_text import key_values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("momentum=0.5", 0.5),
        ("refresh=10", 10),
        ("cap=1e3", 1000.0),
        ("form=one_sided", "one_sided"),
        ("form='one_sided'", "one_sided"),
        ("weights=(1, 2.5)", (1, 2.5)),
        ("weights=[1,2]", [1, 2]),
        ("flag=True", True),
        ("cap=None", None),
        ("cap=inf", math.inf),
        ("text=a=b", "a=b"),
        ("text=", ""),
        ("text=1 2", "1 2"),
        ("text=__import__('os')", "__import__('os')"),
    ],
)
def test_a_value_is_a_python_literal_or_else_a_string(text, value):
    (found,) = key_values([text], "KEY=VALUE").values()
    assert found == value
    assert type(found) is type(value)


def test_several_options():
    assert key_values(["a=1", "b=x"], "KEY=VALUE") == {"a": 1, "b": "x"}
    assert key_values([], "KEY=VALUE") == {}


@pytest.mark.parametrize("text", ["momentum", "=0.5", "", "="])
def test_a_malformed_option_is_refused(text):
    with pytest.raises(MethodError, match=f"expected KEY=VALUE, found '{text}'"):
        key_values([text], "KEY=VALUE")


def test_an_option_given_twice_is_refused():
    with pytest.raises(MethodError, match="option 'a' is given twice"):
        key_values(["a=1", "a=2"], "KEY=VALUE")
