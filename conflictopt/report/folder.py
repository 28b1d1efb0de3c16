"""The report folder: JSON, CSV, the raw profile, a figure and a page."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from itertools import combinations
from pathlib import Path
from typing import Any

from ..diagnosis.layers import BlockStatistics
from ..diagnosis.loss_statistics import LossStatistics, norm_ratio
from ..diagnosis.pair_statistics import PairStatistics
from ..diagnosis.profile import Profile
from .content import Findings
from .figures.figure import save_figure
from .html.page import page
from .verdict import explanation, headline

_LAYER = ("layer", "share", "norm_ratio", "cancellation_late", "alignment_late")


def write_report(
    folder: str | Path, findings: Findings, extra: Mapping[str, Any] | None = None
) -> Path:
    """Write ``report.json``, ``report.html``, the profile and tables of it.

    ``pairs.csv``, ``losses.csv`` and ``layers.csv`` (a row for each pair in each layer) hold the
    statistics, ``history.csv`` every sample (losses, gradient norms, their ratio, cosines),
    ``profile.npz`` all of it, ``profile.png`` a figure.

    Args:
        folder: created if need be; files of an earlier report in it are replaced.
        extra: further top-level entries of ``report.json`` (script, outcome).

    Returns:
        The folder.
    """
    folder, diagnosis = Path(folder), findings.diagnosis
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "report.json", {**_content(findings), **(extra or {})})
    (folder / "report.html").write_text(page(findings), encoding="utf-8")
    _write_csv(folder / "pairs.csv", _names(PairStatistics), map(asdict, diagnosis.pairs))
    _write_csv(folder / "losses.csv", _names(LossStatistics), map(asdict, diagnosis.losses))
    header = [*_LAYER, *_names(PairStatistics)]
    _write_csv(folder / "layers.csv", header, _layer_rows(diagnosis.blocks))
    _write_history(folder / "history.csv", diagnosis.profile)
    diagnosis.profile.save(folder / "profile.npz")
    save_figure(diagnosis, folder / "profile.png")
    return folder


def _content(findings: Findings) -> dict[str, Any]:
    diagnosis, advice = findings.diagnosis, findings.advice
    return {
        "verdict": {
            "headline": headline(diagnosis),
            "explanation": explanation(diagnosis),
            "remarks": list(findings.remarks),
            "odds": dict(diagnosis.odds),
            "situation": diagnosis.situation,
        },
        "advice": {
            "action": advice.action,
            "basis": advice.basis,
            "done": findings.done,
            "lines": [line._asdict() for line in advice.lines],
        },
        "diagnosis": diagnosis.to_json(),
        "plan": findings.plan.to_json(),
        "rule": findings.rule.to_json(),
        "replays": [r.to_json() for r in findings.replays],
        "notes": list(findings.notes),
        "tables": [asdict(t) for t in findings.tables],
    }


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


def _names(kind: type[Any]) -> list[str]:
    return [f.name for f in fields(kind)]


def _write_csv(path: Path, header: list[str], rows: Iterator[Mapping[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        writer.writerows(rows)
