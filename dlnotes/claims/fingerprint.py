"""What of the code decides a measurement's numbers, as a fingerprint.

The code is what ``measure`` reaches: definitions (functions, classes, constants) of its own module, of
the modules beside it, and of the library, each found by the name by which it is used. What is not reached
does not count, nor do comments, docstrings, annotations, import lines and the place of a file: a new file,
a new function beside a used one, or a module that is moved changes no fingerprint.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

LIBRARY = Path(__file__).resolve().parents[1]
"""The folder of the package dlnotes."""


def fingerprint(path: Path, options: dict[str, Any]) -> str:
    """What decides a measurement's numbers besides the versions of libraries, as 16 hex digits.

    Args:
      path: of the experiment module; its ``measure`` is where the search begins.
      options: all of them, resolved.
    """
    path = path.resolve()
    reached = _code(_stamps(path)).reached(path, _strings(options))
    found = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    for digest in sorted(reached):
        found.update(digest)
    return found.hexdigest()[:16]


def on_this_code(record: Mapping[str, Any], folder: Path | None) -> bool:
    """Whether a record was measured by the code as it is now.

    Args:
      record: of a claim, with its ``module``, ``options`` and ``fingerprint``.
      folder: the experiments folder that holds the module, ``None`` where there is none.
    """
    if folder is None or not record.get("module"):
        return False
    module = folder.parent.joinpath(*PurePosixPath(record["module"]).parts)
    return module.is_file() and fingerprint(module, record["options"]) == record.get("fingerprint")


def marked(records: Iterable[Mapping[str, Any]], folder: Path | None) -> list[dict[str, Any]]:
    """The records of claims, each with ``"current"``: see `on_this_code`."""
    return [dict(record) | {"current": on_this_code(record, folder)} for record in records]


def reached(path: Path, options: dict[str, Any]) -> list[str]:
    """The definitions that `fingerprint` takes in, as ``"file:name"``, for a reader."""
    path = path.resolve()
    found = _code(_stamps(path)).closure(path, _strings(options))
    return sorted(f"{_shown(d.file)}:{d.name}" for d in found)


def _is_library(file: Path) -> bool:
    """Whether a file is the library's: the experiments in a wheel lie in its folder, and are none of it."""
    return file.is_relative_to(LIBRARY) and not file.is_relative_to(LIBRARY / "shipped")


def _shown(file: Path) -> str:
    return str(file.relative_to(LIBRARY.parent)) if file.is_relative_to(LIBRARY.parent) else file.name


class _Definition(NamedTuple):
    """A top-level name of a file. The name "" stands for the statements that bind no name."""

    file: Path
    name: str


class _Target(NamedTuple):
    """What a name in a file is bound to: a file, or (with ``name``) something in it."""

    file: Path
    name: str | None = None


class _Use(NamedTuple):
    """What a definition says: a digest of its code, the definitions it uses, its strings."""

    digest: bytes
    uses: frozenset[_Definition]
    strings: frozenset[str]


