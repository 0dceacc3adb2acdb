"""Text as characters: predict each next one."""

from __future__ import annotations

import hashlib
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np

from dlnotes import bounded
from dlnotes.data.assemble import assemble, consecutive
from dlnotes.data.dataset import Dataset
from dlnotes.data.own_files import read_as
from dlnotes.data.split import part_sizes

UNKNOWN = "<unk>"


def embedded_corpus() -> str:
    """English prose that is on every machine: some hundred thousand characters.

    The descriptions of scikit-learn's data sets, then the topics of Python's own help (PSF license).
    Its exact bytes depend on the versions of both; `text` records its SHA-256.
    """
    from importlib import resources

    folder = resources.files("sklearn.datasets.descr")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".rst")), key=lambda f: f.name)
    pieces = [f.read_text(encoding="utf-8") for f in files]
    with suppress(ImportError):  # a Python built without its help texts
        from pydoc_data.topics import topics

        pieces += [topics[name] for name in sorted(topics)]
    return "\n\n".join(piece.strip() for piece in pieces) + "\n"


def text(
    path: str | Path | None = None,
    *,
    window: int = 64,
    validation: float | int = 0.1,
    test: float | int = 0.1,
    limit: int | None = 200_000,
) -> Dataset:
    """Windows of a text: ``x`` is ``(n, window)`` characters, ``y`` the character after each.

    The text is cut into three blocks, training first, validation, test, and each block into
    consecutive windows, so that no window reaches into another block; every character but a block's
    first is a target once. The vocabulary is that of the training block; index 0 is ``<unk>``, for
    any character that is not in it. Input and task are "tokens", without a mask.

    Args:
      path: a UTF-8 file; without one, the embedded English prose (see `embedded_corpus`).
      window: length of a window, in characters.
      validation: share or number of the windows for validation.
      test: the same for the test part.
      limit: only the first so many characters are used, which is said of a file; ``None`` takes all.

    Raises:
      ValueError: when the file is not UTF-8 text, or too short for a window in each part.
    """
    if window < 1:
        raise ValueError(f"window: got {window}, at least 1 is needed")
    if limit is not None and limit < 1:
        raise ValueError(f"limit: got {limit}, at least 1 is needed, or None")
    if path is None:
        name, corpus = "the embedded corpus", embedded_corpus()
        data = corpus.encode()
    else:
        name, data = str(path), bounded.read_bytes(path)
        try:
            corpus = data.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise ValueError(f"{path}: line {line}: not UTF-8 text ({error.reason})") from None
    if path is not None and limit is not None and len(corpus) > limit:
        warnings.warn(
            f"{path}: the first {limit:,} of {len(corpus):,} characters are used (limit = {len(corpus)} "
            "takes all)",
            stacklevel=2,
        )
    corpus = corpus[:limit]
    blocks = [validation != 0, test != 0]
    windows = (len(corpus) - 1 - sum(blocks)) // window
    if windows < 1 + sum(blocks):
        raise ValueError(f"{name}: {len(corpus)} characters are too few for windows of {window} in each part")
    try:
        sizes = part_sizes(windows, validation=validation, test=test)
    except ValueError as error:
        raise ValueError(f"{name}: of {windows} windows: {error}") from None
    edges = np.cumsum([0, *(size * window + (size > 0) for size in sizes)])
    known = sorted(set(corpus[: edges[1]]))
    symbols = (UNKNOWN, *known)
    index = {symbol: i for i, symbol in enumerate(symbols)}
    codes = np.array([index.get(c, 0) for c in corpus], np.int32)
    x, y = [], []
    for start, size in zip(edges, sizes):
        for part, offset in ((x, 0), (y, 1)):
            begin = start + offset
            part.append(codes[begin : begin + size * window].reshape(size, window))
    made = assemble(
        "text",
        np.concatenate(x),
        np.concatenate(y),
        consecutive(*sizes),
        input="tokens",
        task="tokens",
        outputs=len(symbols),
        classes=symbols,
        symbols=symbols,
        sources={"embedded corpus" if path is None else name: hashlib.sha256(data).hexdigest()},
    )
    return made if path is None else read_as(made, form="text")
