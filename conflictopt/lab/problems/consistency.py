"""What an entry says twice must agree."""

from __future__ import annotations

from .entry import Entry
from .spec import ProblemSpec


def check_redundant(entry: Entry, spec: ProblemSpec) -> None:
    """Check the fields that follow from others.

    Raises:
        SpecError: one that does not.
    """
    names = [loss.name for loss in spec.losses]
    stated = {
        "K": len(names),
        "loss_names": names,
        "dim": len(spec.geometry.space),
        "time_dependent": "t" in spec.inputs,
        "equations": [
            f"{m.text} = 0" for ls in spec.losses for m in ls.members if m.place.kind == "interior"
        ],
    }
    for field, found in stated.items():
        if entry.content.get(field, found) != found:
            entry.fail(field, f"{entry.content[field]} disagrees with the rest: {found}.")
    present = {s for ls in spec.losses for m in ls.members for s in m.expression.free_symbols}
    for name, unknown in spec.unknowns.items():
        if unknown.symbol not in present:
            entry.fail(f"unknowns.{name}", "occurs in no loss, so it cannot be found.")
