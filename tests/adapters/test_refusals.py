"""What attaching and detaching refuse, and why they say so."""

from __future__ import annotations

import re

import pytest
from torch import nn

from conflictopt import LayoutError, MethodError, attach
from conflictopt.adapters import attached, detach

from .networks import LOSSES, Mlp, fixed_random_state, network


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rank": 0}, MethodError, "expected rank as a whole number >= 1, found 0."),
        ({"width": 3}, TypeError, "width"),
        (
            {"layers": ["layers.1", "out"]},
            LayoutError,
            "expected layers among ('layers.0', 'layers.1', 'layers.2'), found ['out'].",
        ),
        ({"losses": ()}, LayoutError, "expected losses as different names, found ()."),
        ({"losses": ("pde", "bc", "pde")}, LayoutError, "expected losses as different names"),
        ({"losses": "pde"}, LayoutError, "expected losses as different names, found 'pde'."),
        (
            {"orthogonal": True, "rank": 3},
            LayoutError,
            "expected at most 8 columns in orthogonal down-projections (the layer's inputs), found "
            "3 losses times rank 3.",
        ),
    ],
)
def test_refused_arguments(options, error, message, mlp):
    with pytest.raises(error, match=re.escape(message)):
        attach(mlp, **{"losses": LOSSES, **options})
    assert attached(mlp) is None


def test_a_refusal_at_the_second_layer_leaves_the_first_alone():
    net = network(lambda: Mlp(2, 9, 6, 1))
    with pytest.raises(LayoutError, match="at most 6 columns"):
        attach(net, LOSSES, placement="hidden", orthogonal=True, rank=3)
    assert attached(net) is None
    assert not any(m._forward_pre_hooks for m in net.modules())


def test_a_network_without_a_hidden_layer_is_refused():
    with fixed_random_state():
        net = nn.Sequential(nn.Linear(2, 1))
    with pytest.raises(LayoutError, match=r"hidden layer, found 1 nn\.Linear in Sequential\."):
        attach(net, LOSSES)


def test_a_network_without_weights_between_hidden_layers_is_refused():
    net = network(lambda: Mlp(2, 8, 1))
    with pytest.raises(LayoutError, match=r"placement='weights', found only \('layers.0', 'lay"):
        attach(net, LOSSES, placement="weights")


def test_attaching_twice_or_detaching_nothing_is_refused(mlp):
    with pytest.raises(LayoutError, match="this module has no adapters to detach"):
        detach(mlp)
    attach(mlp, LOSSES)
    with pytest.raises(LayoutError, match="has adapters already; detach them first"):
        attach(mlp, LOSSES)
