"""What a method's label says: members of a chain, their names, whether it is ``auto``."""

from __future__ import annotations

from ...methods.expression_text import split


def members(label: str) -> list[str]:
    """The members of a chain, options included: ``adapters:rank=8+ntk`` has two."""
    return split(label, "+")


def name(member: str) -> str:
    """The name of a member without its options."""
    return member.split(":", 1)[0]


def is_auto(label: str) -> bool:
    """Whether the method is chosen by the diagnosis rather than fixed."""
    return any(name(m) == "auto" for m in members(label))


def rest_after(first: str, label: str) -> str | None:
    """What follows the member named ``first`` at the head of a chain; ``None`` if none is there.

    ``""`` when the chain has that member only.
    """
    head, *rest = members(label)
    return "+".join(rest) if name(head) == first else None
