"""Fit the rule of selection to the records of a study, and say what it is worth."""

from .calibrate import calibrate
from .evidence import Evidence, gather
from .judge import Judgement, judge
from .outcome import Calibration

__all__ = ["Calibration", "Evidence", "Judgement", "calibrate", "gather", "judge"]
