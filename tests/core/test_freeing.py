"""When the tensors that graphs have saved are let go, and which plan that takes."""

from __future__ import annotations

import copy
import weakref
from functools import reduce

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from conflictopt import Chain, MultiLossOptimizer, Recorder, make
from conflictopt.core.engines import one_by_one
from conflictopt.core.graphs import gradient, passes, walk

FREED = "a second time"


class Saved:
    """A saved tensor, in a box that can be watched."""

    def __init__(self, tensor):
        self.tensor = tensor


class Watch:
    """Counts the tensors saved while it is entered, as long as their graph keeps them."""

    def __init__(self):
        self.boxes = []
        self.hooks = saved_tensors_hooks(self.pack, lambda box: box.tensor)

    def pack(self, tensor):
        box = Saved(tensor)
        self.boxes.append(weakref.ref(box))
        return box

    def __enter__(self):
        self.hooks.__enter__()
        return self

    def __exit__(self, *error):
        self.hooks.__exit__(*error)

    @property
    def alive(self):
        return sum(box() is not None for box in self.boxes)


@pytest.fixture
def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 5), nn.Tanh()).double()


@pytest.fixture
def x():
    return torch.rand(6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def passes_of(losses, net, free):
    graphs = {k: walk(loss)[0] for k, loss in enumerate(losses)}
    return one_by_one(dict(enumerate(losses)), tuple(net.parameters()), free, graphs)


def test_a_graph_of_its_own_is_freed_by_its_pass(net, x):
    watches, losses = [Watch() for _ in range(4)], []
    for k, watch in enumerate(watches):
        with watch:
            losses.append((net(x + k) - k).square().mean())
    counts = [w.alive for w in watches]
    assert min(counts) > 4
    for i, (k, _) in enumerate(passes_of(losses, net, True)):
        assert i == k
        assert [w.alive for w in watches] == [0] * (i + 1) + counts[i + 1 :]


def test_a_shared_pass_is_freed_by_the_last_one(net, x):
    with Watch() as shared:
        u = net(x)
    losses = [u.square().mean(), (u - 1).square().mean(), u.sin().mean()]
    start = shared.alive
    seen = []
    for _ in passes_of(losses, net, True):
        seen.append(shared.alive)
    assert seen == [start, start, 0]


def test_double_backward_residuals_are_freed_by_the_last_one(net, x):
    points = x.requires_grad_()
    with Watch() as shared:
        u = net(points)[:, 0]
        slope = torch.autograd.grad(u.sum(), points, create_graph=True)[0]
        u_xx = torch.autograd.grad(slope[:, 0].sum(), points, create_graph=True)[0][:, 0]
    losses = [u.square().mean(), slope[:, 1].square().mean(), (slope[:, 1] - u_xx).square().mean()]
    seen = []
    for _ in passes_of(losses, net, True):
        seen.append(shared.alive)
    assert seen[0] == seen[1] > 0
    assert seen[2] == 0


@pytest.mark.parametrize("engine", ["graph", "batched"])
@pytest.mark.parametrize("kept", [False, True])
def test_rows_that_come_after_values_free_as_well(net, x, source_of, engine, kept):
    with Watch() as watch:
        losses = apart(net, x)
    source = source_of(losses, net.parameters(), engine, retain=kept)
    source.values()
    source.rows()
    assert bool(watch.alive) == kept


def test_graphs_that_serve_something_else_are_kept(net, x):
    with Watch() as watch:
        losses = [net(x).square().mean(), net(-x).mean()]
    start = watch.alive
    for _ in passes_of(losses, net, False):
        assert watch.alive == start


def shared(net, x):
    u = net(x)
    return [(u - k).square().mean() for k in range(3)]


def chained(net, x):
    u, v = net(x), net(1 - x)
    return [u.square().mean(), (u * v).mean(), v.sin().mean()]


def apart(net, x):
    return [(net(x + k) - k).square().mean() for k in range(3)]


PLAIN = {
    "recorder": lambda: Recorder(steps=6, every=1),
    "sum": lambda: make("sum"),
    "both": lambda: Chain(make("sum"), Recorder(steps=6, every=2)),
}


@pytest.mark.parametrize("program", [shared, chained, apart])
@pytest.mark.parametrize("engine", ["graph", "batched"])
@pytest.mark.parametrize("method", PLAIN)
def test_the_plain_update_after_rows_were_read(net, x, program, engine, method):
    plain_net = copy.deepcopy(net)
    plain = torch.optim.Adam(plain_net.parameters())
    opt = MultiLossOptimizer(torch.optim.Adam(net.parameters()), PLAIN[method](), engine=engine)
    for _ in range(6):
        with Watch() as watch:
            losses = program(net, x)
        opt.step(losses)
        assert watch.alive == 0
        plain.zero_grad()
        sum(program(plain_net, x)).backward()
        plain.step()
    for p, q in zip(net.parameters(), plain_net.parameters(), strict=True):
        assert torch.equal(p, q)


@pytest.mark.parametrize("program", [shared, chained, apart])
@pytest.mark.parametrize("engine", ["graph", "batched"])
@pytest.mark.parametrize("method", ["pcgrad", "grad_norm", "sum"])
@pytest.mark.parametrize("stacked", [False, True])
def test_a_step_uses_the_graphs_up_as_backward_does(net, x, program, engine, method, stacked):
    losses = program(net, x)
    given = torch.stack(losses) if stacked else losses
    MultiLossOptimizer(torch.optim.SGD(net.parameters(), lr=0.1), method, engine=engine).step(given)
    for loss in losses:
        with pytest.raises(RuntimeError, match=FREED):
            loss.backward()


def test_of_what_is_shared_in_pairs_a_step_uses_up_what_its_last_pass_reaches(net, x):
    """No loss holds all that is shared: the largest, whose pass is the last, has no u."""
    u, v = net(x), net(1 - x)
    losses = [u.square().mean(), (u * v).mean(), reduce(lambda z, _: z.sin(), range(30), v).mean()]
    MultiLossOptimizer(torch.optim.SGD(net.parameters(), lr=0.1), "pcgrad").step(losses)
    for loss in losses[1:]:
        with pytest.raises(RuntimeError, match=FREED):
            loss.backward()


@pytest.mark.parametrize("engine", ["graph", "batched"])
@pytest.mark.parametrize("method", ["pcgrad", "grad_norm", "sum"])
def test_a_step_leaves_nothing_saved(net, x, engine, method):
    with Watch() as watch:
        losses = apart(net, x)
    MultiLossOptimizer(torch.optim.SGD(net.parameters(), lr=0.1), method, engine=engine).step(
        losses
    )
    assert watch.alive == 0


# -- plans -------------------------------------------------------------------------------------

PRODUCTS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=12)
CHOSEN = st.lists(st.integers(0, 30), min_size=1, max_size=5)
few = settings(max_examples=80, deadline=None, derandomize=True)


