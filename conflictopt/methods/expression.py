"""Method expressions: what a run trains with, as text and as objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ..adapters.design import AdapterDesign
from ..core.aggregator import Aggregator
from ..core.aggregator import members as parts_of
from ..core.chain import Chain
from ..core.errors import MethodError
from .expression_optimizers import (
    OPTIMIZERS,
    STUDIED,
    OptimizerMember,
    check_company,
    options_of_studies,
)
from .expression_parts import (
    AdapterSettings,
    AfterSettings,
    AlignSettings,
    AutoSettings,
    WideSettings,
    all_options,
    build,
    in_order,
    member_name,
)
from .expression_text import key_values, split, value_text
from .registry import make

_BODIES = ("adapters", "wide")
_LATE = ("after", "align")
_OF_DESIGNS = {f.name for f in fields(AdapterDesign)}


@dataclass(frozen=True)
class ExpressionMember:
    """One name of an expression, with the options that were given."""

    name: str
    given: dict[str, Any]

    @property
    def options_text(self) -> list[str]:
        """The options as the user would write them."""
        return [f"{k}={value_text(v)}" for k, v in self.given.items()]

    @property
    def text(self) -> str:
        """As the user would write it."""
        return ":".join([self.name, *self.options_text])


@dataclass(frozen=True)
class MethodExpression:
    """What a run trains with: ``NAME[:KEY=VALUE]...``, several joined by ``+``.

    The one language for methods: of ``patch``, ``MultiLossOptimizer`` and all commands.

    Names are those of the registry, in the order of a ``Chain``, and: ``none`` (or ``sum``), plain
    training, which stands alone; ``adapters`` (options: the fields of ``AdapterDesign``, and
    attach), low-rank adapters, one per loss; ``auto`` (options: reweighting, profile_steps,
    curvature, the fields of ``AdapterDesign``), what the diagnosis recommends, which stands alone;
    ``levenberg_marquardt`` (options: the fields of ``CurvatureOptions``), which takes the place of
    the optimizer, alone or with reweightings of whole losses; ``soap`` (options rate, refresh,
    warm), SOAP in place of Adam, with any method. In studies alone: ``wide`` (options
    placement, rank), the network widened to as many parameters as it has with such adapters;
    ``after`` (option steps), plain training before the methods begin; ``lbfgs`` (option share),
    Adam and then L-BFGS for that share of the run; ``adam`` and ``muon`` (option rate), for a time
    rather than for steps; of all optimizers the option horizon, of all but ``lbfgs`` pool, of the
    first warm.
    ``adapters``, ``wide``, ``after`` and optimizers stand before or after the others; without any,
    ``none`` is meant. ``align`` (options momentum, scale, metric) has updates aligned, those of
    plain training too. Case and hyphens of names do not count.

    Made by ``parse``. Equal if the labels are.

    Attributes:
        label: the expression in normal form: ``none`` for ``sum``, ``adapters``, ``wide`` and
            optimizers first, ``after`` and ``align`` last, options in the order in which the member
            declares them, as given; no ``none`` beside an optimizer.
        members: in the order of the label.

    >>> MethodExpression.parse("ntk+adapters:attach=1000:rank=8").label
    'adapters:rank=8:attach=1000+ntk'
    """

    label: str
    members: tuple[ExpressionMember, ...] = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str, options: Sequence[str] = ()) -> MethodExpression:
        """Read an expression, and build everything in it once to see that it can be.

        Args:
            text: the expression.
            options: further ones of its only member, each ``key=value``.

        Raises:
            MethodError: text that is no expression, an unknown method or option, a value that a
                method refuses, or members that do not go together.
        """
        parts = split(text, "+")
        if options and len(parts) > 1:
            raise MethodError(
                f"expected options beside one method alone, found {', '.join(options)} with "
                f"'{text}': several methods have theirs after their names, ntk:cap=10+pcgrad."
            )
        arranged = _arranged([_member(part, options) for part in parts], text)
        made = cls("+".join(m.text for m in arranged), tuple(arranged))
        try:
            whole = made.method()
        except MethodError as error:
            raise MethodError(f"'{text}': {error}") from None
        if made.after and whole.steps_itself:
            raise MethodError(
                f"expected a method that can follow plain steps, found '{text}': it takes the "
                "place of the optimizer, whose moments it does not know."
            )
        return made

    @property
    def options(self) -> dict[str, dict[str, Any]]:
        """Per member every option with its value, as JSON can hold it (infinity: ``"inf"``)."""
        return {m.name: all_options(build(m.name, m.given)) for m in self.members}

    def aggregator(self) -> Aggregator:
        """The members that are aggregators: one, a ``Chain``, or else ``sum``.

        The routing of adapters is not among them: see ``method``.
        """
        return _joined([part for part in self._built() if isinstance(part, Aggregator)])

    def method(self, design: AdapterDesign | None = None) -> Aggregator:
        """All of it: the aggregators, and the routing of the adapters if there are any.

        Args:
            design: of the adapters, where it is not the expression's own.
        """
        own = self.adapters
        if own is None:
            return self.aggregator()
        routed = make("adapters", **(design or own).routing_options)
        if not any(isinstance(part, Aggregator) for part in self._built()):
            return routed
        return Chain(*parts_of(self.aggregator()), routed)

    @property
    def design(self) -> AdapterDesign | None:
        """Of adapters, of ``auto`` too; ``None`` if no option of it was given."""
        settings = self.adapters or self.auto
        given = {
            option for m in self.members if m.name in ("adapters", "auto") for option in m.given
        }
        return settings.design if settings is not None and given & _OF_DESIGNS else None

    def check_of_a_run(self) -> MethodExpression:
        """The expression, for a run of the user's own.

        Raises:
            MethodError: it has what only studies do.
        """
        for member in self.members:
            studied = {"attach", *options_of_studies(member.name)} & member.given.keys()
            if member.name in ("wide", "after", *STUDIED) or studied:
                raise MethodError(
                    f"expected a method of a run, found '{member.text}' in '{self.label}', which "
                    "only studies have: conflictopt suite run."
                )
        return self

    def check_no_optimizer(self) -> MethodExpression:
        """The expression, for a run that has its optimizer already.

        Raises:
            MethodError: it names another.
        """
        chosen = self.optimizer
        if chosen is not None:
            rest = self.without_optimizer.label
            made = "LevenbergMarquardt(network)" if chosen.by_residuals else "SOAP(...)"
            raise MethodError(
                f"expected a method for the optimizer that there is, found '{self.label}', which "
                f"names another. Hand it over instead, MultiLossOptimizer({made}, "
                f"'{'sum' if rest == 'none' else rest}')."
            )
        return self

    @property
    def adapters(self) -> AdapterSettings | None:
        """The adapters, if the expression has any."""
        return next((p for p in self._built() if isinstance(p, AdapterSettings)), None)

    @property
    def wide(self) -> WideSettings | None:
        """The adapters whose number of parameters the network is widened to, if it is."""
        return next((p for p in self._built() if isinstance(p, WideSettings)), None)

    @property
    def after(self) -> int:
        """The number of plain steps before the methods begin."""
        return next((p.steps for p in self._built() if isinstance(p, AfterSettings)), 0)

    @property
    def align(self) -> AlignSettings | None:
        """How updates that would raise a loss are aligned, if they are."""
        return next((p for p in self._built() if isinstance(p, AlignSettings)), None)

    @property
    def without_align(self) -> MethodExpression:
        """The rest; ``none`` if there is no more."""
        rest = [m.text for m in self.members if m.name != "align"]
        return MethodExpression.parse("+".join(rest) or "none")

    @property
    def optimizer(self) -> OptimizerMember | None:
        """What takes the place of the run's own optimizer, if anything does."""
        named = next((m for m in self.members if m.name in OPTIMIZERS), None)
        return OptimizerMember.of(named.name, build(named.name, named.given)) if named else None

    @property
    def draws_points(self) -> bool:
        """Whether it names an optimizer whose steps may be made of fresh points of the host's."""
        chosen = self.optimizer
        return chosen is not None and chosen.name in ("levenberg_marquardt", "soap")

    @property
    def recounts(self) -> bool:
        """Whether it names an optimizer whose steps are not those that a script counts."""
        chosen = self.optimizer
        return chosen is not None and chosen.by_residuals

    @property
    def without_optimizer(self) -> MethodExpression:
        """The rest: what such an optimizer trains with; ``none`` if there is no more."""
        rest = [m.text for m in self.members if m.name not in OPTIMIZERS]
        return MethodExpression.parse("+".join(rest) or "none")

    @property
    def auto(self) -> AutoSettings | None:
        """The parts of the plan, if the diagnosis decides."""
        return next((p for p in self._built() if isinstance(p, AutoSettings)), None)

    def _built(self) -> list[Any]:
        return [build(m.name, m.given) for m in self.members]


