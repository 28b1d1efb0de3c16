"""Import layers that the contracts in setup.cfg cannot express, read from the sources."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
METHOD_FOLDERS = ("reweighting", "surgery", "routing")


def imports(path: Path) -> set[str]:
    """Absolute names of everything a file imports, relative imports resolved."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    package = parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            found.add(".".join([*base, *([node.module] if node.module else [])]))
    return found


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", sources("conflictopt"), ids=lambda p: str(p.relative_to(ROOT)))
def test_conflictopt_never_imports_integrations_or_hosts(path):
    for name in imports(path):
        assert "integrations" not in name.split(".")
        assert name.split(".")[0] != "deepxde"


@pytest.mark.parametrize(
    "path",
    [p for f in METHOD_FOLDERS for p in sources(f"conflictopt/{f}")],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_a_method_imports_only_core_solvers_and_the_base_of_its_family(path):
    family = path.relative_to(ROOT).parts[1]
    allowed = ("conflictopt.core", "conflictopt.methods", f"conflictopt.{family}._")
    for name in imports(path):
        assert not name.startswith("conflictopt") or name.startswith(allowed)


def test_core_imports_only_itself():
    for path in sources("conflictopt/core"):
        ours = {n for n in imports(path) if n.startswith("conflictopt")}
        assert all(n.startswith("conflictopt.core") for n in ours), path


def test_integrations_do_not_import_the_command_line():
    for path in sources("integrations"):
        assert not any(n.startswith(("conflictopt.cli", "conflictopt.cli")) for n in imports(path))
