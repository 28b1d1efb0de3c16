"""A script to be run again, as commands."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

PROFILE_STEPS = 1000
"""Of a profile, unless asked otherwise."""


@dataclass(frozen=True)
class Script:
    """The script that was profiled, to be run again.

    Attributes:
        path: as it was given.
        arguments: its own command line.
        profile_steps: asked for.
        options: further words for ``conflictopt``, ``("--groups", "each")``.
        auto: further words for ``conflictopt run --method auto`` alone.
        iterations: of its optimizer in one step, at most: many under L-BFGS.
    """

    path: str
    arguments: tuple[str, ...] = ()
    profile_steps: int = PROFILE_STEPS
    options: tuple[str, ...] = ()
    auto: tuple[str, ...] = ()
    iterations: int = 1

    def command(self, *words: str, steps: int | None = None) -> str:
        """``conflictopt WORD SCRIPT WORDS``, with the options of this profile."""
        steps = self.profile_steps if steps is None else steps
        length = ("--profile-steps", str(steps)) if steps != PROFILE_STEPS else ()
        own = ("--", *self.arguments) if self.arguments else ()
        first, *others = words
        line = ("conflictopt", first, self.path, *others, *length, *self.options, *own)
        return shlex.join(line)

    @property
    def asked(self) -> dict[str, str]:
        """The further words as options with their values."""
        return dict(zip(self.options[::2], self.options[1::2], strict=True))

    @property
    def plain(self) -> str:
        """The script without conflictopt."""
        return shlex.join(("python", self.path, *self.arguments))
