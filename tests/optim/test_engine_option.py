"""The option ``engine`` in whole steps: passes that it takes, graphs used up, failed steps."""

from __future__ import annotations

import pytest
import torch
from torch import optim

from conflictopt import (
    Aggregator,
    Chain,
    MultiLossOptimizer,
    NonFiniteError,
    Recorder,
    describe,
    make,
)
from conflictopt.core import engines, graphs

METHODS = {
    row["name"]: {
        "causal": {"chunks": 4},
        "constant": {"weights": {"bc": 2.0}},
        "ntk": {"refresh": 1},
    }.get(row["name"], {})
    for row in describe()
}
both = pytest.mark.parametrize("engine", ["graph", "batched"])


def adam(net, method="sum"):
    """Adam, or SGD for methods with moments of their own."""
    kind = optim.SGD if isinstance(method, Aggregator) and method.steps_itself else optim.Adam
    return kind(net.parameters(), lr=1e-2)


@pytest.fixture
def passes(monkeypatch):
    """Backward passes so far: one each, a vectorised one ``"all"``."""
    seen, one, many = [], graphs.run_backward, engines.all_at_once
    monkeypatch.setattr(
        graphs, "run_backward", lambda *a, **k: (seen.append("one"), one(*a, **k))[1]
    )
    monkeypatch.setattr(engines, "all_at_once", many)

    def vectorised(*args):
        seen.append("all")
        return many(*args)

    monkeypatch.setattr("conflictopt.core.gradients.all_at_once", vectorised)

    def taken():
        found = list(seen)
        seen.clear()
        return found

    return taken


@pytest.fixture(params=[torch.float32, torch.float64], ids=str)
def default_dtype(request):
    before = torch.get_default_dtype()
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(before)


# -- passes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("unknown", [False, True])
@both
def test_surgery_takes_one_pass_per_loss_or_one_in_all(make_pinn, passes, engine, unknown):
    pinn = make_pinn(unknown=unknown)
    net = pinn.net()
    opt = MultiLossOptimizer(adam(net), "pcgrad", engine=engine)
    for _ in range(3):
        pinn.train(net, opt, 1)
        assert passes() == (["one"] * 3 if engine == "graph" else ["all"])


@both
@pytest.mark.parametrize("name", ["sum", "constant", "adapters"])
def test_methods_that_read_no_gradient_take_one_pass(pinn, passes, engine, name):
    net = pinn.net()
    opt = MultiLossOptimizer(adam(net), make(name, **METHODS[name]), engine=engine)
    pinn.train(net, opt, 2)
    assert passes() == ["one"] * 2


@both
def test_periodic_methods_take_one_pass_between_refreshes(pinn, passes, engine):
    net = pinn.net()
    opt = MultiLossOptimizer(adam(net), make("grad_norm", refresh=3), engine=engine)
    for step in range(7):
        pinn.train(net, opt, 1)
        rows = ["one"] * 3 if engine == "graph" else ["all"]
        assert passes() == (["one"] if step % 3 else rows)


@both
def test_a_profile_takes_its_passes_beside_the_plain_one(pinn, passes, engine):
    net = pinn.net()
    opt = MultiLossOptimizer(adam(net), Recorder(steps=9, every=2), engine=engine)
    for step in range(4):
        pinn.train(net, opt, 1)
        rows = ["one"] * 3 if engine == "graph" else ["all"]
        assert passes() == (["one"] if step % 2 else [*rows, "one"])


@both
def test_one_loss_takes_one_pass(make_pinn, passes, engine):
    pinn = make_pinn(names=["pde"])
    net = pinn.net()
    pinn.train(net, MultiLossOptimizer(adam(net), "pcgrad", engine=engine), 2)
    assert passes() == ["one"] * 2


@pytest.mark.parametrize("name", METHODS)
def test_engines_train_alike(make_pinn, name):
    pinn = make_pinn(unknown=True, dtype=torch.float64)
    ends = []
    for engine in ("auto", "graph", "batched"):
        net, method = pinn.net(), make(name, **METHODS[name])
        opt = MultiLossOptimizer(adam(net, method), method, engine=engine)
        pinn.train(net, opt, 5)
        ends.append(torch.cat([p.detach().ravel() for p in net.parameters()]))
    assert torch.equal(ends[0], ends[1])
    torch.testing.assert_close(ends[2], ends[0], rtol=1e-8, atol=1e-10)


