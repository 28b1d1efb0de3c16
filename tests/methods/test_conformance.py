"""The contracts of every method in the registry; a new method is tested without an edit here."""

from __future__ import annotations

import io
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from conflictopt.methods.registry import METHODS, method_class

BLOCKS = {"physics": 1, "adapter/a": 1, "adapter/b": 1, "adapter/c": 1}
DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()

every_method = pytest.mark.parametrize("name", METHODS)
seeds = st.integers(0, 2**31)


def of_family(family):
    return pytest.mark.parametrize("name", [n for n in METHODS if method_class(n).family == family])


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture
def march(step, random_rows):
    """``march(method, seeds, state, generator)``: one step per seed -> coefficients, state."""

    def go(method, seeds, state=None, generator=None):
        generator = generator or torch.Generator().manual_seed(1)
        chosen = []
        for seed in seeds:
            view = step(random_rows(seed), blocks=BLOCKS, generator=generator)
            state = method.init(view.spec) if state is None else state
            c, state = method.update(view, state)
            chosen.append(c)
        return torch.stack(chosen), state

    return go


# -- every family ------------------------------------------------------------------------------


@every_method
def test_state_keys_and_shapes_never_change(name, build, march):
    method = build(name, refresh=2)
    _, state = march(method, range(1))
    for n in range(2, 6):
        _, later = march(method, range(n))
        assert {k: v.shape for k, v in later.items()} == {k: v.shape for k, v in state.items()}


@every_method
def test_global_random_state_is_untouched(name, build, march):
    before = torch.get_rng_state(), random.getstate()
    march(build(name, refresh=1), range(3))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]


@every_method
def test_view_and_state_are_left_unchanged(name, build, step, random_rows):
    method, view = build(name, refresh=1), step(random_rows(3), blocks=BLOCKS)
    state = method.init(view.spec)
    kept = {k: v.clone() for k, v in state.items()}
    losses, rows, gram = view.losses.clone(), view.rows().clone(), view.gramian().clone()
    method.update(view, state)
    assert torch.equal(view.losses, losses)
    assert torch.equal(view.rows(), rows)
    assert torch.equal(view.gramian(), gram)
    assert same(state, kept)


@every_method
def test_update_is_pure(name, build, march):
    method, generator = build(name, refresh=1), torch.Generator().manual_seed(7)
    _, state = march(method, range(3), generator=generator)
    start = generator.get_state()
    c, after = march(method, [9], state, generator)
    again, after_again = march(method, [9], state, generator.set_state(start))
    assert torch.equal(c, again)
    assert same(after, after_again)


@every_method
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("device", DEVICES)
def test_dtype_and_device_are_kept(name, build, dtype, device, step, random_rows):
    method = build(name, refresh=1)
    view = step(random_rows(5, dtype=dtype).to(device), blocks=BLOCKS)
    start = method.init(view.spec)
    c, state = method.update(view, start)
    assert (c.dtype, c.device) == (dtype, view.losses.device)
    assert {k: (v.dtype, v.device) for k, v in state.items()} == {
        k: (v.dtype, v.device) for k, v in start.items()
    }


@every_method
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_loss_keeps_its_plain_gradient(name, build, dtype, step, random_rows):
    method = build(name, names="a", refresh=1)
    view = step(random_rows(2, count=1, dtype=dtype), blocks={"physics": 1, "adapter/a": 2})
    state = method.init(view.spec)
    for _ in range(3):
        c, state = method.update(view, state)
        assert torch.equal(c, torch.ones_like(c))


@every_method
def test_state_survives_a_checkpoint_bitwise(name, build, march):
    method, generator = build(name, refresh=2), torch.Generator().manual_seed(3)
    _, state = march(method, range(3), generator=generator)
    file = io.BytesIO()
    torch.save({"state": state, "generator": generator.get_state()}, file)
    expected, end = march(method, range(3, 8), state, generator)

    loaded = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
    resumed = torch.Generator()
    resumed.set_state(loaded["generator"])
    found, resumed_end = march(method, range(3, 8), loaded["state"], resumed)
    assert torch.equal(found, expected)
    assert same(resumed_end, end)


@every_method
@pytest.mark.parametrize("zero", [[0], [1, 2], [0, 1, 2]])
def test_finite_when_gradients_are_zero(name, build, zero, step, random_rows, coefficients):
    rows = random_rows(4)
    rows[zero] = 0.0
    assert coefficients(build(name), step(rows, blocks=BLOCKS)).isfinite().all()


