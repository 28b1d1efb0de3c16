"""Run notebooks in fresh kernels, and write them with their outputs.

Usage: python notebooks/execute.py [--small] [--out FOLDER] [--workers N] [NAME ...]
NAME is a notebook's path or the start of its name; without any, all notebooks of this folder run.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

try:
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
except ImportError as error:
    raise SystemExit(
        f"expected the packages that run notebooks, found no '{error.name}': "
        "pip install -e '.[notebooks]'"
    ) from error

HERE = Path(__file__).parent
CELL_TIMEOUT = 1200
"""Seconds; far above what any cell takes, so that only a hanging one meets it."""
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
"""Of every notebook: without the version of the Python that happened to run it."""
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def found(names: Sequence[str], folder: Path = HERE) -> list[Path]:
    """The notebooks that the names mean, in the order given; all of the folder without names.

    Raises:
        SystemExit: a name that means no notebook, or several.
    """
    known = sorted(folder.glob("*.ipynb"))
    chosen = []
    for name in names:
        meant = [Path(name)] if Path(name).is_file() else _starting(known, name)
        if len(meant) != 1:
            listed = ", ".join(p.stem for p in meant or known) or "none"
            what = "several" if meant else f"'{name}', which is none"
            raise SystemExit(f"expected the path or name of one notebook, found {what}: {listed}")
        chosen += meant
    return chosen if names else known


def _starting(known: Sequence[Path], name: str) -> list[Path]:
    return [p for p in known if p.name.startswith(name)]


def execute(source: Path, target: Path, small: bool) -> str | None:
    """Run a notebook and write it to ``target``; where a cell fails, write nothing.

    Returns:
        What went wrong; ``None`` if nothing did.

    Raises:
        SystemExit: the kernel died, as it does when the run is interrupted.
    """
    notebook = nbformat.read(source, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(source.resolve().parent)}},
    )
    budget = {"CONFLICTOPT_NOTEBOOKS": "small" if small else "full", "OMP_NUM_THREADS": "1"}
    try:
        client.execute(env={**os.environ, **budget})
    except (CellExecutionError, CellTimeoutError) as error:
        return _ANSI.sub("", str(error)).strip()
    except DeadKernelError as error:
        raise SystemExit(f"{source.name}: interrupted, or the kernel died ({error})") from error
    write(notebook, target)
    return None


def write(notebook: nbformat.NotebookNode, target: Path) -> None:
    """Write a notebook without what varies from run to run without meaning."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(target.name + ".part")
    nbformat.write(notebook, unfinished)
    unfinished.replace(target)


def run(source: Path, out: Path | None, small: bool) -> int:
    """Run one notebook, and say what came of it; 1 if it failed."""
    began = time.monotonic()
    target = source if out is None else out / source.name
    message = execute(source, target, small)
    seconds = f"{time.monotonic() - began:.0f} s"
    if message is not None:
        print(f"{source.name}: FAILED after {seconds}\n{message}", file=sys.stderr, flush=True)
        return 1
    print(f"{source.name}: {seconds}, written to {target}", flush=True)
    return 0


def apart(source: Path, flags: Sequence[str]) -> int:
    """``run`` in a process of its own, which an interrupt reaches too."""
    return subprocess.run([sys.executable, __file__, *flags, str(source)]).returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 if any notebook failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="path or start of a name")
    parser.add_argument("--small", action="store_true", help="few steps: does every cell run?")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write there, not in place")
    parser.add_argument("--workers", type=int, default=1, help="notebooks at a time")
    given = parser.parse_args(arguments)
    if given.workers < 1:
        parser.error(f"expected --workers of at least 1, found {given.workers}")
    sources = found(given.names)
    if given.workers == 1:
        return max([run(source, given.out, given.small) for source in sources], default=0)
    flags = ["--small"] * given.small + (["--out", str(given.out)] if given.out else [])
    with ThreadPoolExecutor(given.workers) as pool:
        return max(pool.map(lambda source: apart(source, flags), sources), default=0)


if __name__ == "__main__":
    sys.exit(main())
