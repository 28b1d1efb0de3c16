"""A plan: what to do after the profile, and how it is carried out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, cast

from torch import nn

from ..adapters.attachment import Adapters, attach_once
from ..adapters.design import AdapterDesign
from ..core.aggregator import Aggregator
from ..core.chain import Chain
from ..core.errors import ConflictOptWarning, LayoutError, MethodError
from ..methods.registry import make
from ..optim.line_search import searches_lines
from ..optim.optimizer import MultiLossOptimizer
from .plan_template import PlanKind, named

Attach = Callable[[AdapterDesign], Adapters]
"""Attaches adapters of a design to the network of a run, one per loss."""


@dataclass(frozen=True)
class Plan:
    """What to do after the profile.

    One with ``curvature`` is carried out by hosts alone, which make the optimizer.

    Attributes:
        kind: its parts joined by `` + ``, e.g. ``adapters + reweighting``, or ``none``.
        reweighting: name of the reweighting method (of its class, if it was given as an
            object), if that is a part.
        adapters: whether per-loss adapters are attached.
        reason: a sentence with the deciding numbers, and another where the rule departs from the
            paper.
        design: options of the adapters that the rule asks for beside the defaults.
        surgery: name of the surgery method, if that is a part.
        left_out: name of the reweighting that would be a part if the user did not weight the
            losses.
    """

    kind: PlanKind
    reweighting: str | None
    adapters: bool
    reason: str
    design: Mapping[str, Any] = field(default_factory=dict, hash=False)
    surgery: str | None = None
    left_out: str | None = None

    @property
    def curvature(self) -> bool:
        """Whether steps on residuals take the place of the optimizer's."""
        return "curvature" in self.kind.split(" + ")

    def __str__(self) -> str:
        return named(self.kind, self.reweighting, self.surgery)

    def with_adapters(self) -> Plan:
        """The same beside adapters of the default design; a plan of nothing stays that."""
        if self.adapters or self.kind == "none":
            return self
        return replace(self, kind=cast(PlanKind, f"adapters + {self.kind}"), adapters=True)

    def without_adapters(self) -> Plan:
        """The other parts alone, for networks that no adapters go with."""
        rest = " + ".join(part for part in self.kind.split(" + ") if part != "adapters")
        kind = cast(PlanKind, rest or "none")
        return replace(self, kind=kind, adapters=False, design={})

    def design_of(self, chosen: AdapterDesign) -> AdapterDesign:
        """The design of its adapters; what the user chose otherwise than by default wins.

        Args:
            chosen: by the user.
        """
        own = chosen.changes
        # a share belongs to the routing that it was chosen with
        planned = {k: v for k, v in self.design.items() if k != "share" or "routing" not in own}
        return AdapterDesign.from_json({**planned, **own})

    def method(
        self,
        reweighting: Aggregator | None = None,
        design: AdapterDesign | None = None,
        searching: bool = False,
    ) -> Aggregator:
        """The method that carries it out.

        Args:
            reweighting: the method itself, where the plan names one that is no name of the
                registry.
            design: of the adapters, as far as the user chose it.
            searching: whether an optimizer with a line search (L-BFGS) trains. Surgery rests then:
                coefficients that suit the gradients of one point would be held for all of the
                search, and beside the unknowns of inverse problems have no scalar objective.
        """
        parts: list[Aggregator] = []
        if self.reweighting is not None:
            parts.append(reweighting if reweighting is not None else make(self.reweighting))
        if self.surgery is not None and not searching:
            parts.append(make(self.surgery))
        if self.adapters:
            routing = self.design_of(design or AdapterDesign()).routing_options
            parts.append(make("adapters", **routing))
        if not parts:
            return make("sum")
        return parts[0] if len(parts) == 1 else Chain(*parts)

    def apply(
        self, optimizer: MultiLossOptimizer, model: nn.Module | None = None, *, seed: int = 0
    ) -> Plan:
        """Go on with what it says: another method, and adapters if it has any.

        Args:
            optimizer: of a run that has taken a step, so that its losses have names.
            model: the network, for adapters.
            seed: of the adapters' down-projections.

        Returns:
            The plan as it is carried out: without adapters where none go with the network, which
            a warning says.

        Raises:
            MethodError: adapters without a model, or before the first step; curvature.
        """
        if self.curvature:
            raise MethodError(
                f"expected a plan of weights, surgery or adapters, found '{self}': step by "
                "MultiLossOptimizer(LevenbergMarquardt(net), ...) instead (docs/curvature.md)."
            )
        if self.adapters and (model is None or optimizer.session.names is None):
            lacking = "model=" if model is None else "a first step, which names the losses"
            raise MethodError(
                f"expected {lacking} with the plan '{self}', whose adapters are attached to it; or "
                "apply plan.without_adapters()."
            )
        network, names = cast(nn.Module, model), optimizer.session.names or ()
        done = self.fitted(optimizer, lambda d: attach_once(network, names, d, seed))
        optimizer.set_aggregator(done.method(searching=searches_lines(optimizer.inner)))
        return done

    def fitted(
        self,
        optimizer: MultiLossOptimizer,
        attach: Attach,
        chosen: AdapterDesign | None = None,
        note: Callable[[str], None] = lambda _: None,
    ) -> Plan:
        """Attach its adapters; where none go with the network, its other parts alone.

        Args:
            optimizer: that trains them.
            attach: returns those that are there already, if any are.
            chosen: what the user chose of their design.
            note: is told what was done, in a sentence.
        """
        if not self.adapters:
            return self
        try:
            adapters = attach(self.design_of(chosen or AdapterDesign()))
        except LayoutError as error:
            rest = self.without_adapters()
            message = f"no adapters go with this network, so {rest}: {error}"
            note(message)
            warnings.warn(f"conflictopt: {message}", ConflictOptWarning, stacklevel=2)
            return rest
        optimizer.add_adapters(adapters)
        count = sum(adapters.count_parameters().values())
        note(f"attached adapters, {count} parameters.")
        return self

    def to_json(self) -> dict[str, Any]:
        """The plan as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Plan:
        """What ``to_json`` gave.

        Raises:
            KeyError, TypeError: not what ``to_json`` gives.
        """
        return cls(**{f.name: content[f.name] for f in fields(cls)})
