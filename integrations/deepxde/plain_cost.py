"""What an iteration of the optimizer that a model was compiled with costs."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from conflictopt.auto.random_states import RandomStates

from .hook import Batch, Hook

_SECONDS = 1.0
"""As long as steps are timed."""
_STEPS = 20
"""As many are timed at most, after one that is not."""
_SEARCHED = 20
"""Iterations of a step of L-BFGS that is timed."""


def iteration_seconds(hook: Hook, batch: Batch) -> float:
    """Seconds that one iteration takes, by a few steps that leave no trace.

    Args:
        hook: of the model.
        batch: of the steps.
    """
    with _restored(hook):
        times = [_timed(hook, batch)]
        began = time.perf_counter()
        while len(times) <= _STEPS and time.perf_counter() - began < _SECONDS:
            times.append(_timed(hook, batch))
    return statistics.median(times[1:])


def _timed(hook: Hook, batch: Batch) -> float:
    before = _iterations(hook.optimizer)
    began = time.perf_counter()
    hook.plain_step(batch)
    seconds = time.perf_counter() - began
    return seconds / max(1, _iterations(hook.optimizer) - before)


def _iterations(optimizer: torch.optim.Optimizer) -> int:
    """Of a search so far."""
    if not isinstance(optimizer, torch.optim.LBFGS):
        return 0
    return sum(int(state.get("n_iter", 0)) for state in optimizer.state.values())


@contextmanager
def _restored(hook: Hook) -> Iterator[None]:
    """Within it steps may be taken: parameters, optimizer and random states return after it."""
    optimizer, net = hook.optimizer, hook.model.net
    random = RandomStates()
    params = [p for g in optimizer.param_groups for p in g["params"]]
    values: list[Any] = [*params, *net.buffers()]
    kept = [(v, v.detach().clone(), v.grad) for v in values]
    state = copy.deepcopy(optimizer.state_dict())
    searches = isinstance(optimizer, torch.optim.LBFGS)
    if searches:
        optimizer.param_groups[0].update(max_iter=_SEARCHED, max_eval=2 * _SEARCHED)
    try:
        yield
    finally:
        with torch.no_grad():
            for value, before, grad in kept:
                value.copy_(before)
                value.grad = grad
        optimizer.load_state_dict(state)
        if not state["state"]:
            optimizer.state.clear()
        random.restore()
