"""From a diagnosis to a plan."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from .regime import Diagnosis

PlanKind = Literal["none", "reweighting", "adapters + reweighting"]


@dataclass(frozen=True)
class Plan:
    """What to do after the profile.

    Attributes:
        kind: ``none``, ``reweighting`` or ``adapters + reweighting``.
        reweighting: name of the reweighting method (of its class, if it was given as an
            object); ``None`` for kind ``none``.
        adapters: whether per-loss adapters are attached.
        reason: one sentence with the deciding numbers.
    """

    kind: PlanKind
    reweighting: str | None
    adapters: bool
    reason: str

    def to_json(self) -> dict[str, Any]:
        """The plan as plain data."""
        return asdict(self)


def select(diagnosis: Diagnosis, reweighting: str = "ntk") -> Plan:
    """Choose a plan by the regime, as the abstract of arXiv 2605.10136 recommends.

    Persistent conflict: adapters and reweighting. Magnitude imbalance: reweighting. Benign:
    nothing. A profile that is too short: nothing.

    Args:
        diagnosis: of the unmodified run.
        reweighting: name of the reweighting method to use.
    """
    if not diagnosis.pairs:
        return Plan("none", None, False, "there is only one loss: nothing can conflict.")
    if diagnosis.too_short:
        enough = diagnosis.thresholds.enough_samples
        reason = f"a profile of {diagnosis.samples} samples decides nothing; {enough} are needed."
        return Plan("none", None, False, reason)
    ratio = f"gradient-norm ratio {diagnosis.norm_ratio:.3g}"
    if diagnosis.regime == "persistent":
        p = diagnosis.worst_pair
        assert p is not None
        reason = (
            f"'{p.first}' and '{p.second}' conflict in {p.conflict_late:.0%} of the last half of "
            f"the profile, mean cosine {p.cosine_late:.2f}."
        )
        return Plan("adapters + reweighting", reweighting, True, reason)
    if diagnosis.regime == "magnitude":
        limit = diagnosis.thresholds.magnitude_ratio
        reason = f"no pair conflicts persistently, but {ratio} is at least {limit:g}."
        return Plan("reweighting", reweighting, False, reason)
    return Plan("none", None, False, f"no pair conflicts persistently, and {ratio} is moderate.")
