"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, which takes the place of ``path`` when the context ends without error.

    No reader ever sees a part of it, whenever the writer is killed; what it leaves behind then
    has a hidden name that ends in ``.tmp``.

    Args:
        path: its folder is created if need be.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # the name is this writer's own: two writers of one file must not share it
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
