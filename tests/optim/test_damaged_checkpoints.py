"""Checkpoints with something missing or spoilt: refused as a whole, with what is damaged."""

from __future__ import annotations

import copy
import random
import warnings
from functools import partial

import pytest
import torch
from torch import optim

from conflictopt import CheckpointError, ConflictOptError, MultiLossOptimizer, Recorder
from conflictopt.optim.checkpoint_form import digests

ADAM = partial(optim.Adam, lr=1e-2)
RUNS = {
    "sum": (ADAM, "sum"),
    "pcgrad": (ADAM, "pcgrad"),
    "ntk+pcgrad": (ADAM, "ntk:refresh=2+pcgrad"),
    "m_config": (partial(optim.SGD, lr=1e-2), "m_config"),
    "rba": (ADAM, "rba"),
    "momentum": (partial(optim.SGD, lr=1e-2, momentum=0.9), "relobralo"),
    "wolfe": (partial(optim.LBFGS, max_iter=3, line_search_fn="strong_wolfe"), "ntk:refresh=2"),
    "recorder": (ADAM, lambda: Recorder(20, 2)),
    "soap": (ADAM, "soap:warm=2+ntk:refresh=2"),
    "auto": (ADAM, "auto"),
}
AUTO = {"profile_steps": 4, "profile_every": 1, "steps": 40}
PARTS = ("version", "method", "config", "names", "completed", "began", "skipped", "generator")
PARTS += ("state", "reports", "coefficients", "losses", "blocks")


def begun(pinn, run):
    inner, method = RUNS[run]
    net = pinn.net()
    options = AUTO if run == "auto" else {}
    chosen = method() if callable(method) else method
    return net, MultiLossOptimizer(inner(net.parameters()), chosen, **options)


def paths(tree, at=()):
    """Of every entry of nested dictionaries and lists."""
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in entries:
        yield (*at, key)
        if isinstance(value, dict | list):
            yield from paths(value, (*at, key))


MUTATIONS = {
    "none": lambda v: None,
    "text": lambda v: "spoilt",
    "number": lambda v: -3,
    "large": lambda v: 1e300,
    "list": lambda v: [],
    "dictionary": lambda v: {},
    "tensor": lambda v: torch.ones(2, 3),
    "shorter": lambda v: v[:-1] if isinstance(v, torch.Tensor) and v.ndim else v,
    "another kind": lambda v: v.long() if isinstance(v, torch.Tensor) else str(v),
    "nested": lambda v: {"spoilt": v},
}


def spoilt(saved, chance):
    """A copy with one entry gone or of another kind, and what was done."""
    damaged = copy.deepcopy(saved)
    path = chance.choice(list(paths(damaged)))
    parent = damaged
    for key in path[:-1]:
        parent = parent[key]
    how = chance.choice(["gone", *MUTATIONS])
    if how == "gone":
        del parent[path[-1]]
    else:
        parent[path[-1]] = MUTATIONS[how](parent[path[-1]])
    return damaged, (path, how)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_missing_is_named(pinn, snapshot, same, part):
    net, opt = begun(pinn, "pcgrad")
    pinn.train(net, opt, 3)
    saved = copy.deepcopy(opt.state_dict())
    del saved["conflictopt"][part]
    pinn.train(net, opt, 2)
    before = snapshot(net, opt)
    with pytest.raises(CheckpointError, match=f"'{part}' is missing"):
        opt.load_state_dict(saved)
    assert same(snapshot(net, opt), before)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_another_kind_is_named(pinn, snapshot, same, part):
    net, opt = begun(pinn, "pcgrad")
    pinn.train(net, opt, 3)
    saved = copy.deepcopy(opt.state_dict())
    saved["conflictopt"][part] = 1.5
    before = snapshot(net, opt)
    with pytest.raises(CheckpointError, match=f"'{part}' .*is not what was written|of version"):
        opt.load_state_dict(saved)
    assert same(snapshot(net, opt), before)


def fuzz(pinn, snapshot, same, run, tries, seed=0):
    """Load damaged checkpoints; returns how many were refused, and what broke."""
    chance = random.Random(seed)
    net, opt = begun(pinn, run)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pinn.train(net, opt, 6)
        saved, weights = copy.deepcopy(opt.state_dict()), copy.deepcopy(net.state_dict())
        refused, broken = 0, []
        for _ in range(tries):
            damaged, what = spoilt(saved, chance)
            net, opt = begun(pinn, run)
            net.load_state_dict(weights)
            pinn.train(net, opt, 3)
            before = snapshot(net, opt)
            try:
                opt.load_state_dict(damaged)
            except (CheckpointError, ValueError):
                refused += 1
                if not same(snapshot(net, opt), before):
                    broken.append((*what, "half loaded"))
                continue
            except Exception as error:
                broken.append((*what, "load", repr(error)[:150]))
                continue
            try:
                pinn.train(net, opt, opt.completed + 2)
            except ConflictOptError:
                refused += 1  # options that the method does not go with
            except Exception as error:
                broken.append((*what, "step", repr(error)[:150]))
    return refused, broken


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
def test_no_damage_ends_in_a_raw_error_or_half_a_run(pinn, snapshot, same, run):
    refused, broken = fuzz(pinn, snapshot, same, run, tries=150)
    assert not broken
    assert refused


@pytest.mark.parametrize(
    "value",
    [
        torch.empty(0),
        torch.tensor(True),
        torch.ones(2, 3).t(),
        torch.ones(2, dtype=torch.bfloat16),
        torch.ones(2, dtype=torch.complex64).conj(),
        torch.ones(2, dtype=torch.complex64).conj().imag,
        torch.eye(3).to_sparse(),
    ],
)
def test_every_kind_of_tensor_has_a_digest_that_a_file_keeps(value, through_a_file):
    found = digests({"part": {"value": value}}, {}, "own")
    assert found == digests({"part": through_a_file({"value": value})}, {}, "own")


def test_a_state_that_went_on_before_it_was_written_loads(pinn):
    """torch's ``state_dict`` has the live tensors."""
    net, opt = begun(pinn, "pcgrad")
    pinn.train(net, opt, 3)
    saved = opt.state_dict()
    pinn.train(net, opt, 5)
    begun(pinn, "pcgrad")[1].load_state_dict(saved)


def test_options_that_schedulers_and_users_add_may_be_missing(pinn):
    net, opt = begun(pinn, "pcgrad")
    pinn.train(net, opt, 3)
    saved = copy.deepcopy(opt.state_dict())
    net, opt = begun(pinn, "pcgrad")
    torch.optim.lr_scheduler.StepLR(opt, 10)
    opt.param_groups[0]["name"] = "all"
    opt.load_state_dict(saved)
    assert opt.completed == 3
