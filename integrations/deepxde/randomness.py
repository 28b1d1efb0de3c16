"""Whether something drew from the global random states, which users' functions may use."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch


def watch_draws() -> Callable[[], bool]:
    """Remember the random states of torch, numpy and Python.

    Returns:
        A function that tells whether any of them has changed since.
    """
    before = _states()
    return lambda: _differ(before, _states())


def _states() -> list[Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    numpy = np.random.get_state()  # noqa: NPY002  (the state that users' functions draw from)
    return [torch.get_rng_state(), cuda, numpy, random.getstate()]


def _differ(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return not torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return not np.array_equal(a, b)
    if isinstance(a, (list, tuple)):
        return any(_differ(x, y) for x, y in zip(a, b, strict=True))
    return bool(a != b)
