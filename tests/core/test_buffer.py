"""Storage for rows that is kept from step to step."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from conflictopt import LossError, MultiLossOptimizer
from conflictopt.core.buffer import RowBuffer
from conflictopt.core.layout import ParameterLayout
from conflictopt.core.losses import Losses


@pytest.fixture
def params():
    return [torch.zeros(shape, requires_grad=True) for shape in ((2, 3), (), (4,))]


@pytest.fixture
def layout(params):
    return ParameterLayout.build(params)


@pytest.fixture
def buffer(layout):
    buffer = RowBuffer(2, layout)
    buffer.rows.fill_(torch.nan)
    return buffer


def grads_of(layout, value):
    return [torch.full_like(p, value) for p in layout.params]


def test_a_row_holds_the_gradients_in_the_order_of_the_layout(layout, buffer):
    grads = [torch.rand_like(p) for p in layout.params]
    buffer.write(1, grads)
    assert torch.equal(buffer.rows[1], layout.flatten(grads))
    assert buffer.rows[0].isnan().all()


def test_what_a_loss_does_not_touch_is_zero_and_marked(layout, buffer):
    first, _, third = grads_of(layout, 1.0)
    buffer.write(0, [first, None, third])
    buffer.write(1, [None, None, third])
    assert torch.equal(buffer.rows[0], layout.flatten([first, None, third]))
    assert torch.equal(buffer.rows[1], layout.flatten([None, None, third]))
    assert buffer.touched == [[True, False, True], [False, False, True]]
    assert buffer.reached(everything=False) == [True, False, True]
    assert buffer.reached(everything=True) == [True, True, True]


def test_a_loss_may_touch_nothing(layout, buffer):
    buffer.write(0, [None] * 3)
    buffer.write(1, [None] * 3)
    assert not buffer.rows.any()
    assert buffer.reached(everything=False) == [False, False, False]


def test_the_next_step_leaves_no_trace_of_the_one_before(layout, buffer):
    full = grads_of(layout, 1.0)
    for grads in (full, [full[0], None, None], [None, full[1], None], full):
        buffer.write(0, grads)
        buffer.write(1, grads)
        assert torch.equal(buffer.rows, layout.flatten(grads).repeat(2, 1))
        used = [g is not None for g in grads]
        assert buffer.touched == [used, used]
        assert buffer.reached(everything=False) == used


def test_marks_of_two_losses_are_their_own(layout, buffer):
    full = grads_of(layout, 1.0)
    buffer.write(0, full)
    buffer.write(1, [None, *full[1:]])
    assert buffer.touched == [[True, True, True], [False, True, True]]


def test_gradients_in_odd_strides(layout, buffer):
    grads = [torch.rand(3, 2).T, torch.rand(2)[1], torch.rand(1).expand(4)]
    grads = [g for _, g in sorted(zip([0, 2, 1], grads, strict=True))]  # the unknown comes last
    buffer.write(0, grads)
    assert torch.equal(buffer.rows[0], layout.flatten(grads))


def test_an_empty_parameter_has_no_columns():
    params = [torch.ones(s, requires_grad=True) for s in ((2,), (0, 3), (1,))]
    opt = MultiLossOptimizer(torch.optim.SGD(params, lr=1.0), "pcgrad")
    opt.step([sum(p.sum() for p in params), 2 * params[0].sum()])
    assert [p.tolist() for p in params] == [[-2.0, -2.0], [], [0.0]]
    assert params[1].grad.shape == (0, 3)


def test_fits_as_long_as_losses_and_layout_are_the_same(params, layout, buffer):
    assert buffer.fits(2, layout)
    assert not buffer.fits(3, layout)
    assert not buffer.fits(2, ParameterLayout.build(params))


def test_it_is_kept_until_something_changes():
    w, v = (nn.Parameter(torch.tensor([1.0, 2.0])) for _ in range(2))
    opt = MultiLossOptimizer(torch.optim.SGD([w], lr=0.1), "pcgrad")

    def step():
        opt.step([w.square().sum() + v.sum(), -w.prod() * v.sum()])
        return opt.session._buffer

    first = step()
    assert step() is first
    opt.add_param_group({"params": [v]})
    second = step()
    assert second is not first
    v.requires_grad_(False)
    assert step() is not second


def test_a_gradient_outlives_the_rows_of_the_next_step():
    w = nn.Parameter(torch.tensor([1.0, 2.0]))
    opt = MultiLossOptimizer(torch.optim.SGD([w], lr=0.0), "pcgrad")
    opt.step([w.sum(), -w[0]])
    grad, kept = w.grad, w.grad.clone()
    opt.step([7 * w.sum(), w[1]])
    assert torch.equal(grad, kept)


def test_a_loss_without_any_term_is_refused():
    """Else its row would be that of the step before."""
    w = nn.Parameter(torch.tensor([1.0, 2.0]))
    opt = MultiLossOptimizer(torch.optim.SGD([w], lr=0.0), "pcgrad")
    opt.step(Losses(("a", "b"), (w.sum(), -2 * w[0]), (0, 1)))
    with pytest.raises(LossError, match="'b'"):
        opt.step(Losses(("a", "b"), (w.sum(),), (0,)))
