"""What a step costs: multiples of the plain step, medians of a contender on a case."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...documents.sections import Number, Part, Picture
from ...step_cost.figure import CASES, figure_of
from ...step_cost.targets import DEEPXDE, LEAST_ADVANTAGE, SURGERY
from .reading import Record, read, span

LOOPS = ("torch_loop", "torch_loop_width_50")
PLAIN_SURGERY = ("pcgrad", "config")
REWEIGHTING = ("constant weights", "grad_norm", "ntk", "lr_annealing")
PROFILE = ("profile (every 10)",)
PEERS = ("torchjd", "conflictfree")
NARROW = ("burgers", "torch_loop")
"""With 3 hidden layers of 20."""
WIDE = ("burgers_width_50", "torch_loop_width_50")
AIM_WITHIN_DEEPXDE = SURGERY["burgers"]


def step_cost(results: Path) -> Iterator[Part]:
    """The figure, and the numbers of README.md and docs/cost.md."""
    record = read(results / "step_cost.json")
    yield Picture("docs/figures/step_cost.png", figure_of(record))
    adapters = read(results / "step_cost_adapters.json")["cases"]
    for name, text in (*_ranges(record["cases"]), *_aims(record["cases"]), *_adapters(adapters)):
        yield Number(f"step cost: {name}", text)


def _ranges(cases: Record) -> Iterator[tuple[str, str]]:
    for host, panels in (("deepxde", DEEPXDE), ("torch loop", LOOPS)):
        yield f"surgery, {host}", span(_medians(cases, panels, PLAIN_SURGERY), 2)
        yield f"reweighting, {host}", span(_medians(cases, panels, REWEIGHTING), 2)
        yield f"profile, {host}", span(_medians(cases, panels, PROFILE), 2)
    cheapest = (m for case in DEEPXDE for m in _cheapest(cases[case]))
    yield "other packages, deepxde", span(cheapest, 1)
    apart = (
        contender["ratio"][1]
        for case in LOOPS
        for name, contender in cases[case]["contenders"].items()
        if contender["maker"] in PEERS and name.endswith("loss by loss")
    )
    yield "other packages, torch loop", span(apart, 2)
    yield "reweighting", span(_medians(cases, CASES, REWEIGHTING), 2)
    yield "profile", span(_medians(cases, CASES, PROFILE), 2)


def _aims(cases: Record) -> Iterator[tuple[str, str]]:
    above = max(m - SURGERY[c] for c in NARROW for m in _medians(cases, [c], PLAIN_SURGERY))
    yield "above the aim", f"{above:.2f}"
    for case in ("burgers", "poisson10d"):
        yield f"advantage, {case}", f"{_advantage(cases[case]):.3g}"
    limits = dict(zip(WIDE, (AIM_WITHIN_DEEPXDE, SURGERY["torch_loop_width_50"]), strict=True))
    met = all(m <= limits[c] for c in WIDE for m in _medians(cases, [c], PLAIN_SURGERY))
    met &= _advantage(cases["burgers_width_50"]) >= LEAST_ADVANTAGE
    yield "aims at width 50", "meets both aims" if met else "misses an aim"


def _adapters(cases: Record) -> Iterator[tuple[str, str]]:
    for name, case in zip(("deepxde", "torch loop"), WIDE, strict=True):
        (median,) = _medians(cases, [case], ["ntk + adapters"])
        yield f"adapters, {name}", f"{median:.2f}"


def _medians(cases: Record, names: Iterable[str], contenders: Iterable[str]) -> list[float]:
    contenders = tuple(contenders)
    return [cases[n]["contenders"][c]["ratio"][1] for n in names for c in contenders]


def _cheapest(case: Record) -> list[float]:
    """Of every method of the other packages its cheapest way to be called."""
    ways: dict[tuple[str, str], list[float]] = defaultdict(list)
    for name, contender in case["contenders"].items():
        if contender["maker"] in PEERS:
            ways[contender["maker"], name.partition(",")[0]].append(contender["ratio"][1])
    return [min(found) for found in ways.values()]


def _advantage(case: Record) -> float:
    """The time of the others' cheapest way as a multiple of that of our method like it."""
    contenders = case["contenders"].values()
    return min(c["times_rival"][1] for c in contenders if c["maker"] in PEERS)
