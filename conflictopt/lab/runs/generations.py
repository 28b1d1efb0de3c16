"""Which versions of conflictopt train alike."""

from __future__ import annotations

ALIKE: tuple[tuple[str, ...], ...] = (("0.1.0", "0.2.0"),)
"""Versions by generation: those of one make the same numbers of the same run, so their records are
of one kind. A version that changes a number of a run that an older one could do begins a new one.
"""


def generation(version: str | None) -> str:
    """The versions that train like this one, as records tell it.

    A version that no generation has is alone in its own.

    >>> generation("0.2.0"), generation("0.0.9")
    ('0.1.0 to 0.2.0', '0.0.9')
    """
    members = next((found for found in ALIKE if version in found), (str(version),))
    return " to ".join(dict.fromkeys((members[0], members[-1])))
