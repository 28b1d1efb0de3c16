"""How often losses conflict: among gradients, in their sum, in the optimizer's update."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from conflictopt import MultiLossOptimizer, Profile, Recorder, diagnose
from conflictopt.core.chain import Chain
from conflictopt.core.errors import ConflictOptError
from conflictopt.diagnosis.update_conflict import conflict_rates


def profile_of(rows, updates=None):
    rows = np.asarray(rows, dtype=float)
    t, k = rows.shape[:2]
    grams = np.einsum("tki,tji->tkj", rows, rows)
    names = tuple("abcdef"[:k])
    return Profile(names, np.arange(t), np.ones((t, k)), grams, updates=updates)


def test_by_hand():
    rows = [
        [[1.0, 0.0], [0.0, 1.0]],  # no conflict
        [[1.0, 0.0], [-0.5, 1.0]],  # gradients, not the sum
        [[1.0, 0.0], [-3.0, 1.0]],  # the sum raises a
        [[0.0, 0.0], [-3.0, 1.0]],  # a has no gradient
    ]
    found = conflict_rates(profile_of(rows))
    assert (found.gradients, found.sum, found.update) == (0.5, 0.25, None)
    seen = np.array([0.2, np.nan, -0.1, 1e-9])
    assert conflict_rates(profile_of(rows, seen)).update == pytest.approx(1 / 3)
    assert conflict_rates(profile_of(rows, np.full(4, np.nan))).update is None


def test_updates_have_one_cosine_for_each_sample():
    with pytest.raises(ConflictOptError, match=r"expected updates \[1\], found \(2,\)"):
        profile_of([[[1.0, 0.0], [0.0, 1.0]]], np.zeros(2))


class Toy:
    """Two losses that pull apart, under Adam."""

    def __init__(self, recorder, every=1, **options):
        self.w = nn.Parameter(torch.tensor([1.0, 2.0, -1.0], dtype=torch.float64))
        adam = torch.optim.Adam([self.w], lr=0.1)
        self.opt = MultiLossOptimizer(adam, recorder, every=every, **options)
        self.worst = []

    def losses(self):
        w = self.w
        return {"a": (w - 1).square().sum(), "b": 4 * (w[0] + 1).square() + (w[1] * w[2]) ** 2}

    def step(self):
        rows = [torch.autograd.grad(v, self.w)[0] for v in self.losses().values()]
        before = self.w.detach().clone()
        self.opt.step(self.losses())
        moved = self.w.detach() - before
        self.worst.append(max(float(r @ moved / r.norm() / moved.norm()) for r in rows))


def test_a_recorder_notes_what_the_update_did_to_the_losses():
    toy = Toy(Recorder(steps=40, every=4))
    for _ in range(40):
        toy.step()
    profile = toy.opt.aggregator.profile()
    assert profile.updates.tolist() == pytest.approx(toy.worst[::4], abs=1e-12)
    assert "update" not in toy.opt.reports
    found = diagnose(profile).conflicts
    assert found.update == np.mean(np.array(toy.worst[::4]) > 1e-3) > 0
    assert toy.opt.conflicts.steps == 10
    assert diagnose(profile).to_json()["conflicts"]["update"] == found.update
    assert "the optimizer's step in" in " ".join(diagnose(profile).text().split())


def test_the_profiled_run_is_bitwise_the_plain_one():
    recorded, plain = Toy(Recorder(steps=20, every=3)), Toy("sum")
    for _ in range(20):
        recorded.step()
        plain.step()
    assert torch.equal(recorded.w, plain.w)


def test_beside_held_coefficients_only_what_was_sampled_is_noted():
    toy = Toy(Chain(Recorder(steps=20, every=3)), every=2)
    for _ in range(20):
        toy.step()
    profile = toy.opt.profile
    known = ~np.isnan(profile.updates)
    assert known.any()
    expected = [toy.worst[s] for s in profile.steps[known]]
    assert profile.updates[known].tolist() == pytest.approx(expected, abs=1e-12)


def test_accumulated_gradients_are_not_looked_at():
    toy = Toy(Recorder(steps=4, every=1))
    for _ in range(4):
        toy.opt.zero_grad()
        toy.opt.backward(toy.losses())
        toy.opt.backward(toy.losses())
        toy.opt.step()
    assert toy.opt.profile.updates is None
    assert toy.opt.conflicts.steps == 0


def test_it_goes_on_from_a_checkpoint():
    one, other = Toy(Recorder(steps=12, every=2)), Toy(Recorder(steps=12, every=2))
    for _ in range(6):
        one.step()
    saved = copy.deepcopy((one.w.detach(), one.opt.state_dict()))
    with torch.no_grad():
        other.w.copy_(saved[0])
    other.opt.load_state_dict(saved[1])
    for toy in (one, other):
        for _ in range(6):
            toy.step()
    assert np.array_equal(one.opt.profile.updates, other.opt.profile.updates)
    assert not np.isnan(other.opt.profile.updates).any()
