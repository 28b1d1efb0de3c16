"""What the tests of adapters share."""

from __future__ import annotations

import pytest
import torch

from .networks import NETWORKS, Mlp, network


@pytest.fixture(autouse=True)
def _globals_untouched():
    """Neither the global random source nor torch's settings move."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    state, dtype = torch.get_rng_state(), torch.get_default_dtype()
    yield
    moved = not torch.equal(state, torch.get_rng_state())
    assert not moved, "the global random state moved"
    assert torch.get_default_dtype() == dtype
    assert torch.get_num_threads() == 1
    torch.set_num_threads(threads)


@pytest.fixture(params=NETWORKS)
def build(request):
    """``build(dtype)`` -> a network with fixed weights, and the layers its designs name."""
    make, layers = NETWORKS[request.param]
    return lambda dtype=torch.float64: (network(make, dtype), layers)


@pytest.fixture
def mlp():
    """One float64 network with one head, ``layers.2``."""
    return network(lambda: Mlp(2, 8, 8, 1))
