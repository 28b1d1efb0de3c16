"""Interleaved timing: every timed step has a plain step right before or right after it."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Mapping
from typing import NamedTuple

from .problems import Step

LEAST_ROUNDS = 3


class TimedBlock(NamedTuple):
    """The steps of one contender in one round, in milliseconds, each with its plain step."""

    own: list[float]
    plain: list[float]


class Sample(NamedTuple):
    """Cost of one step: milliseconds, and as a multiple of the plain step beside it."""

    ms: float
    ratio: float


class Quartiles(NamedTuple):
    """Quartiles."""

    low: float
    median: float
    high: float


def interleave(
    plain: Step, timed: Mapping[str, tuple[Step, int]], seconds: float
) -> dict[str, list[TimedBlock]]:
    """Time all contenders in rounds, one block of pairs (own step, plain step) each per round.

    The order inside a pair alternates. One untimed block per contender warms up, so that
    contenders that work in cycles start each block at the beginning of one. The garbage collector
    is off while steps are timed and runs between blocks.

    Args:
        plain: the plain step that all are compared with.
        timed: per contender its step and the pairs of a block.
        seconds: no round starts after this time, except the first ``LEAST_ROUNDS``.

    Returns:
        Per contender one block per round.
    """
    blocks: dict[str, list[TimedBlock]] = {name: [] for name in timed}
    gc.collect()
    gc.freeze()  # what exists now is not searched again between blocks
    gc.disable()
    try:
        for step, pairs in timed.values():
            _block(step, plain, pairs, 0)
        began, rounds = time.perf_counter(), 0
        while rounds < LEAST_ROUNDS or time.perf_counter() - began < seconds:
            for name, (step, pairs) in timed.items():
                blocks[name].append(_block(step, plain, pairs, rounds))
                gc.collect()
            rounds += 1
    finally:
        gc.enable()
        gc.unfreeze()
    return blocks


def samples(blocks: list[TimedBlock], refresh: int) -> list[Sample]:
    """Costs per step.

    Args:
        blocks: of one contender.
        refresh: 1 if all steps are alike: each pair is a sample. Else a block is one: its first
            step ``f`` is a refresh and the others have median ``o``, so a step costs
            ``(f + (refresh - 1) * o) / refresh``, compared with the block's median plain step.
    """
    if refresh == 1:
        return [Sample(a, a / b) for block in blocks for a, b in zip(*block, strict=True)]
    cycles = []
    for own, plain in blocks:
        ms = (own[0] + (refresh - 1) * statistics.median(own[1:])) / refresh
        cycles.append(Sample(ms, ms / statistics.median(plain)))
    return cycles


def spread(values: list[float]) -> Quartiles:
    """Median and quartiles."""
    return Quartiles(*statistics.quantiles(values, n=4, method="inclusive"))


def quotient(blocks: list[TimedBlock], rival: list[TimedBlock]) -> Quartiles:
    """How many times a contender's step costs that of another, paired by round.

    Both are taken relative to the plain steps beside them, so that drift of the machine between
    their blocks cancels.
    """
    ratios = [[statistics.median(_ratios(b)) for b in side] for side in (blocks, rival)]
    return spread([a / b for a, b in zip(*ratios, strict=True)])


def _ratios(block: TimedBlock) -> list[float]:
    return [a / b for a, b in zip(*block, strict=True)]


def _block(step: Step, plain: Step, pairs: int, turn: int) -> TimedBlock:
    block = TimedBlock([], [])
    for i in range(pairs):
        order = [(step, block.own), (plain, block.plain)]
        for run, times in order if (i + turn) % 2 else reversed(order):
            began = time.perf_counter_ns()
            run()
            times.append((time.perf_counter_ns() - began) / 1e6)
    return block
