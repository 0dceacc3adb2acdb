"""Sentences of the documentation of the libraries that dlnotes depends on: real prose on every machine.

What a sentence is from is a class; what its authors marked as code is labeled words. Nothing is imported: the
texts between triple quotes are read from the files of the packages, so that they are those of the versions
installed, and differ where these do.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from dlnotes.data.texts.words import split_words

LIBRARIES = ("jax", "matplotlib", "numpy", "scipy", "sklearn")

_SKIPPED = {"tests", "test", "testing", "_vendor", "externals", "src", "typing", "experimental"}
_TEXT = re.compile(r'^[ \t]*[rR]?"""(.*?)"""', re.DOTALL | re.MULTILINE)
_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`:])")
_NAMES = re.compile(r"\b(jax|matplotlib|pyplot|mpl|numpy|np|scipy|sklearn|scikit|sp|plt|jnp|lax)\b", re.I)
_ROLE = re.compile(r":(?:py:)?([a-z]+):`[~!]?([^`<]*?)(?:\s*<[^`>]*>)?`")
_MARKUP = re.compile(r":(?:py:)?[a-z]+:`[^`]+`|``[^`]+``|`[^`]+`_?")
_LEFT_OUT = re.compile(r"\[\w+\]_|>>>|::|%\(|\|[\w.]+\||\bhttps?:|\.\. |\\\\|__\b|`__")
_NONE = "path: without a path, the documentation of the installed libraries is read, and none is here"
SHORTEST, LONGEST = 6, 40
"""Words of a sentence."""


def _files(library: str) -> Iterator[Path]:
    """A library's files in an order that mixes its parts and is the same on every machine."""
    spec = find_spec(library)
    if spec is None or not spec.submodule_search_locations:
        return
    root = Path(next(iter(spec.submodule_search_locations)))
    found = (p.relative_to(root) for p in root.rglob("*.py"))
    kept = [p for p in found if not _SKIPPED & set(p.parts)]
    yield from (root / p for p in sorted(kept, key=lambda p: hashlib.sha256(p.as_posix().encode()).digest()))


def _paragraphs(text: str) -> Iterator[str]:
    """The prose of a docstring: no code, no headings, no lists of parameters."""
    for block in re.split(r"\n[ \t]*\n", text):
        lines = block.split("\n")
        joined = " ".join(line.strip() for line in lines)
        if ">>>" in joined or re.search(r"[-=~^]{3}|[|+]{2}", joined):
            continue
        names = [line for line in lines if re.match(r"\s*[\w*, ]+ ?: ", line) or line.rstrip().endswith("::")]
        if not names:
            yield joined


def _sentences(library: str) -> Iterator[str]:
    seen: set[str] = set()
    for path in _files(library):
        try:
            source = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        for text in _TEXT.findall(source):
            for paragraph in _paragraphs(text):
                for sentence in _END.split(paragraph):
                    sentence = " ".join(sentence.split())
                    if sentence not in seen and _is_prose(sentence):
                        seen.add(sentence)
                        yield sentence


def _is_prose(sentence: str) -> bool:
    if not sentence.endswith(".") or not (sentence[0].isupper() or sentence[0] in "`:"):
        return False
    if not sentence.isascii() or _LEFT_OUT.search(sentence) or sentence.count("`") % 2:
        return False
    return SHORTEST <= len(sentence.split()) <= LONGEST


def plain(sentence: str) -> str:
    """A sentence without the marks of reStructuredText.

    >>> plain("See :class:`~a.KMeans` and ``fit``, *not* `x`.")
    'See KMeans and fit, not x.'
    """
    return " ".join("".join(text for text, _ in _pieces(sentence)).split())


def _pieces(sentence: str) -> Iterator[tuple[str, str]]:
    """The parts of a sentence with what they are marked as, "" for prose."""
    place = 0
    for found in _MARKUP.finditer(sentence):
        yield _without_stars(sentence[place : found.start()]), ""
        place = found.end()
        yield _marked(found[0])
    yield _without_stars(sentence[place:]), ""


def _without_stars(text: str) -> str:
    return re.sub(r"\*{1,2}(\S(?:[^*]*\S)?)\*{1,2}", r"\1", text)


def _marked(markup: str) -> tuple[str, str]:
    role = _ROLE.fullmatch(markup)
    if role is not None:
        kind, text = role[1], role[2].strip()
        if kind in ("ref", "doc", "term", "rc", "title", "cite", "footcite"):
            return text, ""
        if kind == "math":
            return text, "MATH"
        return (text.rpartition(".")[2] if markup[len(kind) + 3 :].startswith("~") else text), "API"
    text = markup.strip("`_").strip()
    return text, "CODE"


def sentences(limit: int) -> tuple[list[tuple[str, str]], str]:
    """Sentences with the library whose documentation they are from, none of which names a library.

    Args:
      limit: how many of each library, at most.

    Returns:
      ``(sentence, library)`` pairs, and the SHA-256 of them all.

    Raises:
      ValueError: when fewer than two of the libraries have files to be read.
    """
    return _sentences_of(limit)


@cache
def _sentences_of(limit: int) -> tuple[list[tuple[str, str]], str]:
    found: list[tuple[str, str]] = []
    for library in LIBRARIES:
        kept: dict[str, None] = {}
        for sentence in _sentences(library):
            text = plain(sentence)
            if not _NAMES.search(text):
                kept[text] = None
            if len(kept) == limit:
                break
        found += [(text, library) for text in kept]
    if len({library for _, library in found}) < 2:
        raise ValueError(_NONE)
    return found, _digest(found)


def labeled_sentences(limit: int) -> tuple[list[list[tuple[str, str]]], str]:
    """Sentences as words with labels of what their authors marked, in the scheme B-, I-, O.

    ``CODE`` is text in back quotes (of parameters mostly), ``API`` the name in a role such as ``:class:``,
    ``MATH`` a formula. Only sentences with at least one such mark are taken.

    Args:
      limit: how many, at most, the same number of each library.

    Returns:
      The words of each sentence with their labels, and the SHA-256 of them all.

    Raises:
      ValueError: when none of the libraries has files to be read.
    """
    return _labeled_sentences(limit)


@cache
def _labeled_sentences(limit: int) -> tuple[list[list[tuple[str, str]]], str]:
    found: list[list[tuple[str, str]]] = []
    for library in LIBRARIES:
        kept = 0
        for sentence in _sentences(library):
            labeled = _labeled(sentence)
            if any(label != "O" for _, label in labeled):
                found.append(labeled)
                kept += 1
            if kept == max(1, limit // len(LIBRARIES)):
                break
    if not found:
        raise ValueError(_NONE)
    return found, _digest(found)


def _labeled(sentence: str) -> list[tuple[str, str]]:
    found = []
    for text, mark in _pieces(sentence):
        for i, word in enumerate(split_words(text)):
            found.append((word, "O" if not mark else f"{'B' if i == 0 else 'I'}-{mark}"))
    return found


def _digest(found: list) -> str:
    return hashlib.sha256(repr(found).encode()).hexdigest()
