"""conflictopt: diagnose and treat gradient conflict between the losses of a PINN."""

from ._version import __version__ as __version__
from .adapters import AdapterDesign, Adapters, attach, merge
from .choice import LastStep
from .core.aggregator import Aggregator, Needs, Reweighting, Routing, RowTransform, Surgery
from .core.chain import Chain
from .core.errors import (
    CheckpointError,
    ConflictOptError,
    ConflictOptWarning,
    LayoutError,
    LineSearchError,
    LossError,
    MethodError,
    NonFiniteError,
)
from .core.losses import Losses
from .core.objective import Objective
from .core.pointwise import PointReweighting
from .core.reports import Report, Reports
from .core.step import Spec, StepView
from .diagnosis.profile import Profile
from .diagnosis.recorder import Recorder, profile_of
from .diagnosis.regime import Diagnosis, Thresholds, diagnose
from .diagnosis.replay import Replay, replay
from .diagnosis.rule import Rule
from .diagnosis.selection import Plan, select
from .foreign import adopt
from .optimizer import MultiLossOptimizer
from .registry import describe, make
from .surgery._base import GramianSurgery

__all__ = [
    "AdapterDesign",
    "Adapters",
    "Aggregator",
    "Chain",
    "CheckpointError",
    "ConflictOptError",
    "ConflictOptWarning",
    "Diagnosis",
    "GramianSurgery",
    "LastStep",
    "LayoutError",
    "LineSearchError",
    "LossError",
    "Losses",
    "MethodError",
    "MultiLossOptimizer",
    "Needs",
    "NonFiniteError",
    "Objective",
    "Plan",
    "PointReweighting",
    "Profile",
    "Recorder",
    "Replay",
    "Report",
    "Reports",
    "Reweighting",
    "Routing",
    "RowTransform",
    "Rule",
    "Spec",
    "StepView",
    "Surgery",
    "Thresholds",
    "adopt",
    "attach",
    "describe",
    "diagnose",
    "make",
    "merge",
    "profile_of",
    "replay",
    "select",
]
