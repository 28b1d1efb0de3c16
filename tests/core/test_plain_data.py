"""Data for JSON: one rule for numbers that are not finite."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conflictopt.core.plain_data import plain_data

TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, np.float64("inf")])
def test_what_is_measured_is_absent_and_what_is_an_answer_is_told(value):
    assert plain_data({"a": [value]}, "null") == {"a": [None]}
    told = plain_data(value, "text")
    assert isinstance(told, str)
    assert math.isnan(float(told)) if math.isnan(value) else float(told) == value


def test_tuples_become_lists_and_keys_text():
    assert plain_data({1: (1, 2.5, "x"), None: True}, "null") == {"1": [1, 2.5, "x"], "None": True}


@given(TREES, st.sampled_from(["null", "text"]))
def test_json_gives_it_back(tree, nonfinite):
    made = plain_data(tree, nonfinite)
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert plain_data(made, nonfinite) == made
