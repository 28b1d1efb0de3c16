"""The wheel holds the integrations as a subpackage, works without the repository, and says so."""

import os
import re
import subprocess
import sys
from pathlib import Path

import conflictopt

ROOT = Path(__file__).parents[2]


def test_contents(unpacked, metadata):
    assert (unpacked / "conflictopt" / "py.typed").is_file()
    assert (unpacked / "conflictopt" / "integrations" / "deepxde" / "hook.py").is_file()
    assert not (unpacked / "integrations").exists()
    (script,) = metadata.entry_points.select(group="console_scripts")
    assert (script.name, script.value) == ("conflictopt", "conflictopt.__main__:main")


def test_every_file_of_the_packages_is_in_the_wheel(unpacked):
    def files(root, *folders):
        found = (p for f in folders for p in (root / f).rglob("*"))
        return {p.relative_to(root) for p in found if p.is_file() and "__pycache__" not in p.parts}

    ours = files(ROOT, "conflictopt")
    ours |= {Path("conflictopt") / p for p in files(ROOT, "integrations")}
    assert ours == files(unpacked, "conflictopt")


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


def test_the_metadata_says_who_where_and_with_what(metadata):
    found = metadata.metadata
    assert found["Version"] == conflictopt.__version__
    assert found["Author"]
    urls = dict(text.split(", ") for text in found.get_all("Project-URL"))
    assert {"Homepage", "Documentation", "Changelog", "Issues"} <= set(urls)
    needed = [text for text in metadata.requires if "extra ==" not in text]
    assert {re.match(r"\w+", text)[0] for text in needed} == {"torch", "numpy", "scipy"}


def test_the_description_needs_no_file_of_the_repository(metadata):
    """A package index shows the README without the repository around it."""
    found = metadata.metadata
    assert found["Description-Content-Type"].startswith("text/markdown")
    text = found["Description"] if found["Description"] else found.get_payload()
    repository = dict(t.split(", ") for t in found.get_all("Project-URL"))["Homepage"]
    raw = repository.replace("github.com", "raw.githubusercontent.com")
    images = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    ours = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert images == [f"{raw}/v{conflictopt.__version__}/{path}" for path in ours]
    assert all((ROOT / path).is_file() for path in ours)
    assert not re.findall(r"\]\((?!https://|#)[^)]*\)", text)