# -- reweighting -------------------------------------------------------------------------------


@of_family("reweighting")
@given(seed=seeds, order=st.permutations(range(3)), span=st.sampled_from([0, 3, 8]))
def test_weights_are_valid_and_follow_a_reordering(
    name, build, seed, order, span, step, random_rows, coefficients
):
    method, rows, order = build(name, momentum=0.0), random_rows(seed, span=span), list(order)
    losses = torch.tensor([0.25, 1.0, 4.0])
    weights = coefficients(method, step(rows, offsets=losses))
    moved = step(
        rows[order],
        offsets=losses[order],
        names=["abc"[i] for i in order],
        equations=[i == 0 for i in order],
    )
    assert weights.shape == (3,)
    assert (weights.isfinite() & (weights >= 0)).all()
    torch.testing.assert_close(coefficients(method, moved), weights[order], rtol=1e-12, atol=0)


@pytest.mark.grid
@of_family("reweighting")
@pytest.mark.parametrize("shrunk", [0, 1, 2])
def test_a_loss_that_became_small_does_not_run_away(name, build, shrunk, step, random_rows):
    """A weight stays below the bound that the method states."""
    method, rows = build(name, refresh=1, probes=1), random_rows(0)
    scale = torch.ones(3, 1, dtype=torch.float64)
    state, drawn = method.init(step(rows).spec), []
    for refresh in range(2000):
        if refresh <= 12:
            scale[shrunk] = 10.0**-refresh
            view = step(rows * scale, offsets=scale.flatten().sqrt())
        c, state = method.update(view, state)
        drawn.append(c)
    assert torch.stack(drawn).max() <= method.bound(3) * (1 + 1e-12)


# -- surgery -----------------------------------------------------------------------------------


@of_family("surgery")
@given(seed=seeds, count=st.integers(2, 5))
def test_no_conflict_gives_the_plain_sum_or_another_update_without_conflict(
    name, build, seed, count, step, random_rows, coefficients
):
    """Balanced gradients need not be a combination with positive weights: there, orthogonal."""
    rows = random_rows(seed, count, 2 * count).abs()
    if name == "aligned_mtl":
        rows = torch.block_diag(*rows[:, :2].unbind())
    c = coefficients(build(name), step(rows))
    update = c @ rows
    cosines = rows @ update / rows.norm(dim=1) / update.norm()
    assert torch.equal(c, torch.ones_like(c)) or cosines.min() > 0


@of_family("surgery")
@given(seed=seeds, position=st.integers(0, 3))
def test_a_zero_gradient_gets_one_and_changes_nothing_else(
    name, build, seed, position, step, random_rows, coefficients
):
    method, rows = build(name), random_rows(seed)
    padded = torch.cat([rows[:position], torch.zeros(1, rows.shape[1]), rows[position:]])
    equations = [True, False, False]
    expected = coefficients(method, step(rows, equations=equations))
    equations.insert(position, False)
    found = coefficients(method, step(padded, equations=equations))
    assert found[position] == 1
    torch.testing.assert_close(
        torch.cat([found[:position], found[position + 1 :]]), expected, rtol=1e-12, atol=0
    )


@of_family("surgery")
@given(seed=seeds, dtype=st.sampled_from([torch.float32, torch.float64]))
def test_surgery_is_safe_at_extreme_norms(
    name, build, seed, dtype, step, random_rows, coefficients
):
    method, rows = build(name), random_rows(seed, span=8, dtype=dtype)
    c = coefficients(method, step(rows))
    assert c.isfinite().all()
    share = c * rows.norm(dim=1)
    for common in (2.0**-40, 2.0**40):
        found = coefficients(method, step(rows * common)) * rows.norm(dim=1)
        # the direction: one method has a length of its own
        torch.testing.assert_close(
            found / found.norm(), share / share.norm(), rtol=1e-6, atol=1e-12
        )


# -- routing -----------------------------------------------------------------------------------


@of_family("routing")
def test_exclusive_routing_gives_each_adapter_one_owner(
    name, build, step, random_rows, coefficients
):
    view = step(random_rows(6), blocks=BLOCKS)
    c = coefficients(build(name, routing="exclusive"), view)
    assert c.shape == (3, len(view.layout.blocks))
    for column, block in zip(c.T.tolist(), view.layout.blocks, strict=True):
        owned = [1.0 if block.owner in (None, n) else 0.0 for n in "abc"]
        assert column == owned, block.name
