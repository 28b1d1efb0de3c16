"""Every method under every optimizer whose metric is known, aligned."""

from __future__ import annotations

from functools import partial

import pytest
from torch import optim

from conflictopt import MultiLossOptimizer, make
from conflictopt.methods.registry import METHODS, method_class

pytestmark = [
    pytest.mark.filterwarnings("ignore::conflictopt.ConflictOptWarning"),
    pytest.mark.grid,
]

OPTIONS = {
    "causal": {"time": 1, "chunks": 2},
    "constant": {"weights": [1.0, 2.0, 3.0]},
    "dwa": {"window": 2},
}
LEAVE_STEPS = [n for n in METHODS if not method_class(n).steps_itself and n != "adapters"]


def soap(params):
    made = pytest.importorskip("pytorch_optimizer")
    return made.SOAP(params, lr=1e-2, weight_decay=0.0, precondition_frequency=3)


INNERS = {
    "sgd": partial(optim.SGD, lr=1e-2, momentum=0.9),
    "rmsprop": partial(optim.RMSprop, lr=1e-3),
    "adam": partial(optim.Adam, lr=1e-2),
    "adamw": partial(optim.AdamW, lr=1e-2, weight_decay=0.1),
    "soap": soap,
}


def start(pinn, method, inner, seed):
    net = pinn.net()
    made = make(method, **OPTIONS.get(method, {}))
    opt = MultiLossOptimizer(INNERS[inner](net.parameters()), made, seed=seed, update="align")
    return net, opt


@pytest.mark.parametrize("inner", INNERS)
@pytest.mark.parametrize("method", LEAVE_STEPS)
def test_it_resumes_bitwise_and_no_loss_is_raised(pinn, same, through_a_file, method, inner):
    net, opt = start(pinn, method, inner, 3)
    pinn.train(net, opt, 5)
    saved = through_a_file({"net": net.state_dict(), "opt": opt.state_dict()})
    pinn.train(net, opt, 7)
    other, resumed = start(pinn, method, inner, 99)
    other.load_state_dict(saved["net"])
    resumed.load_state_dict(saved["opt"])
    pinn.train(other, resumed, 7)
    assert same(net, other)
    assert opt.conflicts == resumed.conflicts
    assert (opt.conflicts.steps, opt.conflicts.taken) == (12, 0)
