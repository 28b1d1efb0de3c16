"""Find circles of imports among all modules; those inside functions and type checks count too."""

import sys
from pathlib import Path

import grimp
import networkx as nx

PACKAGES = ("conflictopt", "integrations")
sys.path.insert(0, str(Path(__file__).parents[1]))


def circles(*packages: str) -> list[list[str]]:
    """Per circle its modules, the largest circle first."""
    imports = grimp.build_graph(*packages)
    graph = nx.DiGraph(
        (module, imported)
        for module in imports.modules
        for imported in imports.find_modules_directly_imported_by(module)
    )
    found = [sorted(c) for c in nx.strongly_connected_components(graph) if len(c) > 1]
    return sorted(found, key=lambda c: (-len(c), c))


if __name__ == "__main__":
    found = circles(*(sys.argv[1:] or PACKAGES))
    for circle in found:
        sys.stderr.write(f"modules that import each other: {', '.join(circle)}\n")
    sys.exit(bool(found))
