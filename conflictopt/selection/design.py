"""The adapters of a plan."""

from __future__ import annotations

from ..adapters.design import AdapterDesign
from .plan import Plan


def design_of(plan: Plan, chosen: AdapterDesign) -> AdapterDesign:
    """The design that a plan asks for; what the user chose otherwise than by default wins.

    Args:
        plan: of a diagnosis.
        chosen: by the user.
    """
    own = chosen.changes
    # a share belongs to the routing that it was chosen with
    planned = {k: v for k, v in plan.design.items() if k != "share" or "routing" not in own}
    return AdapterDesign.from_json({**planned, **own})
