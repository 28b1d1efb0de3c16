"""Statistics of pairs and of single losses against plain loops."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from conflictopt.diagnosis.statistics import (
    loss_statistics,
    mean_norm_ratio,
    norm_ratio,
    pair_statistics,
)

few = settings(max_examples=50, deadline=None, derandomize=True)
gradients = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 12), st.integers(2, 4), st.just(3)),
    elements=st.sampled_from([-10.0, -1.0, 0.0, 0.0, 0.5, 1.0]),
)


def cosine(a, b):
    norms = math.sqrt(a @ a) * math.sqrt(b @ b)
    return a @ b / norms if norms > 0 else math.nan


def loop_pair(rows, i, j, below):
    cosines = [cosine(sample[i], sample[j]) for sample in rows]

    def summary(values):
        valid = [c for c in values if not math.isnan(c)]
        if not valid:
            return 0.0, 0.0
        return sum(c < below for c in valid) / len(valid), sum(valid) / len(valid)

    runs = "".join("x" if c < below else " " for c in cosines).split()
    conflict, mean = summary(cosines)
    late_conflict, late_mean = summary(cosines[len(rows) // 2 :])
    return {
        "conflict": conflict,
        "conflict_late": late_conflict,
        "cosine": mean,
        "cosine_late": late_mean,
        "longest_run": max(map(len, runs), default=0),
    }


@few
@given(rows=gradients, below=st.sampled_from([-0.05, -0.3, 0.0]))
def test_pairs_against_loops(rows, below, profile_of_rows):
    found = pair_statistics(profile_of_rows(rows), below)
    names = "abcd"[: rows.shape[1]]
    pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
    assert [(p.first, p.second) for p in found] == [(names[i], names[j]) for i, j in pairs]
    for p, (i, j) in zip(found, pairs, strict=True):
        expected = {"first": names[i], "second": names[j], **loop_pair(rows, i, j, below)}
        assert asdict(p) == pytest.approx(expected, abs=1e-12)


@few
@given(rows=gradients)
def test_losses_and_ratios_against_loops(rows, profile_of_rows):
    values = np.arange(rows.shape[0] * rows.shape[1], dtype=float).reshape(rows.shape[:2])
    profile = profile_of_rows(rows, values)
    half = len(rows) // 2

    def geometric(numbers):
        positive = [n for n in numbers if n > 0]
        return math.prod(positive) ** (1 / len(positive)) if positive else 0.0

    norms = [[math.sqrt(g @ g) for g in sample] for sample in rows]
    for k, found in enumerate(loss_statistics(profile)):
        column = [sample[k] for sample in norms]
        assert (found.first, found.last) == (values[0, k], values[-1, k])
        assert found.norm == pytest.approx(geometric(column))
        assert found.norm_late == pytest.approx(geometric(column[half:]))
    active = [[n for n in sample if n > 0] for sample in norms]
    ratios = [max(a) / min(a) if a else 1.0 for a in active]
    assert norm_ratio(profile).tolist() == pytest.approx(ratios)
    assert mean_norm_ratio(profile) == pytest.approx(geometric(ratios))


def test_samples_without_gradient_are_left_out_and_end_a_run(profile_of_rows):
    one, against, none = [1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]
    rows = [[one, g] for g in (against, against, none, against, one)]
    (pair,) = pair_statistics(profile_of_rows(rows), -0.05)
    assert pair.conflict == 3 / 4
    assert pair.conflict_late == 1 / 2
    assert pair.cosine == -2 / 4
    assert pair.longest_run == 2


def test_a_loss_that_never_has_a_gradient(profile_of_rows):
    profile = profile_of_rows([[[1.0, 0.0], [0.0, 0.0]]] * 4)
    (pair,) = pair_statistics(profile, -0.05)
    assert (pair.conflict, pair.cosine, pair.longest_run) == (0.0, 0.0, 0)
    assert [s.norm for s in loss_statistics(profile)] == [1.0, 0.0]
    assert mean_norm_ratio(profile) == 1.0


def test_the_odd_sample_belongs_to_the_last_half(profile_of_pair):
    (pair,) = pair_statistics(profile_of_pair([0.5, -0.5, -0.5]), -0.05)
    assert (pair.conflict_late, pair.conflict) == (1.0, pytest.approx(2 / 3))


def test_threshold_itself_is_no_conflict(profile_of_rows):
    profile = profile_of_rows([[[1.0, 0.0], [0.0, 1.0]]])
    assert pair_statistics(profile, 0.0)[0].conflict == 0.0
