"""The wrapper is a real torch optimizer: schedulers, groups, hooks, copies."""

from __future__ import annotations

import copy
import pickle
import warnings

import pytest
import torch
from torch import optim
from torch.optim import lr_scheduler as lrs

from conflictopt import MultiLossOptimizer, make

SCHEDULERS = {
    "LambdaLR": lambda o: lrs.LambdaLR(o, lambda t: 0.9**t),
    "MultiplicativeLR": lambda o: lrs.MultiplicativeLR(o, lambda t: 0.95),
    "StepLR": lambda o: lrs.StepLR(o, 3),
    "MultiStepLR": lambda o: lrs.MultiStepLR(o, [2, 5]),
    "ConstantLR": lambda o: lrs.ConstantLR(o, total_iters=4),
    "LinearLR": lambda o: lrs.LinearLR(o),
    "ExponentialLR": lambda o: lrs.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda o: lrs.PolynomialLR(o, 20),
    "CosineAnnealingLR": lambda o: lrs.CosineAnnealingLR(o, 7),
    "CosineAnnealingWarmRestarts": lambda o: lrs.CosineAnnealingWarmRestarts(o, 3, 2),
    "CyclicLR": lambda o: lrs.CyclicLR(o, 1e-3, 1e-2, step_size_up=4),
    "OneCycleLR": lambda o: lrs.OneCycleLR(o, 0.05, total_steps=30),
    "ReduceLROnPlateau": lambda o: lrs.ReduceLROnPlateau(o, patience=1, threshold=0.5),
    "ChainedScheduler": lambda o: lrs.ChainedScheduler(
        [lrs.ExponentialLR(o, 0.9), lrs.LinearLR(o)], optimizer=o
    ),
    "SequentialLR": lambda o: lrs.SequentialLR(
        o, [lrs.LinearLR(o, total_iters=4), lrs.ExponentialLR(o, 0.8)], milestones=[4]
    ),
}


def adam(net, **options):
    return optim.Adam(net.parameters(), lr=1e-2, **options)


def wrapped_adam(net, method="sum"):
    return MultiLossOptimizer(adam(net), method)


def trajectory(scheduler, opt, one_step, steps=21):
    """The (lr, first beta) pairs that the optimizer has after every step."""
    seen = []
    for _ in range(steps):
        one_step()
        loss = (1.0,) if isinstance(scheduler, lrs.ReduceLROnPlateau) else ()
        scheduler.step(*loss)
        seen.append((opt.param_groups[0]["lr"], opt.param_groups[0]["betas"][0]))
    return seen


def test_every_scheduler_of_torch_is_covered():
    kinds = {n for n, c in vars(lrs).items() if isinstance(c, type) and hasattr(c, "get_last_lr")}
    assert kinds - {"LRScheduler", "_LRScheduler"} <= set(SCHEDULERS)


@pytest.mark.parametrize("attach", ["wrapper", "inner"])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers_act_as_on_the_plain_optimizer(pinn, same, name, attach):
    plain_net, net = pinn.net(), pinn.net()
    plain, opt = adam(plain_net), wrapped_adam(net)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # SequentialLR of torch 2.5 warns of itself
        warnings.filterwarnings("ignore", "The epoch parameter")
        one = SCHEDULERS[name](plain)
        other = SCHEDULERS[name](opt if attach == "wrapper" else opt.inner)
        expected = trajectory(one, plain, lambda: pinn.train_plain(plain_net, plain, 1))
        found = trajectory(other, opt, lambda: pinn.train(net, opt, 1))
    assert found == expected
    assert len(set(found)) > 1
    assert same(net, plain_net)


def test_it_is_an_optimizer_over_the_inner_groups_and_state(pinn):
    net = pinn.net()
    opt = wrapped_adam(net)
    pinn.train(net, opt, 1)
    assert isinstance(opt, optim.Optimizer)
    assert opt.param_groups is opt.inner.param_groups
    assert opt.state is opt.inner.state
    assert opt.defaults is opt.inner.defaults


def test_groups_replaced_and_appended_from_outside(pinn, same):
    plain_net, net, start = pinn.net(), pinn.net(), pinn.net()
    plain = adam(plain_net[0])
    opt = MultiLossOptimizer(adam(net[0]), "sum")
    for n, o, train in ((plain_net, plain, pinn.train_plain), (net, opt, pinn.train)):
        train(n, o, 2)
        o.param_groups[0]["lr"] = 1e-3
        train(n, o, 2)
        o.param_groups = [{**o.param_groups[0], "lr": 0.02}]
        train(n, o, 2)
        o.param_groups.append({**o.param_groups[0], "params": list(n[2].parameters())})
        train(n, o, 2)
        o.param_groups[0]["params"].append(n[4].weight)
        train(n, o, 2)
    assert same(net, plain_net)
    moved = [n for n, p in net.named_parameters() if not torch.equal(p, start.get_parameter(n))]
    assert moved == [n for n, _ in net.named_parameters() if n != "layers.4.bias"]


