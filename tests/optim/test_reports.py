"""What ``reports`` says, and that a warning made an error loses nothing."""

import warnings

import pytest
import torch

from conflictopt import ConflictOptWarning, MultiLossOptimizer


def opposed(method):
    w = torch.nn.Parameter(torch.zeros(2))
    opt = MultiLossOptimizer(torch.optim.SGD([w], lr=1.0), method)
    return opt, lambda: opt.step({"a": w[0], "b": -w[0]})


def test_one_warning_and_a_count():
    opt, step = opposed("chebyshev")
    with pytest.warns(ConflictOptWarning, match=r"no direction lowers all of 'a', 'b'") as seen:
        step()
    step()
    step()
    assert len(seen) == 1
    report = opt.reports["no_descent"]
    assert (report.count, report.first, report.last) == (3, 0, 2)
    assert dict(opt.reports) == {"no_descent": report}


def test_a_warning_that_is_an_error_comes_after_the_step():
    opt, step = opposed("chebyshev")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConflictOptWarning):
            step()
        step()
    assert opt.completed == 2
    assert opt.reports["no_descent"].count == 2
