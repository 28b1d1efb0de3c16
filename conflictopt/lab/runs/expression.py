"""Method expressions: what a run trains with, as text and as objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...core.aggregator import Aggregator
from ...core.aggregator import members as parts_of
from ...core.chain import Chain
from ...core.errors import MethodError
from ...methods.registry import make
from .expression_parts import (
    AdapterSettings,
    AfterSettings,
    AutoSettings,
    WideSettings,
    all_options,
    build,
    in_order,
)
from .expression_text import key_values, split, value_text

_BODIES = ("adapters", "wide")


@dataclass(frozen=True)
class Member:
    """One name of an expression, with the options that were given."""

    name: str
    given: dict[str, Any]

    @property
    def text(self) -> str:
        """As the user would write it."""
        return ":".join([self.name, *(f"{k}={value_text(v)}" for k, v in self.given.items())])


@dataclass(frozen=True)
class MethodExpression:
    """What a run trains with: ``NAME[:KEY=VALUE]...``, several joined by ``+``.

    Names are those of the registry, in the order of a ``Chain``, and: ``none`` (or ``sum``), plain
    training, which stands alone; ``adapters`` (options: the fields of ``AdapterDesign``, and
    attach), low-rank adapters, one per loss; ``wide`` (options placement, rank), the network
    widened to as many parameters as it has with such adapters; ``after`` (option steps), plain
    training before the methods begin; ``auto`` (options reweighting, routing, rank), what the
    diagnosis recommends, which stands alone. ``adapters``, ``wide`` and ``after`` stand before or
    after the others; without any, ``none`` is meant.

    Made by ``parse``. Equal if the labels are.

    Attributes:
        label: the expression in normal form: ``none`` for ``sum``, ``adapters`` and ``wide``
            first, ``after`` last, options in the order in which the member declares them, as given.
        members: in the order of the label.

    >>> MethodExpression.parse("ntk+adapters:attach=1000:rank=8").label
    'adapters:rank=8:attach=1000+ntk'
    """

    label: str
    members: tuple[Member, ...] = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> MethodExpression:
        """Read an expression, and build everything in it once to see that it can be.

        Raises:
            MethodError: text that is no expression, an unknown method or option, a value that a
                method refuses, or members that do not go together.
        """
        arranged = _arranged([_member(part) for part in split(text, "+")], text)
        made = cls("+".join(m.text for m in arranged), tuple(arranged))
        try:
            parts = made._built()
            routes = [part.route() for part in parts if isinstance(part, AdapterSettings)]
            whole = Chain(*parts_of(made.aggregator()), *routes)
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

        The routing of adapters is not among them: see ``adapters``.
        """
        parts = [part for part in self._built() if isinstance(part, Aggregator)]
        if not parts:
            return make("sum")
        return parts[0] if len(parts) == 1 else Chain(*parts)

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


def _member(text: str) -> Member:
    name, *pairs = split(text, ":")
    if not name:
        raise MethodError(
            f"expected NAME or NAME:KEY=VALUE, several joined by '+', found '{text}'."
        )
    given = key_values(pairs, f"{name}:KEY=VALUE")
    name = "none" if name == "sum" else name
    return Member(name, in_order(name, given))


def _arranged(members: list[Member], text: str) -> list[Member]:
    """Members in the order of the label.

    Raises:
        MethodError: members that do not go together.
    """
    names = [m.name for m in members]
    twice = [n for n in names if names.count(n) > 1]
    if twice:
        raise MethodError(f"expected every member once, found '{twice[0]}' twice in '{text}'.")
    body = [m for m in members if m.name in _BODIES]
    late = [m for m in members if m.name == "after"]
    rest = [m for m in members if m.name not in (*_BODIES, "after")]
    if len(body) == 2:
        raise MethodError(f"expected adapters or wide, found both in '{text}'.")
    if "auto" in names and len(names) > 1:
        raise MethodError(f"expected auto alone, found '{text}'; its parts are options of it.")
    if "none" in names and len(rest) > 1:
        raise MethodError(f"expected none alone or with adapters or wide, found '{text}'.")
    if late and (not rest or "none" in names):
        raise MethodError(f"expected a method that begins after plain steps, found '{text}'.")
    return [*body, *(rest or [Member("none", {})]), *late]
