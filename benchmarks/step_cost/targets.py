"""What was promised, beside what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from .memory import bound_bytes

Record = dict[str, Any]

SURGERY = {
    "burgers": 1.10,
    "kovasznay": 1.10,
    "torch_loop": 1.08,
    "torch_loop_width_50": 1.08,
}
ADAPTERS = {"burgers_width_50": 1.35, "torch_loop_width_50": 1.35}
REWEIGHTING, PROFILE, LEAST_ADVANTAGE = 1.03, 1.15, 2.0
DEEPXDE = ("burgers", "kovasznay", "poisson10d")


class Target(NamedTuple):
    """One target: ``measured`` should be ``"<="`` or ``">="`` (``sign``) the ``limit``.

    Times and memory are multiples of the plain step's; ``cheapest PEER / ours`` is the time of the
    peer's cheapest way as a multiple of that of our method which does the same.
    """

    case: str
    what: str
    measured: float
    sign: str
    limit: float

    @property
    def met(self) -> bool:
        """Whether it is reached."""
        if self.sign == "<=":
            return self.measured <= self.limit
        return self.measured >= self.limit


def targets(cases: dict[str, Record]) -> list[Target]:
    """All targets for which there is a measurement; medians are held against them."""
    return [t for name, case in cases.items() for t in _of_case(name, case)]


def _of_case(name: str, case: Record) -> Iterator[Target]:
    contenders = case["contenders"]
    limits = {"constant weights": REWEIGHTING, "profile (every 10)": PROFILE}
    if name in SURGERY:
        limits |= dict.fromkeys(("pcgrad", "config"), SURGERY[name])
    if name in ADAPTERS:
        limits["ntk + adapters"] = ADAPTERS[name]
    for contender, limit in limits.items():
        if contender in contenders:
            yield Target(name, contender, contenders[contender]["ratio"][1], "<=", limit)
    if name in DEEPXDE:
        for maker in ("torchjd", "conflictfree"):
            times = [c["times_rival"][1] for c in contenders.values() if c["maker"] == maker]
            yield Target(name, f"cheapest {maker} / ours", min(times), ">=", LEAST_ADVANTAGE)
    yield from _memory(name, case)


def _memory(name: str, case: Record) -> Iterator[Target]:
    plain, surgery = (case["contenders"][c]["peak_bytes"] for c in ("plain", "pcgrad"))
    for when in ("first", "later"):
        limit = bound_bytes(plain[when], case["losses"], case["parameters"]) / plain[when]
        measured = round(surgery[when] / plain[when], 4)
        yield Target(name, f"pcgrad, memory ({when})", measured, "<=", round(limit, 4))
