"""What a plain step costs: the unit of the time that runs may take."""

from __future__ import annotations

import statistics
import time

import torch

from ...problems.problem import Problem
from ..budget import Budget
from .setup import Setup

_WARM, _BLOCKS = 10, 15
"""Steps before the first that counts (what a process sets up once is no step's time), and blocks
that are timed."""
_WARM_AGAIN, _BLOCKS_AGAIN = 3, 4
"""The same in the course of the run, of which this is no part but takes time all the same."""
_BLOCK = 7
"""Steps of a block."""


class PlainSteps:
    """Steps of Adam on the sum of the losses, by a network and unknowns of their own.

    As the plain run takes them, but without its profile and whatever else conflictopt does around
    a step: what is left is the least that a user's own loop takes.

    Args:
        problem, seed, budget: of the run whose plain step is asked for.
    """

    def __init__(self, problem: Problem, seed: int, budget: Budget) -> None:
        self._setup = Setup.of(problem, seed, budget)
        self._adam = torch.optim.Adam(self._setup.parameters, lr=budget.learning_rate)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._adam, budget.rate)
        self._measured = False

    def measure(self) -> float:
        """CPU seconds of a step at present: the median over blocks of steps.

        Work of others on the machine slows some blocks down; the median is what most take.
        """
        warm, blocks = (_WARM_AGAIN, _BLOCKS_AGAIN) if self._measured else (_WARM, _BLOCKS)
        self._measured = True
        for _ in range(warm):
            self._step()
        return statistics.median(self._block() for _ in range(blocks)) / _BLOCK

    def _block(self) -> float:
        began = time.process_time()
        for _ in range(_BLOCK):
            self._step()
        return time.process_time() - began

    def _step(self) -> None:
        self._adam.zero_grad()
        self._setup.objective().together().total().backward()  # type: ignore[no-untyped-call]
        self._adam.step()
        self._schedule.step()
