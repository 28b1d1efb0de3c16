"""A recorder put before a method while it trains changes nothing, and sees the plain gradients."""

import pytest
import torch

from conflictopt import Chain, Recorder, make
from conflictopt.auto.observation import is_complete, observe, observing, profile_so_far, unobserve

# these form the update of a sampled step from the sampled gradients
ROUNDED = ("stateful", "gradients")
METHODS = {
    "sum": lambda: make("sum"),
    "stateful": lambda: make("relobralo"),
    "gradients": lambda: make("lr_annealing", refresh=3),
    "surgery": lambda: make("gradvac"),
    "random": lambda: make("graddrop"),
    "chain": lambda: Chain(make("relobralo"), make("gradvac")),
}


@pytest.mark.parametrize("name", METHODS)
def test_the_run_is_bitwise_the_one_without_it(loops, name):
    ends = []
    for watched in (False, True):
        loops.reset()
        loop = loops.Loop(lr=1e-3)
        loop.optimizer.set_aggregator(METHODS[name]())
        loop.advance(7)
        if watched:
            observe(loop.optimizer, Recorder(6, 2))
        loop.advance(6)
        if watched:
            assert is_complete(loop.optimizer, Recorder(6, 2))
            unobserve(loop.optimizer)
        loop.advance(7)
        assert loop.optimizer.aggregator == METHODS[name]()
        ends.append(loop)
    if name in ROUNDED:
        for p, q in zip(*(end.net.parameters() for end in ends), strict=True):
            torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-5)
    else:
        assert loops.same(*(end.everything() for end in ends))


def test_the_methods_state_goes_on(loops):
    loop = loops.Loop()
    loop.optimizer.set_aggregator(METHODS["chain"]())
    loop.advance(3)
    before = dict(loop.optimizer.session.state)
    observe(loop.optimizer, Recorder(5, 1))
    assert observing(loop.optimizer.aggregator)
    unobserve(loop.optimizer)
    after = loop.optimizer.session.state
    assert not observing(loop.optimizer.aggregator)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_held_coefficients_stay_held(loops):
    chosen = []
    for watched in (False, True):
        loop = loops.Loop()
        loop.optimizer.session.every = 4
        loop.optimizer.set_aggregator("relobralo")
        loop.advance(42)
        if watched:
            observe(loop.optimizer, Recorder(4, 1))
        held = loop.optimizer.last.coefficients.clone()
        loop.advance(2)
        assert torch.equal(held, loop.optimizer.last.coefficients)
        loop.advance(1)
        assert not torch.equal(held, loop.optimizer.last.coefficients)
        chosen.append(loop.optimizer.last.coefficients)
    torch.testing.assert_close(*chosen, rtol=1e-3, atol=1e-3)


def test_gradients_are_sampled_before_the_method_weights_them(loops):
    seen = []
    for method in (make("sum"), make("constant", weights=[1.0, 100.0, 1.0])):
        loop = loops.Loop(lr=0.0)
        loop.optimizer.set_aggregator(method)
        loop.advance(2)
        observe(loop.optimizer, Recorder(3, 1))
        loop.advance(3)
        profile = profile_so_far(loop.optimizer)
        assert profile.steps.tolist() == [2, 3, 4]
        seen.append(torch.from_numpy(profile.gramians))
    torch.testing.assert_close(*seen)


def test_before_the_first_step_too(loops):
    loop = loops.Loop()
    loop.optimizer.set_aggregator("relobralo")
    observe(loop.optimizer, Recorder(2, 1))
    assert profile_so_far(loop.optimizer) is None
    loop.advance(2)
    assert is_complete(loop.optimizer, Recorder(2, 1))
