"""Adapters in a file of their own."""

from __future__ import annotations

import pytest
import torch

from conflictopt import LayoutError, attach
from conflictopt.adapters import (
    AdapterDesign,
    attached,
    load_adapters,
    save_adapters,
    saved_adapters,
)

from .networks import LOSSES, Mlp, acting, identical, network, points
from .test_persistence import DESIGNS


@pytest.fixture
def file(tmp_path):
    """``file(net)``: a file with its adapters."""
    return lambda net: save_adapters(net, tmp_path / "adapters.pt")


@pytest.mark.parametrize("design", DESIGNS, ids=lambda d: d.placement)
def test_the_same_trunk_gives_the_same_outputs(design, build, file):
    net, layers = build()
    acting(attach(net, LOSSES, design, layers=layers))
    other, _ = build()
    adapters = load_adapters(other, file(net))
    assert attached(other) == adapters
    assert (adapters.losses, adapters.layers) == (LOSSES, attached(net).layers)
    assert {f: getattr(adapters.design, f) for f in ("routing", "share", "learning_rate")} == {
        f: getattr(design, f) for f in ("routing", "share", "learning_rate")
    }
    assert torch.equal(other(points(net)), net(points(net)))


def test_a_file_holds_adapters_only(mlp, file):
    acting(attach(mlp, LOSSES, placement="hidden"))
    state = torch.load(file(mlp), weights_only=True)
    assert all("conflictopt_adapters" in k for k in state)
    losses, design = saved_adapters(state)
    assert losses == LOSSES
    assert design == AdapterDesign("hidden", layers=("layers.1", "layers.2"))


def test_a_network_that_is_a_single_part_of_another(mlp, file):
    """Adapters are found by their layers' names in the module they were saved from."""
    whole = torch.nn.ModuleDict({"net": mlp})
    acting(attach(whole, LOSSES))
    load_adapters(torch.nn.ModuleDict({"net": network(lambda: Mlp(2, 8, 8, 1))}), file(whole))
    with pytest.raises(LayoutError, match=r"found \['net.layers.2'\]"):
        load_adapters(network(lambda: Mlp(2, 8, 8, 1)), file(whole))


def refused(net, path, message):
    before, keys = [p.clone() for p in net.parameters()], list(net.state_dict())
    had = attached(net)
    with pytest.raises(LayoutError, match=message):
        load_adapters(net, path)
    assert identical(before, list(net.parameters()))
    assert (list(net.state_dict()), attached(net)) == (keys, had)
    assert len([h for m in net.modules() for h in m._forward_pre_hooks]) == (had is not None)


def test_files_that_do_not_fit_are_refused(mlp, file, tmp_path):
    acting(attach(mlp, LOSSES))
    path = file(mlp)
    refused(network(lambda: Mlp(2, 8, 9, 1)), path, "(?s)do not fit this network.*size mismatch")
    refused(network(lambda: Mlp(2, 8, 1)), path, r"found \['layers.2'\]")
    refused(mlp, path, "has adapters already")

    state = torch.load(path, weights_only=True)
    half = {k: v for k, v in state.items() if not k.endswith("up.1")}
    plain = network(lambda: Mlp(2, 8, 8, 1))
    for content, message in (
        (half, r"(?s)do not fit this network.*Missing key.*up\.1"),
        (plain.state_dict(), "expected adapters in '.*', found none"),
        ([1.0], "expected adapters in '.*', found none"),
        ({k: v[:5] if k.endswith("about") else v for k, v in state.items()}, "description of ad"),
    ):
        torch.save(content, tmp_path / "other.pt")
        refused(plain, tmp_path / "other.pt", message)


def test_layers_that_disagree_are_refused(mlp, file, tmp_path):
    """A file put together of two: the first layer's description is not the second's."""
    acting(attach(mlp, LOSSES, placement="hidden"))
    other = network(lambda: Mlp(2, 8, 8, 1))
    acting(attach(other, LOSSES, placement="hidden", activation="linear"))
    key = "layers.2.conflictopt_adapters.about"
    mixed = {**torch.load(file(mlp), weights_only=True), key: other.state_dict()[key]}
    torch.save(mixed, tmp_path / "mixed.pt")
    refused(network(lambda: Mlp(2, 8, 8, 1)), tmp_path / "mixed.pt", "found activation='linear'")


def test_a_missing_file_and_a_network_without_adapters(mlp, tmp_path):
    with pytest.raises(OSError, match=r"none\.pt"):
        load_adapters(mlp, tmp_path / "none.pt")
    with pytest.raises(LayoutError, match="no adapters to save"):
        save_adapters(mlp, tmp_path / "none.pt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"not a file of torch"])
def test_a_file_of_another_kind(content, mlp, tmp_path):
    (tmp_path / "adapters.pt").write_bytes(content)
    with pytest.raises(LayoutError, match="found a file of another kind"):
        load_adapters(mlp, tmp_path / "adapters.pt")
    assert attached(mlp) is None