class _File:
    """The top level of a Python file: what each name is defined by, or imported from."""

    def __init__(self, path: Path):
        self.path = path
        self.definitions: dict[str, list[ast.stmt]] = {}
        self.imports: dict[str, _Target] = {}
        self.effects: list[ast.stmt] = []
        self._take(ast.parse(path.read_text(encoding="utf-8")).body)

    def _take(self, body: list[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                self.imports |= imported(node, self.path)
            elif isinstance(node, ast.If) and _asks_for_types(node.test):
                self._take(node.body)
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                continue  # a docstring
            elif _hands_on(node):
                continue  # the imports under TYPE_CHECKING say the same
            elif names := [name for name in _bound(node) if name != "__all__"]:
                for name in names:
                    self.definitions.setdefault(name, []).append(node)
            elif "__all__" not in _bound(node):
                self.effects.append(node)


def _hands_on(node: ast.stmt) -> bool:
    """Whether a statement only makes a package load its names lazily (`dlnotes.lazy`)."""
    calls = (n.func for n in ast.walk(node) if isinstance(n, ast.Call))
    lazily = any(isinstance(function, ast.Name) and function.id == "lazy" for function in calls)
    return lazily and isinstance(node, (ast.Assign, ast.If))


def _asks_for_types(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def _bound(node: ast.stmt) -> list[str]:
    """The top-level names that a statement gives a value."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    return [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]


def imported(node: ast.Import | ast.ImportFrom, path: Path) -> dict[str, _Target]:
    """The names that an import line of a file binds to parts of the library or to files beside it."""
    found: dict[str, _Target] = {}
    if isinstance(node, ast.Import):
        for alias in node.names:
            whole = alias.name if alias.asname else alias.name.split(".")[0]
            if (file := _library_file(whole)) is not None:
                found[alias.asname or whole] = _Target(file)
        return found
    if node.level:
        base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
    elif node.module is not None and node.module.split(".")[0] == LIBRARY.name:
        base = LIBRARY.parent.joinpath(*node.module.split("."))
    else:
        return found
    for alias in node.names:
        of = _file_at(base)
        if of is not None:
            found[alias.asname or alias.name] = _Target(of, alias.name)
        elif (file := _file_at(base / alias.name)) is not None:  # a folder without an __init__
            found[alias.asname or alias.name] = _Target(file)
    return found


def _library_file(dotted: str) -> Path | None:
    parts = dotted.split(".")
    return _file_at(LIBRARY.parent.joinpath(*parts)) if parts[0] == LIBRARY.name else None


def _file_at(base: Path) -> Path | None:
    """The file of a module or a package, ``None`` where there is none."""
    for file in (base.with_name(base.name + ".py"), base / "__init__.py"):
        if file.is_file():
            return file
    return None


class _Code:
    """The files as they were at one time, and what each of their definitions uses."""

    def __init__(self) -> None:
        self._files: dict[Path, _File] = {}
        self._uses: dict[_Definition, _Use] = {}

    def file(self, path: Path) -> _File:
        if path not in self._files:
            self._files[path] = _File(path)
        return self._files[path]

    def closure(self, path: Path, given: frozenset[str]) -> set[_Definition]:
        """All definitions that ``measure`` of a module reaches; of a module without it, that any does."""
        own = self.file(path).definitions
        todo = [_Definition(path, name) for name in (["measure"] if "measure" in own else own)]
        found: set[_Definition] = set()
        while todo:
            while todo:
                definition = todo.pop()
                if definition not in found:
                    found.add(definition)
                    todo += self.use(definition).uses
                    todo += [_Definition(definition.file, "")]
            todo = [d for d in self._sources(found, given) if d not in found]
        return found

    def reached(self, path: Path, given: frozenset[str]) -> set[bytes]:
        """The digests of `closure`."""
        return {self.use(definition).digest for definition in self.closure(path, given)}

    def _sources(self, found: set[_Definition], given: frozenset[str]) -> Iterator[_Definition]:
        """The data sources that are called by their names, a text: those the experiment's code names."""
        facade = LIBRARY / "data" / "__init__.py"
        if _Definition(facade, "source") not in found:
            return
        own = [self.use(d).strings for d in found if not _is_library(d.file)]
        named = given.union(*own)
        for name in _keys(self.file(facade).definitions["SOURCES"]):
            target = self.named(self.file(facade), name)
            if name in named and target is not None and target.name is not None:
                yield _Definition(target.file, target.name)

    def named(self, file: _File, name: str) -> _Target | None:
        """What a name of a file stands for in the end, through all the imports that hand it on."""
        if name in file.definitions:
            return _Target(file.path, name)
        target = file.imports.get(name)
        if target is not None and target != _Target(file.path, name):  # a package may import its own modules
            return target if target.name is None else self.named(self.file(target.file), target.name)
        if file.path.name == "__init__.py" and (inner := _file_at(file.path.parent / name)) is not None:
            return _Target(inner)
        return None

    def use(self, definition: _Definition) -> _Use:
        if definition not in self._uses:
            file = self.file(definition.file)
            reader = _Reader(self, file)
            if definition == _Definition(LIBRARY / "data" / "__init__.py", "SOURCES"):
                statements = []  # a source that is not named does not count
            else:
                statements = file.definitions[definition.name] if definition.name else file.effects
            for statement in statements:
                reader.read(statement)
            digest = hashlib.sha256("\0".join(reader.parts).encode()).digest() if reader.parts else b""
            self._uses[definition] = _Use(digest, frozenset(reader.uses), frozenset(reader.strings))
        return self._uses[definition]


class _Reader:
    """Reads code into a text that does not depend on where its parts are imported from."""

    def __init__(self, code: _Code, file: _File):
        self.code, self.file = code, file
        self.parts: list[str] = []
        self.uses: set[_Definition] = set()
        self.strings: set[str] = set()
        self._local: list[dict[str, _Target | None]] = []  # names of the functions around, innermost last

    def read(self, node: Any) -> None:
        if isinstance(node, list):
            for item in node:
                self.read(item)
        elif not isinstance(node, ast.AST):
            self.parts.append(repr(node))
        elif not self._is_read(node):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                self.strings.add(node.value)
            scope = isinstance(node, _SCOPES)
            if scope:
                self._local.append(_local_names(node, self.file.path))
            self._fields(node)
            if scope:
                self._local.pop()

    def _is_read(self, node: ast.AST) -> bool:
        """Whether nothing is left to be read of a node: imports, docstrings, names of the library."""
        if isinstance(node, (ast.Import, ast.ImportFrom)) or _is_docstring(node):
            return True
        return isinstance(node, (ast.Name, ast.Attribute)) and self._resolved(node)

    def _fields(self, node: ast.AST) -> None:
        self.parts.append(type(node).__name__)
        for name, value in ast.iter_fields(node):
            # What is empty is left out: versions of Python differ in the empty fields that they have.
            if name not in _IGNORED and value is not None and value != []:
                self.parts.append(name)
                self.read(value)
        self.parts.append(".")

    def _resolved(self, node: ast.Name | ast.Attribute) -> bool:
        """Whether a name is one of the library or the experiment; it is then read as its last part."""
        chain: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            chain.append(inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name) or not isinstance(inner.ctx, ast.Load):
            return False
        target = self._target(inner.id)
        while target is not None and target.name is None and chain:
            further = self.code.named(self.code.file(target.file), chain[-1])
            if further is None:
                break
            target = further
            chain.pop()
        if target is None:
            return False
        if target.name is None:  # a module handed on as a whole: anything in it may be used
            self.uses |= {_Definition(target.file, name) for name in self.code.file(target.file).definitions}
            self.uses.update(self._handed_on(target.file))
        else:
            self.uses.add(_Definition(target.file, target.name))
        self.parts += [target.name or "module", *reversed(chain)]
        return True

    def _handed_on(self, file: Path) -> Iterable[_Definition]:
        """The definitions that a module imports: of a package, its public names."""
        for name in self.code.file(file).imports:
            target = self.code.named(self.code.file(file), name)
            if target is not None and target.name is not None and file.name == "__init__.py":
                yield _Definition(target.file, target.name)

    def _target(self, name: str) -> _Target | None:
        for names in reversed(self._local):
            if name in names:
                target = names[name]
                if target is None or target.name is None:
                    return target
                return self.code.named(self.code.file(target.file), target.name)
        return self.code.named(self.file, name)


_IGNORED = ("ctx", "kind", "type_comment", "annotation", "returns")
"""Fields that decide no number."""

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, *_COMPREHENSIONS)
"""What has names of its own."""


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _local_names(node: ast.AST, path: Path) -> dict[str, _Target | None]:
    """The names that a function, lambda or comprehension binds itself, with what it imports them from."""
    found: dict[str, _Target | None] = {}
    if isinstance(node, _COMPREHENSIONS):
        inside: list[ast.AST] = [g.target for g in node.generators]
    elif isinstance(node, ast.Lambda):
        inside = [node.args]
    else:
        inside = [node.args, *node.body]  # type: ignore[attr-defined]
    while inside:
        at = inside.pop()
        if isinstance(at, ast.arg):
            found[at.arg] = None
        elif isinstance(at, ast.Name) and isinstance(at.ctx, ast.Store):
            found.setdefault(at.id, None)
        elif isinstance(at, (ast.Import, ast.ImportFrom)):
            found |= imported(at, path)
        if isinstance(at, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.setdefault(at.name, None)
        elif not isinstance(at, ast.Lambda):
            inside += ast.iter_child_nodes(at)
    return found


def _keys(statements: list[ast.stmt]) -> list[str]:
    """The keys of a table that is written out as a dict."""
    tables = [n for s in statements for n in ast.walk(s) if isinstance(n, ast.Dict)]
    return [k.value for t in tables[:1] for k in t.keys if isinstance(k, ast.Constant)]  # type: ignore[misc]


def _strings(value: Any) -> frozenset[str]:
    """All texts in an option's value."""
    if isinstance(value, str):
        return frozenset({value})
    if isinstance(value, dict):
        return frozenset().union(*map(_strings, value.values()))
    if isinstance(value, (list, tuple)):
        return frozenset().union(*map(_strings, value))
    return frozenset()


def _stamps(path: Path) -> tuple[tuple[str, int], ...]:
    """When each file that may be read was last changed."""
    folder = path.parent.parent if path.parent.parent.name == "experiments" else path.parent
    files = [*LIBRARY.rglob("*.py"), *folder.rglob("*.py")]
    return tuple(sorted((str(file), file.stat().st_mtime_ns) for file in files))


@lru_cache(maxsize=2)
def _code(stamps: tuple[tuple[str, int], ...]) -> _Code:
    """The code of that time, read once for all claims."""
    return _Code()
