"""Replay: what a method would have chosen along a recorded profile, without a network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..core.aggregator import Aggregator, Needs, Routing, members
from ..core.errors import MethodError, NonFiniteError
from ..core.reports import Note
from ..core.step import StepView, equation_flags
from .profile import Profile
from .recorded_step import RecordedStep, layout_of, spec_of
from .replay_result import Array, Replay

__all__ = ["Replay", "replay", "replayable"]

_KEPT = Needs.LOSSES | Needs.NORMS | Needs.GRAMIAN
"""What a profile can answer."""


def replay(
    profile: Profile,
    aggregator: Aggregator,
    *,
    seed: int = 0,
    equations: Sequence[str] | None = None,
    angle: float = 1.0,
) -> Replay:
    """Ask a method at every sample of a profile, in order, what it would have chosen.

    The gradients are those of the run that was profiled, whatever the method chooses: this says
    what it would have done *there*, not where it would have led. State is threaded through, so
    that a method which counts its own calls (``refresh``, ``window``, learning rates, momentum)
    counts samples, which lie the profile's interval of steps apart: for a profile with a sample
    every n steps, divide such periods by n. Samples are float64; a run in float32 rounds its
    coefficients.

    Args:
        profile: samples of the unmodified run.
        aggregator: see ``replayable``.
        seed: of the method's random draws, as ``MultiLossOptimizer(seed=...)``.
        equations: which losses are equations; those whose name begins with ``pde``, or else the
            first, unless given.
        angle: degrees, in [0, 180], between the update and the plain sum from which they differ.

    Raises:
        MethodError: a method that reads more than losses, norms and Gramians; a bad angle.
        LossError: ``equations`` names a loss that does not exist.
        NonFiniteError: the method chose coefficients that are not finite.
    """
    why = _unreplayable(aggregator, profile)
    if why is not None:
        raise MethodError(f"{aggregator.label} cannot be replayed: {why}. {_hint()}")
    if not 0 <= angle <= 180:
        raise MethodError(f"expected angle in [0, 180] degrees, found {angle}.")
    layout = layout_of(profile, aggregator.by_layer)
    spec = spec_of(profile, layout, equation_flags(profile.names, equations))
    state, generator = aggregator.init(spec), torch.Generator().manual_seed(seed)
    chosen, notes = [], []
    for index, step in enumerate(profile.steps.tolist()):
        heard: list[Note] = []
        source = RecordedStep(profile, index, layout)
        view = StepView(spec, step, layout, lambda: generator, source, heard)
        coefficients, state = aggregator.update(view, state)
        numbers = coefficients.detach().double().cpu().numpy()
        chosen.append(_by_block(aggregator, numbers, spec.count, layout.names))
        notes.append(tuple(heard))
    return _geometry(profile, aggregator, np.stack(chosen), angle, tuple(notes))


def replayable(aggregator: Aggregator) -> bool:
    """Whether a profile holds what a method reads: losses, norms and Gramians, no more.

    A method that looks at each layer for itself (``blocks="layer"``) needs a profile with layers.
    """
    return _unreplayable(aggregator) is None


def _unreplayable(aggregator: Aggregator, profile: Profile | None = None) -> str | None:
    """Why a method cannot be replayed (along this profile); ``None`` if it can."""
    more = aggregator.needs & ~_KEPT
    if more:
        return f"it reads {', '.join(more.words)}, and a profile keeps losses, norms and Gramians"
    if not aggregator.linear:
        return "its update is not a combination of the gradients"
    if any(isinstance(m, Routing) for m in members(aggregator)):
        return "it routes to adapters, of which a profile knows nothing"
    if profile is not None and aggregator.by_layer and not profile.blocks:
        return "it looks at each layer, and this profile was recorded without layers"
    return None


def _hint() -> str:
    # late: the registry is asked, no method imported
    from ..methods.registry import METHODS, method_class

    classes = {name: method_class(name) for name in METHODS}
    fits = [n for n, c in classes.items() if not c.needs & ~_KEPT and c.linear]
    fits = [n for n in fits if not issubclass(classes[n], Routing)]
    return f"Methods that can: {', '.join(fits)}."


def _by_block(aggregator: Aggregator, c: Array, count: int, blocks: tuple[str, ...]) -> Array:
    """``[K, B]`` coefficients, checked."""
    if c.shape not in ((count,), (count, len(blocks))):
        raise MethodError(
            f"expected coefficients [{count}] or [{count}, {len(blocks)}] from "
            f"{aggregator.label}, found {list(c.shape)}."
        )
    if not np.isfinite(c).all():
        raise NonFiniteError(f"{aggregator.label} chose the coefficients {c.tolist()}.")
    return np.broadcast_to(c.reshape(count, -1), (count, len(blocks)))


def _geometry(
    profile: Profile,
    aggregator: Aggregator,
    chosen: Array,
    angle: float,
    notes: tuple[tuple[Note, ...], ...],
) -> Replay:
    """Everything from the Gramians ``[T, B, K, K]`` and the coefficients ``[T, K, B]``."""
    grams = profile.block_gramians if aggregator.by_layer else profile.gramians[:, None]
    assert grams is not None
    squared = np.einsum("tkb,tbkj,tjb->t", chosen, grams, chosen)
    of_sum = grams.sum(axis=(1, 2, 3))
    return Replay(
        method=aggregator.label,
        names=profile.names,
        steps=profile.steps,
        coefficients=chosen.mean(axis=2),
        along=np.einsum("tbkj,tjb->tk", grams, chosen),
        rounding=np.einsum("tbkj,tjb->tk", np.abs(grams), np.abs(chosen)),
        length=np.sqrt(np.maximum(squared, 0.0)),
        length_of_sum=np.sqrt(np.maximum(of_sum, 0.0)),
        angle=angle,
        notes=notes,
    )
