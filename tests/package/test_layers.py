"""Who may import whom, where the contracts in setup.cfg cannot say it; read from the sources."""

import ast
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAMILIES = ("reweighting", "surgery", "routing")
TOP = {"__init__", "__main__", "_version", "plotting", "wording"}
"""The modules at the top of the package; all else lies in a folder."""
NUMBERS = {"torch", "numpy", "scipy"}
HOSTS = {p.name for p in (ROOT / "integrations").iterdir() if (p / "__init__.py").is_file()}


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
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found
    return found


def test_no_module_lies_beside_the_folders():
    assert {p.stem for p in (ROOT / "conflictopt").glob("*.py")} <= TOP


def test_core_imports_torch_and_itself():
    allowed = {"torch", *sys.stdlib_module_names}
    for path in sources("conflictopt/core"):
        for name in imports(path):
            ours = name == "conflictopt" or name.startswith("conflictopt.")
            assert name.startswith("conflictopt.core") if ours else name.split(".")[0] in allowed


def test_curvature_imports_core_and_itself():
    allowed = NUMBERS | sys.stdlib_module_names
    for path in sources("conflictopt/curvature"):
        for name in imports(path):
            ours = name.split(".")[0] == "conflictopt"
            known = name.startswith(("conflictopt.core", "conflictopt.curvature"))
            assert known if ours else name.split(".")[0] in allowed, (path, name)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_method_imports_core_what_methods_share_and_the_bases_of_its_family(family):
    shared = {p.stem for p in (ROOT / "conflictopt" / "methods").glob("*.py")} - {"registry"}
    allowed = ("conflictopt.core.", f"conflictopt.methods.{family}._")
    for path in sources(f"conflictopt/methods/{family}"):
        for name in imports(path):
            if name.startswith("conflictopt.methods.") and name.split(".")[2] in shared:
                continue
            assert not name.startswith("conflictopt") or name.startswith(allowed), (path, name)


@pytest.mark.parametrize("host", sorted(HOSTS))
def test_an_integration_imports_its_own_host_alone(host):
    for path in sources(f"integrations/{host}"):
        named = {name.split(".")[0] for name in imports(path)}
        assert not named & (HOSTS - {host}), path


def test_no_import_goes_in_a_circle(tmp_path):
    circles = runpy.run_path(str(ROOT / ".ci" / "import_cycles.py"))["circles"]
    assert circles("conflictopt", "integrations") == []
    # and one would be found, inside a function too
    package = tmp_path / "going_round"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "one.py").write_text("from . import two\n")
    (package / "two.py").write_text("def f():\n    from . import one\n")
    (package / "three.py").write_text("from . import one\n")
    sys.path.insert(0, str(tmp_path))
    try:
        assert circles("going_round") == [["going_round.one", "going_round.two"]]
    finally:
        sys.path.remove(str(tmp_path))
