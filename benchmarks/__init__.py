"""What is measured and shown of conflictopt: costs, studies, and the documents made of them.

Run a module from the root of the repository: ``python -m benchmarks.NAME``.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""Of the repository."""
RECORDS = ROOT / "records"
"""Packed studies, one ``.jsonl.gz`` each, and the JSON of measurements of costs."""