class Program:
    """Products of products of one number; some of them are losses.

    Args:
        products: for each node the two that it is the product of, counted from the leaf 0.
        chosen: the nodes that are losses.
    """

    def __init__(self, products, chosen):
        self.products = [(a % (i + 1), b % (i + 1)) for i, (a, b) in enumerate(products)]
        self.chosen = [1 + c % len(products) for c in chosen]

    def losses(self, w):
        nodes = [w]
        for a, b in self.products:
            nodes.append(nodes[a] * nodes[b])
        return {k: nodes[c] for k, c in enumerate(self.chosen)}

    def made_of(self):
        """Per loss the nodes behind it."""
        behind = [set()]
        for i, (a, b) in enumerate(self.products):
            behind.append(behind[a] | behind[b] | {i})
        return [behind[c] for c in self.chosen]

    def slopes(self):
        """Per loss its derivative, exactly: it is a power of w = 1."""
        powers = [1]
        for a, b in self.products:
            powers.append(powers[a] + powers[b])
        return [float(powers[c]) for c in self.chosen]


@pytest.fixture(scope="module")
def one():
    return torch.ones((), dtype=torch.float64, requires_grad=True)


@few
@given(PRODUCTS, CHOSEN)
def test_plans_of_random_programs(one, products, chosen):
    program = Program(products, chosen)
    made_of, losses = program.made_of(), program.losses(one)
    plan = passes({k: walk(loss)[0] for k, loss in losses.items()})
    order = [k for k, _ in plan]
    assert sorted(order) == list(losses)
    for i, (k, keep) in enumerate(plan):
        assert keep == any(made_of[k] & made_of[later] for later in order[i + 1 :])
    if any(keep for _, keep in plan):
        assert order == sorted(losses, key=lambda k: len(made_of[k]))
    else:
        assert order == list(losses)
    for k, keep in plan:
        assert gradient(losses[k], (one,), keep)[0].item() == program.slopes()[k]


def test_a_loop_that_begins_to_share_one_of_its_passes_goes_on(net, x):
    """As many nodes as before, all of them built before the losses are."""
    opt = MultiLossOptimizer(torch.optim.SGD(net.parameters(), lr=0.01), "pcgrad")
    for step in range(6):
        u, v = net(x), net(1 - x)
        opt.step({"a": u.square().mean(), "b": ((v if step < 3 else u) - 1).square().mean()})
    assert opt.completed == 6
