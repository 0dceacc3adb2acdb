"""The plan of the package: which module imports which, on which floor each stands.

``python tests/helpers/architecture.py`` prints the table of imports between floors.
"""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / "dlnotes"
FLOORS = [
    "lazy",
    "typing",
    "checks",
    "bounded",
    "jax_internals",
    "door",
    "formatting",
    "plotting",
    "devices",
    "layers",
    "outputs",
    "config",
    "autodiff",
    "models",
    "data",
    "training",
    "pretraining",
    "analysis",
    "experiment",
    "claims",
    "cli",
]
"""From the ground up: an import only ever points to the same floor or down."""
CHAPTERS = ["feedforward", "convolutional", "recurrent", "recursive"]
"""In the order of the notes: in layers and models, a later chapter may use an earlier one."""


@cache
def modules() -> dict[str, Path]:
    """Every module by its dotted name."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(["dlnotes", *path.relative_to(ROOT).with_suffix("").parts])
        found[name.removesuffix(".__init__")] = path
    return found


@cache
def imports() -> dict[str, frozenset[str]]:
    """What each module imports of the package, inside functions and under ``TYPE_CHECKING`` too."""
    return {name: frozenset(_imported(name, path)) for name, path in modules().items()}


def _imported(name: str, path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "dlnotes":
            for alias in node.names:
                if alias.name == "__version__":  # a text of the package itself
                    continue
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in modules() else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "dlnotes"}
    return found - {name}


def floor_of(module: str) -> int | None:
    """The number of a module's floor, ``None`` for the package itself and ``__main__``, which are on top."""
    parts = module.split(".")
    return FLOORS.index(parts[1]) if len(parts) > 1 and parts[1] in FLOORS else None


def upward() -> list[str]:
    """Imports that point to a higher floor, or out of the house to its front door."""
    found = []
    for module, names in imports().items():
        here = floor_of(module)
        for name in names if here is not None else ():
            there = floor_of(name)
            if there is None and name == "dlnotes":
                there = len(FLOORS)
            if there is not None and there > here:
                found.append(f"{module} imports {name}")
    return found


def backward() -> list[str]:
    """Imports of a later chapter by an earlier one, in layers and in models."""
    found = []
    for module, names in imports().items():
        for name in names:
            here, there = _chapter(module), _chapter(name)
            if here and there and here[0] == there[0] and there[1] > here[1]:
                found.append(f"{module} imports {name}")
    return found


def _chapter(module: str) -> tuple[str, int] | None:
    parts = module.split(".")
    if len(parts) > 2 and parts[1] in ("layers", "models") and parts[2] in CHAPTERS:
        return parts[1], CHAPTERS.index(parts[2])
    return None


def circle() -> list[str]:
    """Modules that import each other in a circle, none when there is no circle.

    A package that only hands names on is no room of its own: its modules may be imported through it.
    """
    graph = {m: {n for n in names if n != m} for m, names in imports().items() if not _hands_on(m)}
    try:
        list(TopologicalSorter({m: names & set(graph) for m, names in graph.items()}).static_order())
    except CycleError as error:
        return error.args[1]
    return []


def _hands_on(module: str) -> bool:
    return modules()[module].name == "__init__.py" and module != "dlnotes.data"


def table() -> str:
    """How many import lines lead from each floor (a row) to each below it (a column)."""
    counts = Counter(
        (floor_of(module), floor_of(name)) for module, names in imports().items() for name in names
    )
    size = Counter(floor_of(module) for module in modules())
    width = max(map(len, FLOORS)) + 1
    lines = [f"{'':{width}} files  " + " ".join(f"{i:>3}" for i in range(len(FLOORS)))]
    for i in reversed(range(len(FLOORS))):
        cells = " ".join(f"{counts[i, j] or '·':>3}" for j in range(len(FLOORS)))
        lines.append(f"{FLOORS[i]:{width}} {size[i]:>5}  {cells}   {i}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
    print(
        f"upward: {upward() or 'none'}; circle: {circle() or 'none'}; back a chapter: {backward() or 'none'}"
    )
