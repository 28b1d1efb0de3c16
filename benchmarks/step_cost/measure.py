"""One case measured: times, memory, and the record that the JSON file keeps."""

from __future__ import annotations

from typing import Any

from . import timing
from .cases import StepCase
from .contenders import StepContender
from .memory import peak_bytes

Record = dict[str, Any]


def measure(case: StepCase) -> Record:
    """Time a case's contenders, then take their memory on fresh problems.

    Returns:
        ``losses`` K, ``parameters`` P and ``rows``, and per contender the quartiles of ``ms`` and
        ``ratio``, ``peak_bytes``, for peers ``times_rival`` (cost as a multiple of ours), and
        ``rounds``: per round the milliseconds of its own steps and of the plain steps beside them.
    """
    problem = case.build()
    timed = {c.name: (c.start(case.build()), c.pairs) for c in case.contenders}
    blocks = timing.interleave(problem.step, timed, case.seconds)
    by_name = {c.name: c for c in case.contenders}
    records = {c.name: _record(c, blocks, by_name) for c in case.contenders}
    for c in case.contenders:
        cycle = c.pairs if c.refresh > 1 else 1
        peaks = peak_bytes(c.start(case.build()), steps=1 + cycle)
        records[c.name]["peak_bytes"] = peaks._asdict()
    return {
        "losses": problem.count,
        "parameters": sum(p.numel() for p in problem.net.parameters()),
        "rows": problem.rows,
        "contenders": records,
    }


def _record(
    contender: StepContender, blocks: dict[str, list[timing.Block]], known: dict[str, StepContender]
) -> Record:
    own = blocks[contender.name]
    samples = timing.samples(own, contender.refresh)
    record: Record = {
        "maker": contender.maker,
        "refresh": contender.refresh,
        "ms": _rounded(timing.spread([s.ms for s in samples])),
        "ratio": _rounded(timing.spread([s.ratio for s in samples])),
        "samples": len(samples),
    }
    if contender.rival in known:
        rival = blocks[contender.rival]
        record["rival"] = contender.rival
        record["times_rival"] = _rounded(timing.quotient(own, rival))
    record["rounds"] = [[[round(t, 4) for t in side] for side in block] for block in own]
    return record


def _rounded(spread: timing.Spread) -> list[float]:
    return [round(x, 4) for x in spread]
