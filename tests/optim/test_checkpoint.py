"""state_dict and load_state_dict: safe files, bitwise resumption, honest refusals."""

from __future__ import annotations

import copy
import warnings
from functools import partial

import pytest
import torch
from torch import optim

from conflictopt import Chain, CheckpointError, MultiLossOptimizer, Recorder, attach, make
from conflictopt.optim.checkpoint import fit_state

METHODS = {
    "sum": lambda: make("sum"),
    "pcgrad": lambda: make("pcgrad"),
    "grad_norm": lambda: make("grad_norm", refresh=4),
    "lr_annealing": lambda: make("lr_annealing", refresh=4),
    "ntk": lambda: make("ntk", refresh=4),
    "chain": lambda: Chain(make("ntk", refresh=4), make("grad_norm", refresh=3), make("pcgrad")),
    "recorder": lambda: Recorder(20, 3),
}
INNERS = {
    "adam": partial(optim.Adam, lr=1e-2),
    "momentum": partial(optim.SGD, lr=1e-2, momentum=0.9),
    "wolfe": partial(optim.LBFGS, max_iter=3, line_search_fn="strong_wolfe"),
}
ADAM = INNERS["adam"]


@pytest.mark.parametrize("inner", INNERS)
@pytest.mark.parametrize("method", METHODS)
def test_resume_is_bitwise(pinn, same, through_a_file, method, inner):
    build = INNERS[inner]
    net = pinn.net()
    opt = MultiLossOptimizer(build(net.parameters()), METHODS[method](), seed=3)
    pinn.train(net, opt, 7)
    saved = through_a_file({"net": net.state_dict(), "opt": opt.state_dict()})
    pinn.train(net, opt, 14)

    net2 = pinn.net()
    opt2 = MultiLossOptimizer(build(net2.parameters()), METHODS[method](), seed=99)
    net2.load_state_dict(saved["net"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opt2.load_state_dict(saved["opt"])
    assert opt2.completed == 7
    pinn.train(net2, opt2, 14)
    assert same(net, net2)
    assert same(opt.state_dict(), opt2.state_dict())


def test_the_generator_decides_the_order_of_pcgrad(pinn, same):
    """Otherwise the resumption of pcgrad would not test the generator."""
    nets = []
    for seed in (3, 99):
        net = pinn.net()
        pinn.train(net, MultiLossOptimizer(ADAM(net.parameters()), "pcgrad", seed=seed), 14)
        nets.append(net)
    assert not same(*nets)


def test_a_checkpoint_from_before_the_first_step(pinn, same, through_a_file):
    net, net2 = pinn.net(), pinn.net()
    opt, opt2 = (MultiLossOptimizer(ADAM(n.parameters()), "pcgrad") for n in (net, net2))
    opt2.load_state_dict(through_a_file(opt.state_dict()))
    pinn.train(net, opt, 5)
    pinn.train(net2, opt2, 5)
    assert same(net, net2)


def test_a_saved_state_is_not_changed_by_later_steps(pinn, same):
    net = pinn.net()
    opt = MultiLossOptimizer(ADAM(net.parameters()), make("grad_norm", refresh=1))
    pinn.train(net, opt, 3)
    saved = opt.state_dict()["conflictopt"]
    kept = {k: v.clone() for k, v in saved["state"].items()}
    pinn.train(net, opt, 3)
    assert same(saved["state"], kept)
    assert saved["completed"] == 3


@pytest.mark.parametrize("inner", INNERS)
def test_the_plain_optimizer_loads_the_file(pinn, same, through_a_file, inner):
    build = INNERS[inner]
    net, plain_net = pinn.net(), pinn.net()
    opt = MultiLossOptimizer(build(net.parameters()), "sum")
    pinn.train(net, opt, 7)
    plain = build(plain_net.parameters())
    plain_net.load_state_dict(net.state_dict())
    plain.load_state_dict(through_a_file(opt.state_dict()))
    pinn.train(net, opt, 7)
    pinn.train_plain(plain_net, plain, 7)
    assert same(net, plain_net)


def test_a_plain_checkpoint_loads_with_a_warning(pinn, same, through_a_file):
    net, plain_net = pinn.net(), pinn.net()
    plain = ADAM(plain_net.parameters())
    pinn.train_plain(plain_net, plain, 7)
    net.load_state_dict(plain_net.state_dict())
    opt = MultiLossOptimizer(ADAM(net.parameters()), "sum")
    with pytest.warns(UserWarning, match="of the plain optimizer; Sum starts with fresh state"):
        opt.load_state_dict(through_a_file(plain.state_dict()))
    pinn.train(net, opt, 7)
    pinn.train_plain(plain_net, plain, 7)
    assert same(net, plain_net)


def test_the_checkpoint_of_another_method_loads_with_a_warning(pinn, same):
    net = pinn.net()
    opt = MultiLossOptimizer(ADAM(net.parameters()), METHODS["chain"]())
    pinn.train(net, opt, 7)
    other = MultiLossOptimizer(ADAM(net.parameters()), make("grad_norm"))
    with pytest.warns(UserWarning, match="is of NTK -> GradNormBalance -> PCGrad; GradNormBalance"):
        other.load_state_dict(opt.state_dict())
    assert other.session.state is None
    assert same(other.inner.state_dict(), opt.inner.state_dict())
    pinn.train(net, other, 1)
    assert other.session.state["age"] == 1


def test_another_number_of_losses_is_refused(pinn):
    net = pinn.net()
    opt = MultiLossOptimizer(ADAM(net.parameters()), "grad_norm")
    pinn.train(net, opt, 2)
    two = MultiLossOptimizer(ADAM(net.parameters()), "grad_norm", names=["pde", "bc"])
    message = r"expected the losses \('pde', 'bc'\), found \('pde', 'bc', 'ic'\) in the checkpoint"
    with pytest.raises(CheckpointError, match=message):
        two.load_state_dict(opt.state_dict())


def test_method_state_of_another_shape_is_refused(pinn):
    net = pinn.net()
    opt = MultiLossOptimizer(ADAM(net.parameters()), "grad_norm")
    pinn.train(net, opt, 2)
    fresh, saved = dict(opt.session.state), dict(opt.session.state)
    saved["weights"] = torch.ones(2)
    message = r"'weights' of shape \(3,\) in the checkpoint, found \(2,\).*number of losses"
    with pytest.raises(CheckpointError, match=message):
        fit_state(saved, fresh)
    del saved["weights"]
    with pytest.raises(CheckpointError, match=r"state \['age', 'weights'\], found \['age'\]"):
        fit_state(saved, fresh)


def test_a_refused_checkpoint_changes_nothing(pinn, same, snapshot):
    net = pinn.net()
    opt = MultiLossOptimizer(ADAM(net.parameters()), "grad_norm")
    pinn.train(net, opt, 2)
    two = MultiLossOptimizer(ADAM(net.parameters()), "grad_norm", names=["pde", "bc"])
    before = snapshot(net, two)
    with pytest.raises(CheckpointError):
        two.load_state_dict(opt.state_dict())
    assert same(snapshot(net, two), before)


def test_a_checkpoint_from_before_adapters(pinn, same, through_a_file):
    net = pinn.net()
    opt = MultiLossOptimizer(ADAM(net.parameters()), "sum")
    pinn.train(net, opt, 7)
    saved = through_a_file({"net": net.state_dict(), "opt": opt.state_dict()})

    net2 = pinn.net()
    adapters = attach(net2, pinn.names)
    net2.load_state_dict(saved["net"])
    trunk = [p for n, p in net2.named_parameters() if "adapters" not in n]
    opt2 = MultiLossOptimizer(ADAM(trunk), "sum", blocks=adapters.blocks())
    opt2.param_groups[-1]["params"].extend(adapters.parameters())
    opt2.load_state_dict(saved["opt"])
    for p, q in zip(net.parameters(), trunk, strict=True):
        assert same(dict(opt.state[p]), dict(opt2.state[q]))
    assert not any(p in opt2.state for p in adapters.parameters())
    pinn.train(net2, opt2, 3)
    assert all(opt2.state[p]["step"] == 3 for p in adapters.parameters())
    assert all(opt2.state[p]["step"] == 10 for p in trunk)


def test_missing_parameters_that_are_not_adapters_are_refused(pinn):
    net = pinn.net()
    opt = MultiLossOptimizer(ADAM(net[0].parameters()), "sum")
    pinn.train(net, opt, 2)
    wider = MultiLossOptimizer(ADAM(net.parameters()), "sum")
    with pytest.raises(ValueError, match="doesn't match the size"):
        wider.load_state_dict(opt.state_dict())


@pytest.mark.parametrize("where", ["optimizer", "gradients", "between"])
def test_a_checkpoint_after_an_interrupt_is_of_the_last_completed_step(pinn, where, monkeypatch):
    def begun():
        net = pinn.net()
        opt = MultiLossOptimizer(torch.optim.Adam(net.parameters(), lr=1e-2), "pcgrad")
        return net, opt

    def interrupt(*_):
        raise KeyboardInterrupt

    reference, opt = begun()
    pinn.train(reference, opt, 8)
    net, opt = begun()
    pinn.train(net, opt, 3)
    if where == "between":
        opt.backward(pinn.losses(net))
    else:
        with monkeypatch.context() as m:
            if where == "optimizer":
                m.setattr(opt.inner, "step", interrupt)
            else:
                m.setattr("conflictopt.optim.session.apply", interrupt)
            with pytest.raises(KeyboardInterrupt):
                opt.step(pinn.losses(net))
    saved = copy.deepcopy((net.state_dict(), opt.state_dict()))
    again, opt = begun()
    again.load_state_dict(saved[0])
    opt.load_state_dict(saved[1])
    pinn.train(again, opt, 5)
    assert all(map(torch.equal, reference.parameters(), again.parameters()))
