"""Inputs of which a part is there: columns of a table, or steps of a series; and networks for them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dlnotes import data, models

CONVOLUTION, DENSE, TOLD = range(3)
NAMES = ("convolution over what is there", "dense with a presence mask", "convolution told the kind")
TABLES = ("breast_cancer", "wine")
SERIES = "japanese_vowels"
PARTS = ("train", "validation", "test")
_SHARES = (0.6, 0.7)  # of the rows: training up to the first, validation up to the second, then test


class Observed(NamedTuple):
    """Examples of which a part is there.

    Attributes:
      x: ``(n, places, channels)`` values, anything where nothing is there.
      there: ``(n, places)`` booleans.
      y: ``(n,)`` classes.
    """

    x: np.ndarray
    there: np.ndarray
    y: np.ndarray


def table(name: str, seed: int, copies: int) -> tuple[Observed, ...]:
    """A random split of a table, standardized; each row has ``copies`` draws of the columns that are there.

    Every second column is always there, each of the others with a chance of one half.
    """
    from sklearn import datasets

    bunch: Any = getattr(datasets, f"load_{name}")()
    rng = np.random.default_rng([seed, 76])
    order = rng.permutation(len(bunch.target))
    ends = [int(share * len(order)) for share in _SHARES]
    rows = np.split(order, ends)
    train = bunch.data[rows[0]]
    x = (bunch.data - train.mean(0)) / train.std(0)
    found = []
    for part in rows:
        some = np.repeat(part, copies)
        there = rng.random((len(some), x.shape[1])) < 0.5
        there[:, ::2] = True
        found.append(
            Observed(x[some][..., None].astype(np.float32), there, bunch.target[some].astype(np.int32))
        )
    return tuple(found)


def series() -> tuple[Observed, ...]:
    """Utterances of 7 to 29 steps, in the data's own parts: more of the same kind the longer they are."""
    dataset = data.load(SERIES)
    return tuple(
        Observed(np.asarray(p.x, np.float32), np.asarray(p.mask), np.asarray(p.y, np.int32))
        for p in (dataset.split(name) for name in PARTS)
    )


def given(which: int, part: Observed) -> data.Examples:
    """What a network is given of the examples.

    The convolutions get the values that are there side by side, in the order of the places, and a mask; told
    the kind, each value has the place's number beside it, one-hot. The dense network gets every place, 0
    where nothing is there, and which are there.
    """
    n, places = part.there.shape
    real = np.where(part.there[..., None], part.x, np.float32(0))
    if which == DENSE:
        whole = np.concatenate([real.reshape(n, -1), part.there.astype(np.float32)], axis=1)
        return data.Examples(whole, part.y)
    first = np.argsort(~part.there, axis=1, kind="stable")
    x = np.take_along_axis(real, first[..., None], axis=1)
    mask = np.take_along_axis(part.there, first, axis=1)
    if which == TOLD:
        kind = np.where(mask[..., None], np.eye(places, dtype=np.float32)[first], np.float32(0))
        x = np.concatenate([x, kind], axis=-1)
    return data.Examples(x, part.y, mask)


def network(which: int, places: int, channels: int, classes: int, width: int) -> models.Model:
    """A network for examples as `given` makes them."""
    if which == DENSE:
        return models.mlp(places * (channels + 1), (width, width), classes)
    inputs = (None, channels + places * (which == TOLD))
    stages = [models.Stage(width, kernel=1 if which == TOLD else 3)] * 2
    return models.conv_net(inputs, classes, stages=stages, head="average", dense=(width,))
