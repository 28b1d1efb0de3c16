"""Every option of every method has an effect, and every refusal says why."""

from __future__ import annotations

import dataclasses
import math
from itertools import chain

import pytest
import torch

from conflictopt import GramianSurgery, MethodError, Recorder, Thresholds, make
from conflictopt.core.points import point_sets
from conflictopt.methods.registry import METHODS, method_class

SURGERY = [n for n in METHODS if issubclass(method_class(n), GramianSurgery)]
REQUIRED = {
    "adapters": {"routing": "mixed"},
    "causal": {"chunks": 2},
    "constant": {"weights": [1.0, 2.0, 3.0]},
    "dwa": {"window": 3},
}
CHANGED = {
    ("adapters", "routing"): "exclusive",
    ("adapters", "share"): 0.5,
    ("aligned_mtl", "scale"): "rmse",
    ("cagrad", "c"): 0.9,
    ("causal", "chunks"): 4,
    ("causal", "time"): 0,
    ("causal", "tolerance"): 2.0,
    ("constant", "weights"): [1.0, 2.0, 4.0],
    ("db_pinn", "cap"): 1.01,
    ("db_pinn", "refresh"): 5,
    ("db_pinn", "statistic"): "kurtosis",
    ("dcgd", "variant"): "average",
    ("dwa", "temperature"): 1.0,
    ("dwa", "window"): 2,
    ("fairgrad", "alpha"): 1.0,
    ("famo", "decay"): 1.0,
    ("famo", "least"): 1.0,
    ("famo", "lr"): 0.1,
    ("grad_norm", "cap"): 1.01,
    ("grad_norm", "form"): "one_sided",
    ("grad_norm", "momentum"): 0.5,
    ("grad_norm", "refresh"): 5,
    ("graddrop", "leak"): 0.5,
    ("gradnorm_chen", "alpha"): 0.0,
    ("gradnorm_chen", "cap"): 1.01,
    ("gradnorm_chen", "lr"): 0.1,
    ("gradvac", "beta"): 0.1,
    ("inverse_dirichlet", "cap"): 1.01,
    ("inverse_dirichlet", "momentum"): 0.1,
    ("inverse_dirichlet", "reference"): "max",
    ("inverse_dirichlet", "refresh"): 2,
    ("lr_annealing", "cap"): 1.01,
    ("lr_annealing", "momentum"): 0.5,
    ("lr_annealing", "refresh"): 5,
    ("lr_annealing", "variant"): "raw",
    ("m_config", "betas"): (0.5, 0.999),
    ("m_config", "eps"): 1.0,
    ("mgda", "normalize"): "norm",
    ("min_max", "cap"): 1.001,
    ("min_max", "lr"): 0.1,
    ("multi_adam", "betas"): (0.5, 0.99),
    ("multi_adam", "eps"): 1.0,
    ("multi_adam", "groups"): "kind",
    ("nash_mtl", "max_norm"): 0.5,
    ("ntk", "cap"): 1.01,
    ("ntk", "momentum"): 0.5,
    ("ntk", "probes"): 1,
    ("ntk", "refresh"): 5,
    ("rba", "eta"): 0.1,
    ("rba", "form"): "linear",
    ("rba", "gamma"): 0.5,
    ("rba", "on"): "all",
    ("rba", "start_at"): "residual",
    ("relobralo", "alpha"): 0.5,
    ("relobralo", "rho"): 0.5,
    ("relobralo", "temperature"): 1.0,
    ("resnorm", "alpha"): 0.0,
    ("resnorm", "cap"): 1.001,
    ("resnorm", "lr"): 0.1,
    ("sa_pinn", "cap"): 0.5,
    ("sa_pinn", "lr"): 0.1,
    ("sa_pinn", "mask"): "sigmoid",
    ("sa_pinn", "on"): "equations",
    ("sa_pinn", "start_level"): 2.0,
    ("softadapt", "beta"): 1.0,
    ("softadapt", "variant"): "normalized",
    ("softadapt", "window"): 2,
    ("stch", "mu"): 1.0,
    ("uncertainty", "cap"): 0.5001,
    ("uncertainty", "lr"): 0.1,
    ("uncertainty", "start"): 1.0,
}
"""Per method and option another value than its default."""
CHANGED.update({(n, "blocks"): "global" for n in SURGERY})


