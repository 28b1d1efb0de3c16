"""The errors conflictopt raises, each also an instance of the built-in a caller would expect."""


class ConflictOptError(Exception):
    """Base of every error that conflictopt raises on purpose."""


class LossError(ConflictOptError, ValueError):
    """The losses handed in cannot be used: wrong shape, count, names, device, dtype or graph."""


class NonFiniteError(ConflictOptError, FloatingPointError):
    """A loss, a gradient or a coefficient is infinite or not a number; nothing was updated."""


class LayoutError(ConflictOptError, ValueError):
    """Parameters cannot be arranged into blocks: mixed dtypes or devices, overlapping blocks."""


class LineSearchError(ConflictOptError, TypeError):
    """The method has no scalar objective, so an optimizer with a line search cannot use it."""


class MethodError(ConflictOptError, ValueError):
    """A method is unknown, was given bad hyper-parameters, or lacks what it needs to run."""


class CheckpointError(ConflictOptError, ValueError):
    """A checkpoint does not fit the optimizer, the method or the losses it is loaded into."""


class MissingExtraError(ConflictOptError, ImportError):
    """What was asked for needs packages of an extra that is not installed."""


class ConflictOptWarning(UserWarning):
    """A bound acted or a fallback was taken: training goes on, and ``reports`` counts it."""
