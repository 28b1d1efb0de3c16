"""Rows of the residuals of every problem of the suite."""

from __future__ import annotations

import pytest
import torch

from conflictopt.lab.problems.problem import derivatives_of
from conflictopt.lab.problems.row_batches import RowResiduals
from conflictopt.lab.problems.suite import load_suite

SUITE = load_suite()


@pytest.mark.grid
@pytest.mark.parametrize("name", SUITE)
def test_rows_of_a_problem_are_those_of_single_backward_passes(engine_of, row_by_row, name):
    problem = SUITE[name]
    equations = problem.losses(problem.draw(problem.counts(True, 1 / 16), 0), torch.float64)
    net = problem.network(problem.sizes(12), 0, torch.float64)
    unknowns = problem.unknowns(torch.float64)
    engine = engine_of([*net.parameters(), *unknowns.values()])

    def batch(*mode):
        source = RowResiduals(equations, derivatives_of(net, *mode), unknowns)
        return source.batch(24, torch.Generator().manual_seed(1))

    apart, plain = batch("taylor_apart"), batch()
    sets = engine.evaluate(lambda: {n: list(rs) for n, rs in apart().residuals.items()})
    expected = [r for rs in plain().residuals.values() for r, _ in rs]
    assert len(sets) == len(expected)
    for number, (s, r) in enumerate(zip(sets, expected, strict=True)):
        close = {"rtol": 0.0, "atol": 1e-11 * max(1.0, float(r.detach().abs().max()))}
        torch.testing.assert_close(s.values, r.reshape(s.values.shape), **close)
        out = torch.empty(s.values.numel(), engine.size, dtype=torch.float64)
        engine.fill(sets, number, None, out)
        # single passes are what takes the time: of every third row
        rows = row_by_row(r.reshape(-1)[::3], engine.params)
        close["atol"] = 1e-10 * max(1.0, float(rows.abs().max()))
        torch.testing.assert_close(out[::3], rows, **close)