def options_of(name):
    """All but ``verify``, which changes only what is wrong: test_verify.py has that."""
    return {(name, f.name) for f in dataclasses.fields(method_class(name)) if f.name != "verify"}


@pytest.fixture
def outcome(step, random_rows):
    """``outcome(method)``: what it chooses in 12 steps, four residual points per loss."""

    def run(method):
        blocks = {"physics": 2, "adapter/a": 1, "adapter/b": 1, "adapter/c": 1}
        generator, state, chosen = torch.Generator().manual_seed(0), None, []
        for seed in range(12):
            points = list(random_rows(seed, 12, 10, span=0.5).view(3, 4, 10))
            offsets = torch.tensor([0.5, 1.0, 2.0]) / (1 + seed) ** torch.tensor([0.0, 0.5, 1.0])
            view = step(points, blocks=blocks, generator=generator, offsets=offsets)
            state = method.init(view.spec) if state is None else state
            weights, state = method.weigh(view.spec, point_sets(view._source.losses()), state)
            c, state, direction = method.choose(view, state)
            c = c if c.ndim == 2 else c[:, None].expand(-1, len(view.layout.blocks))
            chosen.append(c.flatten() if direction is None else direction)
            if weights is not None:
                chosen.extend(w.flatten().double() for w in chain(*weights.values()))
        return torch.cat(chosen)

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
        ("pcgard", {}, r"unknown method 'pcgard'\. Did you mean 'pcgrad' or 'upgrad'\? Known: "),
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
        ("grad_norm", {"form": "max"}, "form='mean', 'sum' or 'one_sided', found 'max'"),
        ("lr_annealing", {"variant": "max"}, "expected variant='weighted', 'raw' or 'mean'"),
        ("pcgrad", {"blocks": "layers"}, "'layer' or a mapping name -> block .*, found 'layers'"),
        ("config", {"blocks": None}, "expected blocks='physics', 'global', .*, found None"),
        ("config", {"blocks": {}}, r"list of block names, each block once, found \{\}"),
        ("pcgrad", {"verify": 1}, "expected verify=True or False, found 1"),
        ("aligned_mtl", {"scale": "max"}, "expected scale='min', 'median' or 'rmse', found 'max'"),
        ("cagrad", {"c": -0.1}, r"expected a finite c >= 0, found -0\.1"),
        ("cagrad", {"c": math.inf}, "expected a finite c >= 0, found inf"),
        ("causal", {"tolerance": 0}, "expected a finite tolerance > 0, found 0"),
        ("causal", {"chunks": 1}, "expected at least 2 chunks, found 1"),
        ("causal", {"time": 0.5}, "expected time as the number of a coordinate, found"),
        ("db_pinn", {"statistic": "max"}, "expected statistic='mean', 'std' or 'kurtosis', found"),
        ("db_pinn", {"cap": 0}, "expected cap >= 1, found 0"),
        ("db_pinn", {"refresh": 0}, "expected refresh as a positive integer, found 0"),
        ("dcgd", {"variant": "centre"}, "variant='center', 'average' or 'projection', found"),
        ("dwa", {"temperature": 0}, "expected a finite temperature > 0, found 0"),
        ("dwa", {"window": 0}, "expected window as a positive integer, found 0"),
        ("graddrop", {"leak": 2}, r"expected leak in \[0, 1\], found 2"),
        ("gradnorm_chen", {"alpha": -1}, "expected a finite alpha >= 0, found -1"),
        ("gradnorm_chen", {"lr": -1}, "expected a finite lr >= 0, found -1"),
        ("gradnorm_chen", {"cap": 0.1}, r"expected cap >= 1, found 0\.1"),
        ("gradvac", {"beta": 2}, r"expected beta in \[0, 1\], found 2"),
        ("inverse_dirichlet", {"reference": "pde"}, "reference='equations' or 'max', found 'pde'"),
        ("m_config", {"betas": (0.9,)}, r"expected two betas in \[0, 1\), found"),
        ("m_config", {"eps": 0}, "expected eps > 0, found 0"),
        ("mgda", {"normalize": "l2"}, "expected normalize='none', 'norm', .*, found 'l2'"),
        ("multi_adam", {"betas": (0.9, 1.0)}, r"expected two betas in \[0, 1\), found"),
        ("multi_adam", {"eps": -1}, "expected eps > 0, found -1"),
        ("multi_adam", {"groups": "all"}, "expected groups='each' or 'kind', found 'all'"),
        ("nash_mtl", {"max_norm": 0}, "expected max_norm > 0, found 0"),
        ("fairgrad", {"alpha": 0}, "expected alpha above 0 and at most 10, found 0"),
        ("fairgrad", {"alpha": 11}, "expected alpha above 0 and at most 10, found 11"),
        ("stch", {"mu": 0}, "expected a finite mu > 0, found 0"),
        ("famo", {"lr": -1}, "expected a finite lr >= 0, found -1"),
        ("famo", {"decay": -1}, "expected a finite decay >= 0, found -1"),
        ("famo", {"least": 0}, "expected a finite least > 0, found 0"),
        ("ntk", {"probes": "all"}, "expected probes as a positive integer, found 'all'"),
        ("rba", {"eta": 0}, "expected a finite eta > 0, found 0"),
        ("rba", {"gamma": 1}, r"expected gamma in \[0, 1\), found 1"),
        ("rba", {"form": "cubic"}, "expected form='square' or 'linear', found 'cubic'"),
        ("rba", {"on": "pde"}, "expected on='all' or 'equations', found 'pde'"),
        ("rba", {"start_at": "one"}, "expected start_at='zero' or 'residual', found 'one'"),
        ("relobralo", {"alpha": 2}, r"expected alpha in \[0, 1\], found 2"),
        ("relobralo", {"rho": -1}, r"expected rho in \[0, 1\], found -1"),
        ("relobralo", {"temperature": 0}, "expected a finite temperature > 0, found 0"),
        ("resnorm", {"alpha": math.inf}, "expected a finite alpha >= 0, found inf"),
        ("sa_pinn", {"lr": math.nan}, "expected a finite lr >= 0, found nan"),
        ("sa_pinn", {"mask": "cube"}, "expected mask='square' or 'sigmoid', found 'cube'"),
        ("sa_pinn", {"start_level": 0}, "start_level, above 0 with mask='square', found 0"),
        ("sa_pinn", {"cap": 0}, "expected cap > 0, found 0"),
        ("softadapt", {"beta": math.nan}, "expected a finite beta, found nan"),
        ("softadapt", {"variant": "soft"}, "variant='original', 'normalized' or 'loss_weighted'"),
        ("uncertainty", {"start": math.inf}, r"expected start in \[-100, 100\], found inf"),
        ("uncertainty", {"cap": 0.1}, r"cap of at least the first weight, 0\.5, found 0\.1"),
        ("adapters", {"routing": "own"}, "routing='shared', 'exclusive' or 'mixed', found 'own'"),
        ("adapters", {"routing": "mixed", "share": 1.5}, "expected share in .0, 1., found 1.5"),
        ("adapters", {"share": 0.5}, "expected routing='mixed' with share=0.5, found 'shared'"),
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
    with pytest.raises(MethodError, match=r"expected cosines in \[-1, 0\], fractions in \(0, 1\]"):
        Thresholds(**options)
