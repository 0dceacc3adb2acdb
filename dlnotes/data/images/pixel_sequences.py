"""Images of digits and clothes read as sequences: pixel by pixel, or row by row."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from dlnotes.data.dataset import Dataset, Examples
from dlnotes.data.images import mnist as mnist_sets
from dlnotes.data.images.digits import digits

SOURCES = ("digits", "mnist", "fashion_mnist")


def pixel_sequences(
    *,
    source: Literal["digits", "mnist", "fashion_mnist"] = "digits",
    by: Literal["pixels", "rows"] = "pixels",
    permuted: bool = False,
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
    standardize: bool = True,
    data_dir: str | None = None,
) -> Dataset:
    """Images as sequences: ``(n, pixels, 1)``, or ``(n, rows, columns)``; ten classes.

    Pixel by pixel the net reads one gray level a step, from the upper left to the lower right: 64 steps for
    the bundled digits, 784 for MNIST. Permuted, the steps come in one random order, the same for all images.

    Args:
      source: "digits" (scikit-learn's, 8×8), "mnist" or "fashion_mnist" (28×28).
      by: what a step reads.
      permuted: whether the order of the steps is random (drawn with seed 0, whatever ``seed`` is).
      validation: share or number of the training images held out.
      test: of the digits the share or number for the test; the others have a test part of their own.
      seed: of the split.
      standardize: whether gray levels are standardized, all pixels by the same mean and deviation.
      data_dir: as of ``mnist``.

    Raises:
      ValueError: on a name that is not allowed.
      DataNotFound: when the files of "mnist" or "fashion_mnist" are not on this machine.

    Source: Le, Jaitly and Hinton, 2015 (pixel by pixel, and permuted).

    >>> pixel_sequences().inputs, pixel_sequences(by="rows").inputs
    ((64, 1), (8, 8))
    """
    for name, got, allowed in (("source", source, SOURCES), ("by", by, ("pixels", "rows"))):
        if got not in allowed:
            raise ValueError(f"{name}: got {got!r}, allowed are {', '.join(allowed)}")
    if source == "digits":
        images = digits(validation=validation, test=test, seed=seed, standardize=standardize)
    else:
        load = {"mnist": mnist_sets.mnist, "fashion_mnist": mnist_sets.fashion_mnist}[source]
        images = load(validation=validation, seed=seed, standardize=standardize, data_dir=data_dir)
    rows, columns, _ = images.inputs
    steps = (rows * columns, 1) if by == "pixels" else (rows, columns)
    order = np.random.default_rng(0).permutation(steps[0]) if permuted else np.arange(steps[0])

    def read(examples: Examples) -> Examples:
        return examples._replace(x=examples.x.reshape(-1, *steps)[:, order])

    return replace(
        images,
        name=f"{source} by {by}" + (", permuted" if permuted else ""),
        train=read(images.train),
        validation=None if images.validation is None else read(images.validation),
        test=None if images.test is None else read(images.test),
        input="sequence",
        inputs=steps,
    )
