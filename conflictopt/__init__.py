"""conflictopt: diagnose and treat gradient conflict between the losses of a PINN."""

from ._version import __version__ as __version__
from .adapters import AdapterDesign, Adapters, attach, merge
from .auto.options import TrainingOptions
from .core.aggregator import (
    Aggregator,
    Needs,
    PointReweighting,
    Reweighting,
    Routing,
    RowTransform,
    Surgery,
)
from .core.chain import Chain
from .core.errors import (
    CheckpointError,
    ConflictOptError,
    ConflictOptWarning,
    LayoutError,
    LineSearchError,
    LossError,
    MethodError,
    MissingExtraError,
    NonFiniteError,
)
from .core.losses import Losses
from .core.objective import Objective
from .core.reports import Report, Reports
from .core.step import Spec, StepView
from .curvature.optimizer import LevenbergMarquardt
from .curvature.options import CurvatureOptions
from .diagnosis.diagnosis import Diagnosis, Thresholds, diagnose
from .diagnosis.profile import Profile
from .diagnosis.recorder import Recorder
from .diagnosis.replay import Replay, replay
from .methods.foreign import adopt
from .methods.registry import describe, make
from .methods.surgery._base import GramianSurgery
from .optim.last_step import LastStep
from .optim.optimizer import MultiLossOptimizer
from .selection.plan import Plan
from .selection.rule import Rule
from .selection.select import select

__all__ = [
    "AdapterDesign",
    "Adapters",
    "Aggregator",
    "Chain",
    "CheckpointError",
    "ConflictOptError",
    "ConflictOptWarning",
    "CurvatureOptions",
    "Diagnosis",
    "GramianSurgery",
    "LastStep",
    "LayoutError",
    "LevenbergMarquardt",
    "LineSearchError",
    "LossError",
    "Losses",
    "MethodError",
    "MissingExtraError",
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
    "TrainingOptions",
    "adopt",
    "attach",
    "describe",
    "diagnose",
    "make",
    "merge",
    "replay",
    "select",
]
