"""The shape of the package: imports point down the floors, and docstring examples run."""

import ast
import doctest
import importlib
import pkgutil
from pathlib import Path

import flax
import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dlnotes

ROOT = Path(dlnotes.__file__).parent
FLOORS = [
    "typing",
    "jax_internals",
    "layers",
    "outputs",
    "autodiff",
    "models",
    "data",
    "training",
    "devices",
    "experiment",
    "cli_errors",
    "cli",
]
MODULES = sorted(
    m.name for m in pkgutil.walk_packages([str(ROOT)], "dlnotes.") if not m.name.endswith("__main__")
)


def floor_of(module: str) -> int | None:
    parts = module.split(".")
    return FLOORS.index(parts[1]) if len(parts) > 1 and parts[1] in FLOORS else None


def imported(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "dlnotes":
            # "from dlnotes import models" names the module in what is imported.
            names += [f"dlnotes.{a.name}" for a in node.names] if node.module == "dlnotes" else [node.module]
        elif isinstance(node, ast.Import):
            names += [a.name for a in node.names if a.name.startswith("dlnotes.")]
    return names


def test_imports_point_down():
    upward = []
    for path in sorted(ROOT.rglob("*.py")):
        module = ".".join(["dlnotes", *path.relative_to(ROOT).with_suffix("").parts])
        here = floor_of(module)
        if here is None:  # the package itself and __main__ stand on top of everything
            continue
        for name in imported(path):
            there = floor_of(name)
            if there is not None and there > here:
                upward.append(f"{module} imports {name}")
    assert not upward


def test_every_module_is_on_a_floor():
    top = {p.stem for p in ROOT.iterdir() if p.suffix == ".py" or (p.is_dir() and p.name != "__pycache__")}
    assert top - {"__init__", "__main__"} <= set(FLOORS)


@pytest.mark.parametrize("module", MODULES)
def test_docstring_examples(module):
    loaded = importlib.import_module(module)
    usual = {"jax": jax, "jnp": jnp, "np": np, "flax": flax}  # what a reader has imported already
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    result = doctest.testmod(loaded, extraglobs=usual, optionflags=flags)
    assert result.failed == 0
