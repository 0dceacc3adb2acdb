"""Parameters by their paths: ``hidden/0/W``, and patterns of them, as [start] names layers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import jax

from dlnotes.checks import did_you_mean
from dlnotes.typing import Params

_PARTS = re.compile(r"\.(\w+)|\[(\d+)\]|\['([^']*)'\]|\[\"([^\"]*)\"\]")

MOST = 40
"""Paths that a message lists."""


def path_of(key: str) -> str:
    """The path of a leaf from the key that checkpoints give it.

    The parameters of a network that keeps a state are not told apart by where they are kept.

    >>> path_of(".hidden[0].W"), path_of(".learned['Dense_0']['kernel']")
    ('hidden/0/W', 'Dense_0/kernel')
    """
    parts = ["".join(found) for found in _PARTS.findall(key)]
    return "/".join(parts[1:] if parts[:1] == ["learned"] and len(parts) > 1 else parts)


def leaves_of(params: Params) -> dict[str, tuple[str, Any]]:
    """Every leaf of parameters, or of their shapes: path → the key of checkpoints, and the leaf."""
    found = ((jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(params))
    return {path_of(key): (key, leaf) for key, leaf in found}


def meets(path: str, patterns: Iterable[str]) -> bool:
    """Whether a path is one of the patterns, or lies under one.

    >>> meets("hidden/0/W", ["hidden"]), meets("hidden/0/W", ["*/W"]), meets("hidden/0/W", ["hid"])
    (True, True, False)
    """
    return any(
        fnmatchcase(path, pattern) or fnmatchcase(path, f"{pattern}/*")
        for pattern in (p.strip("/") for p in patterns)
    )


def unknown(option: str, patterns: Sequence[str], paths: Iterable[str]) -> list[str]:
    """A line for each pattern that no path meets, with the paths that there are."""
    known = list(paths)
    listed = ", ".join(known[:MOST]) + (f", … ({len(known)})" if len(known) > MOST else "")
    return [
        f"{option}: got {pattern!r}, which is no path of the network's parameters"
        f"{did_you_mean(pattern, _beginnings(known))}; there are {listed}"
        for pattern in patterns
        if not any(meets(path, [pattern]) for path in known)
    ]


def _beginnings(paths: Iterable[str]) -> list[str]:
    found: dict[str, None] = {}
    for path in paths:
        parts = path.split("/")
        found |= dict.fromkeys("/".join(parts[:n]) for n in range(1, len(parts) + 1))
    return list(found)


def marked(patterns: Sequence[str]) -> Callable[[Params], Any]:
    """``marks(params)``: a tree of the same structure, True for the leaves that meet a pattern."""

    def marks(params: Params) -> Any:
        return jax.tree_util.tree_map_with_path(
            lambda path, _: meets(path_of(jax.tree_util.keystr(path)), patterns), params
        )

    return marks