@both
def test_accumulated_batches(pinn, engine):
    net = pinn.net()
    opt = MultiLossOptimizer(optim.SGD(net.parameters(), lr=0.0), "config", engine=engine)
    batches = pinn.points.split(4)
    for batch in batches:
        opt.backward(pinn.losses(net, batch))
    c = opt.session.pending
    total = sum(torch.stack(list(pinn.losses(net, b).values())) @ c for b in batches)
    expected = torch.autograd.grad(total, list(net.parameters()))
    for p, g in zip(net.parameters(), expected, strict=True):
        torch.testing.assert_close(p.grad, g)


# -- graphs ------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("form", ["mapping", "tensor"])
@pytest.mark.parametrize("name", [n for n in METHODS if n != "m_config"])
@pytest.mark.grid
def test_graphs_are_used_up_by_a_step(pinn, engine, form, name):
    net = pinn.net()
    method = make(name, **METHODS[name])
    opt = MultiLossOptimizer(adam(net, method), method, engine=engine, names=pinn.names)
    residuals = pinn.residuals(net)
    losses = {n: r.square().mean() for n, r in residuals.items()}
    given = torch.stack(list(losses.values())) if form == "tensor" else losses
    opt.step(given, residuals, dict.fromkeys(residuals, pinn.points))
    for loss in losses.values():
        with pytest.raises(RuntimeError, match="a second time"):
            loss.backward()


def test_graphs_are_used_up_by_a_held_step(pinn):
    net = pinn.net()
    opt = MultiLossOptimizer(adam(net), "pcgrad", every=2)
    for _ in range(2):
        losses = pinn.losses(net)
        opt.step(losses)
        with pytest.raises(RuntimeError, match="a second time"):
            sum(losses.values()).backward()


def test_a_graph_that_is_gone_is_refused_as_by_backward(pinn, same):
    net = pinn.net()
    opt = MultiLossOptimizer(adam(net), "pcgrad")
    losses = pinn.losses(net)
    losses["bc"].backward()
    before = net.state_dict()
    with pytest.raises(RuntimeError, match="a second time"):
        opt.step(losses)
    assert same(net.state_dict(), before)
    pinn.train(net, opt, 1)
    assert opt.completed == 1


# -- failed steps ------------------------------------------------------------------------------


def nan_loss(losses, net):
    return {**losses, "bc": losses["bc"] * torch.nan}


def infinite_loss(losses, net):
    return {**losses, "bc": losses["bc"] * torch.inf}


def nan_gradient(losses, net):
    """Finite, but the gradient of a square root at 0 is not."""
    return {**losses, "bc": losses["bc"] + (0 * net[2].bias).square().sum().sqrt()}


def infinite_gradient(losses, net):
    spike = net[2].bias.sum() * 0
    return {**losses, "bc": losses["bc"] + spike.abs().sqrt()}


def nan_in_the_unknown(losses, net):
    """Not in the network, where surgery looks: found when the order was drawn already."""
    return {**losses, "bc": losses["bc"] + (0 * net.nu).square().sqrt()}


SPOILT = {
    "nan loss": (nan_loss, "expected finite losses, found 'bc' = nan"),
    "infinite loss": (infinite_loss, "expected finite losses, found 'bc' = inf"),
    "nan gradient": (nan_gradient, "inf or nan in that of .*'bc'"),
    "infinite gradient": (infinite_gradient, "inf or nan in that of .*'bc'"),
    "unknown": (nan_in_the_unknown, "inf or nan in that of .*'bc'"),
}


