"""Writes the sections of the documents that say what the code says.

The tables of methods in README.md and docs/methods.md, the example of an added method in
CONTRIBUTING.md, and the table of problems in docs/suite.md. ``python docs/generate.py`` rewrites
them; ``--check`` fails if one is stale.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import conflictopt
from conflictopt.lab.problems import load_suite
from conflictopt.methods.registry import METHODS

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- made by docs/generate.py -->\n", "\n<!-- end -->"
EXAMPLE = "dualproj"
"""The method whose addition CONTRIBUTING.md shows."""
FAMILIES = {
    "reweighting": "Reweighting: one weight per loss, or per collocation point",
    "surgery": "Surgery: the gradients themselves are recombined",
    "routing": "Routing: which loss reaches which adapter",
}


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in cells)


def _option(name: str, default: Any) -> str:
    return f"`{name}={default!r}`" if default is not None else f"`{name}` (required)"


def short(rows: Sequence[dict[str, Any]]) -> str:
    """What the README says: name, family, what it does."""
    ordered = [r for family in FAMILIES for r in rows if r["family"] == family]
    return _table(
        ["name", "family", "what it does"],
        [[f"`{r['name']}`", r["family"], r["summary"]] for r in ordered],
    )


def full(rows: Sequence[dict[str, Any]]) -> str:
    """What docs/methods.md says: everything that a method says of itself."""
    parts = []
    for family, title in FAMILIES.items():
        body = [
            [
                f"`{r['name']}`",
                r["summary"],
                r["claim"],
                ", ".join(r["needs"]),
                f"`{r['passes']}`",
                ", ".join(_option(*item) for item in r["options"].items()) or "none",
                r["source"],
            ]
            for r in rows
            if r["family"] == family
        ]
        heads = ["name", "what it does", "claims", "reads", "backward passes", "options", "source"]
        parts += [f"## {title}", _table(heads, body)]
    return "\n\n".join(parts)


def added(_: Sequence[dict[str, Any]]) -> str:
    """The diff that added a method: its file and its line of the registry."""
    target = METHODS[EXAMPLE]
    path = "conflictopt/methods/" + target.partition(":")[0].replace(".", "/") + ".py"
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    names = list(METHODS)
    i = names.index(EXAMPLE)
    around = [f'    "{n}": "{METHODS[n]}",' for n in names[i - 1 : i + 2]]
    registry = "conflictopt/methods/registry.py"
    diff = [f"--- a/{registry}", f"+++ b/{registry}", "@@ METHODS @@"]
    diff += [f" {around[0]}", f"+{around[1]}", f" {around[2]}"]
    diff += ["--- /dev/null", f"+++ b/{path}", f"@@ -0,0 +1,{len(lines)} @@"]
    return "\n".join(["```diff", *diff, *(f"+{line}" for line in lines), "```"])


def problems(_: Sequence[dict[str, Any]]) -> str:
    """Every problem of the suite, in a line."""
    rows = []
    for p in load_suite().values():
        unknowns = ", ".join(p.unknown_names) or "-"
        inputs = p.inputs if len(p.inputs) < 5 else (*p.inputs[:2], "...", p.inputs[-1])
        net = p.spec.network
        size = f"{net.hidden_layers} x {net.width}"
        cells = [f"`{p.id}`", p.family, ", ".join(p.loss_names), ", ".join(inputs)]
        rows.append([*cells, ", ".join(p.outputs), unknowns, size, p.title])
    heads = ["id", "family", "losses", "inputs", "outputs", "unknowns", "network", "title"]
    return _table(heads, rows)


SECTIONS: dict[str, Callable[[Sequence[dict[str, Any]]], str]] = {
    "README.md": short,
    "docs/methods.md": full,
    "CONTRIBUTING.md": added,
    "docs/suite.md": problems,
}


def refreshed(path: str) -> str:
    """The text of a document with its section as the code has it now."""
    before, _, rest = (ROOT / path).read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + SECTIONS[path](conflictopt.describe()) + END + after


def main() -> int:
    """Rewrite the documents, or with ``--check`` name those that are stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = [p for p in SECTIONS if refreshed(p) != (ROOT / p).read_text(encoding="utf-8")]
    for path in stale:
        print(f"stale: {path}" if check else f"rewrote {path}")
        if not check:
            (ROOT / path).write_text(refreshed(path), encoding="utf-8")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
