"""Tables and files of texts: texts with a class, pairs, labeled words, trees, plain text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from dlnotes.data.csv_table import Table
from dlnotes.data.texts.labeled_words import cells_of, columns_of
from dlnotes.data.trees.tree_files import PARSERS
from dlnotes.experiment.new_config.columns import Column, first_lines, plain
from dlnotes.experiment.new_config.guess import Asked, Guess, Option, plural, some
from dlnotes.experiment.new_config.tables import find_target

_TEXTS = ("text", "sentence", "review", "message", "comment", "tweet", "content", "body", "title", "headline")

MOST_LABELS = 200
"""Different texts that are taken for labels."""


def text_column(columns: Sequence[Column], rows: int) -> Column | None:
    """The column that holds texts of several words which hardly come again."""
    able = [
        c
        for c in columns
        if c.holds == "texts" and c.distinct > rows // 2 and (c.words >= 4 or plain(c.name) in _TEXTS)
    ]
    return max(able, key=lambda c: c.words, default=None)


def is_texts(columns: Sequence[Column], rows: int) -> str:
    """Why a table is taken for texts with a class each; "" where it is not."""
    found = text_column(columns, rows)
    if found is None:
        return ""
    others = [c for c in columns if c.name != found.name]
    numbers = [c for c in others if c.holds == "numbers" and c.distinct > 20 and c.distinct < rows]
    labels = [
        c
        for c in others
        if c.holds in ("texts", "numbers") and 2 <= c.distinct <= min(MOST_LABELS, rows // 3)
    ]
    if not labels or len(numbers) > 2 or (found.words < 6 and len(others) > 3):
        return ""
    return f"the column {found.name!r} holds texts of {found.words:g} words in the middle"


def guess_texts(asked: Asked, read: Table, columns: Sequence[Column], options: dict[str, str]) -> Guess:
    """A table of texts with a class each.

    Raises:
      ConfigError: when there is no column of texts, or none of labels.
    """
    rows = len(read.rows)
    found = text_column(columns, rows)
    if found is None:
        raise asked.refuse(f"none of the columns {some(list(read.header))} holds texts of several words")
    others = [c for c in columns if c.name != found.name]
    able = [c for c in others if c.distinct <= max(2, rows // 3)]
    target, why = find_target(asked, others if asked.target else able, rows)
    wanted, *more = target
    if more:
        raise asked.refuse(f"--target: got {some(target)}, texts have one label each")
    label = next(c for c in others if c.name == wanted)
    chosen = [
        Option("path", str(asked.path)),
        Option("text", found.name, f"texts of {found.words:g} words in the middle"),
        Option("label", label.name, why),
    ]
    mark = options.get("delimiter", ",")
    if (
        mark != ("," if asked.path.suffix.lower() == ".csv" else "\t")
        and asked.path.suffix.lower() != ".parquet"
    ):
        chosen.append(Option("delimiter", mark))
    chosen += _of_texts(found.missing + label.missing)
    notes = []
    if left := [c.name for c in others if c.name != label.name]:
        notes.append(f"Not seen: {some(left)} (--kind csv takes columns of numbers and categories).")
    return Guess(
        "text_classes",
        is_texts(columns, rows) or f"the column {found.name!r} holds texts",
        tuple(chosen),
        others=_more_of_texts(),
        notes=tuple(notes),
        new="new_texts.txt",
    )


def _of_texts(empty: int) -> list[Option]:
    chosen = [Option("tokens", "words", '"characters" for scripts without spaces, or single words')]
    if empty:
        chosen.append(Option("drop_empty", True, f"{plural(empty, 'cell')} of texts or labels are empty"))
    return chosen


def _more_of_texts() -> tuple[Option, ...]:
    return (
        Option("max_length", 400, "symbols of a text, the rest is cut"),
        Option("min_count", 2, "how often a word must be there to be known"),
    )


def guess_lines(asked: Asked) -> Guess:
    """A text file: trees, labeled words, texts with a class, pairs of texts, or a text.

    Raises:
      ConfigError: when the file is empty, or is not of the kind that was asked for.
    """
    guessers: dict[str, Callable[[Asked, list[str]], Guess | None]] = {
        "tree_file": _trees,
        "token_labels": _labeled_words,
        "text_classes": _texts_in_tabs,
        "text_pairs": _pairs,
        "text": _text,
    }
    lines = [line.rstrip("\r\n") for line in first_lines(asked.path, 2000)]
    if not any(line.strip() for line in lines):
        raise asked.refuse("the file is empty")
    for kind, guesser in guessers.items():
        if asked.kind in (None, kind) and (found := guesser(asked, lines)) is not None:
            return found
    needs = {
        "tree_file": "a tree a line: brackets that begin with a class, or a tree, a tab and its class",
        "token_labels": "a word a line with its label in another column, a blank line between sentences",
        "text_classes": "a text, a tab and its class in each line",
        "text_pairs": "two texts in each line, a tab between them",
    }
    raise asked.refuse(f"--kind: got {asked.kind!r}, which needs {needs[str(asked.kind)]}")


def _cells(lines: Sequence[str]) -> list[list[str]]:
    return [line.split("\t") for line in lines if line.strip()]


def _trees(asked: Asked, lines: list[str]) -> Guess | None:
    filled = [line for line in lines if line.strip()][:200]
    texts = [line.partition("\t")[0] for line in filled]
    classed = all(line.partition("\t")[2].strip() for line in filled)
    for form, shown in (
        ("classes", "brackets that begin with a class"),
        ("smiles", "SMILES of molecules"),
        ("names", "brackets that begin with a name"),
        ("leaves", "brackets with names at their ends"),
        ("python", "Python expressions"),
    ):
        if (form == "classes") == classed or not _all_parse(texts, form):
            continue
        chosen = [Option("path", str(asked.path)), Option("form", form, shown)]
        if form == "classes":
            chosen.append(Option("targets", "root", '"nodes" learns the classes of all nodes too'))
        chosen.append(Option("min_count", 2 if len(filled) > 100 else 1, "rarer names become <unk>"))
        other = (Option("test_path", "FILE", "test trees; else a share of the others"),)
        why = f"every line is a tree: {shown}" + ("" if form == "classes" else ", a tab and a class")
        return Guess("tree_file", why, tuple(chosen), others=other, new="new_trees.txt")
    return None


def _all_parse(texts: Sequence[str], form: str) -> bool:
    """Whether all lines are trees of a form, and no plain words that could be ones."""
    if form in ("classes", "names", "leaves"):
        if not all(text.lstrip().startswith("(") for text in texts):
            return False
        if form == "classes" and not all(re.match(r"\s*\((\d+|_)[\s)]", text) for text in texts):
            return False
        if form == "names" and any(re.match(r"\s*\(\s*\(", text) for text in texts):
            return False
    else:
        if any(" " in text.strip() for text in texts) and form == "smiles":
            return False
        odd = sum(bool(re.search(r"[^\w\s.,;:!?'\"]|\d", text)) for text in texts)
        if odd < 0.6 * len(texts):
            return False
    try:
        for text in texts:
            PARSERS[form](text)
    except (ValueError, SyntaxError, KeyError):
        return False
    return True


def _labeled_words(asked: Asked, lines: list[str]) -> Guess | None:
    count, tabs = columns_of(lines)
    if count < 2 or all(line.strip() for line in lines):
        return None
    rows = [
        cells_of(line, tabs)
        for line in lines
        if line.strip() and not line.lstrip().startswith(("-DOCSTART-", "# "))
    ]
    if any(len(row) != count for row in rows[:-1]):
        return None
    distinct = [len({row[j] for row in rows if len(row) == count}) for j in range(count)]
    if count == 10:  # CoNLL-U: the number, the word, its lemma, its part of speech, …
        word, label, why = 2, 4, "the ten columns of CoNLL-U: words and parts of speech"
    else:
        word, label = 1, -1
        if all(row[0].isdecimal() for row in rows) and count > 2:
            word = 2
        why = (
            f"{plural(count, 'column')} between {'tabs' if tabs else 'spaces'}, blank lines between sentences"
        )
        if not 2 <= distinct[-1] <= min(MOST_LABELS, max(len(rows) // 3, 2)):
            return None
    chosen = [
        Option("path", str(asked.path)),
        Option("word", word, "column of the words, from 1"),
        Option("label", label, "column of the labels; -1 is the last one"),
    ]
    more = (
        Option("lower", True, "takes words that differ in capitals as one"),
        Option("test_path", "FILE", "the test part has a file of its own"),
    )
    new = "new_sentences.txt"
    beside = _parts_beside(asked.path)
    return Guess("token_labels", why, (*chosen, *beside), others=more if not beside else more[:1], new=new)


def _parts_beside(path: Path) -> list[Option]:
    """The files of the other parts, where a training file says by its name that it is one."""
    if not re.search(r"(^|[-_.])train", path.stem, re.IGNORECASE):
        return []
    found = []
    for option, names in (
        ("validation_path", ("dev", "valid", "validation", "val")),
        ("test_path", ("test",)),
    ):
        for name in names:
            other = path.with_name(re.sub(r"train(ing)?", name, path.name, flags=re.IGNORECASE))
            if other.is_file() and other != path:
                found.append(Option(option, str(other), "lies beside it"))
                break
    return found


def _texts_in_tabs(asked: Asked, lines: list[str]) -> Guess | None:
    """A file with tabs and no names above its columns: a text and its class."""
    rows = _cells(lines)
    if len(rows) < 6 or any(len(row) != 2 for row in rows):
        return None
    distinct = [len({row[j].strip() for row in rows}) for j in range(2)]
    label = min(range(2), key=lambda j: distinct[j])
    if not 2 <= distinct[label] <= min(MOST_LABELS, max(2, len(rows) // 5)):
        return None
    counts = Counter(row[label].strip() for row in rows)
    if min(counts.values()) < 3:
        return None
    chosen = [
        Option("path", str(asked.path)),
        Option("text", 2 - label, "column, from 1; the file has no names above them"),
        Option("label", label + 1, plural(distinct[label], "different text")),
        *_of_texts(0),
        *_parts_beside(asked.path),
    ]
    why = f"every line has a text, a tab and one of {distinct[label]} labels"
    return Guess("text_classes", why, tuple(chosen), others=_more_of_texts(), new="new_texts.txt")


def _pairs(asked: Asked, lines: list[str]) -> Guess | None:
    rows = _cells(lines)
    count = len(rows[0])
    if count < 2 or sum(len(row) >= 2 for row in rows) < len(rows):
        return None
    longest = sorted(max(len(row[0]), len(row[1])) for row in rows)[int(0.98 * (len(rows) - 1))]
    words = sum(len(row[1].split()) for row in rows) / len(rows)
    tokens = "characters" if words < 3 or longest <= 80 else "words"
    chosen = [
        Option("path", str(asked.path)),
        Option("source", 1, "column that is read"),
        Option("target", 2, "column that is answered"),
        Option("tokens", tokens, '"words", or "characters"'),
    ]
    if tokens == "words":
        chosen.append(Option("min_count", 2, "how often a word must be there to be known"))
    chosen.append(Option("max_length", 100, "longer pairs are left out"))
    return Guess(
        "text_pairs", "every line has two texts, a tab between them", tuple(chosen), new="new_texts.txt"
    )


def _text(asked: Asked, lines: list[str]) -> Guess | None:
    more = (Option("limit", 200_000, "characters read; more need more time"),)
    return Guess(
        "text",
        "a text, whose next characters are predicted",
        (Option("path", str(asked.path)), Option("window", 64, "characters of an example")),
        others=more,
        notes=("Texts with a class each: a table, a tab before the class, or a folder for each class.",),
    )