def parse_methods(text: str) -> list[MethodExpression]:
    """``"none,ntk,adapters+ntk"`` -> the three expressions.

    Raises:
        MethodError: a bad expression, or the same method twice.
    """
    found: dict[str, str] = {}
    expressions = []
    for part in split(text, ","):
        expression = MethodExpression.parse(part)
        if expression.label in found:
            again = f"'{found[expression.label]}' and '{part}'"
            raise MethodError(f"expected every method once, found {again}, which are the same.")
        found[expression.label] = part
        expressions.append(expression)
    return expressions


def fixed_method(text: str) -> Aggregator:
    """The method of an expression, for a run that has no network to attach adapters to.

    Raises:
        MethodError: also of ``auto``, of an optimizer, of what only studies have, and of options of
            adapters beyond their routing, which are attached apart.
    """
    found = MethodExpression.parse(text).check_of_a_run()
    if found.auto is not None:
        raise MethodError(
            f"expected a method to go on with, found '{text}', which chooses one: "
            "MultiLossOptimizer(optimizer, 'auto') does from its first step on."
        )
    if found.align is not None:
        raise MethodError(
            f"expected a method, found '{text}': how updates are taken is chosen with the "
            "optimizer, MultiLossOptimizer(optimizer, method, update='align')."
        )
    found.check_no_optimizer()
    design = found.design
    beyond = set(design.changes) - {"routing", "share"} if design is not None else None
    if beyond:
        raise MethodError(
            f"expected the routing of adapters alone in '{text}', found {sorted(beyond)}: attach "
            "them with optimizer.add_adapters(attach(network, losses, AdapterDesign(...)))."
        )
    return found.method()


