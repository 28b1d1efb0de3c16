"""Every method takes the backward passes that it says it takes."""

import pytest
import torch

from conflictopt import MultiLossOptimizer, make
from conflictopt.core import graphs
from conflictopt.methods.registry import METHODS, method_class

OPTIONS = {
    "adapters": [{}],
    "causal": [{"chunks": 4}],
    "constant": [{"weights": [1.0, 2.0, 3.0]}],
    "db_pinn": [{"refresh": 3}],
    "grad_norm": [{"refresh": 2}],
    "inverse_dirichlet": [{"refresh": 3}],
    "lr_annealing": [{"refresh": 2}],
    "ntk": [{"refresh": 3}, {"refresh": 2, "probes": 1}, {"refresh": 6, "probes": "exact"}],
}
STEPS = 6
BUILT = [(name, options) for name in METHODS for options in OPTIONS.get(name, [{}])]


@pytest.fixture
def passes(monkeypatch):
    """Backward passes over which the update is spread, counted in rows of gradients."""
    taken, run, grad = [], graphs.run_backward, torch.autograd.grad
    monkeypatch.setattr(graphs, "run_backward", lambda *a, **k: (taken.append(1), run(*a, **k))[1])

    def counted(outputs, inputs, seeds=None, *rest, **options):
        # derivatives that make the losses keep their graph; those that methods take do not
        if not options.get("create_graph"):
            taken.append(len(seeds) if options.get("is_grads_batched") else 1)
        return grad(outputs, inputs, seeds, *rest, **options)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    return taken


@pytest.mark.parametrize(("name", "options"), BUILT)
def test_a_method_takes_the_passes_that_it_states(pinn, passes, name, options):
    net, method = pinn.net(), make(name, **options)
    kind = torch.optim.SGD if method.steps_itself else torch.optim.Adam
    pinn.train(net, MultiLossOptimizer(kind(net.parameters(), lr=1e-3), method), STEPS)
    entries = sum(r.numel() for r in pinn.residuals(net).values())
    known = {**vars(method), "K": 3, "N": entries, "__builtins__": {}}
    stated = eval(method_class(name).passes, known)
    assert sum(passes) == pytest.approx(STEPS * stated)
