"""The optimizer that a method expression names, in place of the one that there is."""

from __future__ import annotations

from typing import Any

import torch

from ..methods.expression import MethodExpression
from .compatibility import check_without_method
from .guarded_soap import GuardedSOAP


def with_named_optimizer(optimizer: Any, method: Any) -> tuple[Any, Any]:
    """The optimizer of a run, and its method without what it says of that.

    Args:
        optimizer: as the user gave it.
        method: as the user gave it: an expression, or an object.

    Raises:
        MethodError: text that is no expression, or options that only studies have; an optimizer
            whose place SOAP cannot take.
        MissingExtraError: SOAP, whose package is not there.
        TypeError: a ``MultiLossOptimizer``.
    """
    check_without_method(optimizer)
    if not (isinstance(method, str) and isinstance(optimizer, torch.optim.Optimizer)):
        return optimizer, method
    expression = MethodExpression.parse(method)
    named = expression.optimizer
    if named is None or named.name != "soap":
        return optimizer, method
    expression.check_of_a_run()
    return GuardedSOAP(optimizer, **named.options), expression.without_optimizer.label
