"""Options with some of their fields chosen by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from .errors import MethodError

_Options = TypeVar("_Options")


def changed(options: _Options, choices: Mapping[str, Any]) -> _Options:
    """Options, a dataclass, with some of them chosen otherwise, by name.

    Raises:
        MethodError: an option that there is not, or a bad value.
    """
    known = [f.name for f in fields(options)]  # type: ignore[arg-type]
    for name in choices:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise MethodError(f"unknown option {name!r}.{hint} Known: {', '.join(known)}.")
    return replace(options, **choices)  # type: ignore[type-var]
