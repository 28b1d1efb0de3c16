"""What a run may do beyond one profile and one plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..core.checks import check_count
from ..core.errors import MethodError

Look = Literal["race"]
RACE_STEPS = 250
"""Between 250 and 1000 steps, it hardly mattered for what condition losses say of a plan, in the
study that ``CourseOptions`` quotes."""


@dataclass(frozen=True)
class CourseOptions:
    """Second look and new verdicts; both are off by default.

    Off by evidence. ``benchmarks/results/plan_screen_cpu`` (12 problems, one seed): errors of 0.60
    times the plain run's without either, 0.65 with a race, 0.59 with a new verdict every 1000
    steps. A study before this package (13 problems, three seeds; its records are not part of the
    repository): races between plain training and ``ntk`` ended at 0.41 to 0.79, by score, where
    always ``ntk`` ended at 0.375. The horizon is the limit, not the score: even the true error
    after 500 steps names the final winner in 56 % of the runs only.

    Args:
        look: ``"race"``: before a plan is applied, the plausible plans continue from the same
            state for a short stretch each, and the best on held-out points goes on from where
            they began; see ``race``.
        race_steps: length of each stretch, in steps.
        rediagnose_every: steps from one verdict to the next; ``None`` for one verdict only. Each
            is on a profile as long as the first.

    Raises:
        MethodError: a bad value.
    """

    look: Look | None = None
    race_steps: int = RACE_STEPS
    rediagnose_every: int | None = None

    def __post_init__(self) -> None:
        if self.look not in (None, "race"):
            raise MethodError(f"expected look=None or 'race', found {self.look!r}.")
        check_count("race_steps", self.race_steps)
        if self.look is None and self.race_steps != RACE_STEPS:
            raise MethodError("expected race_steps with look='race' only: without it, none is run.")
        if self.rediagnose_every is not None:
            check_count("rediagnose_every", self.rediagnose_every)

    def check_profile(self, steps: int) -> None:
        """Check that a profile of so many steps fits between two verdicts.

        Raises:
            MethodError: it does not.
        """
        if self.rediagnose_every is not None and self.rediagnose_every < steps:
            raise MethodError(
                f"expected rediagnose_every of at least the profile's {steps} steps, found "
                f"{self.rediagnose_every}: every verdict needs a whole profile."
            )
