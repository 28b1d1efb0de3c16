"""What pyproject.toml cannot say: integrations/ as conflictopt.integrations, README's addresses."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
REPOSITORY = "https://github.com/conflictopt/conflictopt"
RAW = "https://raw.githubusercontent.com/conflictopt/conflictopt"
LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?!https?:|#)(?P<path>[^)\s]+)\)")
"""A link or an image by a path in the repository, which a package index does not have."""


def version() -> str:
    """That of ``conflictopt/_version.py``."""
    text = (ROOT / "conflictopt" / "_version.py").read_text(encoding="utf-8")
    return re.findall(r'__version__ = "(.+)"', text)[0]


def readme() -> str:
    """The README with paths in the repository as addresses of this version's files."""

    def address(link: re.Match[str]) -> str:
        place = f"{RAW}/v{version()}" if link["image"] else f"{REPOSITORY}/blob/v{version()}"
        return f"{link['image']}[{link['text']}]({place}/{link['path']})"

    return LINK.sub(address, (ROOT / "README.md").read_text(encoding="utf-8"))


setup(
    packages=[
        *find_packages(include=["conflictopt", "conflictopt.*"]),
        *(f"conflictopt.{name}" for name in find_packages(include=["integrations*"])),
    ],
    long_description=readme(),
    long_description_content_type="text/markdown",
)
