"""Version, dates and lower bounds say the same wherever they stand."""

import re
from pathlib import Path

import tomllib
import yaml

import conflictopt

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def pins(name):
    """Package -> version of a list of requirements."""
    found = re.findall(r"^([\w-]+)(?:\[.*\])?==(\S+)$", read(name), flags=re.M)
    return {package.lower(): version for package, version in found}


def test_the_version_is_that_of_the_changelog_and_the_citation():
    version, date = re.search(r"^## (\S+) - (\S+)$", read("CHANGELOG.md"), flags=re.M).groups()
    cited = yaml.safe_load(read("CITATION.cff"))
    assert version == conflictopt.__version__ == cited["version"]
    assert date == cited["date-released"]
    assert cited["cff-version"] == "1.2.0"
    assert {"title", "message", "authors"} <= set(cited)
    assert cited["authors"] == PROJECT["authors"]
    assert cited["repository-code"] == PROJECT["urls"]["Homepage"]
    assert cited["license"] == PROJECT["license"]


def test_lower_bounds_are_those_of_the_oldest_list():
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"]]
    for extra in ("deepxde", "report", "lab", "cli", "torchjd"):
        wanted += [text for text in extras[extra] if not text.startswith("conflictopt[")]
    oldest = pins(".ci/oldest.txt")
    for text in wanted:
        name, bound = re.fullmatch(r"([\w-]+)>=([\d.]+)", text).groups()
        tested = oldest[name.lower()]
        assert tested == bound or re.fullmatch(rf"{re.escape(bound)}(\.\d+)?", tested), text


def test_the_versions_that_are_tested_are_stated():
    table = read("CONTRIBUTING.md").partition("## Versions that are tested")[2]
    rows = [
        [cell.strip() for cell in line.split("|")[2:-1]]
        for line in table.splitlines()
        if line.startswith("| ")
    ]
    head, _, *stated = rows[:4]
    assert head == ["Python", "torch", "numpy", "scipy"]
    for file, (python, *versions) in zip(
        ("constraints.txt", ".ci/oldest.txt"), stated, strict=True
    ):
        known = pins(file)
        assert versions == [known[name] for name in head[1:]]
        assert f"Programming Language :: Python :: {python}" in PROJECT["classifiers"]
    assert PROJECT["requires-python"] == f">={stated[-1][0]}"


def test_the_hooks_run_what_is_there():
    hooks = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"][0]["hooks"]
    assert {"ruff", "ruff-format", "mypy", "import-cycles", "stale-documents"} <= {
        hook["id"] for hook in hooks
    }
    for hook in hooks:
        for word in hook["entry"].split():
            if "/" in word and not word.startswith(".venv"):
                assert (ROOT / word).is_file(), hook["id"]
