"""The global random states of torch, numpy and Python, which users' functions may draw from."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


class RandomStates:
    """The states at the moment of construction."""

    def __init__(self) -> None:
        self._torch = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        self._numpy = np.random.get_state()  # noqa: NPY002  (the state that users draw from)
        self._python = random.getstate()

    def moved(self) -> bool:
        """Whether something drew since then."""
        now = RandomStates()
        return _differ(vars(self), vars(now))

    def restore(self) -> None:
        """Set the states back."""
        torch.set_rng_state(self._torch)
        if self._cuda:
            torch.cuda.set_rng_state_all(self._cuda)
        np.random.set_state(self._numpy)  # noqa: NPY002
        random.setstate(self._python)


def _differ(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return not torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return not np.array_equal(a, b)
    if isinstance(a, dict):
        return any(_differ(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return any(_differ(x, y) for x, y in zip(a, b, strict=True))
    return bool(a != b)
