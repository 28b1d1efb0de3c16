"""What a host's run shows to those that report on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ..core.reports import Reports
from ..diagnosis.diagnosis import Diagnosis
from ..diagnosis.profile import Profile
from ..kernel import TangentKernel
from ..optim.optimizer import MultiLossOptimizer
from ..selection.plan import Plan
from .chosen_method import ChosenMethod
from .decision import Decision


class PatchedRun(Protocol):
    """A model that a host trains through conflictopt, as ``patch`` of an integration returns it.

    Attributes:
        on_step, on_diagnosis: callbacks ``f(run)``, after each step and at the diagnosis.
    """

    on_step: list[Callable[[Any], None]]
    on_diagnosis: list[Callable[[Any], None]]

    @property
    def method(self) -> ChosenMethod:
        """The choice of method, resolved."""

    @property
    def optimizer(self) -> MultiLossOptimizer | None:
        """In use; ``None`` before the model is compiled."""

    @property
    def stage_end(self) -> int | None:
        """Number of steps at the end of the present call of ``train``, if it is known."""

    @property
    def profile(self) -> Profile | None:
        """Of the first steps; ``None`` until it is complete."""

    @property
    def diagnosis(self) -> Diagnosis | None:
        """Of that profile."""

    @property
    def plan(self) -> Plan | None:
        """In force, or, until it is applied, selected."""

    @property
    def plan_applied(self) -> bool:
        """Whether ``auto`` carried a plan out."""

    @property
    def decisions(self) -> list[Decision]:
        """Of ``auto``."""

    @property
    def trained_with(self) -> list[tuple[int, str]]:
        """The methods in use, each with the step from which on."""

    @property
    def steps(self) -> int:
        """Number of steps taken."""

    @property
    def reports(self) -> Reports:
        """Bounds that acted and fallbacks that were taken."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader of the verdict should know of the model."""

    def conclude(self) -> Diagnosis | None:
        """Diagnose from the samples there are; ``None`` without any."""

    def tangent_kernel(self) -> TangentKernel:
        """The tangent kernel between the losses, as it is now.

        Raises:
            ConflictOptError: there is none of these losses, and why.
        """
