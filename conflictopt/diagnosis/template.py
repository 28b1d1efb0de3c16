"""What a rule does in one situation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ..adapters.design import AdapterDesign
from ..core.errors import MethodError

PlanKind = Literal["none", "reweighting", "adapters + reweighting"]


@dataclass(frozen=True)
class PlanTemplate:
    """What to do in one situation.

    Attributes:
        kind: ``none``, ``reweighting`` or ``adapters + reweighting``.
        reweighting: name of a reweighting method, at its defaults; ``None`` for kind ``none``.
        design: options of ``AdapterDesign`` that are not at their defaults; for kind
            ``adapters + reweighting`` only.

    Raises:
        MethodError: parts that do not go together, an unknown method or option.
    """

    kind: PlanKind
    reweighting: str | None = None
    design: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.kind not in get_args(PlanKind):
            known = ", ".join(map(repr, get_args(PlanKind)))
            raise MethodError(f"expected kind among {known}, found {self.kind!r}.")
        if (self.kind == "none") != (self.reweighting is None):
            raise MethodError(
                f"expected a reweighting method unless kind is 'none', found kind '{self.kind}' "
                f"with reweighting {self.reweighting!r}."
            )
        if self.reweighting is not None:
            _check_reweighting(self.reweighting)
        if not isinstance(self.design, Mapping) or (self.design and not self.adapters):
            raise MethodError(
                "expected adapters as options of an AdapterDesign, with kind "
                f"'adapters + reweighting', found {self.design!r} with kind '{self.kind}'."
            )
        # in one form, so that equal templates are
        object.__setattr__(self, "design", AdapterDesign.from_json(self.design).changes)

    @property
    def adapters(self) -> bool:
        """Whether per-loss adapters are attached."""
        return self.kind == "adapters + reweighting"

    def __str__(self) -> str:
        return self.kind + (f" ({self.reweighting})" if self.reweighting else "")

    def to_json(self) -> dict[str, Any]:
        """The template as plain data."""
        made: dict[str, Any] = {"kind": self.kind}
        if self.reweighting is not None:
            made["reweighting"] = self.reweighting
        return {**made, "adapters": dict(self.design)} if self.design else made


def _check_reweighting(name: Any) -> None:
    # late: the registry is asked, no method imported
    from ..registry import method_class

    found = method_class(name).family if isinstance(name, str) else type(name).__name__
    if found != "reweighting":
        raise MethodError(f"expected the name of a reweighting method, found {name!r} ({found}).")
