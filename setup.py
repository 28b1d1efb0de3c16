"""The packages, with integrations/ as conflictopt.integrations; all else is in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["conflictopt", "conflictopt.*"]),
        *(f"conflictopt.{name}" for name in find_packages(include=["integrations*"])),
    ],
)
