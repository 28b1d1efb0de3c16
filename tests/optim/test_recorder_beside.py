"""A recorder beside any method changes nothing, wherever it stands and whatever is kept."""

import pytest
import torch

from conflictopt import Chain, MultiLossOptimizer, Recorder, make

pytestmark = pytest.mark.filterwarnings("ignore::conflictopt.ConflictOptWarning")

METHODS = {
    "points": lambda: [make("sa_pinn", lr=0.5)],
    "points, surgery": lambda: [make("sa_pinn", lr=0.5), make("config")],
    "points, traces, surgery": lambda: [make("sa_pinn", lr=0.5), make("ntk"), make("pcgrad")],
    "points, rows": lambda: [make("rba", eta=0.5), make("lr_annealing", refresh=1)],
    "one row": lambda: [make("m_config")],
    "rows": lambda: [make("multi_adam")],
}


@pytest.mark.parametrize("update", ["trust", "check", "correct"])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.grid
def test_a_recorder_changes_nothing(pinn, same, name, first, update):
    nets, recorder = [], Recorder(steps=4, every=1)
    for recorded in (False, True):
        members, net = METHODS[name](), pinn.net()
        if recorded:
            members = [recorder, *members] if first else [*members, recorder]
        kind = torch.optim.SGD if "row" in name and "points" not in name else torch.optim.Adam
        inner = kind(net.parameters(), lr=1e-2)
        opt = MultiLossOptimizer(inner, Chain(*members), update=update)
        pinn.train(net, opt, 6)
        nets.append(net)
    assert same(*nets)


def test_a_recorder_beside_point_weights_sees_the_losses_without_them(pinn):
    seen = []
    for members in ([], [make("rba", eta=0.5)]):
        net = pinn.net()
        chain = Chain(Recorder(steps=1, every=1), *members)
        opt = MultiLossOptimizer(torch.optim.SGD(net.parameters(), lr=0.0), chain)
        pinn.train(net, opt, 1)
        seen.append(opt.session.state["0.gramians"])
    torch.testing.assert_close(*seen)
