"""The rule that comes with conflictopt, as the plain data of ``rule.json``."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources
from typing import Any


@lru_cache(maxsize=1)
def shipped() -> dict[str, Any]:
    """What ``rule.json`` holds; not to be changed."""
    text = resources.files(__package__).joinpath("rule.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def default_thresholds() -> dict[str, Any]:
    """Per field of ``Thresholds`` its value in ``rule.json``."""
    return {name: entry["value"] for name, entry in shipped()["thresholds"].items()}
