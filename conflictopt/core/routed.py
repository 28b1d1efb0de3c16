"""Which losses reach an adapter: the options that designs and the routing method share."""

from __future__ import annotations

from typing import Any, Literal

from .errors import MethodError

RoutingName = Literal["shared", "exclusive", "mixed"]
SHARE = 0.3
"""What the losses of other adapters weigh in mixed routing, unless chosen."""


def check_routing(routing: Any, share: Any) -> None:
    """Check the options of routing.

    Raises:
        MethodError: an unknown routing, a share outside [0, 1], or one that routing ignores.
    """
    if routing not in ("shared", "exclusive", "mixed"):
        raise MethodError(f"expected routing='shared', 'exclusive' or 'mixed', found {routing!r}.")
    number = isinstance(share, (int, float)) and not isinstance(share, bool)
    if not number or not 0 <= share <= 1:
        raise MethodError(f"expected share in [0, 1], found {share!r}.")
    if routing != "mixed" and share != SHARE:
        raise MethodError(f"expected routing='mixed' with share={share}, found {routing!r}.")
