"""What the ablation runs: problems, methods and seeds, in stages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from conflictopt.lab.runs.budget import budget
from conflictopt.methods.expression import MethodExpression

STEPS = 3000
"""Optimizer steps of every run, the profile's 1000 included."""

# The records were made when the budget had all of the small points and a lower rate.
LIMIT = replace(budget("cpu", STEPS), point_scale=1.0, learning_rate=1e-3)
"""The budget ``cpu`` at all of the specification's small points."""

PROBLEMS = (
    "helmholtz_2d_a1_4",
    "klein_gordon",
    "advection_beta30",
    "heat_1d",
    "inverse_diffusion_1d",
    "reaction_rho2",
    "biot_poroelastic_1d",
    "compressible_euler_1d",
    "mhd_hartmann_ha5",
    "heat_5d_ball",
)
"""Of the calibration half: every family, K from 3 to 6, and cheap enough for many runs."""

SCREENED = ("heat_1d", "inverse_diffusion_1d", "reaction_rho2", "helmholtz_2d_a1_4")

DECIDING = ("heat_1d", "helmholtz_2d_a1_4", "compressible_euler_1d")
"""Where adapters seemed to help most in three seeds: asked again with ten others."""

BASELINES = ("none", "ntk", "wide+ntk", "pcgrad", "config")
"""What designs are compared with; ``wide`` has as many parameters as the default adapters give."""

CONFIRMED = (
    "adapters+ntk",
    "adapters:attach=1000+ntk",
    "adapters:routing=exclusive:attach=1000+ntk",
    "adapters+pcgrad",
)

LATER = (
    "ntk+after",
    "wide+ntk+after",
    "pcgrad+after",
    "adapters:attach=1000+ntk+after",
    "adapters:routing=exclusive:attach=1000+ntk+after",
)
"""As a plan does it: 1000 plain steps, then the method, and adapters if it has any."""

DESIGNS = (
    "routing=mixed",
    "placement=hidden",
    "placement=weights:activation=linear",
    "placement=head",
    "activation=linear",
    "scale=sum",
    "rank=2:orthogonal=True",
    "rank=2",
    "rank=8",
    "learning_rate=0.1",
)
"""One or two fields beside the default design."""

VARIANTS = tuple(
    MethodExpression.parse(f"adapters:{fields}:attach=1000+ntk+after").label for fields in DESIGNS
)


@dataclass(frozen=True)
class Stage:
    """A part of the ablation.

    Attributes:
        problems, methods, seeds: of its runs, every combination.
    """

    problems: tuple[str, ...]
    methods: tuple[str, ...]
    seeds: tuple[int, ...]

    def rounds(self) -> Iterator[tuple[tuple[str, ...], tuple[str, ...], int]]:
        """Seed by seed, so that what is interrupted is complete up to a seed."""
        for seed in self.seeds:
            yield self.problems, self.methods, seed


STAGES = {
    "confirm": Stage(PROBLEMS, (*BASELINES, *CONFIRMED), (0, 1, 2)),
    "later": Stage(PROBLEMS, LATER, (0, 1, 2)),
    "decide": Stage(DECIDING, (*LATER[:2], LATER[3]), tuple(range(3, 13))),
    "screen": Stage(SCREENED, VARIANTS, (0, 1)),
}