@pytest.mark.parametrize("method", ["sum", "pcgrad"])
def test_add_param_group(pinn, method):
    net, start = pinn.net(), pinn.net()
    opt = MultiLossOptimizer(optim.SGD(net[0].parameters(), lr=1e-2), method)
    pinn.train(net, opt, 2)
    assert torch.equal(net[2].weight, start[2].weight)
    opt.add_param_group({"params": net[2].parameters(), "lr": 0.1})
    pinn.train(net, opt, 2)
    assert not torch.equal(net[2].weight, start[2].weight)
    assert [g["lr"] for g in opt.inner.param_groups] == [1e-2, 0.1]


def test_step_hooks_fire_around_the_step(pinn):
    net = pinn.net()
    opt = wrapped_adam(net)
    seen = []
    opt.register_step_pre_hook(lambda o, args, kwargs: seen.append(("pre", o, o.completed)))
    opt.register_step_post_hook(lambda o, args, kwargs: seen.append(("post", o, o.completed)))
    opt.inner.register_step_pre_hook(lambda o, args, kwargs: seen.append(("inner", o, None)))
    pinn.train(net, opt, 1)
    assert seen == [("pre", opt, 0), ("inner", opt.inner, None), ("post", opt, 1)]


def test_a_step_pre_hook_may_replace_the_losses(pinn, same):
    net, plain_net = pinn.net(), pinn.net()
    opt, plain = wrapped_adam(net), adam(plain_net)
    opt.register_step_pre_hook(lambda o, args, kwargs: ((o, pinn.losses(net)), {}))
    opt.step({"nonsense": 0})
    pinn.train_plain(plain_net, plain, 1)
    assert same(net, plain_net)


def test_state_dict_hooks_fire_and_may_replace(pinn):
    opt = wrapped_adam(pinn.net())
    seen = []
    opt.register_state_dict_pre_hook(lambda o: seen.append("pre"))
    opt.register_state_dict_post_hook(lambda o, s: {**s, "note": "mine"})
    opt.register_load_state_dict_pre_hook(lambda o, s: seen.append(s["note"]))
    opt.register_load_state_dict_pre_hook(
        lambda o, s: {**s, "param_groups": [{**s["param_groups"][0], "lr": 0.5}]}
    )
    opt.register_load_state_dict_post_hook(lambda o: seen.append("loaded"))
    opt.load_state_dict(opt.state_dict())
    assert seen == ["pre", "mine", "loaded"]
    assert opt.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize("set_to_none", [True, False])
def test_zero_grad(pinn, set_to_none):
    net = pinn.net()
    opt = wrapped_adam(net)
    opt.backward(pinn.losses(net))
    assert all(p.grad.abs().sum() > 0 for p in net.parameters())
    opt.zero_grad(set_to_none=set_to_none)
    for p in net.parameters():
        assert p.grad is None if set_to_none else not p.grad.any()
    with pytest.raises(ValueError, match="found no losses"):
        opt.step()


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
@pytest.mark.parametrize("method", ["sum", "pcgrad", "grad_norm", "ntk"])
def test_copies_continue_bitwise(make_pinn, same, method, duplicate):
    pinn = make_pinn(unknown=True)
    net = pinn.net()
    opt = MultiLossOptimizer(adam(net), method, blocks={"physics": [net.nu]}, seed=3)
    lrs.StepLR(opt, 5)  # leaves its mark on opt.step, which must not travel into copies
    opt.register_step_pre_hook(lambda o, args, kwargs: None)
    pinn.train(net, opt, 5)
    at_copy = copy.deepcopy(net.state_dict())
    net2, opt2 = duplicate((net, opt))
    assert opt2.param_groups[0]["params"][0] is next(net2.parameters())
    pinn.train(net2, opt2, 10)
    assert same(dict(net.state_dict()), dict(at_copy))
    pinn.train(net, opt, 10)
    assert same(net, net2)
    assert same(opt.state_dict(), opt2.state_dict())
    assert not same(dict(net.state_dict()), dict(at_copy))


def test_a_copy_between_backward_and_step_has_no_losses(pinn):
    """Its parameters have no gradients, as with every torch optimizer."""
    net = pinn.net()
    opt = wrapped_adam(net)
    opt.backward(pinn.losses(net))
    _, opt2 = copy.deepcopy((net, opt))
    with pytest.raises(ValueError, match="found no losses"):
        opt2.step()
    opt.step()


def test_repr_shows_the_method_and_the_inner_optimizer(pinn):
    text = repr(MultiLossOptimizer(adam(pinn.net()), make("grad_norm", cap=50.0)))
    assert text.startswith("MultiLossOptimizer(GradNormBalance(")
    assert "cap=50.0" in text
    assert "Adam (" in text
    assert "lr: 0.01" in text