def _joined(parts: Sequence[Aggregator]) -> Aggregator:
    if not parts:
        return make("sum")
    return parts[0] if len(parts) == 1 else Chain(*parts)


def _member(text: str, options: Sequence[str]) -> ExpressionMember:
    name, *pairs = split(text, ":")
    if not name:
        raise MethodError(
            f"expected NAME or NAME:KEY=VALUE, several joined by '+', found '{text}'."
        )
    given = key_values([*pairs, *options], "KEY=VALUE" if options else f"{name}:KEY=VALUE")
    name = member_name(name)
    return ExpressionMember(name, in_order(name, given))


def _arranged(members: list[ExpressionMember], text: str) -> list[ExpressionMember]:
    """Members in the order of the label.

    Raises:
        MethodError: members that do not go together.
    """
    names = [m.name for m in members]
    twice = [n for n in names if names.count(n) > 1]
    if twice:
        raise MethodError(f"expected every member once, found '{twice[0]}' twice in '{text}'.")
    taking = [m for m in members if m.name in OPTIMIZERS]
    if taking:
        return _around(taking, [m for m in members if m not in taking], text)
    body = [m for m in members if m.name in _BODIES]
    late = [m for name in _LATE for m in members if m.name == name]
    rest = [m for m in members if m.name not in (*_BODIES, *_LATE)]
    if len(body) == 2:
        raise MethodError(f"expected adapters or wide, found both in '{text}'.")
    if "auto" in names and len(names) > 1:
        raise MethodError(f"expected auto alone, found '{text}'; its parts are options of it.")
    if "none" in names and len(rest) > 1:
        raise MethodError(f"expected none alone or with adapters or wide, found '{text}'.")
    if "after" in names and (not rest or "none" in names):
        raise MethodError(f"expected a method that begins after plain steps, found '{text}'.")
    return [*body, *(rest or [ExpressionMember("none", {})]), *late]


def _around(
    optimizers: list[ExpressionMember], rest: list[ExpressionMember], text: str
) -> list[ExpressionMember]:
    """Members of an expression with an optimizer, in the order of the label."""
    if len(optimizers) > 1:
        told = " and ".join(m.name for m in optimizers)
        raise MethodError(f"expected one optimizer, found {told} in '{text}'.")
    names = [m.name for m in rest]
    check_company(optimizers[0].name, names, text)
    if "none" in names and len(rest) > 1:
        raise MethodError(f"expected none alone beside the optimizer, found '{text}'.")
    late = [m for m in rest if m.name == "align"]
    return [*optimizers, *(m for m in rest if m.name != "none" and m not in late), *late]
