"""What a rule does in one situation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ..adapters.design import AdapterDesign
from ..core.errors import MethodError

PlanKind = Literal[
    "none",
    "reweighting",
    "surgery",
    "reweighting + surgery",
    "adapters + reweighting",
    "adapters + surgery",
    "adapters + reweighting + surgery",
    "curvature",
    "curvature + reweighting",
]
"""``curvature`` is no part of a rule: whether it is possible, the run decides."""


@dataclass(frozen=True)
class PlanTemplate:
    """What to do in one situation.

    Attributes:
        kind: the parts of the plan, joined by `` + ``, or ``none``.
        reweighting: name of a reweighting method, at its defaults, if that is a part.
        design: options of ``AdapterDesign`` that are not at their defaults, if adapters are a part.
        surgery: name of a surgery method, at its defaults, if that is a part.

    Raises:
        MethodError: parts that do not go together, an unknown method or option.
    """

    kind: PlanKind
    reweighting: str | None = None
    design: Mapping[str, Any] = field(default_factory=dict, hash=False)
    surgery: str | None = None

    def __post_init__(self) -> None:
        kinds = [kind for kind in get_args(PlanKind) if "curvature" not in kind]
        if self.kind not in kinds:
            known = ", ".join(map(repr, kinds))
            raise MethodError(f"expected kind among {known}, found {self.kind!r}.")
        for family in ("reweighting", "surgery"):
            object.__setattr__(self, family, self._part(family, getattr(self, family)))
        if not isinstance(self.design, Mapping) or (self.design and not self.adapters):
            raise MethodError(
                "expected adapters as options of an AdapterDesign, with a kind that has them, "
                f"found {self.design!r} with kind '{self.kind}'."
            )
        # in one form, so that equal templates are
        object.__setattr__(self, "design", AdapterDesign.from_json(self.design).changes)

    @property
    def adapters(self) -> bool:
        """Whether per-loss adapters are attached."""
        return "adapters" in self.parts

    @property
    def parts(self) -> tuple[str, ...]:
        """Of the kind; none for ``none``."""
        return () if self.kind == "none" else tuple(self.kind.split(" + "))

    def __str__(self) -> str:
        return named(self.kind, self.reweighting, self.surgery)

    def to_json(self) -> dict[str, Any]:
        """The template as plain data."""
        made: dict[str, Any] = {"kind": self.kind}
        for part in ("reweighting", "surgery"):
            if getattr(self, part) is not None:
                made[part] = getattr(self, part)
        return {**made, "adapters": dict(self.design)} if self.design else made

    def _part(self, family: str, name: Any) -> Any:
        """The name of a part as the registry has it."""
        # late: the registry is asked, no method imported
        from ..methods.registry import method_class, registered

        if (family in self.parts) != (name is not None):
            raise MethodError(
                f"expected the name of a {family} method if '{family}' is a part of the kind, and "
                f"only then, found kind '{self.kind}' with {family} {name!r}."
            )
        if name is None:
            return None
        found = method_class(name) if isinstance(name, str) else type(name)
        if getattr(found, "family", None) != family:
            what = getattr(found, "family", found.__name__)
            raise MethodError(f"expected the name of a {family} method, found {name!r} ({what}).")
        if found.steps_itself:
            raise MethodError(
                f"expected a method that can begin in mid-run, found {name!r}: it takes the place "
                "of the optimizer, whose moments it does not know."
            )
        if self.adapters and not found.linear:
            raise MethodError(
                f"expected a method whose coefficients adapters can route, found {name!r}, which "
                "transforms gradients entry by entry."
            )
        return registered(name) if isinstance(name, str) else name


def named(kind: str, reweighting: str | None, surgery: str | None) -> str:
    """A plan with its methods: two plans may be of one kind."""
    methods = [name for name in (reweighting, surgery) if name]
    return kind + (f" ({', '.join(methods)})" if methods else "")
