"""Takes the C library's allocator out of the measurement."""

from __future__ import annotations

import os
import sys

KEPT = {"MALLOC_TRIM_THRESHOLD_": str(1 << 32), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}
"""What glibc reads at the start of a process: the free memory it keeps, and above which size it
asks the system for memory of its own. In bytes."""


def keep_freed_memory() -> None:
    """Start this process again under an allocator that keeps freed memory, unless it does.

    By default glibc gives memory back as soon as a step has freed its graph and fetches it again
    in the next: 100 to 400 page faults, up to a tenth of a 7 ms step, and as many more or fewer
    from one contender, and one run, to the next as chance places what is not freed.
    """
    if sys.platform == "linux" and not KEPT.keys() <= os.environ.keys():
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **KEPT})
