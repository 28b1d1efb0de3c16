"""The checkpoint of a whole ``MultiLossOptimizer``: the wrapped optimizer's, and ours beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from ..core.errors import CheckpointError, ConflictOptError
from ..core.layout import ADAPTER, ParameterLayout
from . import checkpoint
from . import line_search as linesearch
from .checkpoint_form import DIGESTS, check_groups, check_options, check_parts, digests
from .control import Control
from .session import Session


class Checkpointed(Protocol):
    """What a checkpoint needs of the optimizer: a ``MultiLossOptimizer``."""

    inner: torch.optim.Optimizer
    session: Session
    control: Control | None
    blocks: dict[str, list[Tensor]]
    skipped: int
    param_groups: list[dict[str, Any]]

    def layout(self) -> ParameterLayout: ...


def save(run: Checkpointed, whole: bool = True) -> dict[str, Any]:
    """The wrapped optimizer's ``state_dict``, with our part under a key of its own.

    Args:
        run: whose.
        whole: whether it is a checkpoint by itself, rather than a part of one, which is loaded with
            parts of the other.
    """
    extras = {**checkpoint.save(run.session), "skipped": run.skipped}
    if run.control is not None:
        extras["control"] = run.control.state_dict()
    inner = run.inner.state_dict()
    if whole:
        extras[DIGESTS] = digests(inner, extras, checkpoint.KEY)
    return {**inner, checkpoint.KEY: extras}


def load(run: Checkpointed, given: Mapping[str, Any], whole: bool = True) -> str | None:
    """Go on from a checkpoint; a sentence if it is not quite this run's.

    Args:
        run: that goes on.
        given: what ``save`` gave, or the ``state_dict`` of the wrapped optimizer.
        whole: as for ``save``.

    Raises:
        CheckpointError: one that does not fit; nothing is half loaded.
    """
    extras = given.get(checkpoint.KEY)
    if whole and checkpoint.KEY in given:
        check_parts(given, extras, checkpoint.VERSION, checkpoint.KEY)
    check_groups(given)
    before = run.session.__getstate__(), dict(getattr(run.control, "__dict__", {}))
    kept, groups = run.inner.state_dict(), run.inner.param_groups
    same = False
    try:
        if run.control is not None:
            run.control.load_state_dict((extras or {}).get("control"), run)
        inner = _fitted(run, given)
        if extras is not None:
            same = checkpoint.resume(run.session, extras, run.layout())
        else:
            run.session.use(run.session.aggregator)
        run.inner.load_state_dict(inner)
        check_options(groups, run.inner.param_groups, run.inner.defaults)
        skipped = extras["skipped"] if extras is not None else run.skipped
    except Exception as error:
        # what a state_dict holds is replaced by loading, not changed
        run.inner.load_state_dict(_fitted(run, kept))
        run.session.__setstate__(before[0])
        if run.control is not None:
            vars(run.control).update(before[1])
        if isinstance(error, ConflictOptError | ValueError):
            raise
        raise CheckpointError(
            f"the checkpoint is damaged, nothing was loaded; go back to an earlier one. It ended "
            f"in {error!r}."
        ) from error
    run.skipped = skipped
    linesearch.fit_parameters(run.inner)
    if run.control is not None:
        run.control.loaded(run)
    return checkpoint.difference(extras, same, run.session.aggregator)


def _fitted(run: Checkpointed, given: Mapping[str, Any]) -> dict[str, Any]:
    adapters = [p for n, ps in run.blocks.items() if n.startswith(ADAPTER) for p in ps]
    return checkpoint.without_extras(given, run.param_groups, adapters)
