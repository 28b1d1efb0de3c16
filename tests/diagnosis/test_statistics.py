"""Statistics of pairs and of single losses against plain loops."""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from conflictopt import Thresholds
from conflictopt.diagnosis.alignment import agreement
from conflictopt.diagnosis.loss_statistics import loss_statistics, mean_norm_ratio, norm_ratio
from conflictopt.diagnosis.pair_statistics import pair_statistics

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
    longest = max(map(len, runs), default=0)
    valid = [c for c in cosines if not math.isnan(c)]
    half, quarter = len(rows) // 2, len(rows) // 4
    early = [summary(part) for part in (cosines[:quarter], cosines[quarter:half])]
    return {
        "conflict": conflict,
        "conflict_late": late_conflict,
        "cosine": mean,
        "cosine_late": late_mean,
        "longest_run": longest,
        "severity": sum(max(0.0, -c) for c in valid) / len(valid) if valid else 0.0,
        "run_fraction": longest / len(rows),
        "autocorrelation": loop_autocorrelation(cosines),
        "transient": any(f >= 0.6 and m <= -0.1 for f, m in early)
        and not (late_conflict >= 0.6 and late_mean <= -0.1),
    }


def loop_autocorrelation(cosines):
    valid = [c for c in cosines if not math.isnan(c)]
    mean = sum(valid) / len(valid) if valid else 0.0
    centred = [0.0 if math.isnan(c) else c - mean for c in cosines]
    if max(map(abs, centred)) < 1e-10:
        return 0.0
    return sum(map(math.prod, itertools.pairwise(centred))) / sum(c * c for c in centred)


@few
@given(rows=gradients, below=st.sampled_from([-0.05, -0.3, 0.0]))
def test_pairs_against_loops(rows, below, profile_of_rows):
    found = pair_statistics(profile_of_rows(rows), Thresholds(conflict_below=below))
    names = "abcd"[: rows.shape[1]]
    pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
    assert [(p.first, p.second) for p in found] == [(names[i], names[j]) for i, j in pairs]
    for p, (i, j) in zip(found, pairs, strict=True):
        expected = {"first": names[i], "second": names[j], **loop_pair(rows, i, j, below)}
        content = asdict(p)
        assert 1 <= content.pop("correlation_time") <= len(rows)
        assert content == pytest.approx(expected, abs=1e-9)


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
    (pair,) = pair_statistics(profile_of_rows(rows))
    assert pair.conflict == 3 / 4
    assert pair.conflict_late == 1 / 2
    assert pair.cosine == -2 / 4
    assert pair.longest_run == 2


def test_a_loss_that_never_has_a_gradient(profile_of_rows):
    profile = profile_of_rows([[[1.0, 0.0], [0.0, 0.0]]] * 4)
    (pair,) = pair_statistics(profile)
    assert (pair.conflict, pair.cosine, pair.longest_run, pair.severity) == (0.0, 0.0, 0, 0.0)
    assert [s.norm for s in loss_statistics(profile)] == [1.0, 0.0]
    assert mean_norm_ratio(profile) == 1.0


def test_the_odd_sample_belongs_to_the_last_half(profile_of_pair):
    (pair,) = pair_statistics(profile_of_pair([0.5, -0.5, -0.5]))
    assert (pair.conflict_late, pair.conflict) == (1.0, pytest.approx(2 / 3))


def test_threshold_itself_is_no_conflict(profile_of_rows):
    profile = profile_of_rows([[[1.0, 0.0], [0.0, 1.0]]])
    assert pair_statistics(profile, Thresholds(conflict_below=0.0))[0].conflict == 0.0


def test_severity_and_persistence_by_hand(profile_of_pair):
    (pair,) = pair_statistics(profile_of_pair([-0.5, -0.25, 0.5, -1.0]))
    assert pair.severity == pytest.approx((0.5 + 0.25 + 1.0) / 4)
    assert (pair.longest_run, pair.run_fraction) == (2, 0.5)


@pytest.mark.parametrize(
    ("cosines", "transient"),
    [
        ([-0.9] * 25 + [0.5] * 75, True),
        ([0.5] * 25 + [-0.9] * 25 + [0.5] * 50, True),
        ([-0.9] * 100, False),
        ([0.5] * 100, False),
        ([0.5] * 60 + [-0.9] * 40, False),
        ([-0.9] * 10 + [0.5] * 90, False),
    ],
)
def test_transient_is_early_conflict_that_ended(cosines, transient, profile_of_pair):
    (pair,) = pair_statistics(profile_of_pair(cosines))
    assert pair.transient is transient


@few
@given(rows=gradients, order=st.randoms(use_true_random=False))
def test_statistics_follow_a_permutation_of_the_losses(rows, order, profile_of_rows):
    shuffled = list(range(rows.shape[1]))
    order.shuffle(shuffled)
    names = "abcd"
    plain = {frozenset((p.first, p.second)): p for p in pair_statistics(profile_of_rows(rows))}
    permuted = profile_of_rows(rows[:, shuffled])
    for p in pair_statistics(permuted):
        back = {names[i]: names[j] for i, j in enumerate(shuffled[: rows.shape[1]])}
        other = asdict(plain[frozenset((back[p.first], back[p.second]))])
        assert asdict(p) == pytest.approx({**other, "first": p.first, "second": p.second})
    assert mean_norm_ratio(permuted) == pytest.approx(mean_norm_ratio(profile_of_rows(rows)))
    both = agreement(permuted), agreement(profile_of_rows(rows))
    assert asdict(both[0]) == pytest.approx(asdict(both[1]))
