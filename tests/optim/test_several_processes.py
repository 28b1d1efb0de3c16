"""Processes that train together: as torch would with ``sum``, refused with what chooses."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from conflictopt import LevenbergMarquardt, MethodError, MultiLossOptimizer, Recorder
from conflictopt.methods.registry import METHODS

REFUSED = "expected 'sum' in a process group of 2 processes"
OPTIONS = {"constant": {"weights": [1.0, 1.0, 1.0]}}


@pytest.fixture
def two(monkeypatch):
    """As if this was one of two processes."""
    monkeypatch.setattr("conflictopt.core.distributed.world_size", lambda: 2)


@pytest.mark.parametrize("name", METHODS)
def test_methods_that_choose_are_refused(pinn, two, name):
    from conflictopt import make

    net = pinn.net()
    before = [p.detach().clone() for p in net.parameters()]
    method = make(name, **OPTIONS.get(name, {}))
    kind = torch.optim.SGD if method.steps_itself else torch.optim.Adam
    opt = MultiLossOptimizer(kind(net.parameters(), lr=1e-2), method)
    if name == "sum":
        pinn.train(net, opt, 1)
        assert opt.completed == 1
        return
    with pytest.raises(MethodError, match=REFUSED):
        pinn.train(net, opt, 1)
    assert all(map(torch.equal, net.parameters(), before))


@pytest.mark.parametrize("method", ["auto", lambda: Recorder(20, 2)])
def test_so_is_what_records(pinn, two, method):
    net = pinn.net()
    chosen = method() if callable(method) else method
    with pytest.raises(MethodError, match=REFUSED):
        pinn.train(net, MultiLossOptimizer(torch.optim.Adam(net.parameters()), chosen), 1)


def test_steps_on_residuals_are_refused(pinn, two):
    net = pinn.net()
    for alone in (True, False):
        opt = LevenbergMarquardt(net.parameters(), alone=alone)
        if alone:
            opt.step(lambda: pinn.residuals(net))
            continue
        with pytest.raises(MethodError, match=REFUSED):
            opt.step(lambda: pinn.residuals(net))


def test_a_process_that_trains_a_model_of_its_own_says_so(pinn, two):
    net = pinn.net()
    opt = MultiLossOptimizer(torch.optim.Adam(net.parameters()), "pcgrad", alone=True)
    pinn.train(net, opt, 2)
    assert opt.completed == 2


def work(rank, place, ends):
    """Train with DistributedDataParallel, plainly and with ``sum``; compare all processes."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{place}", rank=rank, world_size=2)
    found = []
    for method in (None, "sum", "pcgrad"):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
        model = DistributedDataParallel(net)
        inner = torch.optim.Adam(model.parameters(), lr=1e-2)
        opt = inner if method is None else MultiLossOptimizer(inner, method)
        x, refused = torch.linspace(0, 1, 16)[rank::2, None], False
        for _ in range(4):
            u = model(x)
            losses = {"a": (u - 1).square().mean(), "b": (u + x).square().mean()}
            try:
                if method is None:
                    opt.zero_grad()
                    sum(losses.values()).backward()
                    opt.step()
                else:
                    opt.step(losses)
            except MethodError:
                refused = True
        found.append((torch.cat([p.detach().reshape(-1) for p in net.parameters()]), refused))
    ends[rank] = [(flat.tolist(), refused) for flat, refused in found]
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_end_alike(tmp_path):
    context = torch.multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        ends = manager.dict()
        torch.multiprocessing.spawn(work, (tmp_path / "rendezvous", ends), nprocs=2)
        (plain, summed, refused), other = ends[0], ends[1]
    assert other == [plain, summed, refused]
    assert summed == plain
    assert refused[1]
    assert refused[0] != plain[0]
