"""Each field of a design changes the outcome, and bad values are refused."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
import torch

from conflictopt import MethodError, MultiLossOptimizer, attach, make
from conflictopt.adapters import AdapterDesign

from .networks import LOSSES, Mlp, identical, losses_of, network, points, trunk_of

OTHERS = [
    ({}, {"placement": "hidden"}),
    ({"placement": "hidden"}, {"placement": "weights"}),
    ({}, {"placement": "head"}),
    ({}, {"layers": ("layers.1",)}),
    ({}, {"rank": 2}),
    ({}, {"activation": "linear"}),
    ({}, {"scale": "sum"}),
    ({"rank": 2}, {"orthogonal": True}),
    ({}, {"routing": "exclusive"}),
    ({}, {"routing": "mixed"}),
    ({"routing": "mixed"}, {"share": 0.9}),
    ({}, {"learning_rate": 0.5}),
]


def trained(design):
    net = network(lambda: Mlp(2, 8, 8, 8, 1))
    adapters = attach(net, LOSSES, design)
    method = make("adapters", **design.routing_options)
    opt = MultiLossOptimizer(torch.optim.SGD(trunk_of(net), lr=1e-2), method)
    opt.add_adapters(adapters)
    for _ in range(3):
        opt.step(losses_of(net, points(net)))
    return net(points(net))


@pytest.mark.parametrize(("base", "change"), OTHERS)
def test_every_field_changes_the_outcome(base, change):
    first, second = AdapterDesign(**base), AdapterDesign(**{**base, **change})
    assert identical([trained(first)], [trained(first)])
    assert not torch.allclose(trained(first), trained(second), rtol=1e-9, atol=0)


def test_no_field_is_left_out():
    assert {f for _, change in OTHERS for f in change} == {f.name for f in fields(AdapterDesign)}


@pytest.mark.parametrize(("base", "change"), OTHERS)
def test_plain_data_and_back(base, change):
    design = AdapterDesign(**{**base, **change})
    assert AdapterDesign.from_json(json.loads(json.dumps(design.to_json()))) == design


def test_unknown_fields_are_refused():
    with pytest.raises(MethodError, match=r"fields of an adapter design, found \['width'\]"):
        AdapterDesign.from_json({"width": 3})


def test_options_change_a_given_design(mlp):
    design = AdapterDesign("hidden", rank=2)
    assert attach(mlp, LOSSES, design, rank=3).design == AdapterDesign("hidden", rank=3)
    assert design.rank == 2


@pytest.mark.parametrize(
    "options",
    [
        *[{"rank": v} for v in (0, -1, 1.5, True, "4", None)],
        {"placement": "first"},
        {"activation": "relu"},
        {"scale": 1.0},
        {"orthogonal": 1},
        {"routing": "own"},
        *[{"routing": "mixed", "share": v} for v in (-0.1, 1.1, float("nan"), True, "0.5")],
        {"share": 0.5},
        {"routing": "exclusive", "share": 0.5},
        *[{"learning_rate": v} for v in (0, -1.0, float("nan"), float("inf"), True, "1")],
        {"layers": ("",)},
        {"layers": (3,)},
    ],
    ids=str,
)
def test_bad_values_are_refused(options):
    with pytest.raises(MethodError, match=r"expected .*, found"):
        AdapterDesign(**options)


def test_changes_are_what_is_not_at_its_default():
    assert AdapterDesign(rank=4).changes == {}
    design = AdapterDesign(rank=2, layers="a.*")
    assert design.changes == {"rank": 2, "layers": ["a.*"]}
    assert AdapterDesign.from_json(design.changes) == design
