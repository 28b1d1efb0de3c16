"""SOAP in place of another optimizer: what goes first, what comes after, and the way back."""

from __future__ import annotations

import copy
import pickle
import warnings

import pytest
import torch
from torch import optim

from conflictopt import (
    CheckpointError,
    ConflictOptWarning,
    MethodError,
    MultiLossOptimizer,
    NonFiniteError,
    attach,
)
from conflictopt.adapters import detach
from conflictopt.optim.guarded_soap import RAMP, GuardedSOAP
from conflictopt.optim.hand_over import TRIAL, WINDOW, WORSE, HandOver
from conflictopt.optim.soap import soap

pytest.importorskip("pytorch_optimizer")


@pytest.fixture
def exact(make_pinn):
    """The tiny PINN in double precision."""
    return make_pinn(dtype=torch.float64)


def adam(net, lr=1e-2):
    return optim.Adam(net.parameters(), lr=lr)


def train(pinn, net, optimizer, steps):
    for _ in range(steps):
        optimizer.step(pinn.losses(net))


def same(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def test_adam_goes_first_then_soap_at_a_rising_rate(exact):
    net, other = exact.net(), exact.net()
    plain = MultiLossOptimizer(adam(other), "sum")
    run = MultiLossOptimizer(adam(net), "soap:warm=5:rate=0.5:refresh=3")
    train(exact, net, run, 5)
    train(exact, other, plain, 5)
    assert same(net, other)
    made = soap(other.parameters(), 3)
    plain = plain.rewrap(made)
    for step in range(9):
        made.param_groups[0]["lr"] = (step + 1) / RAMP * 0.5 * 1e-2
        train(exact, other, plain, 1)
    train(exact, net, run, 9)
    assert same(net, other)


@pytest.mark.parametrize("option", ["rate=0.1", "refresh=2", "warm=3"])
def test_each_option_changes_the_run(exact, option):
    nets = []
    for text in ("soap:warm=2", f"soap:warm=2:{option}".replace("warm=2:warm", "warm")):
        nets.append(exact.net())
        train(exact, nets[-1], MultiLossOptimizer(adam(nets[-1]), text), 16)
    assert not same(*nets)


def test_rates_follow_a_schedule_and_groups_that_come_later_are_trained(exact):
    net = exact.net()
    first, *rest = net.parameters()
    run = MultiLossOptimizer(optim.Adam(rest, lr=1e-2), "soap:warm=2")
    schedule = optim.lr_scheduler.StepLR(run, 1, gamma=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(4):
            train(exact, net, run, 1)
            schedule.step()
    used = run.inner.soap.param_groups
    assert used[0]["lr"] == pytest.approx(0.75 * 1e-2 / 8 * 2 / RAMP)
    before = first.detach().clone()
    run.add_param_group({"params": [first], "lr": 1e-2})
    train(exact, net, run, 3)
    assert len(used) == 2
    assert not torch.equal(first, before)


def test_where_losses_rise_the_other_one_goes_on_from_the_change(exact):
    net, other = exact.net(), exact.net()
    run = MultiLossOptimizer(adam(net), "soap:warm=30:rate=100000")
    with pytest.warns(ConflictOptWarning, match="Adam goes on from where it began"):
        train(exact, net, run, 30 + TRIAL)
    plain = MultiLossOptimizer(adam(other), "sum")
    train(exact, other, plain, 30)
    assert same(net, other)
    assert (run.inner.given_back, run.inner.soap) == (30 + TRIAL, None)
    assert run.reports["optimizer"].count == 1
    train(exact, net, run, 20)
    train(exact, other, plain, 20)
    assert same(net, other)


def test_what_is_not_finite_gives_back_rather_than_raises(exact):
    net, other = exact.net(), exact.net()
    run = MultiLossOptimizer(adam(net), "soap:warm=4")
    train(exact, net, run, 7)
    bad = {name: value * float("nan") for name, value in exact.losses(net).items()}
    with pytest.warns(ConflictOptWarning, match="not finite"):
        run.step(bad)
    train(exact, other, MultiLossOptimizer(adam(other), "sum"), 4)
    assert same(net, other)
    assert run.skipped == 1
    with pytest.raises(NonFiniteError):
        run.step({name: value * float("nan") for name, value in exact.losses(net).items()})


def test_without_steps_before_it_there_is_no_way_back(exact):
    net = exact.net()
    run = MultiLossOptimizer(adam(net), "soap:warm=0")
    train(exact, net, run, 2)
    with pytest.raises(NonFiniteError):
        run.step({name: value * float("nan") for name, value in exact.losses(net).items()})


@pytest.mark.parametrize("at", [3, 9, 5 + TRIAL + 4])
@pytest.mark.parametrize("how", ["saved", "copied", "pickled"])
@pytest.mark.filterwarnings("ignore::conflictopt.ConflictOptWarning")
def test_a_run_goes_on_bitwise(exact, at, how):
    """Before the change, after it, and after the way back."""
    text = "soap:warm=5:rate=100000+grad_norm" if at > TRIAL else "soap:warm=5+grad_norm+align"
    net = exact.net()
    run = MultiLossOptimizer(adam(net), text)
    train(exact, net, run, at)
    assert (run.inner.given_back is not None) == (at > TRIAL)
    if how == "saved":
        resumed = copy.deepcopy(net)
        again = MultiLossOptimizer(adam(resumed), text)
        again.load_state_dict(copy.deepcopy(run.state_dict()))
    elif how == "copied":
        resumed, again = copy.deepcopy((net, run))
    else:
        resumed, again = pickle.loads(pickle.dumps((net, run)))
    train(exact, net, run, 12)
    train(exact, resumed, again, 12)
    assert same(net, resumed)


def test_a_checkpoint_of_the_other_one_loads(exact):
    net = exact.net()
    plain = MultiLossOptimizer(adam(net), "sum")
    train(exact, net, plain, 4)
    other = copy.deepcopy(net)
    run = MultiLossOptimizer(adam(other), "soap:warm=3")
    run.load_state_dict(copy.deepcopy(plain.state_dict()))
    train(exact, net, plain, 3)
    train(exact, other, run, 3)
    assert same(net, other)
    plain.load_state_dict(run.state_dict())  # and the other way round


def test_optimizers_whose_place_it_cannot_take_are_refused(exact):
    params = list(exact.net().parameters())
    with pytest.raises(MethodError, match="expected one of Adam, AdamW, NAdam, RAdam"):
        GuardedSOAP(optim.LBFGS(params))
    with pytest.raises(MethodError, match="found GuardedSOAP"):
        GuardedSOAP(GuardedSOAP(optim.Adam(params)))
    with pytest.raises(MethodError, match="maximize=False"):
        GuardedSOAP(optim.Adam(params, maximize=True))
    with pytest.raises(MethodError, match="no weight decay"):
        MultiLossOptimizer(optim.AdamW(params), "soap+ntk")
    for bad in ({"rate": 0}, {"refresh": 0}, {"warm": -1}, {"warm": 1.5}, {"warm": None}):
        with pytest.raises(MethodError, match=next(iter(bad))):
            GuardedSOAP(optim.Adam(params), **bad)


def test_decay_that_comes_with_a_later_group_is_refused_at_the_change(exact):
    first, *rest = exact.net().parameters()
    made = GuardedSOAP(optim.Adam(rest), warm=0)
    made.add_param_group({"params": [first], "weight_decay": 0.1})
    with pytest.raises(MethodError, match="no weight decay"):
        made.step()


def test_losses_are_compared_once_by_medians():
    watch = HandOver()
    for loss in [9.0] * 5 + [1.0] * WINDOW:
        watch.note(loss)
    watch.change()
    assert watch.reference == 1.0
    over = []
    for step in range(1, 2 * TRIAL):
        watch.note(0.5 if step <= TRIAL - WINDOW else 1.01 * WORSE)
        over.append(watch.over)
    assert [i + 1 for i, now in enumerate(over) if now] == [TRIAL]
    assert watch.failed


@pytest.mark.parametrize(
    ("before", "after", "failed"),
    [
        (-1.0, -1.7, False),
        (-1.0, 0.1, True),
        (-1.0, -0.5, False),
        (0.0, 0.0, False),
        (2.0, 3.9, False),
    ],
)
def test_losses_may_be_negative(before, after, failed):
    watch = HandOver()
    watch.note(before)
    watch.change()
    watch.note(after)
    assert watch.failed is failed


def test_a_trial_that_is_over_keeps_nothing_and_gives_nothing_back(exact):
    net = exact.net()
    run = MultiLossOptimizer(adam(net), "soap:warm=5")
    train(exact, net, run, 5 + TRIAL)
    assert run.inner.given_back is None
    assert run.state_dict()["soap"]["before"] == {}
    with pytest.raises(NonFiniteError):
        run.step({name: value * float("nan") for name, value in exact.losses(net).items()})


def test_skipped_steps_are_skipped_and_give_nothing_back(exact):
    net = exact.net()
    run = MultiLossOptimizer(adam(net), "soap:warm=4", on_nonfinite="skip")
    train(exact, net, run, 9)
    before = [p.detach().clone() for p in net.parameters()]
    run.step({name: value * float("nan") for name, value in exact.losses(net).items()})
    assert all(map(torch.equal, before, net.parameters()))
    assert run.inner.soap is not None
    assert run.skipped == 1


def test_another_warm_or_refresh_holds_from_a_checkpoint_on(exact):
    net = exact.net()
    run = MultiLossOptimizer(adam(net), "soap:warm=5:refresh=10")
    train(exact, net, run, 10)
    other = MultiLossOptimizer(adam(net), "soap:warm=150:refresh=3")
    other.load_state_dict(copy.deepcopy(run.state_dict()))
    train(exact, net, other, 1)
    (group,) = other.inner.soap.param_groups
    assert group["lr"] == pytest.approx(0.75 * 1e-2 * 6 / RAMP)
    assert group["precondition_frequency"] == 3


@pytest.mark.parametrize("lost", ["hand_over", "before", "taken"])
def test_of_a_damaged_checkpoint_nothing_is_loaded(exact, lost):
    net = exact.net()
    run = MultiLossOptimizer(adam(net), "soap:warm=3")
    train(exact, net, run, 8)
    saved = copy.deepcopy(run.state_dict())
    if lost == "before":
        saved["soap"]["before"] = {0: torch.zeros(1, 1, 1)}
    else:
        del saved["soap"][lost]
    other = exact.net()
    again = MultiLossOptimizer(adam(other), "soap:warm=3")
    train(exact, other, again, 2)
    untouched = copy.deepcopy(again.state_dict())
    with pytest.raises(CheckpointError, match="'soap' is not what was written"):
        again.load_state_dict(saved)
    assert repr(again.state_dict()) == repr(untouched)


def test_adapters_may_come_and_go_while_soap_steps(make_pinn):
    pinn = make_pinn(dtype=torch.float64)
    net = pinn.net()
    run = MultiLossOptimizer(adam(net), "soap:warm=3")
    train(pinn, net, run, 6)
    saved = copy.deepcopy(run.state_dict())
    run.add_adapters(attach(net, list(pinn.names), rank=1))
    run.load_state_dict(saved)
    train(pinn, net, run, 2)
    detach(net)
    run.remove_adapters()
    assert set(run.state_dict()["soap"]["optimizer"]["state"]) == {0, 1, 2, 3, 4, 5}


def test_a_closure_is_evaluated_as_that_of_adam(exact, passes):
    counts = []
    for optimizer in (adam, lambda net: GuardedSOAP(adam(net), warm=0)):
        net = exact.net()
        run = MultiLossOptimizer(optimizer(net), "pcgrad")
        train(exact, net, run, 1)
        passes()
        run.step(lambda net=net: exact.losses(net))
        counts.append(passes())
    assert counts[0] == counts[1]
