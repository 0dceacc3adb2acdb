"""A data set in host memory: examples, their splits, and what a model must know of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

InputKind = Literal["vector", "image", "volume", "sequence", "tokens", "pair", "tree"]
Task = Literal["classification", "regression", "tokens", "pixels"]


class Examples(NamedTuple):
    """Host (numpy) arrays with a common leading axis, one row an example.

    Attributes:
      x: inputs, an array or a NamedTuple of arrays.
      y: targets; integer targets hold -1 where a position has none.
      mask: ``(examples, positions)`` booleans, or ``None`` where examples have no inner length.
    """

    x: Any
    y: Any
    mask: Any = None

    @property
    def size(self) -> int:
        """The number of examples."""
        return len(self.y)


class Standardize(NamedTuple):
    """``x = (raw - mean) / scale``, with statistics of the training part only."""

    mean: np.ndarray
    scale: np.ndarray

    def __call__(self, raw):
        return (raw - self.mean) / self.scale

    def inverse(self, x):
        """The raw value again: ``raw = x * scale + mean``."""
        return x * self.scale + self.mean


class Forecast(NamedTuple):
    """What a window of a series is followed by: the columns ``targets`` of the row ``horizon`` steps on."""

    targets: tuple[str, ...]
    horizon: int


@dataclass(frozen=True)
class Dataset:
    """Splits of one data set and the facts that a model and a plot need.

    Attributes:
      name: as in the config, e.g. ``"digits"``.
      train, validation, test: the splits; ``validation`` and ``test`` may be ``None``.
      input: the kind of ``x``: "vector" (n, features) float, "image" (n, height, width, channels)
        float, "volume" (n, depth, height, width, channels) float, of a video (n, frames, height, width,
        channels), "sequence" (n, time, features) float with mask, "tokens" (n, time) int with mask,
        "pair" (`Pair` of source and shifted target), "tree" (`Trees`).
      task: "classification" (``y`` is (n,) int), "regression" (``y`` is (n, outputs) float),
        "tokens" (``y`` is (n, time) int, of trees (n, nodes), with -1 where there is no target),
        "pixels" (``y`` is (n, height, width) int, likewise).
      inputs: per-example shape of ``x`` for float inputs (``(28, 28, 1)``); for tokens, pairs and
        trees ``(vocabulary size,)``, the number of input symbols.
      outputs: number of classes, of output symbols, or of regression outputs.
      classes: name of each class or output symbol (empty for regression).
      symbols: name of each input symbol (empty for float inputs).
      standardize: how raw inputs were normalized, or ``None``.
      standardize_y: how raw regression targets were normalized, or ``None``.
      features: names of the input columns (CSV), else empty.
      sources: files the data were read from, with their SHA-256 (for the run folder).
      references: of a "pair" data set whose examples have several right answers: by split, for each
        example all of them, each as class numbers without the end symbol. ``y`` holds the first. A split
        that is not there has the one answer of ``y``.
      forecast: what the targets of a windowed series are, else ``None``.
      records: texts to be kept in the run's folder, by file name (which words are in which part, say).
      notation: how an example of a tree is written in a file (see `dlnotes.data.inputs`), else empty.
      missing: why there are no examples but only their shapes (see `dlnotes.data.metadata`), else empty.
    """

    name: str
    train: Examples
    validation: Examples | None
    test: Examples | None
    input: InputKind
    task: Task
    inputs: tuple[int, ...]
    outputs: int
    classes: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    standardize: Standardize | None = None
    standardize_y: Standardize | None = None
    features: tuple[str, ...] = ()
    sources: dict[str, str] = field(default_factory=dict)
    references: dict[str, tuple[tuple[tuple[int, ...], ...], ...]] = field(default_factory=dict)
    forecast: Forecast | None = None
    records: dict[str, str] = field(default_factory=dict)
    notation: str = ""
    missing: str = ""

    def split(self, name: str) -> Examples:
        """The split called ``name`` ("train", "validation" or "test").

        Raises:
          ValueError: when the name is unknown or the data set has no such split.
        """
        known = {"train": self.train, "validation": self.validation, "test": self.test}
        if name not in known:
            raise ValueError(f"split: got {name!r}, allowed are {', '.join(known)}")
        if self.missing:
            raise ValueError(f"split: the examples of {self.name} are not at hand, {self.missing}")
        examples = known[name]
        if examples is None:
            have = ", ".join(k for k, v in known.items() if v is not None)
            raise ValueError(f"split: {self.name} has no {name!r} part, it has {have}")
        return examples


def is_special(symbol: str) -> bool:
    """Whether a symbol stands for no text of its own, as ``<pad>``, ``<end>`` and ``<unk>``."""
    return len(symbol) > 2 and symbol[0] + symbol[-1] == "<>"


def are_characters(symbols: tuple[str, ...]) -> bool:
    """Whether all symbols but the special ones are single characters, which make text without spaces.

    >>> are_characters(("<end>", "a", "b")), are_characters(("<end>", "AH", "B"))
    (True, False)
    """
    return all(len(s) == 1 or is_special(s) for s in symbols)


class Pair(NamedTuple):
    """Input of an encoder-decoder: a source and the target shifted right (teacher forcing).

    Attributes:
      source: ``(n, source_time)`` int symbols, padded with 0; the mask says which are real.
      target: ``(n, target_time)`` int symbols, the begin symbol first, so that position t holds
        the symbol before the one to be predicted.
    """

    source: Any
    target: Any


class Trees(NamedTuple):
    """A batch of trees of any shapes as flat arrays, one list of N node slots a tree.

    Leaves come first, an inner node after all of its children, and the root is the last real node, so that
    one pass from left to right computes every tree. Padding only comes behind (the mask, (n, N), says which
    nodes are real): a smaller batch is a slice. See `dlnotes.data.trees.batching` for how they are made.

    Attributes:
      label: ``(n, N)`` int32 symbol of each node; -1 where it has no input of its own, and in padding.
      children: ``(n, N, A)`` int32 slots of the node's children in order; -1 where there is none.
      order: ``(n, N)`` int32, by which nodes of a whole batch can be sorted for computing: 0 for leaves, then
        inner nodes, those far from the root first and among them the low ones, padding last.
    """

    label: Any
    children: Any
    order: Any


def parts_of(
    dataset: Dataset, train: int | None = None, validation: int | None = None, test: int | None = None
) -> tuple[Examples, Examples, Examples]:
    """Training, validation and test examples as rows of numbers; of each the first so many, or all."""

    def rows(part: Examples, n: int | None) -> Examples:
        x = np.asarray(part.x[:n])
        return Examples(x.reshape(len(x), -1), np.asarray(part.y[:n]))

    named = zip(("train", "validation", "test"), (train, validation, test))
    first, second, third = (rows(dataset.split(name), n) for name, n in named)
    return first, second, third
