"""SOAP in place of the Adam that a model was compiled with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from conflictopt.optim.line_search import searches_lines
from conflictopt.optim.soap import require_soap, soap

from .patch_errors import PatchError


class SOAPReplacement:
    """Makes pytorch_optimizer's ``SOAP`` over the parameters of a model's own optimizer.

    It takes the iterations that the script counts. Its learning rates are at every step those of
    the model's optimizer, which the script's schedule changes, times ``rate``. An optimizer that
    searches lines (L-BFGS, often the second part of a script) keeps its place.

    Args:
        rate: learning rate, relative to that of the model's optimizer.
        refresh: steps between two updates of the eigenbases.

    Raises:
        MissingExtraError: pytorch_optimizer is not there.
    """

    by_residuals = False

    def __init__(self, rate: float, refresh: int) -> None:
        require_soap()
        self._rate, self._refresh = rate, refresh
        self._plain: torch.optim.Optimizer | None = None
        self._made: torch.optim.Optimizer | None = None

    def of(self, plain: torch.optim.Optimizer, unknowns: Sequence[Tensor]) -> torch.optim.Optimizer:
        """The one for a compiled model, or that model's own where it searches lines.

        Args:
            plain: that the model was compiled with; has its unknowns.
            unknowns: the model's trainable ones.

        Raises:
            PatchError: it decays weights.
        """
        self._plain = self._made = None
        if searches_lines(plain):
            return plain
        if any(group.get("weight_decay") for group in plain.param_groups):
            raise PatchError(
                "expected no weight decay (the network's L2 regularisation) with SOAP in place of "
                f"{type(plain).__name__}: it decays weights in another way. Remove it, or leave "
                "'soap' out."
            )
        groups = [
            {"params": group["params"], "lr": self._rate * float(group["lr"])}
            for group in plain.param_groups
        ]
        self._plain, self._made = plain, soap(groups, self._refresh)
        return self._made

    def begin_step(self) -> None:
        """Before a step: learning rates as the script's schedule has them now."""
        if self._plain is None or self._made is None:
            return
        for group, plain in zip(self._made.param_groups, self._plain.param_groups, strict=True):
            group["lr"] = self._rate * float(plain["lr"])
        # a schedule asks its optimizer whether it has stepped: this one does in its place
        self._plain._opt_called = True  # type: ignore[attr-defined]
