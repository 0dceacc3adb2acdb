"""Parallel texts: a source and its translations, one pair a line, for encoder-decoders.

The conventions of "pair" data sets are in `dlnotes.data.texts.number_words`. A source that stands on several
lines has several right answers: each is a training example of its own, while a held-out source is one
example, scored against the nearest of its answers (`Dataset.references`). The split is by source, so that
none is in two
parts. The words of each part are written to the run's folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from dlnotes.data import download as store
from dlnotes.data.assemble import Parts, assemble, consecutive, length_mask, pad
from dlnotes.data.dataset import Dataset, Pair
from dlnotes.data.lines import read_lines
from dlnotes.data.own_files import read_as
from dlnotes.data.split import split_indices
from dlnotes.data.texts.number_words import shift_right

END, PAD, UNKNOWN = "<end>", "<pad>", "<unk>"
Tokens = tuple[str, ...]


class Entry(NamedTuple):
    """A source and its right answers, as symbols; ``text`` is how the source is written."""

    text: str
    source: Tokens
    answers: tuple[Tokens, ...]


def entries_of(pairs: Iterable[tuple[str, str]], tokens: Literal["characters", "words"]) -> list[Entry]:
    """The different sources of some pairs of texts in the order of their first appearance.

    >>> entries_of([("a b", "x"), ("c", "y"), ("a b", "z")], "words")[0].answers
    (('x',), ('z',))
    """
    cut = tuple if tokens == "characters" else lambda text: tuple(text.split())
    answers: dict[str, dict[Tokens, None]] = {}
    for source, target in pairs:
        answers.setdefault(source, {})[cut(target)] = None
    return [Entry(source, cut(source), tuple(known)) for source, known in answers.items()]


def paired(
    name: str,
    entries: Sequence[Entry],
    parts: Parts,
    *,
    min_count: int = 1,
    unknown: bool = True,
    sources: dict[str, str] | None = None,
) -> Dataset:
    """A data set of pairs, its vocabularies those of the training part.

    Args:
      name: of the data set.
      entries: sources with their answers.
      parts: which of them are for training, validation and test.
      min_count: how often a symbol must stand in the training part to be known.
      unknown: whether there is ``<unk>`` for symbols that are not; else all symbols of all parts are known.
      sources: see `Dataset`.

    Returns:
      Input "pair", task "tokens"; ``references`` for validation and test.
    """
    chosen = [[entries[i] for i in part] for part in parts]
    known = chosen[0] if unknown else list(entries)
    symbols = _vocabulary((e.source for e in known for _ in e.answers), PAD, min_count, unknown)
    classes = _vocabulary((a for e in known for a in e.answers), END, min_count, unknown)
    index = [{symbol: i for i, symbol in enumerate(table)} for table in (symbols, classes)]

    def codes(tokens: Tokens, side: int) -> list[int]:
        table = index[side]
        return [table.get(token, 1) for token in tokens]

    train = [(e, a) for e in chosen[0] for a in e.answers]
    held = [(e, e.answers[0]) for part in chosen[1:] for e in part]
    source = [codes(e.source, 0) for e, _ in train + held]
    answer = [[*codes(a, 1), 0] for _, a in train + held]
    x, y = pad(source), pad(answer, value=-1)
    references = {
        split: tuple(tuple(tuple(codes(a, 1)) for a in e.answers) for e in part)
        for split, part in zip(("validation", "test"), chosen[1:])
        if part
    }
    return assemble(
        name,
        Pair(x, shift_right(y, len(classes))),
        y,
        consecutive(len(train), len(chosen[1]), len(chosen[2])),
        input="pair",
        task="tokens",
        outputs=len(classes),
        mask=length_mask([len(s) for s in source], x.shape[1]),
        classes=classes,
        symbols=symbols,
        sources=sources,
        references=references,
        records={
            f"{split}_sources.txt": "".join(f"{e.text}\n" for e in part)
            for split, part in zip(("train", "validation", "test"), chosen)
            if part
        },
    )


def _vocabulary(sequences: Iterable[Tokens], first: str, min_count: int, unknown: bool) -> tuple[str, ...]:
    counts = Counter(token for sequence in sequences for token in sequence)
    kept = sorted(token for token, n in counts.items() if n >= min_count)
    return (first, UNKNOWN, *kept) if unknown else (first, *kept)


def read_pairs(path: str | Path, *, source: int | str = 1, target: int | str = 2) -> list[tuple[str, str]]:
    """Two columns of a UTF-8 file with tabs between its columns.

    Args:
      path: the file, ``.gz`` or not.
      source, target: a column's number, from 1; or its name, then the first line has the names.

    Raises:
      ValueError: naming file and line, when a column is missing, a cell empty or the file no UTF-8 text.
    """
    return [(left, right) for _, left, right in numbered_pairs(path, source=source, target=target)]


def numbered_pairs(
    path: str | Path, *, source: int | str = 1, target: int | str = 2, with_targets: bool = True
) -> list[tuple[int, str, str]]:
    """`read_pairs` with the number of each line, from 1; empty lines are left out.

    Args:
      path, source, target: as for `read_pairs`.
      with_targets: whether the target's column is needed. Without, the targets are empty texts, and a line
        without tabs is a source.

    Raises:
      ValueError: as `read_pairs`.
    """
    options = (("source", source), ("target", target))[: 1 + with_targets]
    for option, column in options:
        if isinstance(column, int) and column < 1:
            raise ValueError(f"{option}: got {column}, allowed is a column's number from 1, or its name")
    rows = [(i, line.split("\t")) for i, line in enumerate(read_lines(path), 1) if line.strip()]
    header = rows.pop(0)[1] if rows and (isinstance(source, str) or isinstance(target, str)) else []
    header = [name.strip() for name in header]
    places = []
    for option, column in options:
        if isinstance(column, str) and column not in header:
            raise ValueError(f"{option}: got {column!r}, the columns of {path} are {', '.join(header)}")
        places.append(header.index(column) if isinstance(column, str) else column - 1)
    pairs = []
    for line, cells in rows:
        if len(cells) == 1 and not with_targets:
            at = [0]
        elif len(cells) <= max(places):
            missing = f", the target of column {max(places) + 1} is missing" if places[-1] > places[0] else ""
            raise ValueError(
                f"{path}: line {line}: {len(cells)} columns, {max(places) + 1} are needed{missing}"
            )
        else:
            at = places
        pair = [cells[place].strip() for place in at]
        if "" in pair:
            raise ValueError(f"{path}: line {line}: column {at[pair.index('')] + 1} is empty")
        pairs.append((line, pair[0], pair[1] if with_targets else ""))
    if not pairs:
        raise ValueError(f"{path}: holds no pairs" if with_targets else f"{path}: holds no texts")
    return pairs


def text_pairs(
    path: str | Path,
    *,
    source: int | str = 1,
    target: int | str = 2,
    tokens: Literal["characters", "words"] = "characters",
    max_length: int | None = None,
    min_count: int = 1,
    validation: float | int = 0.1,
    test: float | int = 0.1,
    seed: int = 0,
) -> Dataset:
    """Your own parallel text: a file with tabs between its columns, one pair a line.

    Args:
      path: the file, UTF-8, ``.gz`` or not.
      source, target: a column's number, from 1; or its name, then the first line has the names.
      tokens: whether symbols are characters, or words between spaces.
      max_length: pairs with more symbols on either side are left out.
      min_count: how often a symbol must stand in the training part to be known; others are ``<unk>``.
      validation: share or number of the different sources for validation.
      test: the same for the test part.
      seed: of the split.

    Raises:
      FileNotFoundError: when there is no such file.
      ValueError: when it cannot be used; the message has the file and the line.
    """
    if tokens not in ("characters", "words"):
        raise ValueError(f"tokens: got {tokens!r}, allowed are characters, words")
    for name, value in (("max_length", max_length), ("min_count", min_count)):
        if value is not None and value < 1:
            raise ValueError(f"{name}: got {value}, allowed is at least 1")
    found = read_pairs(path, source=source, target=target)
    made = _split_pairs(
        Path(path).name.partition(".")[0],
        path,
        found,
        tokens=tokens,
        max_length=max_length,
        min_count=min_count,
        validation=validation,
        test=test,
        seed=seed,
    )
    return read_as(made, form="pairs", source=source, target=target, tokens=tokens)


def _split_pairs(
    name: str,
    path: str | Path,
    found: list[tuple[str, str]],
    *,
    tokens: Literal["characters", "words"],
    max_length: int | None,
    min_count: int = 1,
    validation: float | int,
    test: float | int,
    seed: int,
) -> Dataset:
    entries = entries_of(found, tokens)
    if max_length is not None:
        short = [
            e._replace(answers=tuple(a for a in e.answers if len(a) <= max_length))
            for e in entries
            if len(e.source) <= max_length
        ]
        entries = [e for e in short if e.answers]
    if not entries:
        raise ValueError(f"{path}: no pair has at most {max_length} {tokens}")
    try:
        parts = split_indices(len(entries), validation=validation, test=test, seed=seed)
    except ValueError as error:
        raise ValueError(f"{path}: of {len(entries)} sources: {error}") from None
    return paired(name, entries, parts, min_count=min_count, sources={str(path): store.sha256(path)})


VERSES = store.FileSet(
    name="kjv_rv1909",
    files={"verses.tsv.gz": "0d80855856cfc066513bbb735cc48339d62f1093423bcc4829e2bf1e0c9f4c2b"},
    where="the Debian packages sword-text-kjv and sword-text-sparv: one verse a line in the order of the "
    "book, the English of the King James Version, a tab, the Spanish of the Reina-Valera 1909 "
    '(a file that differs: kind = "text_pairs")',
    license="public domain (KJV: Crown rights in the UK)",
    source="King James Version, 1769; Reina-Valera, 1909",
)


def verses(
    *,
    max_length: int = 60,
    validation: float | int = 0.1,
    test: float | int = 0.1,
    seed: int = 0,
    data_dir: str | Path | None = None,
) -> Dataset:
    """English verses to Spanish ones, by characters.

    Args:
      max_length: verses with more characters, in either language, are left out.
      validation: share or number of the different English verses for validation.
      test: the same for the test part.
      seed: of the split.
      data_dir: a folder with the file, or with a sub-folder ``kjv_rv1909`` of it; otherwise
        ``$DLNOTES_DATA/kjv_rv1909``, the user's cache and the system's data sets are searched.

    Raises:
      DataNotFound: when the file is nowhere; the message says where it can be had.
      ValueError: when it is another one, or ``max_length`` leaves too few verses.
    """
    if max_length < 1:
        raise ValueError(f"max_length: got {max_length}, allowed is at least 1")
    paths = store.obtain(VERSES, data_dir=data_dir)
    for problem in store.damage(VERSES, paths):
        raise ValueError(problem)
    found = read_pairs(paths[0])
    return _split_pairs(
        "verses",
        paths[0],
        found,
        tokens="characters",
        max_length=max_length,
        validation=validation,
        test=test,
        seed=seed,
    )
