"""The adapters of a plan."""

from __future__ import annotations

from dataclasses import fields, replace

from ..adapters.design import AdapterDesign
from ..diagnosis.selection import Plan


def design_of(plan: Plan, chosen: AdapterDesign) -> AdapterDesign:
    """The design that a plan asks for; what the user chose otherwise than by default wins.

    Args:
        plan: of a diagnosis.
        chosen: by the user.
    """
    usual = AdapterDesign()
    given = {f.name: getattr(chosen, f.name) for f in fields(AdapterDesign)}
    own = {k: v for k, v in given.items() if v != getattr(usual, k)}
    return replace(AdapterDesign.from_json(plan.design), **own)
