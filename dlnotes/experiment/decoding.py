"""What an encoder-decoder writes when it feeds itself, as text."""

from __future__ import annotations

import jax
import numpy as np

from dlnotes.data.dataset import Dataset
from dlnotes.models import greedy_decode
from dlnotes.typing import Params


def decoded_length(dataset: Dataset) -> int:
    """How many symbols are decoded at most: one more than the longest target of the training part."""
    return dataset.train.y.shape[1] + 1


def decode(dataset: Dataset, params: Params, source: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Greedy decoding of a batch of sources to text, ``(n,)`` strings.

    Args:
      dataset: for the symbols and the length.
      params: of a `dlnotes.models.seq2seq`.
      source: ``(n, time)`` symbols.
      mask: ``(n, time)`` booleans, or ``None`` where every position is real.
    """
    length = decoded_length(dataset)
    run = jax.jit(lambda params, source, mask: greedy_decode(params, source, mask, length=length))
    classes = dataset.classes
    join = "" if all(len(c) == 1 for c in classes[1:]) else " "
    return np.array(
        [join.join(classes[i] for i in row if i > 0) for row in np.asarray(run(params, source, mask))]
    )
