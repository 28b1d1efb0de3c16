"""L-BFGS and other optimizers that evaluate their closure several times per step."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import optim

from conflictopt import (
    Chain,
    LineSearchError,
    MultiLossOptimizer,
    Needs,
    Recorder,
    Reweighting,
    attach,
    make,
)
from conflictopt.optim.line_search import restart_curvature


@dataclass(frozen=True)
class Growing(Reweighting):
    """Coefficients ``k + 1 + age``; remembers every call of ``update``."""

    calls: list = field(default_factory=list)
    needs = Needs.LOSSES
    source = "test"

    def init(self, spec):
        return {"age": torch.zeros((), dtype=torch.int64)}

    def update(self, view, state):
        self.calls.append(view.losses)
        c = 1.0 + torch.arange(view.count) + state["age"]
        return c.to(view.losses), {"age": state["age"] + 1}


class WatchedLBFGS(optim.LBFGS):
    """Remembers the values that its closure returned."""

    def step(self, closure):
        self.values = []

        def watched():
            self.values.append(closure().item())
            return torch.tensor(self.values[-1])

        return super().step(watched)


class Twice(optim.SGD):
    """Moves by the gradient, evaluates again there, and moves on: a search we do not know of."""

    @torch.no_grad()
    def step(self, closure):
        for _ in range(2):
            value = closure()
            super().step()
        return value


def lbfgs(net, **options):
    return optim.LBFGS(net.parameters(), line_search_fn="strong_wolfe", **options)


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_coefficients_are_chosen_once_and_frozen(pinn, search):
    net = pinn.net()
    inner = WatchedLBFGS(net.parameters(), lr=0.1, max_iter=5, line_search_fn=search)
    method = Growing()
    opt = MultiLossOptimizer(inner, method)
    for step in range(4):
        seen = []

        def closure(seen=seen):
            losses = pinn.losses(net)
            seen.append(torch.stack(list(losses.values())).detach())
            return losses

        value = opt.step(closure)
        c = torch.tensor([1.0, 2.0, 3.0]) + step
        assert len(method.calls) == step + 1
        assert opt.session.state["age"] == opt.completed == step + 1
        assert torch.equal(opt.last.coefficients, c)
        assert torch.equal(opt.last.losses, seen[0])
        assert len(inner.values) > 1
        assert inner.values == pytest.approx([float(c @ losses) for losses in seen], rel=1e-5)
        assert value.item() == inner.values[0]


def test_the_search_minimises_the_frozen_sum(pinn, same):
    """Against plain L-BFGS on the same weighted sum."""
    net, plain_net = pinn.net(), pinn.net()
    opt = MultiLossOptimizer(lbfgs(net), make("constant", weights=[1.0, 2.0, 4.0]))
    plain = lbfgs(plain_net)

    def closure():
        plain.zero_grad()
        value = sum(w * v for w, v in zip((1, 2, 4), pinn.losses(plain_net).values(), strict=True))
        value.backward()
        return value

    for _ in range(5):
        opt.step(lambda: pinn.losses(net))
        plain.step(closure)
    assert same(net, plain_net)


def test_config_refuses(pinn, same):
    """Frozen at one point its coefficients may be negative: the sum is unbounded below."""
    net = pinn.net()
    opt = MultiLossOptimizer(lbfgs(net), "config")
    refused(pinn, opt, net, same, "ConFIG has no scalar objective")


def test_the_refusal_names_what_acts_and_no_single_block(pinn, same):
    net = pinn.net()
    opt = MultiLossOptimizer(lbfgs(net), Chain(Recorder(9, 1), make("config")))
    said = "minimises (weights may be negative), but LBFGS"
    refused(pinn, opt, net, same, said)
    with pytest.raises(LineSearchError, match=r"^ConFIG has no scalar objective"):
        opt.step(lambda: pinn.losses(net))


def test_pcgrad_without_unknowns_works(pinn):
    """Every step lowers the sum that it froze."""
    net = pinn.net()
    opt = MultiLossOptimizer(lbfgs(net, max_iter=5), "pcgrad")
    for _ in range(5):
        pinn.train(net, opt, 1)
        after = torch.stack(list(pinn.losses(net).values())).detach()
        assert opt.last.coefficients @ after < opt.last.coefficients @ opt.last.losses
    assert opt.last.coefficients.shape == (3,)
    assert not torch.equal(opt.last.coefficients, torch.ones(3))


def test_global_surgery_works_beside_an_unknown(make_pinn):
    pinn = make_pinn(unknown=True)
    net = pinn.net()
    pinn.train(net, MultiLossOptimizer(lbfgs(net), make("pcgrad", blocks="global")), 3)
    assert net.nu.item() != pytest.approx(0.3)


def test_rewrap_continues_the_run_with_another_optimizer(pinn):
    net = pinn.net()
    first = MultiLossOptimizer(optim.Adam(net.parameters()), "grad_norm", on_nonfinite="skip")
    pinn.train(net, first, 3)
    opt = first.rewrap(lbfgs(net))
    assert opt.on_nonfinite == "skip"
    assert (opt.completed, opt.session.state["age"]) == (3, 3)
    pinn.train(net, opt, 2)
    assert (opt.completed, opt.session.state["age"]) == (5, 5)


def refused(pinn, opt, net, same, message):
    """The step must refuse, say why and what to do, and leave everything alone."""
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with pytest.raises(LineSearchError) as error:
        opt.step(lambda: pinn.losses(net))
    assert message in str(error.value)
    assert type(opt.inner).__name__ in str(error.value)
    assert "or an optimizer without line search" in str(error.value)
    assert same(dict(net.state_dict()), before)
    assert all(p.grad is None for p in net.parameters())
    assert opt.completed == 0


def test_exclusive_routing_refuses(pinn, same):
    net = pinn.net()
    blocks = attach(net, pinn.names).blocks()
    opt = MultiLossOptimizer(lbfgs(net), make("adapters", routing="exclusive"), blocks=blocks)
    refused(pinn, opt, net, same, "AdapterRouting has no scalar objective")


@pytest.mark.parametrize("options", [{}, {"max_iter": 1}, {"line_search_fn": "strong_wolfe"}])
def test_blockwise_surgery_refuses(make_pinn, same, options):
    pinn = make_pinn(unknown=True)
    net = pinn.net()
    opt = MultiLossOptimizer(optim.LBFGS(net.parameters(), **options), "pcgrad")
    refused(pinn, opt, net, same, "differ between the blocks network, physics")


def test_an_unknown_search_refuses_at_its_second_evaluation(make_pinn, same):
    pinn = make_pinn(unknown=True)
    net = pinn.net()
    opt = MultiLossOptimizer(Twice(net.parameters(), lr=0.1), "pcgrad")
    refused(pinn, opt, net, same, "differ between the blocks network, physics")
    opt.set_aggregator("grad_norm")
    opt.step(lambda: pinn.losses(net))
    assert opt.completed == 1


def test_restart_forgets_the_curvature_and_keeps_the_counters():
    w = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    opt = optim.LBFGS([w], lr=0.1, max_iter=1)

    def closure():
        opt.zero_grad()
        value = (w**4).sum() + w.prod()
        value.backward()
        return value

    for _ in range(3):
        opt.step(closure)
    state = opt.state[w]
    assert state["old_dirs"]
    assert state["n_iter"] == 3
    restart_curvature(opt)
    before = w.detach().clone()
    opt.step(closure)
    move = w.detach() - before
    assert state["old_dirs"] == []
    assert state["n_iter"] == 4
    cosine = torch.cosine_similarity(move, -w.grad, dim=0)
    assert cosine.item() == pytest.approx(1.0, abs=1e-6)


def test_restart_leaves_other_optimizers_alone(pinn, same, through_a_file):
    net = pinn.net()
    opt = optim.Adam(net.parameters())
    pinn.train_plain(net, opt, 2)
    before = through_a_file(opt.state_dict())
    restart_curvature(opt)
    assert same(opt.state_dict(), before)


@pytest.mark.parametrize("changes", [True, False])
def test_curvature_restarts_when_the_coefficients_change(pinn, changes):
    net = pinn.net()
    method = Growing() if changes else "sum"
    opt = MultiLossOptimizer(lbfgs(net, max_iter=1), method)
    pinn.train(net, opt, 5)
    (state,) = opt.state.values()
    assert (len(state["old_dirs"]) == 0) is changes
    assert state["n_iter"] == 5


def test_a_restart_does_not_step_by_the_scale_of_the_old_objective():
    """Coefficients 1000 times larger must not make the next step 1000 times longer."""
    w = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    opt = MultiLossOptimizer(optim.LBFGS([w], max_iter=1), make("constant", weights=[1.0]))
    for scale in (1.0, 1.0, 1.0, 1000.0):
        opt.set_aggregator(make("constant", weights=[scale]))
        before = w.detach().clone()
        opt.step(lambda: [(w[0] - 3) ** 2 / 2 + w[1] ** 2 / 4])
    assert (w - before).abs().sum() < 1.001  # as the first step of L-BFGS: lr * min(1, 1 / |g|) g


@dataclass(frozen=True)
class Blockwise(Reweighting):
    """A user's method that gives each block its own coefficients, and says nothing of it."""

    needs = Needs.LOSSES
    source = "test"

    def update(self, view, state):
        return torch.rand(view.count, len(view.layout.blocks), generator=view.generator), state


def test_a_users_blockwise_method_works_and_refuses_a_search(make_pinn, same):
    pinn = make_pinn(unknown=True)
    net = pinn.net()
    opt = MultiLossOptimizer(optim.Adam(net.parameters()), Blockwise())
    pinn.train(net, opt, 2)
    assert opt.last.coefficients.shape == (3, 2)
    refused(pinn, MultiLossOptimizer(lbfgs(net), Blockwise()), net, same, "no scalar objective")
