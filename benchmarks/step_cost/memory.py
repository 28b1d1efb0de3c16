"""Peak memory of torch's CPU allocator."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from .problems import Step

LATER = "every step but the first"


class Peaks(NamedTuple):
    """Bytes above what was held before the first step."""

    first: int
    later: int


def peak_bytes(step: Step, steps: int = 2) -> Peaks:
    """Largest number of bytes that torch's CPU allocator held, in the first step and after it.

    Call it before the first step of a run. Then everything that stays between steps is counted
    for every contender alike: gradients and Adam's moments, and the ``[K, P]`` rows where there
    are any; tensors from before (parameters, points) are not. ``later`` is the memory of a long
    run: those steps have all of this from their start, beside the graph. The first step is kept
    apart because a method may prepare or check something in it, once.

    The profiler records every allocation (+) and release (-) in bytes; the result is the largest
    running sum. Workspace of BLAS libraries is not torch's and is not seen.

    Args:
        step: takes one step.
        steps: number of steps, at least 2.

    >>> kept = []
    >>> def step():
    ...     a, b = torch.empty(1000), torch.empty(500)  # 4000 + 2000 bytes
    ...     del a
    ...     c = torch.empty(250)  # 2000 + 1000 bytes
    ...     kept.append(torch.empty(25))  # 100 bytes stay
    >>> peak_bytes(step)
    Peaks(first=6000, later=6100)
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        step()
        with record_function(LATER):
            for _ in range(steps - 1):
                step()
    events = recorded.profiler.kineto_results.events()
    boundary = next(e.start_ns() for e in events if e.name() == LATER)
    moves = sorted(
        (e.start_ns(), e.nbytes())
        for e in events
        if e.name() == "[memory]" and e.device_type() == torch.autograd.DeviceType.CPU
    )
    held = list(zip((at for at, _ in moves), accumulate(n for _, n in moves), strict=True))
    return Peaks(
        _largest(n for at, n in held if at < boundary),
        _largest(n for at, n in held if at >= boundary),
    )


def bound_bytes(plain: int, count: int, parameters: int) -> float:
    """What surgery may take: the plain step's peak and K float32 gradients, and 10 % of slack."""
    return 1.1 * (plain + 4 * count * parameters)


def _largest(held: Iterable[int]) -> int:
    return max(held, default=0)
