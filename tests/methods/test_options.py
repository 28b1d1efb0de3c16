"""Every option of every method has an effect, and every refusal says why."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from conflictopt import MethodError, Recorder, Thresholds, make
from conflictopt.registry import METHODS, method_class

REQUIRED = {"constant": {"weights": [1.0, 2.0, 3.0]}}
CHANGED = {
    ("adapters", "routing"): "exclusive",
    ("config", "blocks"): "global",
    ("constant", "weights"): [1.0, 2.0, 4.0],
    ("grad_norm", "cap"): 1.01,
    ("grad_norm", "form"): "one_sided",
    ("grad_norm", "momentum"): 0.5,
    ("grad_norm", "refresh"): 5,
    ("lr_annealing", "cap"): 1.01,
    ("lr_annealing", "momentum"): 0.5,
    ("lr_annealing", "refresh"): 5,
    ("lr_annealing", "variant"): "raw",
    ("ntk", "cap"): 1.01,
    ("ntk", "momentum"): 0.5,
    ("ntk", "probes"): 1,
    ("ntk", "refresh"): 5,
    ("pcgrad", "blocks"): "global",
}
"""Per method and option another value than its default."""


def options_of(name):
    return {(name, f.name) for f in dataclasses.fields(method_class(name))}


@pytest.fixture
def outcome(step, random_rows):
    """``outcome(method)``: its coefficients over 12 steps, four residual points per loss."""

    def run(method):
        blocks = {"physics": 2, "adapter/a": 1, "adapter/b": 1, "adapter/c": 1}
        generator, state, chosen = torch.Generator().manual_seed(0), None, []
        for seed in range(12):
            points = list(random_rows(seed, 12, 10, span=0.5).view(3, 4, 10))
            view = step(points, blocks=blocks, generator=generator)
            c, state = method.update(view, method.init(view.spec) if state is None else state)
            chosen.append(c if c.ndim == 2 else c[:, None].expand(-1, len(view.layout.blocks)))
        return torch.stack(chosen)

    return run


def test_table_names_every_option():
    assert set(CHANGED) == set().union(*map(options_of, METHODS))


@pytest.mark.parametrize(("name", "option"), CHANGED)
def test_option_changes_the_outcome(name, option, outcome):
    required = REQUIRED.get(name, {})
    changed = {**required, option: CHANGED[name, option]}
    assert not torch.equal(outcome(make(name, **required)), outcome(make(name, **changed)))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("pcgard", {}, r"unknown method 'pcgard'\. Did you mean 'pcgrad'\? Known: adapters, "),
        ("", {}, r"unknown method ''\. Known: "),
        ("sum", {"a": 1}, r"method 'sum' has no option \['a'\]; its options: none\."),
        ("ntk", {"prob": 1}, r"no option \['prob'\]; its options: .*probes"),
        ("constant", {}, r"method 'constant' needs the option \['weights'\]"),
        ("constant", {"weights": 2.0}, "weights as a mapping name -> weight or a sequence, .*2.0"),
        ("constant", {"weights": "ab"}, "weights as a mapping name -> weight or a sequence"),
        ("constant", {"weights": [1.0, -1.0]}, r"finite weights >= 0, found -1\.0"),
        ("constant", {"weights": {"a": math.inf}}, "finite weights >= 0, found inf"),
        ("constant", {"weights": {"a": math.nan}}, "finite weights >= 0, found nan"),
        ("constant", {"weights": ["x"]}, "finite weights >= 0, found 'x'"),
        ("ntk", {"momentum": 1.0}, r"expected momentum in \[0, 1\), found 1\.0"),
        ("ntk", {"momentum": -0.1}, r"expected momentum in \[0, 1\), found -0\.1"),
        ("ntk", {"momentum": math.nan}, r"expected momentum in \[0, 1\), found nan"),
        ("ntk", {"momentum": "high"}, "method 'ntk' cannot take momentum='high'"),
        ("ntk", {"refresh": 0}, "expected refresh as a positive integer, found 0"),
        ("ntk", {"refresh": 1.5}, r"expected refresh as a positive integer, found 1\.5"),
        ("ntk", {"refresh": math.nan}, "expected refresh as a positive integer, found nan"),
        ("ntk", {"refresh": math.inf}, "expected refresh as a positive integer, found inf"),
        ("ntk", {"cap": 0.5}, r"expected cap >= 1, found 0\.5"),
        ("ntk", {"cap": math.nan}, "expected cap >= 1, found nan"),
        ("ntk", {"probes": 0}, "expected probes as a positive integer, found 0"),
        ("ntk", {"probes": 2.5}, r"expected probes as a positive integer, found 2\.5"),
        ("grad_norm", {"form": "sum"}, "expected form='mean' or 'one_sided', found 'sum'"),
        ("lr_annealing", {"variant": "max"}, "expected variant='weighted', 'raw' or 'mean'"),
        ("pcgrad", {"blocks": "layer"}, "expected blocks='physics' or 'global', found 'layer'"),
        ("config", {"blocks": None}, "expected blocks='physics' or 'global', found None"),
        ("adapters", {"routing": "own"}, "expected routing='shared' or 'exclusive', found 'own'"),
    ],
)
def test_refused_options(name, options, message):
    with pytest.raises(MethodError, match=message):
        make(name, **options)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"b": 1.0, "z": 2.0}, r"weights given for \['z'\], but the losses are \('a', 'b', 'c'\)"),
        ([1.0, 2.0], r"expected 3 weights for the losses \('a', 'b', 'c'\), found 2"),
    ],
)
def test_constant_weights_that_do_not_fit_the_losses(weights, message, step, random_rows):
    with pytest.raises(MethodError, match=message):
        make("constant", weights=weights).init(step(random_rows(0)).spec)


@pytest.mark.parametrize(
    "blocks", [{}, {"adapter/a": 1, "adapter/b": 1}, {f"adapter/{n}": 1 for n in "abcd"}]
)
def test_exclusive_routing_without_one_adapter_per_loss(blocks, step, random_rows):
    view = step(random_rows(0), blocks=blocks)
    with pytest.raises(MethodError, match=r"exclusive routing needs one block 'adapter/<loss>'"):
        make("adapters", routing="exclusive").update(view, {})


@pytest.mark.parametrize("options", [{"steps": 0}, {"every": 0}])
def test_refused_recorder_options(options):
    with pytest.raises(MethodError, match=r"expected (steps|every) as a positive integer, found"):
        Recorder(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"conflict_below": 0.1},
        {"persistent_fraction": 0.0},
        {"persistent_cosine": -1.5},
        {"magnitude_ratio": 0.5},
        {"enough_samples": 0},
    ],
)
def test_refused_thresholds(options):
    with pytest.raises(MethodError, match=r"expected cosines in \[-1, 0\], a fraction in \(0, 1\]"):
        Thresholds(**options)
