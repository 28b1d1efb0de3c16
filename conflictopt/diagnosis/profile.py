"""Profile: the losses and Gramians of a run, sampled over its first steps."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ConflictOptError

_FIELDS = ("names", "steps", "losses", "gramians")


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

    Raises:
        ProfileError: shapes that do not fit together, or no sample.
    """

    names: tuple[str, ...]
    steps: NDArray[np.int64]
    losses: NDArray[np.float64]
    gramians: NDArray[np.float64]

    def __post_init__(self) -> None:
        t, k = len(self.steps), len(self.names)
        if t == 0 or k == 0:
            raise ProfileError(f"expected at least one sample of one loss, found T={t}, K={k}.")
        if (np.diff(self.steps) <= 0).any():
            raise ProfileError("expected increasing steps.")
        if self.losses.shape != (t, k) or self.gramians.shape != (t, k, k):
            raise ProfileError(
                f"expected losses [{t}, {k}] and gramians [{t}, {k}, {k}], "
                f"found {self.losses.shape} and {self.gramians.shape}."
            )

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

    def save(self, path: str | Path) -> Path:
        """Write to ``.npz`` or ``.json``, by the suffix; neither uses pickle.

        Raises:
            ProfileError: another suffix.
        """
        path = Path(path)
        if path.suffix == ".npz":
            with path.open("wb") as file:
                np.savez_compressed(
                    file,
                    names=np.array(self.names),
                    steps=self.steps,
                    losses=self.losses,
                    gramians=self.gramians,
                )
        elif path.suffix == ".json":
            path.write_text(json.dumps(self.to_json()), encoding="utf-8")
        else:
            raise ProfileError(f"expected a path ending in .npz or .json, found '{path}'.")
        return path

    def to_json(self) -> dict[str, object]:
        """The profile as plain lists."""
        return {
            "names": list(self.names),
            "steps": self.steps.tolist(),
            "losses": self.losses.tolist(),
            "gramians": self.gramians.tolist(),
        }

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
                    raw = {key: data[key].tolist() for key in _FIELDS}
            else:
                raw = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                names=tuple(str(n) for n in raw["names"]),
                steps=np.asarray(raw["steps"], dtype=np.int64),
                losses=np.asarray(raw["losses"], dtype=np.float64),
                gramians=np.asarray(raw["gramians"], dtype=np.float64),
            )
        except (
            KeyError,
            TypeError,
            ValueError,
            OSError,
            EOFError,
            BadZipFile,
            zlib.error,
        ) as error:
            raise ProfileError(f"'{path}' is not a profile: {error}") from error
