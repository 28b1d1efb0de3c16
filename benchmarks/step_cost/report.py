"""Tables for the terminal, and the JSON file."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from .targets import Target

Record = dict[str, Any]

PACKAGES = ("torch", "deepxde", "conflictopt", "torchjd", "conflictfree", "numpy")
COMPACT_BELOW = 4
"""Depth of the JSON file from which on a value is written on one line."""


def circumstances() -> Record:
    """Machine, versions, date and commit."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": _git("describe", "--always", "--dirty", "--exclude=*"),
        "machine": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in PACKAGES},
        },
    }


def write(path: Path, record: Record) -> None:
    """Write JSON, one contender's rounds per line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_text(record, 0) + "\n")


def show_case(console: Console, name: str, case: Record) -> None:
    """Print one case as a table; medians, with quartiles in brackets."""
    title = (
        f"{name}: {case['losses']} losses, {case['parameters']} parameters, {case['rows']} points"
    )
    table = _table(title)
    table.add_column("contender", no_wrap=True)
    for column in ("ms per step", "x plain", "x ours", "peak MB", "first step"):
        table.add_column(column, justify="right", no_wrap=True)
    for contender, record in case["contenders"].items():
        over = record.get("times_rival")
        table.add_row(
            contender,
            _spread(record["ms"], digits=1),
            _spread(record["ratio"], digits=2),
            f"{over[1]:.2f}" if over else "",
            *(f"{record['peak_bytes'][when] / 1e6:.2f}" for when in ("later", "first")),
        )
    console.print(table)


def show_targets(console: Console, targets: list[Target]) -> None:
    """Print the targets."""
    table = _table("targets")
    for column in ("case", "what", "measured", "target", ""):
        table.add_column(column, no_wrap=True)
    for t in targets:
        verdict = "[green]pass[/]" if t.met else "[red]miss[/]"
        table.add_row(t.case, t.what, f"{t.measured:.3f}", f"{t.sign} {t.limit:.3f}", verdict)
    console.print(table)


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)


def _spread(values: list[float], digits: int) -> str:
    low, median, high = (f"{v:.{digits}f}" for v in values)
    return f"{median} [{low}, {high}]"


def _text(value: Any, depth: int) -> str:
    if not isinstance(value, dict) or depth == COMPACT_BELOW:
        return json.dumps(value)
    inside = ",\n".join(
        f"{' ' * (depth + 1)}{json.dumps(k)}: {_text(v, depth + 1)}" for k, v in value.items()
    )
    return f"{{\n{inside}\n{' ' * depth}}}"


def _git(*command: str) -> str:
    try:
        done = subprocess.run(
            ["git", *command],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
