"""Where a record comes from: versions, machine, sources."""

from __future__ import annotations

import hashlib
import os
import platform
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..._version import __version__

TRAINING = (
    *(
        "core/",
        "methods/",
        "adapters/",
        "optim/",
        "curvature/",
        "diagnosis/",
        "selection/",
        "auto/",
    ),
    *("lab/problems/", "lab/derivatives/", "lab/runs/"),
)
"""The rooms of conflictopt whose code may change the numbers of a run."""


def versions() -> dict[str, str]:
    """Of what decides numbers."""
    return {
        "conflictopt": __version__,
        "torch": torch.__version__.partition("+")[0],
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


@lru_cache(maxsize=1)
def machine() -> dict[str, Any]:
    """System, processor and number of cores; nothing that names its owner."""
    return {
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


def _processor() -> str:
    """The processor's name; on Linux ``platform`` does not know it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@lru_cache(maxsize=1)
def source_digest() -> str:
    """16 hexadecimal digits that change with any source file that training may use."""
    root = Path(__file__).parents[2]
    found = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if name.startswith(TRAINING):
            found.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]
