"""What attaching and detaching refuse, and why they say so."""

from __future__ import annotations

import re

import pytest
from torch import nn

from conflictopt import LayoutError, attach
from conflictopt.adapters import attached, detach

LOSSES = ("pde", "bc", "ic")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "expected an adapter rank of at least 1, found 0."),
        ({"heads": ["out"]}, "('layers.0', 'layers.1', 'layers.2'), found ['out']."),
        ({"heads": []}, "('layers.0', 'layers.1', 'layers.2'), found none."),
        ({"losses": ()}, "losses"),
        ({"losses": ("pde", "bc", "pde")}, "losses"),
        ({"losses": "pde"}, "losses"),
    ],
)
def test_refused_arguments(options, message, mlp):
    with pytest.raises(LayoutError, match=re.escape(message)):
        attach(mlp, **{"losses": LOSSES, **options})
    assert attached(mlp) is None


def test_a_network_without_a_hidden_layer_is_refused():
    with pytest.raises(LayoutError, match=r"hidden layer, found 1 nn\.Linear in Sequential\."):
        attach(nn.Sequential(nn.Linear(2, 1)), LOSSES)


def test_attaching_twice_or_detaching_nothing_is_refused(mlp):
    with pytest.raises(LayoutError, match="this module has no adapters to detach"):
        detach(mlp)
    attach(mlp, LOSSES)
    with pytest.raises(LayoutError, match="has adapters already; detach them first"):
        attach(mlp, LOSSES)
