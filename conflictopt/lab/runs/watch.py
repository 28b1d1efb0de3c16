"""Notices records as they appear, whichever process on whichever machine writes them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

from .records import read
from .tasks import Planned, Result

_POLL_SECONDS = 0.25
# how long a folder on a network may hide what another machine has written
_HIDDEN_SECONDS = 60.0


class RecordWatch:
    """Tells of every run whose record appears while the context lasts.

    Args:
        planned: the runs to be done; a record that is there already counts once it is replaced.
        tell: called with each result, once, in a thread of this process or, for the last ones, in
            the caller's.
    """

    def __init__(self, planned: Iterable[Planned], tell: Callable[[Result], None]) -> None:
        self.results: list[Result] = []
        self._pending = {p.path: (p, _stamp(p.path)) for p in planned}
        self._tell = tell
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="conflictopt records", daemon=True)

    def __enter__(self) -> RecordWatch:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        self._sweep()

    def missing(self) -> list[Planned]:
        """After the context: runs without a record, although their workers have returned."""
        deadline = time.monotonic() + _HIDDEN_SECONDS
        while self._pending and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            self._sweep()
        return [p for p, _ in self._pending.values()]

    def _poll(self) -> None:
        while not self._over.wait(_POLL_SECONDS):
            with contextlib.suppress(OSError):  # of a network's folder: the next time, then
                self._sweep()

    def _sweep(self) -> None:
        for path, (planned, before) in list(self._pending.items()):
            if _stamp(path) != before:
                result = Result.of(planned.task, read(path))
                del self._pending[path]
                self.results.append(result)
                self._tell(result)


def _stamp(path: Path) -> tuple[int, int] | None:
    """Changes whenever a file is replaced."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
