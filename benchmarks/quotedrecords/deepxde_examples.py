"""What ``auto`` did to scripts of DeepXDE, beside their plain runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from sections import Part, Section

from conflictopt.experiment.report.markdown import code, number, table


def deepxde_examples(results: Path) -> Iterator[Part]:
    """A table of docs/evidence.md."""
    found = json.loads((results / "deepxde_examples.json").read_text(encoding="utf-8"))
    rows = [_row(entry) for entry in found]
    heads = ["script", "plan", "at the last step", "plain", "`auto`", "ratio"]
    yield Section("docs/evidence.md", "deepxde examples", table(heads, rows, "l"))


def _row(entry: dict) -> list[str]:
    """By the script's own error where it has one, else by the sum of its losses."""
    plain, auto = entry["outcomes"]["none"], entry["outcomes"]["auto"]
    name, *_ = [*plain["metrics"], "train loss"]
    values = [o["metrics"].get(name, o["train loss"]) for o in (plain, auto)]
    told = [code(entry["script"]), entry["plan"], name.replace("_", " ")]
    return [*told, *map(number, values), f"{values[1] / values[0]:.2f}"]