@both
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("case", SPOILT)
def test_a_failed_step_changes_nothing(
    make_pinn, default_dtype, same, snapshot, engine, dtype, case
):
    spoil, message = SPOILT[case]
    pinn = make_pinn(unknown=True, dtype=dtype)
    net = pinn.net()
    opt = MultiLossOptimizer(adam(net), "pcgrad", engine=engine)

    def losses():
        """Opposed, so that an order is drawn."""
        u = net(pinn.points).square().mean() * net.nu
        signs = {"pde": 1.0, "bc": 1.0, "ic": -0.7}
        return {n: signs[n] * u + 0.1 * v for n, v in pinn.losses(net).items()}

    opt.step(losses())
    before = snapshot(net, opt)
    with pytest.raises(NonFiniteError, match=message):
        opt.step(spoil(losses(), net))
    assert same(snapshot(net, opt), before)
    assert all(p.grad is None for p in net.parameters())
    opt.step(losses())
    after = snapshot(net, opt)
    # the order was drawn for the good step: then it was for the spoilt one too
    generators = [s["opt"]["conflictopt"]["generator"] for s in (before, after)]
    assert not torch.equal(*generators)


@both
def test_the_loss_with_the_bad_gradient_is_named(pinn, engine):
    """By ``batched`` beside the others: one infinite factor spoils a whole vectorised pass."""
    net = pinn.net()
    opt = MultiLossOptimizer(adam(net), "pcgrad", engine=engine)
    named = "'pde', 'bc', 'ic'" if engine == "batched" else "'bc'"
    with pytest.raises(NonFiniteError, match=rf"found inf or nan in that of {named}\."):
        opt.step(nan_gradient(pinn.losses(net), net))


@both
@pytest.mark.parametrize("method", ["sum", "held", "chain"])
def test_a_failed_plain_or_held_step_names_the_losses(pinn, same, snapshot, engine, method):
    net = pinn.net()
    built = {"sum": "sum", "held": "config", "chain": Chain(Recorder(9, 4), make("sum"))}[method]
    opt = MultiLossOptimizer(adam(net), built, engine=engine, every=3, on_nonfinite="skip")
    pinn.train(net, opt, 1)
    before = snapshot(net, opt)
    opt.step(nan_gradient(pinn.losses(net), net))
    assert opt.skipped == 1
    assert same(snapshot(net, opt), before)
    opt.on_nonfinite = "raise"
    with pytest.raises(NonFiniteError, match="that of the sum of pde, bc, ic although the losses"):
        opt.step(nan_gradient(pinn.losses(net), net))
    assert same(snapshot(net, opt), before)


@pytest.mark.parametrize(
    ("method", "dtype"),
    [("sum", torch.float32), ("sum", torch.float64), ("pcgrad", torch.float32)],
    ids=str,
)
def test_large_finite_gradients_are_no_failure(method, dtype):
    """Their sum may overflow."""
    most = torch.finfo(dtype).max / 4
    w = torch.nn.Parameter(torch.zeros(9, dtype=dtype))
    opt = MultiLossOptimizer(optim.SGD([w], lr=0.0), method)
    opt.step([most * w.sum(), w[0]])
    assert w.grad[1:].tolist() == [most] * 8


@pytest.mark.parametrize("method", ["config", "grad_norm", "pcgrad"])
def test_sizes_beyond_the_square_root_of_doubles_are_refused(method):
    w = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
    opt = MultiLossOptimizer(optim.SGD([w], lr=0.0), method)
    with pytest.raises(NonFiniteError, match="squares are finite in float64, found norms above"):
        opt.step([1e200 * w[0], 1e200 * w[1]])
    assert opt.completed == 0


@pytest.mark.parametrize("method", ["config", "grad_norm", "pcgrad"])
def test_sizes_below_the_square_root_of_doubles_lead_to_a_step(method):
    w = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
    opt = MultiLossOptimizer(optim.SGD([w], lr=0.0), method)
    opt.step([1e-200 * w[0], 1e-200 * w[1]])
    torch.testing.assert_close(w.grad / 1e-200, torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("method", ["sum", "pcgrad"])
def test_one_bad_entry_among_many_is_found(method, dtype, value):
    w = torch.nn.Parameter(torch.ones(1000, dtype=dtype))
    w.register_hook(lambda g: g.index_fill(0, torch.tensor([777]), value))
    opt = MultiLossOptimizer(optim.SGD([w], lr=0.1), method)
    with pytest.raises(NonFiniteError, match="expected finite gradients"):
        opt.step([w.sum(), w.mean()])
    assert w.grad is None
    assert torch.equal(w, torch.ones_like(w))
