"""``patch`` and ``unpatch``: the interface to a DeepXDE model."""

from __future__ import annotations

from typing import Any

from conflictopt.auto.options import TrainingOptions
from conflictopt.core.aggregator import Aggregator
from conflictopt.core.choices import changed

from .groups import Grouping, check_grouping
from .hook import check_supported
from .patch_errors import PatchError
from .patched_model import Patch

__all__ = ["Patch", "patch", "unpatch"]


def patch(
    model: Any,
    method: str | Aggregator = "auto",
    options: TrainingOptions | None = None,
    *,
    groups: Grouping = "kind",
    fresh_points: bool | None = None,
    **choices: Any,
) -> Patch:
    """Train a DeepXDE model through conflictopt; call it before or after ``model.compile``.

    With ``"auto"`` the first ``profile_steps`` optimizer steps are bitwise those of the unpatched
    model; then the profile is diagnosed, a plan selected and applied, and training goes on with
    the same optimizer state. The patch survives re-compiling: the profile and the method's state
    belong to the model. With ``"sum"`` the whole run is bitwise the unpatched one.

    The engine ``"auto"`` evaluates the losses of a ``PDE`` or ``TimePDE`` problem apart, each from
    its own rows (``"rows"``), where that gives the same losses, and else takes one backward pass
    per loss through the whole batch (``"graph"``; ``patch.log`` says why). ``"batched"`` takes
    those passes in one vectorised call. Apart, sums run in another order: losses and gradients
    agree to rounding (relative differences of about 1e-6 in float32), not bitwise.

    ``"levenberg_marquardt"``, alone or with a reweighting, takes the place of the optimizer that
    the model is compiled with, L-BFGS too: ``iterations`` are then steps of it, and schedules have
    no effect. Or compile with an instance, ``model.compile(LevenbergMarquardt(net))``, and patch
    with what weights the losses, ``"sum"`` for nothing. Where the residuals of a ``PDE`` or
    ``TimePDE`` problem depend on their own points alone, a step evaluates no others than it reads,
    and draws them from a pool of up to 8 times the script's, of the same distribution, as many as
    steps can grow to: few points would be fitted to rounding, and the solution between them missed.
    Anchors, and points with values of the user's, stay what they are. DeepXDE displays the losses
    on the script's own points.

    Args:
        model: a ``deepxde.Model`` on the PyTorch backend.
        method: a method expression (``"auto"``, ``"pcgrad"``, ``"adapters:rank=8+ntk"``, see
            ``MethodExpression``), an aggregator, or an object of torchjd. Methods with adapters
            attach them at the first step.
        options: how steps are taken and how a plan is reached; see ``TrainingOptions``.
        groups: ``"kind"`` groups and names the losses by kind (pde, boundary, initial, data);
            ``"each"`` keeps every loss its own; or a mapping name -> losses, by index or name.
        fresh_points: whether steps on residuals draw from such a pool, then of 8 times. ``None``:
            where DeepXDE can draw one and the script has no more points than a step;
            ``patch.log`` says whether, and else why not. Steps of ``"soap"`` are made of the
            script's own points unless this is true; then of as many, others every 10 steps.
        choices: fields of ``TrainingOptions`` by name, e.g. ``profile_steps=500`` or ``every=10``.

    Returns:
        The patch, also at ``model.conflictopt``.

    Raises:
        PatchError: the model, its optimizer or its losses cannot be supported, and why. What
            only shows in the losses is raised at the first training step, before any update.
        MethodError: an unknown method or a bad option.
        RuleError: a file that is no rule.
    """
    check_supported(model)
    if isinstance(getattr(model, "conflictopt", None), Patch):
        raise PatchError("this model is patched already; call unpatch(model) first.")
    check_grouping(groups)
    chosen = changed(options or TrainingOptions(), choices)
    made = Patch(model, method, groups, chosen, fresh_points)
    try:
        made.start()
    except Exception:
        made.remove()
        raise
    model.conflictopt = made
    return made


def unpatch(model: Any) -> None:
    """Give a model its plain optimizer and training step back.

    Adapters stay attached: they are part of the trained function, and their parameters remain
    with the optimizer.

    Raises:
        PatchError: the model is not patched.
    """
    made = getattr(model, "conflictopt", None)
    if not isinstance(made, Patch):
        raise PatchError("this model is not patched.")
    made.remove()
