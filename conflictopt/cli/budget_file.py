"""The steps on residuals of an earlier run, as its report has them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from ..auto.options import TrainingOptions
from ..core.errors import MethodError
from ..methods.expression import MethodExpression


def with_budget(
    options: TrainingOptions, method: MethodExpression, report: Path | None
) -> TrainingOptions:
    """Options of a run that takes its steps on residuals when another run took them.

    Args:
        options: of the run.
        method: of the run.
        report: ``report.json`` of the other; ``None`` to take them by time.

    Raises:
        MethodError: another method than ``auto``, or no report of one.
    """
    if report is None:
        return options
    if method.auto is None:
        raise MethodError(f"expected --budget with auto, found it with '{method.label}'.")
    try:
        content = json.loads(report.read_text(encoding="utf-8"))
        outcome, models = content["outcome"], content["models"]
        steps, by = tuple(outcome["residual_steps"]), MethodExpression.parse(outcome["method"])
    except OSError as error:
        raise MethodError(f"expected a report at '{report}': {error.strerror}.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise MethodError(
            f"expected report.json of a run with --method auto at '{report}', found something "
            f"else: {error!r}."
        ) from None
    if models != 1 or by.auto is None:
        raise MethodError(
            f"expected the report of a run with auto that trained one model at '{report}', found "
            f"one of {models} with '{by.label}'."
        )
    return replace(options, residual_steps=steps)
