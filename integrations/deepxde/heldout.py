"""Points that a model is not trained on, for races between plans."""

from __future__ import annotations

import copy
from typing import Any

import deepxde as dde
import numpy as np
from deepxde.icbc.boundary_conditions import npfunc_range_autocache

from conflictopt.auto.host import HeldOut
from conflictopt.auto.random_states import drawn_apart
from conflictopt.core.losses import FIXED

from .errors import PatchError
from .groups import Groups
from .hook import Batch, Hook

SEED = 1_000_003
"""Of the draw; the global random states are put back after it."""


class HeldOutPoints:
    """The losses of a model on points that are not its training points.

    For ``PDE`` and ``TimePDE``, as many points as the problem draws are drawn anew from its
    geometry, pseudorandomly whatever its distribution (quasirandom ones would give the same points
    again) and without its anchors; point sets with data are what they are. Where that cannot be,
    for other kinds of data or points that are given, the model's own test points are used, among
    which DeepXDE counts the training points of the conditions.

    Args:
        hook: of the model.
    """

    def __init__(self, hook: Hook) -> None:
        self._hook = hook
        self._drawn: Any = None
        self._tried = False

    def compiled(self) -> None:
        """The model was compiled, perhaps for another problem."""
        self._drawn, self._tried = None, False

    def check(self) -> None:
        """Check that there are such points.

        Raises:
            PatchError: there are none.
        """
        self._source()

    def losses(self, groups: Groups) -> HeldOut:
        """The named losses there, with the user's weights, as numbers.

        Raises:
            PatchError: there are no such points, or other losses there.
        """
        data, batch = self._source()
        with drawn_apart(SEED):
            entries = self._hook.test_losses(data, batch)
        if len(entries) != len(groups.members):
            raise PatchError(
                f"look='race' expects the {len(groups.members)} losses of training on held-out "
                f"points, found {len(entries)}."
            )
        found = dict.fromkeys(groups.names, 0.0)
        for entry, owner in zip(entries, groups.members, strict=True):
            if owner != FIXED:
                found[groups.names[owner]] += entry
        return HeldOut(found, tuple(n for n in groups.names if n not in groups.equations))

    def _source(self) -> tuple[Any, Batch]:
        """The problem that computes the losses, and where."""
        data = self._hook.model.data
        if not self._tried:
            self._drawn, self._tried = _drawn_anew(data), True
        if self._drawn is not None:
            own = self._drawn
            return own, (own.train_x, own.train_y, own.train_aux_vars)
        state = self._hook.model.train_state
        if state.X_test is None or _same(state.X_test, state.X_train):
            raise PatchError(
                "look='race' judges plans on points that are not trained on, and this model has "
                f"none: its {type(data).__name__} draws no points of its own, and its test points "
                "are its training points. Give it num_test or test data, or leave look out."
            )
        return data, (state.X_test, state.y_test, state.test_aux_vars)


def _drawn_anew(data: Any) -> Any | None:
    """The problem at other points; ``None`` if it does not draw its points."""
    if type(data) not in (dde.data.PDE, dde.data.TimePDE):
        return None
    if data.pde is not None and not data.num_domain:
        return None
    other = copy.copy(data)
    other.bcs = [_forgetful(condition) for condition in data.bcs]
    other.train_distribution, other.anchors = "pseudo", None
    other.train_x_all = other.train_x_bc = other.num_bcs = None
    other.train_x = other.train_y = other.train_aux_vars = None
    with drawn_apart(SEED):
        other.train_next_batch()
    # a mean over no points is no loss
    lost = any(had and not has for had, has in zip(data.num_bcs, other.num_bcs, strict=True))
    return None if lost else other


def _forgetful(condition: Any) -> Any:
    """A copy of a condition that remembers nothing of the original's points.

    DeepXDE remembers values and normals by the identity of the array of points, which another
    array may have had before it.
    """
    made = copy.copy(condition)
    ranged = (
        dde.icbc.DirichletBC,
        dde.icbc.NeumannBC,
        dde.icbc.IC,
        dde.icbc.Interface2DBC,
    )
    names = ["func"] if isinstance(condition, ranged) else []
    names += ["boundary_normal"] if hasattr(condition, "boundary_normal") else []
    for name in names:
        plain = getattr(getattr(condition, name), "__wrapped__", None)
        if plain is not None:
            setattr(made, name, npfunc_range_autocache(plain))
    if getattr(condition, "batch_size", None) is not None:
        made.batch_sampler = copy.deepcopy(condition.batch_sampler)
    return made


def _same(a: Any, b: Any) -> bool:
    """Whether two arrays of points, or tuples of arrays, are equal."""
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(_same, a, b))
    return a is b or np.array_equal(a, b)
