"""Whether a checkpoint is as it was written, part by part, before any of it is loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from ..core.errors import CheckpointError

GROUPS = "param_groups"
"""Of the wrapped optimizer's parts the one that people edit: another rate to go on with."""
DIGESTS = "digests"
_WITHOUT_DIGESTS = 2
"""The version of release 0.1."""


def digests(inner: Mapping[str, Any], extras: Mapping[str, Any], key: str) -> dict[str, str]:
    """A digest of every part of a checkpoint but the groups.

    Args:
        inner: the wrapped optimizer's parts.
        extras: ours, which are under a key of their own.
        key: that key.
    """
    parts = {str(name): _digest(p, False) for name, p in inner.items() if name != GROUPS}
    return parts | {f"{key}/{name}": _digest(part, True) for name, part in extras.items()}


def _digest(value: Any, contents: bool) -> str:
    """A few letters that another value is not likely to have.

    Args:
        value: data as files hold it.
        contents: whether these count, beside names and shapes. The wrapped optimizer's tensors are
            the live ones, as in torch, and may go on before the file is written.
    """
    found = hashlib.blake2b(digest_size=8)
    _feed(found, value, contents)
    return found.hexdigest()


def _feed(found: Any, value: Any, contents: bool) -> None:
    """Data as files hold it: kinds of containers may change on the way, contents may not."""
    if isinstance(value, Mapping):
        found.update(f"{{{len(value)}".encode())
        for k in sorted(value, key=repr):
            found.update(repr(k).encode())
            _feed(found, value[k], contents)
    elif isinstance(value, list | tuple):
        found.update(f"[{len(value)}".encode())
        for v in value:
            _feed(found, v, contents)
    elif isinstance(value, Tensor):
        _feed_tensor(found, value.detach(), contents)
    else:
        plain = contents and _is_plain(value)
        found.update(repr(value).encode() if plain else type(value).__name__.encode())


def _feed_tensor(found: Any, value: Tensor, contents: bool) -> None:
    found.update(f"{value.is_floating_point()}{tuple(value.shape)}".encode())
    if contents and type(value) in (Tensor, torch.nn.Parameter) and value.layout == torch.strided:
        plain = value.cpu().resolve_conj().resolve_neg().contiguous()
        bits = plain.reshape(-1).view(torch.uint8)
        found.update(bits.numpy().data)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | complex)


def damaged(what: str) -> CheckpointError:
    """The error for a part that is not what was written."""
    return CheckpointError(
        f"the checkpoint is damaged: {what}. Nothing was loaded; go back to an earlier one."
    )


def check_parts(given: Mapping[str, Any], extras: Any, version: int, key: str) -> None:
    """Check a checkpoint against its digests.

    Raises:
        CheckpointError: another version, or a part that is missing or was changed; it is named.
    """
    if not isinstance(extras, Mapping):
        raise damaged(f"expected its part '{key}' as a dictionary, found {type(extras).__name__}")
    if extras.get("version") == _WITHOUT_DIGESTS:
        return
    if isinstance(extras.get("version"), int) and extras["version"] != version:
        raise CheckpointError(
            f"expected a checkpoint of version {version}, found {extras['version']}: it was "
            "written by another conflictopt."
        )
    written = extras.get(DIGESTS)
    if not isinstance(written, Mapping):
        raise damaged(f"'{DIGESTS}' is missing of its part '{key}'")
    parts = {name: part for name, part in extras.items() if name != DIGESTS}
    found = digests({k: v for k, v in given.items() if k != key}, parts, key)
    for name, digest in written.items():
        where = f" of its part '{key}'" if str(name).startswith(f"{key}/") else ""
        part = str(name).removeprefix(f"{key}/")
        if name not in found:
            raise damaged(f"'{part}' is missing{where}")
        if found[name] != digest:
            raise damaged(f"'{part}'{where} is not what was written")
    unknown = [n for n in found if n.startswith(f"{key}/") and n not in written]
    if unknown:
        raise damaged(f"{unknown} were added to its part '{key}'")


def check_groups(given: Mapping[str, Any]) -> None:
    """Check the form that the parts of every optimizer of torch have.

    Raises:
        CheckpointError: something is missing or is not what it must be.
    """
    state, groups = given.get("state"), given.get(GROUPS)
    if not isinstance(state, Mapping):
        raise damaged(f"expected 'state' as a dictionary, found {type(state).__name__}")
    if not isinstance(groups, Sequence) or isinstance(groups, str):
        raise damaged(f"expected '{GROUPS}' as a list, found {type(groups).__name__}")
    for group in groups:
        if not isinstance(group, Mapping) or not isinstance(group.get("params"), list | tuple):
            raise damaged(f"expected '{GROUPS}' with 'params' in each, found {group!r:.80}")


def check_options(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]], known: Iterable[str]
) -> None:
    """Check options that the wrapped optimizer took over, against those that it had.

    Args:
        before, after: its groups.
        known: names of its options; schedulers and users add others.

    Raises:
        CheckpointError: one is missing or of another kind.
    """
    for old, new in zip(before, after, strict=True):
        for name, value in old.items():
            if name not in known:
                continue
            if name not in new:
                raise damaged(f"the option '{name}' is missing of '{GROUPS}'")
            if not _alike(value, new[name]):
                raise damaged(
                    f"expected the option '{name}' of '{GROUPS}' to be like {value!r:.40}, found "
                    f"{new[name]!r:.40}"
                )


def _alike(old: Any, new: Any) -> bool:
    """Whether an option is of the kind that it was: a number, a flag, several of these."""
    if old is None:
        return new is None or isinstance(new, bool | float | int | str)
    if isinstance(old, bool):
        return new is None or isinstance(new, bool)
    if _is_number(old):
        return _is_number(new) and abs(float(new)) < _HUGE
    if isinstance(old, Iterable) and not isinstance(old, str | Tensor | Mapping):
        kept = list(old)
        return (
            isinstance(new, list | tuple) and len(new) == len(kept) and all(map(_alike, kept, new))
        )
    return new is None or isinstance(new, type(old))


_HUGE = 1e30


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.numel() == 1
    return isinstance(value, Real) and not isinstance(value, bool)
