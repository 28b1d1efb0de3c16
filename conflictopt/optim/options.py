"""How each step of a run is taken: the options that every method shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from ..core.checks import check_count, check_share
from ..core.choices import changed
from ..core.engines import EngineName, check_engine
from ..core.errors import MethodError
from ..methods.expression import MethodExpression
from .actual_update import UpdateMode, Watching, check_update


@dataclass(frozen=True, kw_only=True)
class StepOptions:
    """How each step of a run is taken, whatever the method.

    Args:
        seed: seed of the run's own random generator.
        engine: how per-loss gradients are computed, where a method reads them. ``"auto"`` is right
            unless you measure otherwise; see ``conflictopt.core.engines`` for ``"graph"``,
            ``"rows"`` (only for hosts that can evaluate losses apart) and ``"batched"``.
        every: how many steps the coefficients hold. In between, a step is one backward pass of
            the weighted sum, and the method does not see it.
        update: what to do with the wrapped optimizer's actual update. ``"trust"`` takes it.
            ``"check"`` compares how it moved the network with every loss's gradient and reports the
            steps in which it raises a loss to first order (``reports["update"]``). ``"correct"``
            then projects it on the nearest update that raises none; the optimizer's own moments
            stay as they are: for comparison, as it raised the errors of the plain sum
            (docs/first_order.md). ``"align"`` projects in the optimizer's own metric, and its
            moments follow (SGD, RMSprop, Adam, AdamW, SOAP); the gradient of the plain sum is then
            that of the losses one by one, equal to rounding. All need all per-loss gradients at
            every step (K backward passes, which methods of surgery take anyway) and a copy of the
            parameters, and count conflicts by stage (``conflicts``).
        momentum_share: of ``"align"``: how far, from 0 to 1, the optimizer's mean of gradients
            follows an update that was aligned (rho_m of arXiv 2609.01558); 0.1, with SOAP 0.03,
            unless given.
        scale_share: likewise its mean of their squares (rho_v); 0.03, with SOAP 0.003.
        on_nonfinite: on an infinite or NaN loss or gradient, ``"raise"``, or ``"skip"`` the step
            (up to 100 in a row); either way parameters and state stay as they were. Trial points
            of a line search may be infinite, as in the plain run; parameters after it may not.
        alone: in a process group of ``torch.distributed``, whether each process trains a model of
            its own. Without it only ``sum`` trains there, whose step is ``loss.backward()``.

    Raises:
        MethodError: a bad value; the message names the option.
    """

    seed: int = 0
    engine: EngineName = "auto"
    every: int = 1
    update: UpdateMode = "trust"
    momentum_share: float | None = None
    scale_share: float | None = None
    on_nonfinite: Literal["raise", "skip"] = "raise"
    alone: bool = False

    def __post_init__(self) -> None:
        check_engine(self.engine)
        check_count("every", self.every)
        check_update(self.update)
        for name in ("momentum_share", "scale_share"):
            check_share(name, getattr(self, name))
        if self.on_nonfinite not in ("raise", "skip"):
            raise MethodError(
                f"expected on_nonfinite='raise' or 'skip', found {self.on_nonfinite!r}."
            )
        if not isinstance(self.alone, bool):
            raise MethodError(f"expected alone as True or False, found {self.alone!r}.")

    @property
    def watching(self) -> Watching:
        """What is done with the wrapped optimizer's update."""
        return Watching(self.update, self.momentum_share, self.scale_share)


def only_of_steps(options: StepOptions | None, choices: Mapping[str, Any]) -> bool:
    """Whether nothing is asked for beyond how each step is taken."""
    known = {f.name for f in fields(StepOptions)}
    return type(options) in (StepOptions, type(None)) and known.issuperset(choices)


def without_align(
    method: Any, options: StepOptions | None, choices: Mapping[str, Any]
) -> tuple[Any, StepOptions]:
    """A fixed method without what its expression says of updates, and options with that.

    Args:
        method: an expression, or an object.
        options, choices: as the user gave them.

    Raises:
        MethodError: a treatment of updates that both have; a bad option.
    """
    chosen = changed(options or StepOptions(), choices)
    expression = MethodExpression.parse(method) if isinstance(method, str) else None
    if expression is None or expression.align is None:
        return method, chosen
    if chosen.update != "trust":
        raise MethodError(
            f"expected update once, found it in '{expression.label}' and as an option."
        )
    return expression.without_align.label, changed(chosen, expression.align.choices)
