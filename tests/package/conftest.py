"""The package as it is installed, and Pythons that see only some of the other packages."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from importlib.metadata import PathDistribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
SOURCES = (
    *("conflictopt", "integrations", "pyproject.toml", "setup.py", "setup.cfg"),
    *("README.md", "LICENSE"),
)
CLOSED = Path(__file__).with_name("closed.py")


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory):
    """The folder of a wheel's files."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    # Built from a copy: setuptools leaves build folders beside the sources.
    copy = folder / "source"
    copy.mkdir()
    for name in SOURCES:
        (copy / name).symlink_to(ROOT / name)
    done = subprocess.run([*command, str(copy)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    target = folder / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


@pytest.fixture(scope="session")
def metadata(unpacked):
    """What the wheel says of itself."""
    (found,) = unpacked.glob("*.dist-info")
    return PathDistribution(found)


def _names(distributions):
    """Top-level modules of distributions, read from the files that they installed."""
    found = set()
    for name in distributions:
        for file in distribution(name).files or ():
            top = file.parts[0]
            if top.endswith((".py", ".so")) or len(file.parts) > 1:
                found.add(top.partition(".")[0])
    return {name for name in found if name.isidentifier()}


@pytest.fixture(scope="session")
def modules(metadata):
    """``modules(extra)``: what may be imported with the package and this extra alone."""

    def closure(extra):
        waiting = [("conflictopt", extra)]
        seen = set()
        while waiting:
            name, wanted = pair = waiting.pop()
            if pair in seen:
                continue
            seen.add(pair)
            source = metadata if name == "conflictopt" else distribution(name)
            for text in source.requires or ():
                required = Requirement(text)
                if required.marker is None or required.marker.evaluate({"extra": wanted}):
                    waiting += [(required.name, e) for e in ("", *required.extras)]
        return _names({name for name, _ in seen} - {"conflictopt"}) | {"conflictopt"}

    return closure


@pytest.fixture
def closed(unpacked, modules, tmp_path):
    """``closed(extra, code, *arguments)``: run code where only this extra is installed."""

    def run(extra, code, *arguments):
        script = tmp_path / "code.py"
        script.write_text(code, encoding="utf-8")
        allowed = ",".join(sorted(modules(extra)))
        environment = {**os.environ, "PYTHONPATH": str(unpacked), "DDE_BACKEND": "pytorch"}
        # in a folder of its own: the repository must not be found
        return subprocess.run(
            [sys.executable, str(CLOSED), allowed, str(script), *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run
