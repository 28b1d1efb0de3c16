"""Names and groups for the losses that DeepXDE stacks into one vector."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import deepxde as dde

from conflictopt.core.losses import FIXED

from .patch_errors import PatchError

Grouping = Literal["kind", "each"] | Mapping[str, Sequence[int | str]]


@dataclass(frozen=True)
class Groups:
    """How the R entries of DeepXDE's loss vector form K named losses.

    Attributes:
        names: the K loss names.
        members: per entry its loss, or ``FIXED`` for the L1 regulariser.
        equations: names of the losses that contain a PDE residual.
        measured: names of the losses that consist of values at the user's own points.
        entries: the R entry names, as ``groups="each"`` would name them.
    """

    names: tuple[str, ...]
    members: tuple[int, ...]
    equations: tuple[str, ...]
    entries: tuple[str, ...]
    measured: tuple[str, ...] = ()


def check_grouping(grouping: Grouping) -> None:
    """Check the form of a grouping, before any loss is known.

    Raises:
        PatchError: another form.
    """
    if grouping not in ("kind", "each") and not isinstance(grouping, Mapping):
        raise PatchError(
            f"expected groups='kind', 'each' or a mapping name -> entries, found {grouping!r}."
        )


def group(model: Any, count: int, grouping: Grouping) -> Groups:
    """Group the entries of a model's loss vector.

    Args:
        model: a compiled DeepXDE model whose training data exists.
        count: R, the length of its loss vector.
        grouping: ``"kind"`` (pde, boundary, initial, data), ``"each"``, or a mapping
            name -> entries, by index or by the name they have under ``"each"``.

    Raises:
        PatchError: a mapping that names unknown entries, or does not place each exactly once.
    """
    fixed = 1 if has_l1(model) else 0
    kinds = _kinds(model.data, count - fixed)
    entries = _numbered(kinds)
    if grouping == "kind":
        table = {
            kind: [i for i, k in enumerate(kinds) if k == kind] for kind in dict.fromkeys(kinds)
        }
    elif grouping == "each":
        table = {name: [i] for i, name in enumerate(entries)}
    else:
        table = {name: _indices(name, chosen, entries) for name, chosen in grouping.items()}
        _check_partition(table, entries)
    owner = {i: k for k, chosen in enumerate(table.values()) for i in chosen}
    members = tuple(owner[i] for i in range(len(entries))) + (FIXED,) * fixed
    equations = tuple(n for n, chosen in table.items() if any(kinds[i] == "pde" for i in chosen))
    measured = tuple(n for n, chosen in table.items() if all(kinds[i] == "data" for i in chosen))
    return Groups(tuple(table), members, equations, entries, measured)


def has_l1(model: Any) -> bool:
    """Whether DeepXDE appends an L1 penalty to the loss vector."""
    regularizer = getattr(model.net, "regularizer", None)
    return regularizer is not None and regularizer[0] == "l1" and bool(regularizer[1] > 0)


def _kinds(data: Any, count: int) -> list[str]:
    """``pde``, ``boundary``, ``initial`` or ``data`` for each entry."""
    problem = data if hasattr(data, "bcs") else getattr(data, "pde", None)
    if problem is None or not hasattr(problem, "bcs"):
        return ["data"] * count
    conditions = list(problem.bcs)
    residuals = count - len(conditions)
    starts = [0]
    for n in problem.num_bcs:
        starts.append(starts[-1] + n)
    spans = zip(conditions, starts[:-1], starts[1:], strict=True)
    return ["pde"] * residuals + [_condition_kind(problem, *span) for span in spans]


def _condition_kind(problem: Any, condition: Any, start: int, end: int) -> str:
    if isinstance(condition, dde.icbc.IC):
        return "initial"
    if isinstance(condition, (dde.icbc.PointSetBC, dde.icbc.PointSetOperatorBC)):
        return "data"
    points = problem.train_x_bc[start:end]
    geometry = problem.geom
    # An initial rate is written as an OperatorBC; its points tell: all of them lie at t0.
    if len(points) and hasattr(geometry, "on_initial") and geometry.on_initial(points).all():
        return "initial"
    return "boundary"


def _numbered(kinds: Sequence[str]) -> tuple[str, ...]:
    total, seen = Counter(kinds), Counter[str]()
    names = []
    for kind in kinds:
        names.append(kind if total[kind] == 1 else f"{kind}_{seen[kind]}")
        seen[kind] += 1
    return tuple(names)


def _indices(name: str, chosen: Sequence[int | str], entries: tuple[str, ...]) -> list[int]:
    if isinstance(chosen, str) or not isinstance(chosen, Sequence):
        raise PatchError(f"expected a list of entries for group '{name}', found {chosen!r}.")
    result = []
    for entry in chosen:
        if isinstance(entry, str) and entry in entries:
            result.append(entries.index(entry))
        elif isinstance(entry, int) and 0 <= entry < len(entries):
            result.append(entry)
        else:
            raise PatchError(
                f"group '{name}' names the loss {entry!r}; the model's losses are "
                f"{dict(enumerate(entries))}."
            )
    return result


def _check_partition(table: Mapping[str, Sequence[int]], entries: tuple[str, ...]) -> None:
    placed = Counter(i for chosen in table.values() for i in chosen)
    missing = [entries[i] for i in range(len(entries)) if not placed[i]]
    twice = [entries[i] for i, n in placed.items() if n > 1]
    empty = [name for name, chosen in table.items() if not chosen]
    if missing or twice or empty:
        raise PatchError(
            "expected groups to hold every loss exactly once; "
            f"missing: {missing}, twice: {twice}, empty groups: {empty}."
        )
