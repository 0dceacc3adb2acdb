"""Experiment modules: where they are, how one is loaded, and what of its code decides the numbers."""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib.util
import json
import sys
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import dlnotes
from dlnotes.experiment.claims.claim import Claim
from dlnotes.experiment.config import ConfigError

LIBRARY = Path(dlnotes.__file__).parent

_JUDGING = ("dlnotes.experiment.claims", "dlnotes.experiment.figure_style", "dlnotes.experiment.config")
"""Parts of the library that only judge, draw or read: they do not decide what is measured."""


def experiments_beside(config: Path) -> Path:
    """The ``experiments`` folder beside the ``configs`` folder that holds a config file.

    Raises:
      ConfigError: when the file is in no such folder, or there is none beside it.
    """
    config = config.absolute()
    for folder in config.parents:
        if folder.name == "configs":
            beside = folder.parent / "experiments"
            if beside.is_dir():
                return beside
            raise ConfigError(
                str(config), [f"experiment: there is no folder {beside}, where it is looked for"]
            )
    problem = (
        "experiment: a claim's config must lie in a folder called configs, beside one called experiments"
    )
    raise ConfigError(str(config), [problem])


def module_path(folder: Path, experiment: str, *, source: str) -> Path:
    """The file of ``"chapter/name"``.

    Raises:
      ConfigError: when there is none, with the nearest name.
    """
    path = folder / f"{experiment}.py"
    if path.is_file():
        return path
    known = sorted(p.relative_to(folder).with_suffix("").as_posix() for p in folder.glob("*/*.py"))
    near = difflib.get_close_matches(experiment, known, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError(source, [f"experiment: got {experiment!r}, there is no {path}{hint}"])


def load_claim(folder: Path, path: Path, *, source: str) -> Claim:
    """Import an experiment module and take its ``CLAIM``.

    Modules of one folder may import each other relatively; nothing is added to ``sys.path``.

    Raises:
      ConfigError: when the module gives no `Claim`. Errors inside the module are its own.
    """
    module = _imported(folder, path)
    claim = getattr(module, "CLAIM", None)
    if not isinstance(claim, Claim):
        raise ConfigError(source, [f"experiment: {path} must set CLAIM to a dlnotes.experiment.claims.Claim"])
    return claim


def _imported(folder: Path, path: Path) -> ModuleType:
    # The folder's own name in sys.modules, so that two experiments folders cannot be confused.
    name = f"dlnotes_experiments_{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]}"
    package = folder
    _package(name, package)
    for part in path.relative_to(folder).with_suffix("").parts[:-1]:
        package, name = package / part, f"{name}.{part}"
        _package(name, package)
    name = f"{name}.{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _package(name: str, folder: Path) -> None:
    if name not in sys.modules:
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
        sys.modules[name] = importlib.util.module_from_spec(spec)


def fingerprint(path: Path, options: dict[str, Any]) -> str:
    """What decides a measurement's numbers, as 16 hex digits: options, code, version of jax.

    The code is what ``measure`` reaches in its module, the library files that this imports, and
    theirs; judging, drawing, comments and docstrings do not count.

    Args:
      path: of the experiment module.
      options: all of them, resolved.
    """
    source, found = _measuring(path), hashlib.sha256()
    found.update(json.dumps(options, sort_keys=True).encode())
    found.update(metadata.version("jax").encode())
    found.update(_code(source))
    for file in sorted(_library_files(_imports(source, path))):
        found.update(_read(file, file.stat().st_mtime_ns).code)
    return found.hexdigest()[:16]


def _measuring(path: Path) -> ast.Module:
    """The module without what ``measure`` does not reach."""
    tree = _parsed(path)
    definitions: dict[str, ast.stmt] = {}
    for node in tree.body:
        for name in _defined(node):
            definitions[name] = node
    kept: list[ast.stmt] = []
    todo = [definitions["measure"]] if "measure" in definitions else list(definitions.values())
    while todo:
        node = todo.pop()
        if node in kept:
            continue
        kept.append(node)
        used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        todo += [definitions[name] for name in used if name in definitions]
    return ast.Module([node for node in tree.body if node in kept], [])


def _defined(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        for alias in node.names:
            yield alias.asname or alias.name.split(".")[0]
    else:
        for name in ast.walk(node):
            if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                yield name.id


def _imports(tree: ast.AST, path: Path) -> set[str]:
    """Dotted names of the library that a module imports, and files beside it as ``"/path"``."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            names |= {str(base.with_suffix(".py")), *(str(base / f"{a.name}.py") for a in node.names)}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
    return {n for n in names if n.startswith(("dlnotes.", "/")) and not n.startswith(_JUDGING)}


def _library_files(names: set[str]) -> set[Path]:
    """The files behind imported names, and those behind their imports."""
    files: set[Path] = set()
    todo = list(names)
    while todo:
        for file in _files_of(todo.pop()):
            if file not in files:
                files.add(file)
                todo += _read(file, file.stat().st_mtime_ns).imports
    return files


class _Read(NamedTuple):
    """What a library file says: a digest of its code, and what it imports."""

    code: bytes
    imports: frozenset[str]


@cache
def _read(file: Path, changed: int) -> _Read:
    """A file as it was when it was ``changed``, read once for all claims."""
    tree = _parsed(file)
    imports = frozenset(_imports(tree, file))
    return _Read(hashlib.sha256(_code(tree)).digest(), imports)


def _files_of(name: str) -> list[Path]:
    if name.startswith("/"):
        return [Path(name)] if Path(name).is_file() else []
    base = LIBRARY.joinpath(*name.split(".")[1:])
    if base.is_dir():  # a package gives out its modules' names lazily: any of them may be meant
        return sorted(base.glob("*.py"))
    file = base.with_suffix(".py")
    return [file] if file.is_file() else []


def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _code(tree: ast.Module) -> bytes:
    """The code without comments and docstrings."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                body[:1] = [ast.Pass()]
    return ast.dump(tree).encode()
