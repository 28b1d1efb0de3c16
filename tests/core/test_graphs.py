"""Which graphs are retained, in which order they are walked, and what is freed when."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conflictopt.core.graphs import gradient, passes, reached, retain, walk


@pytest.fixture
def w():
    return torch.linspace(0.1, 0.9, 4, dtype=torch.float64).requires_grad_()


def freed(loss, params):
    """Whether the graph of a loss was used up."""
    try:
        torch.autograd.grad(loss, params, retain_graph=True, allow_unused=True)
    except RuntimeError:
        return True
    return False


def plan(losses):
    return passes({k: walk(loss)[0] for k, loss in losses.items()})


def walked(losses, params):
    for k, keep in plan(losses):
        gradient(losses[k], params, keep)
    return {k: freed(loss, params) for k, loss in losses.items()}


def test_graphs_of_their_own_keep_their_order_and_are_all_freed(w):
    losses = {"a": (w**2).sin().sum(), "b": w.exp().sum(), "c": (w**3).cos().tanh().sum()}
    assert plan(losses) == [("a", False), ("b", False), ("c", False)]
    assert all(walked(losses, (w,)).values())


def test_of_a_shared_graph_the_largest_comes_last_and_frees_it(w):
    shared = w.exp()
    large = (shared.sin() * shared).cos().square().sum()
    losses = {"large": large, "small": shared.square().sum()}
    assert plan(losses) == [("small", True), ("large", False)]
    assert walked(losses, (w,))["large"]


def test_a_graph_shared_by_two_of_three_is_retained_for_those_two_only(w):
    shared = w.exp()
    losses = {
        "a": shared.square().sum(),
        "alone": w.sin().sin().sin().square().sum(),
        "b": shared.square().square().sum(),
    }
    assert dict(plan(losses)) == {"a": True, "alone": False, "b": False}
    assert walked(losses, (w,)) == {"a": True, "alone": True, "b": True}


def test_sharing_parameters_alone_is_no_sharing(w):
    assert not any(keep for _, keep in plan({k: (w * k).exp().sum() for k in range(5)}))


def test_the_same_loss_twice(w):
    loss = w.exp().sum()
    assert plan({"a": loss, "b": loss}) == [("a", True), ("b", False)]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.sets(st.integers(0, 6)), min_size=1, max_size=6))
def test_retained_exactly_when_a_later_pass_needs_a_node(made_of):
    for i, (k, keep) in enumerate(retain(dict(enumerate(made_of)))):
        assert k == i
        assert keep == any(made_of[i] & later for later in made_of[i + 1 :])


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.sets(st.integers(0, 3), min_size=1), min_size=1, max_size=5))
def test_gradients_are_right_whatever_is_shared(members):
    w = torch.linspace(0.1, 0.9, 4, dtype=torch.float64).requires_grad_()
    pieces = [(w[i] ** 2).exp() for i in range(4)]
    losses = {k: sum(pieces[i] for i in sorted(chosen)) * 2 for k, chosen in enumerate(members)}
    exact = (4 * w * (w**2).exp()).detach()
    for k, keep in plan(losses):
        (row,) = gradient(losses[k], (w,), keep)
        mask = torch.tensor([float(i in members[k]) for i in range(4)], dtype=torch.float64)
        torch.testing.assert_close(row, exact * mask, rtol=1e-12, atol=0)


def test_sharing_that_begins_and_ends_between_steps(w):
    for shared in (False, True, True, False):
        u, v = w.exp(), w.exp()
        losses = {"a": u.sin().sum(), "b": (u if shared else v).square().sum()}
        for k, keep in plan(losses):
            gradient(losses[k], (w,), keep)


def test_gradient_is_torchs(w):
    other = torch.ones(2, requires_grad=True)
    found = gradient((w**3).sum(), (w, other), True)
    expected = torch.autograd.grad((w**3).sum(), (w, other), allow_unused=True)
    assert torch.equal(found[0], expected[0])
    assert found[1] is expected[1] is None


def test_reached_follows_the_graph(w):
    other, third = (torch.ones(2, requires_grad=True) for _ in range(2))
    assert reached((w.sum() * third.prod()).exp(), (w, other, third)) == [True, False, True]


def test_a_parameter_reaches_itself(w):
    leaf = torch.ones((), requires_grad=True)
    assert reached(leaf, (w, leaf)) == [False, True]
