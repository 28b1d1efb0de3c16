"""DeepXDE sets torch's default device on a GPU machine: nothing here may rely on it."""

import pytest
import torch
from torch import nn, optim

from conflictopt import MultiLossOptimizer, Recorder, make
from conflictopt.diagnosis.recorder import profile_of
from conflictopt.methods.registry import METHODS

RUNNABLE = [n for n in METHODS if n not in ("constant", "adapters")]
OPTIONS = {"causal": {"chunks": 2}}


@pytest.fixture
def elsewhere():
    """Tensors made without a device land on ``meta``, where no value can be read."""
    torch.set_default_device("meta")
    yield
    torch.set_default_device(None)


def steps(method, count):
    net = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1)).to_empty(device="cpu")
    for p in net.parameters():
        nn.init.constant_(p, 0.3)
    # not Adam, whose own counter follows the default device in torch 2.5
    opt = MultiLossOptimizer(optim.SGD(net.parameters(), lr=1e-3), method)
    x = torch.linspace(0, 1, 5, device="cpu").reshape(-1, 1)
    for _ in range(count):
        r, points = {"pde": net(x) - x, "bc": net(x[:1]) + 1.0}, {"pde": x, "bc": x[:1]}
        opt.step({k: v.square().mean() for k, v in r.items()}, r, points)
    return opt


@pytest.mark.parametrize("name", RUNNABLE)
def test_methods_follow_the_parameters_device(elsewhere, name):
    opt = steps(make(name, **OPTIONS.get(name, {})), 3)
    assert opt.last.coefficients.device.type == "cpu"
    assert opt.last.coefficients.isfinite().all()


def test_a_profile_is_on_the_cpu(elsewhere):
    opt = steps(Recorder(4, 1), 4)
    assert profile_of(opt.session.state, opt.session.names).gramians.shape == (4, 2, 2)
