"""The report folder: JSON, CSV, the raw profile, a figure and a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..core.plain_data import plain_data
from .content import ReportContent
from .csv_files import write_tables
from .figures.figure import save_figure
from .figures.trainings import drawable, save_trainings
from .html.page import page
from .trainings import brought
from .verdict import explanation, headline

PICTURE = "training.png"


def write_report(
    folder: str | Path, content: ReportContent, extra: Mapping[str, Any] | None = None
) -> Path:
    """Write ``report.json``, ``report.html``, the profile and tables of it.

    ``pairs.csv``, ``losses.csv`` and ``layers.csv`` (a row for each pair in each layer) hold the
    statistics, ``history.csv`` every sample (losses, gradient norms, their ratio, cosines),
    ``profile.npz`` all of it, ``profile.png`` a figure; of a run to the end ``training.png`` shows
    losses and the script's metric over the seconds.

    Args:
        folder: created if need be; files of an earlier report in it are replaced.
        extra: further top-level entries of ``report.json`` (script, outcome).

    Returns:
        The folder.
    """
    folder, diagnosis = Path(folder), content.diagnosis
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "report.json", {**_content(content), **(extra or {})})
    (folder / "report.html").write_text(page(content), encoding="utf-8")
    write_tables(folder, diagnosis)
    diagnosis.profile.save(folder / "profile.npz")
    save_figure(diagnosis, folder / "profile.png")
    (folder / PICTURE).unlink(missing_ok=True)
    if drawable(content.trainings):
        save_trainings(content.trainings, folder / PICTURE)
    return folder


def _content(content: ReportContent) -> dict[str, Any]:
    diagnosis, advice = content.diagnosis, content.advice
    return {
        "verdict": {
            "headline": headline(diagnosis),
            "explanation": explanation(diagnosis),
            "remarks": list(content.remarks),
            "odds": dict(diagnosis.odds),
            "situation": diagnosis.situation,
        },
        "advice": {
            "action": advice.action,
            "basis": advice.basis,
            "done": content.done,
            "brought": list(brought(content.trainings)),
            "lines": [line._asdict() for line in advice.lines],
        },
        "diagnosis": diagnosis.to_json(),
        "plan": content.plan.to_json(),
        "rule": content.rule.to_json(),
        "replays": [r.to_json() for r in content.replays],
        "notes": list(content.notes),
        "tables": [asdict(t) for t in content.tables],
    }


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write indented JSON; numbers JSON cannot hold (NaN, inf) become strings."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(plain_data(content, "text"), indent=2, allow_nan=False) + "\n", encoding="utf-8"
    )
