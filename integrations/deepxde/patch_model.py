"""``patch`` and ``unpatch``: the interface to a DeepXDE model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from conflictopt.adapters import AdapterDesign
from conflictopt.auto.options import CourseOptions, Look
from conflictopt.core.aggregator import Aggregator
from conflictopt.core.checks import check_count
from conflictopt.core.engines import EngineName, check_engine
from conflictopt.diagnosis.diagnosis import Thresholds
from conflictopt.diagnosis.recorder import Recorder, sampling
from conflictopt.optim.actual_update import UpdateMode, check_update
from conflictopt.optim.optimizer import check_on_nonfinite
from conflictopt.selection.policy import Treatment
from conflictopt.selection.rule import Rule

from .chosen_method import Method, adopted
from .errors import PatchError
from .groups import Grouping, check_grouping
from .hook import check_supported
from .patched_model import Patch

__all__ = ["Patch", "patch", "unpatch"]


def patch(
    model: Any,
    method: str | Aggregator = "auto",
    *,
    groups: Grouping = "kind",
    profile_steps: int = 1000,
    profile_every: int | None = None,
    record: bool = False,
    reweighting: str | Aggregator | None = None,
    adapters: AdapterDesign | None = None,
    look: Look | None = None,
    race_steps: int = 250,
    rediagnose_every: int | None = None,
    rule: Rule | str | Path | None = None,
    thresholds: Thresholds | None = None,
    seed: int = 0,
    engine: EngineName = "auto",
    every: int = 1,
    update: UpdateMode = "trust",
    on_nonfinite: Literal["raise", "skip"] = "raise",
) -> Patch:
    """Train a DeepXDE model through conflictopt; call it before or after ``model.compile``.

    With ``"auto"`` the first ``profile_steps`` optimizer steps are bitwise those of the unpatched
    model; then the profile is diagnosed, a plan selected and applied, and training goes on with
    the same optimizer state. The patch survives re-compiling: the profile and the method's state
    belong to the model. With ``"sum"`` the whole run is bitwise the unpatched one.

    Args:
        model: a ``deepxde.Model`` on the PyTorch backend.
        method: ``"auto"``, a registry name, an aggregator, or an object of torchjd. Methods with
            adapters attach them at the first step.
        groups: ``"kind"`` groups and names the losses by kind (pde, boundary, initial, data);
            ``"each"`` keeps every loss its own; or a mapping name -> losses, by index or name.
        profile_steps: length of the profile. Under L-BFGS one step is a whole DeepXDE iteration
            (up to 1000 inner ones).
        profile_every: steps between the profile's samples; without it, such that there are 100 of
            them. ``auto`` does nothing on a profile of too few (see ``Thresholds``), and warns.
        record: also profile the first steps of a named method; ``auto`` always does.
        reweighting: for ``auto``, the reweighting method of plans; that of the rule unless given.
            Where the model's ``loss_weights`` differ as the plan is chosen, ``auto`` does nothing
            unless this, ``adapters`` or ``rule`` is given.
        adapters: design of the adapters of the method, or of every plan of ``auto``; unless given
            the rule decides whether plans have any, and the default one is the method's
            given. With a method given as an object, its own routing counts.
        look: for ``auto``, ``"race"`` for a second look: before a plan is applied, it, plain
            training and reweighting continue from the same state for ``race_steps`` steps each,
            on the present batch, and the best on held-out points goes on from where they began.
            Off by evidence, see ``CourseOptions``. L-BFGS races nothing, and the log says so.
        race_steps: length of each stretch; all of them are beside the run's own steps.
        rediagnose_every: for ``auto``, steps from one verdict to the next, each on a profile as
            long as the first; ``None`` for one verdict only. The plan changes if the new verdict
            is decided and leads to another. Adapters stay once attached.
        rule: what to do in which regime, or a file of it (``conflictopt calibrate`` makes some);
            the one that comes with conflictopt unless given.
        thresholds: for the diagnosis; those of the rule unless given.
        seed: of the method's own random choices.
        engine: how per-loss gradients are computed. ``"auto"`` evaluates the losses of a ``PDE`` or
            ``TimePDE`` problem apart, each from its own rows (``"rows"``), where that gives the
            same losses, and else takes one backward pass per loss through the whole batch
            (``"graph"``; ``patch.log`` says why). ``"batched"`` takes those passes in one
            vectorised call. Apart, sums run in another order: losses and gradients agree to
            rounding (relative differences of about 1e-6 in float32), not bitwise.
        every: how many steps the coefficients of the method hold; see ``MultiLossOptimizer``.
        update, on_nonfinite: see ``MultiLossOptimizer``.

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
    check_on_nonfinite(on_nonfinite)
    check_update(update)
    check_engine(engine)
    check_count("every", every)
    recorder = Recorder(profile_steps, sampling(profile_steps, profile_every))
    course = CourseOptions(look, race_steps, rediagnose_every)
    treatment = Treatment(
        adopted("reweighting", reweighting),
        adapters,
        Rule.load(rule) if isinstance(rule, (str, Path)) else rule,
        thresholds,
    )
    chosen = Method.of(method, recorder, record, treatment, course)
    options = {
        "seed": seed,
        "engine": engine,
        "every": every,
        "update": update,
        "on_nonfinite": on_nonfinite,
    }
    made = Patch(model, chosen, groups, options)
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
