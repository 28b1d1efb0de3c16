"""What a loop hands over for a step."""

from __future__ import annotations

from collections.abc import Callable

from ..optim.session import LossForms

Closure = Callable[[], LossForms]
"""Returns the losses of a step, with their residuals."""


class Deferred:
    """A closure that is made once it is wanted: that takes its time, and may fail.

    Args:
        make: makes it.
    """

    def __init__(self, make: Callable[[], Closure]) -> None:
        self.make = make

    def __call__(self) -> LossForms:
        return self.make()()


def made(closure: Closure) -> Closure:
    """The closure itself, of one that is deferred."""
    return closure.make() if isinstance(closure, Deferred) else closure
