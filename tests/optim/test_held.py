"""Held coefficients beside ``test_every.py``: against a loop by hand, and what ends a hold."""

from __future__ import annotations

import warnings
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import nn, optim

from conflictopt import Chain, MethodError, MultiLossOptimizer, Recorder, attach, make

INNERS = {
    "sgd": partial(optim.SGD, lr=1e-2, momentum=0.9),
    "adam": partial(optim.Adam, lr=1e-2),
}
METHODS = {
    "pcgrad": lambda: make("pcgrad"),
    "config": lambda: make("config"),
    "grad_norm": lambda: make("grad_norm", refresh=2),
    "ntk": lambda: make("ntk", refresh=1),
    "chain": lambda: Chain(make("grad_norm", refresh=1), make("pcgrad")),
}
SGD = INNERS["sgd"]


@pytest.fixture
def chosen(pinn):
    """``chosen(opt, net, steps)``: coefficients of each of the next steps."""

    def go(opt, net, steps):
        found = []
        for _ in range(steps):
            pinn.train(net, opt, 1)
            found.append(opt.last.coefficients)
        return found

    return go


def changes(coefficients):
    """Steps that chose other coefficients than the step before."""
    pairs = enumerate(pairwise(coefficients), start=1)
    return [i for i, (a, b) in pairs if not torch.equal(a, b)]


