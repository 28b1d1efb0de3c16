"""Modules and functions stay small."""

import ast
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
FILES = [
    path
    for folder in ("conflictopt", "integrations")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.name != "__init__.py"
]
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def code_lines(tree: ast.Module, text: str) -> set[int]:
    """The lines that are not empty, a comment or part of a docstring."""
    lines = enumerate(text.splitlines(), start=1)
    found = {n for n, line in lines if line.strip() and not line.strip().startswith("#")}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, *DEFINITIONS)) and ast.get_docstring(node):
            found -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return found


def functions() -> dict[str, int]:
    """Per function its lines of code, the signature among them."""
    found = {}
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        code = code_lines(tree, text)
        for node in ast.walk(tree):
            if isinstance(node, DEFINITIONS):
                name = f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
                found[name] = len(code.intersection(range(node.lineno, node.end_lineno + 1)))
    return found


def test_modules_are_small():
    sizes = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in FILES}
    assert {name: n for name, n in sizes.items() if n > 400} == {}
    assert median(sizes.values()) <= 88


def test_functions_are_small():
    sizes = functions()
    assert {name: n for name, n in sizes.items() if n > 60} == {}
    assert median(sizes.values()) <= 6
