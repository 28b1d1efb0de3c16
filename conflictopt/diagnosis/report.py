"""The report folder: JSON, CSV, the raw profile and a figure."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from itertools import combinations
from pathlib import Path
from typing import Any

from .figure import save_figure
from .profile import Profile
from .regime import Diagnosis
from .selection import Plan
from .statistics import LossStatistics, PairStatistics, norm_ratio


def write_report(
    folder: str | Path,
    profile: Profile,
    diagnosis: Diagnosis,
    plan: Plan,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write ``report.json``, the profile and tables of it.

    ``pairs.csv`` and ``losses.csv`` hold the statistics, ``history.csv`` every sample (losses,
    gradient norms, their ratio, cosines), ``profile.npz`` all of it, ``profile.png`` a figure.

    Args:
        folder: created if need be; files of an earlier report in it are replaced.
        extra: further top-level entries of ``report.json`` (script, outcome).

    Returns:
        The folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "diagnosis": diagnosis.to_json(),
        "plan": plan.to_json(),
        **(extra or {}),
    }
    write_json(folder / "report.json", content)
    _write_csv(folder / "pairs.csv", PairStatistics, diagnosis.pairs)
    _write_csv(folder / "losses.csv", LossStatistics, diagnosis.losses)
    _write_history(folder / "history.csv", profile)
    profile.save(folder / "profile.npz")
    save_figure(profile, diagnosis, folder / "profile.png")
    return folder


def _write_history(path: Path, profile: Profile) -> None:
    names, pairs = profile.names, list(combinations(range(len(profile.names)), 2))
    header = ["step", *(f"loss {n}" for n in names), *(f"norm {n}" for n in names), "norm ratio"]
    header += [f"cosine {names[i]} / {names[j]}" for i, j in pairs]
    cosines = [profile.cosines[:, i, j] for i, j in pairs]
    columns = [*profile.losses.T, *profile.norms.T, norm_ratio(profile), *cosines]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for step, *values in zip(profile.steps, *columns, strict=True):
            writer.writerow([int(step), *(float(v) for v in values)])


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write indented JSON; numbers JSON cannot hold (NaN, inf) become strings."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_plain(content), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and value - value != 0:
        return str(value)
    return value


def _write_csv(path: Path, kind: type[Any], rows: tuple[Any, ...]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(kind)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
