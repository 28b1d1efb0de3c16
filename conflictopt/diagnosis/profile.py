"""Profile: the losses and Gramians of a run, sampled over its first steps."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ConflictOptError

_FIELDS = ("names", "steps", "losses", "gramians")
_BLOCKS = ("blocks", "block_gramians")
"""Absent from files of profiles without blocks."""
_UPDATES = "updates"
"""Absent where no update was looked at."""


class ProfileError(ConflictOptError, ValueError):
    """A profile is malformed or cannot be read."""


@dataclass(frozen=True, eq=False)
class Profile:
    """T samples of K losses.

    Attributes:
        names: the K loss names.
        steps: ``[T]`` optimizer steps, increasing.
        losses: ``[T, K]`` values.
        gramians: ``[T, K, K]`` inner products of the losses' gradients over the network.
        blocks: names of the B layers of the network, where they were recorded.
        block_gramians: ``[T, B, K, K]`` the same over one layer each; ``None`` without layers.
        updates: ``[T]`` the largest cosine between what the optimizer did to the network (before
            it was corrected, if it was) and a loss's gradient: above 0 it raised that loss to first
            order; NaN of a step that was not looked at, ``None`` where none was.

    Raises:
        ProfileError: shapes that do not fit together, no sample, or inf or NaN.
    """

    names: tuple[str, ...]
    steps: NDArray[np.int64]
    losses: NDArray[np.float64]
    gramians: NDArray[np.float64]
    blocks: tuple[str, ...] = ()
    block_gramians: NDArray[np.float64] | None = None
    updates: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        t, k = len(self.steps), len(self.names)
        if t == 0 or k == 0:
            raise ProfileError(f"expected at least one sample of one loss, found T={t}, K={k}.")
        numbers = (self.losses, self.gramians, self.block_gramians)
        if not all(np.isfinite(a).all() for a in numbers if a is not None):
            raise ProfileError(
                "expected finite losses and Gramians, found inf or NaN. Leave those samples out: "
                "a run does not go on from them."
            )
        if (np.diff(self.steps) <= 0).any():
            raise ProfileError("expected increasing steps.")
        if self.losses.shape != (t, k) or self.gramians.shape != (t, k, k):
            raise ProfileError(
                f"expected losses [{t}, {k}] and gramians [{t}, {k}, {k}], "
                f"found {self.losses.shape} and {self.gramians.shape}."
            )
        found = None if self.block_gramians is None else self.block_gramians.shape
        if found != ((t, len(self.blocks), k, k) if self.blocks else None):
            raise ProfileError(
                f"expected block_gramians [{t}, B, {k}, {k}] for the B blocks {self.blocks}, or "
                f"neither of both, found shape {found}."
            )

        if self.updates is not None and self.updates.shape != (t,):
            raise ProfileError(f"expected updates [{t}], found {self.updates.shape}.")

    @property
    def norms(self) -> NDArray[np.float64]:
        """``[T, K]`` gradient norms."""
        squared = np.diagonal(self.gramians, axis1=1, axis2=2)
        return np.sqrt(np.maximum(squared, 0.0))

    @property
    def cosines(self) -> NDArray[np.float64]:
        """``[T, K, K]`` cosines between gradients; NaN where one of them is zero."""
        norms = self.norms
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = self.gramians / (norms[:, :, None] * norms[:, None, :])
        cos: NDArray[np.float64] = np.clip(ratio, -1.0, 1.0)
        return cos

    def of_block(self, block: str) -> Profile:
        """The profile over one layer alone.

        Raises:
            ProfileError: there is no such layer.
        """
        if self.block_gramians is None or block not in self.blocks:
            raise ProfileError(f"expected one of the blocks {self.blocks}, found '{block}'.")
        one = self.block_gramians[:, self.blocks.index(block)]
        return Profile(self.names, self.steps, self.losses, one)

    def save(self, path: str | Path) -> Path:
        """Write to ``.npz`` or ``.json``, by the suffix; neither uses pickle.

        Raises:
            ProfileError: another suffix.
        """
        path = Path(path)
        if path.suffix == ".npz":
            with path.open("wb") as file:
                arrays: dict[str, Any] = {k: np.asarray(getattr(self, k)) for k in self._keys()}
                np.savez_compressed(file, **arrays)
        elif path.suffix == ".json":
            path.write_text(json.dumps(self.to_json()), encoding="utf-8")
        else:
            raise ProfileError(f"expected a path ending in .npz or .json, found '{path}'.")
        return path

    def to_json(self) -> dict[str, object]:
        """The profile as plain lists."""
        made = {key: np.asarray(getattr(self, key)).tolist() for key in self._keys()}
        if _UPDATES in made:  # JSON has no NaN
            made[_UPDATES] = [None if np.isnan(u) else u for u in made[_UPDATES]]
        return made

    def _keys(self) -> tuple[str, ...]:
        blocks = _BLOCKS if self.blocks else ()
        return (*_FIELDS, *blocks, *((_UPDATES,) if self.updates is not None else ()))

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Profile:
        """What ``to_json`` gave.

        Raises:
            ProfileError: a profile that is none.
            KeyError, TypeError, ValueError: not what ``to_json`` gives.
        """
        blocks = tuple(str(b) for b in raw.get("blocks", ()))
        updates = raw.get(_UPDATES)
        return cls(
            names=tuple(str(n) for n in raw["names"]),
            steps=np.asarray(raw["steps"], dtype=np.int64),
            losses=np.asarray(raw["losses"], dtype=np.float64),
            gramians=np.asarray(raw["gramians"], dtype=np.float64),
            blocks=blocks,
            block_gramians=np.asarray(raw["block_gramians"]) if blocks else None,
            updates=None if updates is None else np.asarray(updates, dtype=np.float64),
        )

    @classmethod
    def load(cls, path: str | Path) -> Profile:
        """Read what ``save`` wrote.

        Raises:
            ProfileError: no such file, or not a profile.
        """
        path = Path(path)
        if not path.is_file():
            raise ProfileError(f"no profile at '{path}'.")
        try:
            if path.suffix == ".npz":
                with np.load(path, allow_pickle=False) as data:
                    keys = _FIELDS + _BLOCKS if _BLOCKS[0] in data else _FIELDS
                    raw = {key: data[key].tolist() for key in keys}
                    raw |= {_UPDATES: data[_UPDATES].tolist()} if _UPDATES in data else {}
            else:
                raw = json.loads(path.read_text(encoding="utf-8"))
            return cls.from_json(raw)
        except (
            KeyError,
            TypeError,
            AttributeError,
            ValueError,
            OSError,
            EOFError,
            BadZipFile,
            zlib.error,
        ) as error:
            raise ProfileError(f"'{path}' is not a profile: {error}") from error
