"""Per-loss gradients of programs of every shape against one plain backward pass per loss."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from conflictopt import MethodError, MultiLossOptimizer, make
from conflictopt.core.losses import FIXED, Losses

TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-5}

engines = pytest.mark.parametrize("engine", ["graph", "batched"])
dtypes = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)


class Cubed(torch.autograd.Function):
    """A function with its own backward pass, which gives one input no gradient."""

    @staticmethod
    def forward(ctx, x, scale):
        ctx.save_for_backward(x)
        return scale * x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * g * x**2, None


class Branching(torch.autograd.Function):
    """Its backward pass asks for a number, which a vectorised pass does not have."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return g if g.sum() > 0 else 2 * g


class Unscaled(torch.autograd.Function):
    """As above, by ``item``."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return g / g.max().item()


def mlp(out=1, act=nn.Tanh):
    return nn.Sequential(nn.Linear(2, 5), act(), nn.Linear(5, 4), act(), nn.Linear(4, out))


def slopes(u, x):
    return torch.autograd.grad(u.sum(), x, create_graph=True)[0]


def own_passes(x):
    net = mlp()
    losses = [(net(x + k) - k).square().mean() for k in range(3)]
    return net.parameters(), losses


def one_pass(x):
    net = mlp()
    x = x.requires_grad_()
    u = net(x)
    u_x = slopes(u, x)
    u_xx = slopes(u_x[:, 0], x)[:, 0]
    residuals = [u_x[:, 1] - 0.1 * u_xx, u_x[:, 0] + u[:, 0], u[:, 0] - 1]
    return net.parameters(), [r.square().mean() for r in residuals]


def chain_of_sharing(x):
    net = mlp()
    u, v = net(x), net(1 - x)
    return net.parameters(), [u.square().mean(), (u * v).mean(), (v.sin() ** 4).mean()]


def one_loss(x):
    net = mlp()
    return net.parameters(), [net(x).square().mean()]


def many_losses(x):
    net = nn.Linear(2, 1)
    return net.parameters(), [(net(x[k % 6]) - k).square().sum() for k in range(11)]


def many_losses_of_one_pass(x):
    net = nn.Linear(2, 1)
    return net.parameters(), [r.square() for r in net(x)[:, 0]] * 2


def partly_unused(x):
    net, spare = mlp(), nn.Linear(3, 2)
    hidden = net[1](net[0](x))
    losses = [net(x).square().mean(), hidden.square().mean(), net[4].bias.sum()]
    return [*spare.parameters(), *net.parameters()], losses


def frozen(x):
    net = mlp()
    net[2].requires_grad_(False)
    return net.parameters(), [net(x).square().mean(), net(x).mean(), net[0].weight.sum()]


def unknowns(x):
    net, nu, mu = mlp(), nn.Parameter(torch.tensor(0.3)), nn.Parameter(torch.tensor(2.0))
    nu.data, mu.data = nu.data.to(x), mu.data.to(x)
    u = net(x)
    return [nu, *net.parameters(), mu], [(nu * u).square().mean(), u.mean(), (nu - 1) ** 2]


def one_tensor_thrice(x):
    net = mlp()
    loss = net(x).square().mean()
    return net.parameters(), [loss, loss, (net(x) - 1).mean(), loss]


def linear(x):
    net = mlp()
    return net.parameters(), [net[0].weight.sum(), 3 * net[4].bias.sum(), x[0] @ net[0].weight[1]]


def a_parameter_itself(x):
    net, nu = mlp(), nn.Parameter(x.new_tensor(0.3))
    return [*net.parameters(), nu], [(nu * net(x)).square().mean(), nu]


def far_apart(x):
    net = mlp()
    u = net(x)
    return net.parameters(), [1e8 * u.square().mean(), 1e-8 * u.sin().mean(), u.mean()]


def zeros(x):
    net = mlp(act=nn.ReLU)
    net[0].bias.data.fill_(-1e3)
    losses = [0 * net(x).sum(), net[1](net[0](x)).sum(), net(x).square().mean()]
    return net.parameters(), losses


def custom(x):
    net, scale = mlp(), nn.Parameter(x.new_ones(1))
    u = Cubed.apply(net(x), scale)
    return [*net.parameters(), scale], [u.square().mean(), u.mean(), (scale * net(x)).mean()]


def weight_normed(x):
    net = mlp()
    for i in (0, 2, 4):
        weight_norm(net[i])
    net.to(x.dtype)
    u = net(x)
    return net.parameters(), [u.square().mean(), net(x - 1).mean(), (u - 2).square().mean()]


def in_place(x):
    net = mlp(act=lambda: nn.ReLU(inplace=True))
    u = net(x)
    u[:, 0].mul_(2)
    return net.parameters(), [u.square().mean(), u.clone().exp_().mean()]


def tied(x):
    w = nn.Parameter(torch.rand(2, 2))
    w.data = w.data.to(x)
    u = (x @ w).tanh() @ w.T
    return [w], [u.square().mean(), (u[:, 0] * w[0, 1]).mean()]


PROGRAMS = [
    own_passes, one_pass, chain_of_sharing, one_loss, many_losses, many_losses_of_one_pass,
    partly_unused, frozen, unknowns, one_tensor_thrice, linear, a_parameter_itself, far_apart,
    zeros, custom, weight_normed, in_place, tied,
]  # fmt: skip

programs = pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)


@pytest.fixture
def run():
    """``run(program, dtype)``: its parameters and losses; two runs are alike."""

    def go(program, dtype=torch.float64):
        default = torch.get_default_dtype()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            torch.set_default_dtype(dtype)
            try:
                params, losses = program(torch.rand(6, 2))
            finally:
                torch.set_default_dtype(default)
        return list(params), losses

    return go


def wrong_rows(found, expected, tolerance=1e-10):
    """The rows that differ by more than a share of their norm."""
    error = (found - expected).norm(dim=1) > tolerance * expected.norm(dim=1)
    return error.nonzero().flatten().tolist()


@programs
@dtypes
@engines
def test_rows_are_the_jacobian(run, source_of, brute_force, program, dtype, engine):
    params, losses = run(program, dtype)
    source = source_of(losses, params, engine)
    expected, touched = brute_force(losses, source.layout.params)
    assert source.rows().dtype == dtype
    assert wrong_rows(source.rows(), expected, TOLERANCE[dtype]) == []
    found = [source.touched(k) for k in range(len(losses))]
    if program is custom and engine == "batched":
        found[:2] = touched[:2]  # reached, though the function gives it no gradient
    assert found == touched
    assert source.reached() == [any(column) for column in zip(*touched, strict=True)]


@programs
@engines
def test_rows_of_a_stack(run, source_of, brute_force, program, engine):
    params, losses = run(program)
    source = source_of(torch.stack(losses), params, engine)
    expected, _ = brute_force(losses, source.layout.params)
    assert wrong_rows(source.rows(), expected) == []


@programs
@engines
def test_rows_that_leave_the_graphs_alone(run, source_of, brute_force, program, engine):
    """As beside a plain step, and before residual traces."""
    params, losses = run(program)
    source = source_of(losses, params, engine, retain=True)
    rows = source.rows()
    expected, _ = brute_force(losses, source.layout.params)
    assert wrong_rows(rows, expected) == []


@programs
@engines
def test_only_reached_parameters_get_a_gradient(run, brute_force, program, engine):
    params, losses = run(program)
    trainable = [p for p in params if p.requires_grad]
    expected, touched = brute_force(losses, trainable)
    opt = MultiLossOptimizer(
        torch.optim.SGD(params, lr=0.1), make("pcgrad", blocks="global"), engine=engine
    )
    opt.backward(losses)
    used = [any(column) for column in zip(*touched, strict=True)]
    assert [p.grad is not None for p in trainable] == used
    assert all(p.grad is None for p in params if not p.requires_grad)
    flat = torch.cat(
        [(torch.zeros_like(p) if p.grad is None else p.grad).ravel() for p in trainable]
    )
    update = opt.session.pending @ expected
    scale = (opt.session.pending.abs()[:, None] * expected.abs()).sum()
    assert (flat - update).abs().max() <= 1e-10 * scale


@engines
def test_terms_of_one_loss_and_fixed_ones(run, source_of, brute_force, engine):
    params, losses = run(chain_of_sharing)
    losses = [*losses, params[0].square().sum(), params[1].square().sum()]
    given = Losses(("a", "b"), tuple(losses), (0, 1, 0, FIXED, FIXED))
    rows, _ = brute_force(losses, params)
    source = source_of(given, params, engine)
    torch.testing.assert_close(
        source.rows(), torch.stack([rows[0] + rows[2], rows[1]]), rtol=1e-10, atol=1e-14
    )
    torch.testing.assert_close(source.fixed_row(), rows[3] + rows[4], rtol=1e-10, atol=0)
    terms = [v.item() for v in losses]
    assert source.values() == pytest.approx([terms[0] + terms[2], terms[1]])
    assert source.total(torch.tensor([2.0, 3.0])).item() == pytest.approx(
        2 * (terms[0] + terms[2]) + 3 * terms[1] + terms[3] + terms[4]
    )


@engines
def test_a_fixed_term_reaches_parameters_of_its_own(source_of, engine):
    w, v, u = (nn.Parameter(torch.ones(2)) for _ in range(3))
    given = Losses(("a",), (w.sum(), 3 * v.sum()), (0, FIXED))
    opt = MultiLossOptimizer(torch.optim.SGD([w, v, u], lr=1.0), "pcgrad", engine=engine)
    opt.step(given)
    assert w.tolist() == [0.0, 0.0]
    assert v.tolist() == [-2.0, -2.0]
    assert u.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("method", ["pcgrad", "config", "grad_norm", "lr_annealing"])
def test_evaluated_losses_cannot_be_evaluated_apart(run, method):
    params, losses = run(own_passes)
    opt = MultiLossOptimizer(torch.optim.SGD(params, lr=0.1), method, engine="rows")
    with pytest.raises(
        MethodError, match=r"engine 'rows' needs .* they were handed over evaluated"
    ):
        opt.step(losses)
    assert all(p.grad is None for p in params)
    assert opt.completed == 0


@pytest.mark.parametrize("name", ["", "Graph", "vmap", None, 3])
def test_unknown_engines(name):
    w = nn.Parameter(torch.ones(2))
    with pytest.raises(MethodError, match="expected an engine among auto, graph, rows, batched"):
        MultiLossOptimizer(torch.optim.SGD([w], lr=0.1), "sum", engine=name)


@pytest.mark.parametrize("function", [Branching, Unscaled])
def test_a_function_that_cannot_be_vectorised_is_refused(function):
    w = nn.Parameter(torch.tensor([1.0, 2.0]))

    def losses():
        return {"a": function.apply(w).sum(), "b": -function.apply(w).prod()}

    opt = MultiLossOptimizer(torch.optim.SGD([w], lr=0.1), "pcgrad", engine="batched")
    before = opt.session.generator.get_state()
    with pytest.raises(MethodError, match=r"engine 'batched' cannot .*; use 'graph'. torch says"):
        opt.step(losses())
    assert w.tolist() == [1.0, 2.0]
    assert w.grad is None
    assert torch.equal(opt.session.generator.get_state(), before)
    opt.session.engine = "graph"
    opt.step(losses())
    assert opt.completed == 1
