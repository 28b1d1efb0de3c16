"""Going back is bitwise, whatever happened in between."""

import pytest
import torch

from conflictopt import make
from conflictopt.adapters import attached


@pytest.mark.parametrize("method", ["sum", "softadapt", "pcgrad", "graddrop", "relobralo"])
@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.LBFGS, torch.optim.Adagrad])
def test_a_run_goes_on_as_if_nothing_had_been_tried(loops, kind, method):
    if kind is torch.optim.LBFGS and method in ("graddrop", "pcgrad"):
        pytest.skip("has no scalar objective")
    ends = []
    for tried in (False, True):
        loops.reset()
        loop = loops.Loop(losses=loops.noisy, kind=kind)
        loop.optimizer.set_aggregator(method)
        step = loop.advance if kind is not torch.optim.LBFGS else _searching(loop)
        step(5)
        if tried:
            before = loop.everything()
            snapshot = loop.snapshot()
            for _ in range(2):
                loop.attach()
                loop.optimizer.set_aggregator("relobralo")
                step(4)
                assert not loops.same(before, loop.everything())
                snapshot.restore()
                assert loops.same(before, loop.everything())
        step(5)
        ends.append(loop.everything())
    assert loops.same(*ends)


def _searching(loop):
    def advance(steps):
        for _ in range(steps):
            loop.optimizer.step(lambda: loop.at(loop.x))
            loop.schedule.step()

    return advance


def test_adapters_of_before_stay_and_train_on(loops):
    loop = loops.Loop()
    loop.attach()
    loop.advance(3)
    snapshot, before = loop.snapshot(), loop.everything()
    loop.advance(3)
    snapshot.restore()
    assert attached(loop.net) is not None
    assert loops.same(before, loop.everything())
    loop.advance(1)
    assert not loops.same(before, loop.everything())


def test_adapters_of_after_leave_no_trace(loops):
    loop = loops.Loop()
    loop.advance(3)
    snapshot = loop.snapshot()
    loop.attach()
    loop.advance(2)
    snapshot.restore()
    assert attached(loop.net) is None
    assert not any(name.startswith("adapter/") for name in loop.optimizer.blocks)
    assert len(loop.optimizer.inner.state) <= len(list(loop.net.parameters())) + 1
    assert loop.attach() > 0


def test_the_methods_state_and_reports_come_back(loops):
    loop = loops.Loop()
    loop.optimizer.set_aggregator(make("relobralo"))
    loop.advance(4)
    session = loop.optimizer.session
    state = {k: v.clone() for k, v in session.state.items()}
    reports, last = dict(session.reports), session.last
    snapshot = loop.snapshot()
    loop.optimizer.set_aggregator("softadapt")
    loop.advance(4)
    snapshot.restore()
    assert loop.optimizer.aggregator == make("relobralo")
    assert state.keys() == session.state.keys()
    assert all(torch.equal(state[k], session.state[k]) for k in state)
    assert dict(session.reports) == reports
    assert session.last == last


def test_buffers_that_a_forward_pass_replaces_come_back(loops):
    loop = loops.Loop()
    snapshot, buffer = loop.snapshot(), loop.net.calls
    loop.net.calls = torch.ones(3)
    loop.net.eval()
    snapshot.restore()
    assert loop.net.calls is buffer
    assert loop.net.training
