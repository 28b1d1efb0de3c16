"""SOAP in place of the Adam that a model was compiled with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from conflictopt.core.errors import MethodError
from conflictopt.optim.guarded_soap import GuardedSOAP
from conflictopt.optim.line_search import searches_lines
from conflictopt.optim.soap import require_soap

from .patch_errors import PatchError


class SOAPReplacement:
    """Makes a ``GuardedSOAP`` around a model's own optimizer.

    It takes the iterations that the script counts, at the learning rates of the script's schedule
    times its ``rate``. An optimizer that searches lines (L-BFGS, often the second part of a script)
    keeps its place.

    Args:
        options: of ``GuardedSOAP``.

    Raises:
        MissingExtraError: pytorch_optimizer is not there.
    """

    by_residuals = False

    def __init__(self, options: dict[str, Any]) -> None:
        require_soap()
        self._options = options

    def of(self, plain: torch.optim.Optimizer, unknowns: Sequence[Tensor]) -> torch.optim.Optimizer:
        """The one for a compiled model, or that model's own where it searches lines.

        Args:
            plain: that the model was compiled with; has its unknowns.
            unknowns: the model's trainable ones.

        Raises:
            PatchError: SOAP cannot take its place.
        """
        if searches_lines(plain):
            return plain
        try:
            return GuardedSOAP(plain, **self._options)
        except MethodError as error:
            raise PatchError(str(error)) from None
