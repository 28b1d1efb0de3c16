"""A diagnosis as tables of full precision, in CSV files."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from itertools import combinations
from pathlib import Path
from typing import Any

from ..diagnosis.layers import BlockStatistics
from ..diagnosis.loss_statistics import LossStatistics, norm_ratio
from ..diagnosis.numbers import DiagnosisNumbers
from ..diagnosis.pair_statistics import PairStatistics
from ..diagnosis.profile import Profile

_LAYER = ("layer", "share", "norm_ratio", "cancellation_late", "alignment_late")


def write_tables(folder: Path, diagnosis: DiagnosisNumbers) -> None:
    """``pairs.csv``, ``losses.csv``, ``layers.csv`` and ``history.csv``."""
    _write_csv(folder / "pairs.csv", _names(PairStatistics), map(asdict, diagnosis.pairs))
    _write_csv(folder / "losses.csv", _names(LossStatistics), map(asdict, diagnosis.losses))
    header = [*_LAYER, *_names(PairStatistics)]
    _write_csv(folder / "layers.csv", header, _layer_rows(diagnosis.blocks))
    _write_history(folder / "history.csv", diagnosis.profile)


def _layer_rows(blocks: tuple[BlockStatistics, ...]) -> Iterator[dict[str, Any]]:
    for block in blocks:
        late = block.agreement.cancellation_late, block.agreement.alignment_late
        of_layer = dict(
            zip(_LAYER, (block.name, block.share, block.norm_ratio, *late), strict=True)
        )
        yield from ({**of_layer, **asdict(pair)} for pair in block.pairs)


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


def _names(kind: type[Any]) -> list[str]:
    return [f.name for f in fields(kind)]


def _write_csv(path: Path, header: list[str], rows: Iterator[Mapping[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        writer.writerows(rows)
