"""Batch rows that add nothing to a Jacobian at first, and do later."""

import torch

from conflictopt.curvature.jacobian import RowJacobian


def test_a_row_that_was_dead_at_first_is_not_left_out_later():
    # at the origin, and without biases yet, the second layer's input is zero
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    torch.nn.init.zeros_(net[0].bias)
    x = torch.tensor([[0.3, 0.1], [0.0, 0.0], [0.2, -0.4]])
    engines = {name: RowJacobian(list(net.parameters()), name) for name in ("layers", "batched")}
    for _ in range(2):
        found = {}
        for name, engine in engines.items():
            # residuals of a part of the rows, so that row i is not batch row i
            sets = engine.evaluate(lambda: {"late": net(x)[1:]})
            out = torch.empty(2, engine.size, dtype=torch.float64)
            engine.fill(sets, 0, None, out)
            found[name] = out
        torch.testing.assert_close(found["layers"], found["batched"])
        with torch.no_grad():
            net[0].bias.fill_(0.5)
