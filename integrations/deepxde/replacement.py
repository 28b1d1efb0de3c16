"""The optimizer that a method names, in place of the one that a model was compiled with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from conflictopt.curvature.optimizer import LevenbergMarquardt
from conflictopt.methods.expression import MethodExpression

from .groups import Groups
from .patch_errors import PatchError
from .soap_replacement import SOAPReplacement


class Replacement:
    """Makes a ``LevenbergMarquardt`` over the parameters of a model's own optimizer.

    Args:
        options: of it.
    """

    by_residuals = True
    """Whether its steps are made of residuals, and counted otherwise than the script's."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._made: LevenbergMarquardt | None = None
        self._measured: tuple[str, ...] = ()

    def of(self, plain: torch.optim.Optimizer, unknowns: Sequence[Tensor]) -> LevenbergMarquardt:
        """The one for a compiled model; the same, with its damping, while its parameters are.

        Args:
            plain: that the model was compiled with.
            unknowns: the model's trainable ones, whether or not that has them.

        Raises:
            PatchError: it is one of these itself, or decays weights.
        """
        name = LevenbergMarquardt.__name__
        if isinstance(plain, LevenbergMarquardt):
            raise PatchError(
                f"the model was compiled with a {name}, and the method names another. Compile with "
                "'adam', or patch with what weights the losses alone: patch(model, 'sum')."
            )
        if any(group.get("weight_decay") for group in plain.param_groups):
            raise PatchError(
                f"expected no weight decay (the network's L2 regularisation) with {name}, which "
                "lowers mean squares of residuals alone. Remove it: its damping keeps steps short."
            )
        held = [p for group in plain.param_groups for p in group["params"]]
        known = set(map(id, held))
        params = [*held, *(v for v in unknowns if id(v) not in known)]
        made = self._made
        if made is None or [id(p) for g in made.param_groups for p in g["params"]] != list(
            map(id, params)
        ):
            self._made = made = LevenbergMarquardt(params, **self._options)
        return made

    def weigh_measurements(self, groups: Groups, unknowns: Sequence[Tensor]) -> str | None:
        """Take weight off noisy measurements in an inverse problem; what was done, if it is news.

        Without unknowns, values at points are conditions as exact as the others. What the method's
        option ``measured`` names stays so.

        Args:
            groups: of the losses.
            unknowns: the model's trainable ones.
        """
        made, own = self._made, tuple(self._options.get("measured", ()))
        assert made is not None
        found = groups.measured if unknowns and len(groups.measured) < len(groups.names) else ()
        made.options = replace(made.options, measured=own or found)
        before, self._measured = self._measured, made.options.measured
        if own or not found or before == found:
            return None
        names = ", ".join(f"'{name}'" for name in found)
        return (
            f"{names} counts as measurements, as there are unknowns: it gets less weight once the "
            "other losses are below the noise that it comes to rest at."
        )


def apart(method: Any) -> tuple[Replacement | SOAPReplacement | None, Any]:
    """A method without the optimizer that it may name, and that.

    Args:
        method: an expression, or an object.

    Raises:
        MethodError: text that is no expression, or asks for what only studies have.
    """
    if not isinstance(method, str):
        return None, method
    expression = MethodExpression.parse(method)
    named = expression.optimizer
    if named is None:
        return None, method
    expression.check_of_a_run()
    if named.name == "soap":
        made: Replacement | SOAPReplacement = SOAPReplacement(named.options)
    else:
        made = Replacement(named.options)
    return made, expression.without_optimizer.label


def check_no_fresh_points(asked: bool | None, optimizer: torch.optim.Optimizer) -> None:
    """Check that nobody chose points for an optimizer that is given all of them.

    Raises:
        PatchError: somebody did.
    """
    if asked is not None:
        raise PatchError(
            "expected fresh_points with an optimizer that the method names, found it with "
            f"{type(optimizer).__name__}. Use 'levenberg_marquardt' or 'soap+ntk', or leave it out "
            "(DeepXDE's PDEPointResampler draws other points for any optimizer)."
        )


def regularised(model: Any) -> bool:
    """Whether a penalty on the network's weights is a part of its loss."""
    regularizer = getattr(model.net, "regularizer", None)
    return regularizer is not None and regularizer[1] > 0


def check_residual_steps(model: Any, optimizer: torch.optim.Optimizer, auto: bool) -> None:
    """Check that a model can be trained by an optimizer that steps by residuals.

    Raises:
        PatchError: it cannot.
    """
    name = type(optimizer).__name__
    if regularised(model):
        raise PatchError(
            f"expected a network without regularization with {name}, found "
            f"{model.net.regularizer!r}: it "
            "lowers mean squares of residuals alone. Leave regularization= out: its damping keeps "
            "steps short."
        )
    if auto:
        raise PatchError(
            f"expected a fixed method with {name}, found 'auto', whose plans may choose between "
            "per-loss gradients. Use 'sum', or a reweighting of whole losses such as 'ntk'."
        )