@pytest.mark.parametrize("inner", INNERS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("every", [2, 5])
def test_a_hold_is_the_loop_by_hand(pinn, same, chosen, method, inner, every):
    """Which asks the method at each n-th step and takes the weighted sum's gradient else."""
    net, by_hand = pinn.net(), pinn.net()
    opt = MultiLossOptimizer(
        INNERS[inner](net.parameters()), METHODS[method](), seed=4, every=every
    )
    asked = MultiLossOptimizer(INNERS[inner](by_hand.parameters()), METHODS[method](), seed=4)
    found, expected = chosen(opt, net, 11), []
    for t in range(11):
        if t % every == 0:
            pinn.train(by_hand, asked, 1)
            c = asked.last.coefficients
        else:
            asked.inner.zero_grad()
            (torch.stack(list(pinn.losses(by_hand).values())) @ c).backward()
            asked.inner.step()
        expected.append(c)
    assert same(found, expected)
    assert same(net, by_hand)
    assert same(opt.session.state, asked.session.state)
    assert same(opt.inner.state_dict(), asked.inner.state_dict())


@pytest.mark.parametrize("inner", INNERS)
def test_the_default_asks_at_every_step(pinn, same, chosen, passes, inner):
    nets = [pinn.net(), pinn.net()]
    default = MultiLossOptimizer(INNERS[inner](nets[0].parameters()), "pcgrad")
    one = MultiLossOptimizer(INNERS[inner](nets[1].parameters()), "pcgrad", every=1)
    assert same(chosen(default, nets[0], 5), chosen(one, nets[1], 5))
    assert same(*nets)
    assert passes() == 2 * 5 * 3


def test_a_held_step_takes_one_pass(pinn, passes):
    net = pinn.net()
    opt = MultiLossOptimizer(SGD(net.parameters()), "pcgrad", every=3)
    taken = []
    for _ in range(7):
        pinn.train(net, opt, 1)
        taken.append(passes())
    assert taken == [3, 1, 1, 3, 1, 1, 3]


def test_with_an_unknown_a_held_step_takes_one_pass_per_kind_of_block(make_pinn, passes):
    pinn = make_pinn(unknown=True)
    net = pinn.net()
    opt = MultiLossOptimizer(SGD(net.parameters()), "config", every=3)
    taken = []
    for _ in range(4):
        pinn.train(net, opt, 1)
        taken.append(passes())
    assert taken == [3, 2, 2, 3]


def test_exclusive_adapters_are_held_with_the_trunk(pinn, chosen, passes):
    """Each block's gradient is that of its own column."""
    net = pinn.net()
    adapters = attach(net, pinn.names)
    for p in adapters.parameters():
        p.data.normal_(generator=torch.Generator().manual_seed(0))
    method = Chain(make("config"), make("adapters", routing="exclusive"))
    opt = MultiLossOptimizer(SGD(net.parameters()), method, blocks=adapters.blocks(), every=3)
    found = chosen(opt, net, 3)
    assert changes(found) == []
    assert passes() == 3 * 3
    assert changes([*found, *chosen(opt, net, 1)]) == [3]
    opt.zero_grad()
    opt.backward(pinn.losses(net))
    losses = torch.stack(list(pinn.losses(net).values()))
    layout = opt.layout()
    for block, c in zip(layout.blocks, opt.last.coefficients.T, strict=True):
        members = layout.members(block)
        expected = torch.autograd.grad(losses @ c, members, retain_graph=True, allow_unused=True)
        for p, g in zip(members, expected, strict=True):
            torch.testing.assert_close(p.grad, torch.zeros_like(p) if g is None else g)


def test_a_line_search_takes_one_pass_per_evaluation(pinn, passes):
    net = pinn.net()
    opt = MultiLossOptimizer(
        optim.LBFGS(net.parameters(), max_iter=4, line_search_fn="strong_wolfe"),
        make("grad_norm", refresh=1),
        every=3,
    )
    calls = []

    def closure():
        calls.append(1)
        return pinn.losses(net)

    found = []
    for t in range(6):
        calls.clear()
        opt.step(closure)
        assert passes() == len(calls) + (3 if t % 3 == 0 else 0)
        found.append(opt.last.coefficients)
    assert changes(found) == [3]


def test_a_new_method_begins_a_hold_of_its_own(pinn, chosen):
    net = pinn.net()
    opt = MultiLossOptimizer(SGD(net.parameters()), "config", every=4)
    found = chosen(opt, net, 6)
    opt.set_aggregator("pcgrad")
    found += chosen(opt, net, 6)
    opt.set_aggregator("config")
    found += chosen(opt, net, 5)
    assert set(changes(found)) == {4, 6, 10, 12, 16}


def test_the_same_method_set_again_begins_anew(pinn, chosen):
    net = pinn.net()
    opt = MultiLossOptimizer(SGD(net.parameters()), "config", every=4)
    found = chosen(opt, net, 2)
    opt.set_aggregator(opt.aggregator)
    assert changes(found + chosen(opt, net, 3)) == [2]


def test_another_optimizer_goes_on_with_the_hold(pinn, chosen):
    net = pinn.net()
    opt = MultiLossOptimizer(SGD(net.parameters()), "config", every=4)
    found = chosen(opt, net, 2)
    opt = opt.rewrap(INNERS["adam"](net.parameters()))
    assert changes(found + chosen(opt, net, 4)) == [4]


def test_adapters_added_in_a_hold_end_it(pinn, chosen):
    """As wide as the method makes them: adapters and unknowns get the plain sum."""
    net = pinn.net()
    opt = MultiLossOptimizer(SGD(net.parameters()), "config", every=50)
    assert chosen(opt, net, 2)[-1].shape == (3,)
    opt.add_adapters(attach(net, pinn.names))
    (found,) = chosen(opt, net, 1)
    assert found.shape == (3, 4)
    assert (found[:, 1:] == 1).all()


def test_an_unknown_added_in_a_hold_ends_it(pinn, chosen):
    net = pinn.net()
    opt = MultiLossOptimizer(SGD(net.parameters()), "config", every=50)
    chosen(opt, net, 2)
    net.nu = nn.Parameter(torch.tensor(0.2))
    opt.add_param_group({"params": [net.nu]})
    (found,) = chosen(opt, net, 1)
    assert found.shape == (3, 2)
    assert found[:, 1].tolist() == [1.0, 1.0, 1.0]


def test_blocks_of_another_kind_end_a_hold(pinn, chosen):
    """There are as many as before, but the second is of the network now."""
    net = pinn.net()
    last = list(net[4].parameters())
    opt = MultiLossOptimizer(SGD(net.parameters()), "config", blocks={"physics": last}, every=50)
    assert chosen(opt, net, 1)[0].shape == (3, 2)
    opt.blocks = {"head": last}
    assert chosen(opt, net, 1)[0].shape == (3,)


def test_a_skipped_step_is_no_part_of_a_hold(pinn, chosen):
    net = pinn.net()
    opt = MultiLossOptimizer(SGD(net.parameters()), "config", every=3, on_nonfinite="skip")

    def skip():
        opt.step({n: v * torch.nan for n, v in pinn.losses(net).items()})

    skip()  # before the first
    found = chosen(opt, net, 2)
    skip()  # in a hold
    found += chosen(opt, net, 1)
    skip()  # the step that would ask anew
    found += chosen(opt, net, 4)
    assert opt.skipped == 3
    assert changes(found) == [3, 6]


def test_accumulated_batches_are_one_step_of_a_hold(pinn, passes):
    net = pinn.net()
    opt = MultiLossOptimizer(SGD(net.parameters()), "pcgrad", every=2)
    taken = []
    for _ in range(4):
        opt.zero_grad()
        for batch in pinn.points.split(4):
            opt.backward(pinn.losses(net, batch))
        opt.step()
        taken.append(passes())
    assert taken == [5, 3, 5, 3]


RESUMED = {
    "sgd-config": ("sgd", METHODS["config"], False),
    "adam-chain": ("adam", METHODS["chain"], False),
    "sgd-grad_norm": ("sgd", METHODS["grad_norm"], True),
    "adam-pcgrad-unknown": ("adam", METHODS["pcgrad"], True),
    "adam-ntk": ("adam", METHODS["ntk"], False),
    "adam-recorder": ("adam", lambda: Chain(Recorder(30, 4), make("config")), False),
}


@pytest.mark.parametrize("steps", [6, 7, 8])
@pytest.mark.parametrize("case", RESUMED)
def test_resumption_anywhere_in_a_hold_is_bitwise(make_pinn, same, through_a_file, case, steps):
    inner, method, unknown = RESUMED[case]
    pinn = make_pinn(unknown=unknown)

    def start(seed):
        net = pinn.net()
        return net, MultiLossOptimizer(
            INNERS[inner](net.parameters()), method(), every=3, seed=seed
        )

    net, opt = start(0)
    pinn.train(net, opt, steps)
    saved = through_a_file({"net": net.state_dict(), "opt": opt.state_dict()})
    pinn.train(net, opt, 7)
    resumed_net, resumed = start(1)
    resumed_net.load_state_dict(saved["net"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resumed.load_state_dict(saved["opt"])
    pinn.train(resumed_net, resumed, 7)
    assert same(net, resumed_net)
    assert same(opt.state_dict(), resumed.state_dict())


def test_resumption_of_a_line_search_in_a_hold_is_bitwise(pinn, same, through_a_file):
    def start():
        net = pinn.net()
        inner = optim.LBFGS(net.parameters(), max_iter=3)
        return net, MultiLossOptimizer(inner, make("grad_norm", refresh=1), every=3)

    net, opt = start()
    pinn.train(net, opt, 4)
    saved = through_a_file({"net": net.state_dict(), "opt": opt.state_dict()})
    pinn.train(net, opt, 4)
    resumed_net, resumed = start()
    resumed_net.load_state_dict(saved["net"])
    resumed.load_state_dict(saved["opt"])
    pinn.train(resumed_net, resumed, 4)
    assert same(net, resumed_net)


def test_the_checkpoint_of_another_method_does_not_hold_its_coefficients(pinn, chosen):
    net = pinn.net()
    opt = MultiLossOptimizer(SGD(net.parameters()), make("constant", weights=[5.0] * 3), every=4)
    pinn.train(net, opt, 2)
    other = MultiLossOptimizer(SGD(net.parameters()), "pcgrad", every=4)
    with pytest.warns(UserWarning, match="starts with fresh state"):
        other.load_state_dict(opt.state_dict())
    assert chosen(other, net, 1)[0].tolist() != [5.0] * 3


@pytest.mark.parametrize(("every", "hold"), [(5, 3), (2, 3), (3, 3), (1, 4), (4, 1)])
def test_a_profile_samples_by_the_step_that_comes(pinn, every, hold):
    """As often as it may, at steps at which it is asked."""
    net = pinn.net()
    method = Chain(Recorder(steps=24, every=every), make("pcgrad"))
    opt = MultiLossOptimizer(SGD(net.parameters()), method, every=hold)
    pinn.train(net, opt, 24)
    expected = []
    for t in range(0, 24, hold):
        if t >= len(expected) * every and len(expected) < 24 // every:
            expected.append(t)
    state = opt.session.state
    assert state["0.steps"][: int(state["0.samples"])].tolist() == expected


PLAIN = {
    "sum": lambda: make("sum"),
    "recorder": lambda: Recorder(9, 2),
    "chain": lambda: Chain(make("sum"), Recorder(9, 2)),
}


@pytest.mark.parametrize("method", PLAIN)
@pytest.mark.parametrize(
    "inner", [SGD, partial(optim.LBFGS, lr=0.1, max_iter=3)], ids=["sgd", "lbfgs"]
)
def test_plain_methods_are_plain_whatever_holds(pinn, same, method, inner):
    net, plain_net = pinn.net(), pinn.net()
    opt = MultiLossOptimizer(inner(net.parameters()), PLAIN[method](), every=4)
    pinn.train(net, opt, 9)
    pinn.train_plain(plain_net, inner(plain_net.parameters()), 9)
    assert same(net, plain_net)
    assert {int(v) for k, v in opt.session.state.items() if k.endswith("samples")} <= {4}
    assert {int(v) for k, v in opt.session.state.items() if k.endswith("age")} <= {9}


@pytest.mark.parametrize("every", ["2", None, 2.0, False, -3])
def test_every_counts(pinn, every):
    with pytest.raises(MethodError, match="expected every as a positive integer, found"):
        MultiLossOptimizer(SGD(pinn.net().parameters()), "pcgrad", every=every)
