"""Coefficients that hold for several steps."""

from __future__ import annotations

import pytest
import torch
from torch import optim

from conflictopt import Chain, MethodError, MultiLossOptimizer, Recorder, attach, make
from conflictopt.core.gradients import GradientSource


@pytest.fixture
def rows_read(monkeypatch):
    """The steps at which per-loss gradients were computed."""
    seen, original = [], GradientSource.rows
    monkeypatch.setattr(
        GradientSource, "rows", lambda self: (seen.append(id(self)), original(self))[1]
    )
    return lambda: len(set(seen))


@pytest.mark.parametrize("method", ["pcgrad", "config", "grad_norm"])
def test_coefficients_change_every_n_steps_only(pinn, method):
    net = pinn.net()
    aggregator = make(method, **({"refresh": 1} if method == "grad_norm" else {}))
    opt = MultiLossOptimizer(optim.Adam(net.parameters(), lr=1e-2), aggregator, every=3)
    chosen = []
    for _ in range(9):
        pinn.train(net, opt, 1)
        chosen.append(opt.last.coefficients)
    for i in range(1, 9):
        assert torch.equal(chosen[i], chosen[i - 1]) == (i % 3 != 0)


@pytest.mark.parametrize("unknown", [False, True])
def test_held_steps_are_backward_passes_of_the_weighted_sum(make_pinn, rows_read, unknown):
    pinn = make_pinn(unknown=unknown)
    net, by_hand = pinn.net(), pinn.net()
    opt = MultiLossOptimizer(optim.SGD(net.parameters(), lr=1e-2), "config", every=4)
    pinn.train(net, opt, 1)
    assert rows_read() == 1
    by_hand.load_state_dict(net.state_dict())
    c = opt.last.coefficients.reshape(3, -1)
    pinn.train(net, opt, 1)
    assert rows_read() == 1
    losses = list(pinn.losses(by_hand).values())
    for name, p in by_hand.named_parameters():
        column = c[:, 1 if unknown and name == "nu" else 0]
        total = sum(w * v for w, v in zip(column, losses, strict=True))
        (g,) = torch.autograd.grad(total, p, retain_graph=True)
        expected = p.detach() - 1e-2 * g
        torch.testing.assert_close(dict(net.named_parameters())[name], expected)


def test_adapters_of_their_own_hold_too(pinn):
    net = pinn.net()
    adapters = attach(net, pinn.names)
    opt = MultiLossOptimizer(
        optim.SGD(net.parameters(), lr=1e-2),
        Chain(make("pcgrad"), make("adapters", routing="exclusive")),
        blocks=adapters.blocks(),
        every=2,
    )
    pinn.train(net, opt, 4)
    assert opt.last.coefficients.shape == (3, 4)


def test_adapters_added_meanwhile_ask_anew(pinn):
    net = pinn.net()
    method = Chain(make("config"), make("adapters", routing="shared"))
    opt = MultiLossOptimizer(optim.SGD(net.parameters(), lr=1e-2), method, every=100)
    net.nu = torch.nn.Parameter(torch.tensor(0.2))
    opt.add_param_group({"params": [net.nu]})
    pinn.train(net, opt, 2)
    assert opt.last.coefficients.shape == (3, 2)
    opt.add_adapters(attach(net, pinn.names))
    pinn.train(net, opt, 1)
    assert opt.last.coefficients.shape == (3, 5)


def test_another_method_begins_at_once(pinn):
    net = pinn.net()
    opt = MultiLossOptimizer(optim.SGD(net.parameters(), lr=1e-2), "config", every=5)
    pinn.train(net, opt, 2)
    opt.set_aggregator("sum")
    opt.set_aggregator(make("constant", weights=[2.0, 3.0, 4.0]))
    pinn.train(net, opt, 1)
    assert opt.last.coefficients.tolist() == [2.0, 3.0, 4.0]


def test_resumes_bitwise_in_the_middle_of_a_hold(pinn, same, through_a_file):
    def start():
        net = pinn.net()
        return net, MultiLossOptimizer(optim.Adam(net.parameters()), "pcgrad", every=4)

    net, opt = start()
    pinn.train(net, opt, 6)
    saved = through_a_file({"net": net.state_dict(), "opt": opt.state_dict()})
    pinn.train(net, opt, 7)
    resumed_net, resumed = start()
    resumed_net.load_state_dict(saved["net"])
    resumed.load_state_dict(saved["opt"])
    pinn.train(resumed_net, resumed, 7)
    assert same(net, resumed_net)
    assert same(opt.state_dict(), resumed.state_dict())


@pytest.mark.parametrize("method", ["sum", Recorder(steps=20, every=2)], ids=["sum", "profile"])
def test_plain_methods_see_every_step(pinn, same, method):
    net, plain = pinn.net(), pinn.net()
    opt = MultiLossOptimizer(optim.Adam(net.parameters()), method, every=7)
    pinn.train(net, opt, 12)
    pinn.train_plain(plain, optim.Adam(plain.parameters()), 12)
    assert same(net, plain)
    if isinstance(method, Recorder):
        assert opt.session.state["samples"] == 6


def test_a_profile_beside_held_coefficients_samples_by_the_step(pinn):
    net = pinn.net()
    method = Chain(Recorder(steps=30, every=5), make("pcgrad"))
    opt = MultiLossOptimizer(optim.Adam(net.parameters()), method, every=3)
    pinn.train(net, opt, 30)
    state = opt.session.state
    assert state["0.steps"][: int(state["0.samples"])].tolist() == [0, 6, 12, 15, 21, 27]


def test_line_searches_keep_held_coefficients(pinn):
    net = pinn.net()
    method = make("grad_norm", refresh=1, momentum=0.0)
    opt = MultiLossOptimizer(optim.LBFGS(net.parameters(), max_iter=4), method, every=2)
    pinn.train(net, opt, 1)
    first = opt.last.coefficients
    pinn.train(net, opt, 1)
    assert torch.equal(opt.last.coefficients, first)
    pinn.train(net, opt, 1)
    assert not torch.equal(opt.last.coefficients, first)


@pytest.mark.parametrize("every", [0, -1, 1.5, True])
def test_refuses_what_does_not_count(pinn, every):
    with pytest.raises(MethodError, match="expected every as a positive integer"):
        MultiLossOptimizer(optim.SGD(pinn.net().parameters()), "sum", every=every)
