"""The wheel holds the integrations as a subpackage, and works without the repository."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    # Built from a copy: setuptools leaves build folders beside the sources.
    copy = folder / "source"
    tracked = ["conflictopt", "integrations", "pyproject.toml", "README.md", "LICENSE", "setup.cfg"]
    copy.mkdir()
    for name in tracked:
        (copy / name).symlink_to(ROOT / name)
    subprocess.run([*command, str(copy)], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    target = folder / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def test_contents(unpacked):
    assert (unpacked / "conflictopt" / "py.typed").is_file()
    assert (unpacked / "conflictopt" / "integrations" / "deepxde" / "attach.py").is_file()
    assert not (unpacked / "integrations").exists()
    (metadata,) = unpacked.glob("*.dist-info")
    assert "conflictopt = conflictopt.cli:main" in (metadata / "entry_points.txt").read_text()


def test_every_package_of_the_repository_is_in_the_wheel(unpacked):
    ours = {p.relative_to(ROOT) for p in (ROOT / "conflictopt").rglob("*.py")}
    ours |= {
        Path("conflictopt") / p.relative_to(ROOT) for p in (ROOT / "integrations").rglob("*.py")
    }
    assert ours == {p.relative_to(unpacked) for p in unpacked.rglob("*.py")}


def test_runs_from_the_wheel(unpacked, tmp_path):
    code = (
        "import conflictopt, conflictopt.integrations.deepxde as d;"
        "print(conflictopt.__file__, d.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count(str(unpacked)) == 2
