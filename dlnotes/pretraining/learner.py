"""What learns one layer of a representation, and what it learns: the protocol of all learners.

A learner is four pure functions. `dlnotes.pretraining.train` runs any of them for many seeds at once, and
a greedy stack (`dlnotes.pretraining.greedy`) trains one on what the one before it gives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dlnotes.typing import Array, Params, PRNGKey

Metrics = dict[str, Array]
"""What a step measured, each ``()`` float32. "reconstruction" is the mean squared error per example.

One that is not finite stops the member (`dlnotes.pretraining.train`), and so does "diverged" where it is not
0, and the member keeps its state of before the step. A learner that says "diverged" says so before it would
give parameters that are not finite; those of others are looked through at every step.
"""


class Learner(NamedTuple):
    """A learner of one layer, ℒ: data → encoder.

    Attributes:
      units: how many numbers the layer gives.
      init: ``init(key, mean, inputs) -> state``: a NamedTuple of arrays whose field ``params`` holds what is
        learned; ``mean`` is the ``(inputs,)`` mean of the data, for biases that start there.
      step: ``step(state, x, key, progress) -> (state, metrics)``: one update on a batch ``x`` (rows, inputs).
        All random numbers follow from ``key``; ``progress`` is ``()`` float32 in [0, 1), the share of the
        steps that are over, for schedules.
      encode: ``encode(params, x) -> h``, ``(..., inputs)`` to ``(..., units)``; means, never samples.
      decode: ``decode(params, h) -> x``, or ``None``.
      check: ``check(x)`` of data ``(n, inputs)`` in numpy, before anything is compiled.
        Raises ValueError naming the value and what is allowed.
      activation: name of the activation φ where ``encode`` is ``φ(x W + b)`` (see `dense_of`), else ``None``.
      dense_of: ``dense_of(params) -> Dense(W, b)`` of that layer, else ``None``.
      decoder_of: ``decoder_of(params) -> Dense`` from units to inputs, before the output unit; or ``None``.
      kind: its name in a config.
    """

    units: int
    init: Callable[[PRNGKey, Array, int], Any]
    step: Callable[[Any, Array, PRNGKey, Array], tuple[Any, Metrics]]
    encode: Callable[[Params, Array], Array]
    decode: Callable[[Params, Array], Array] | None = None
    check: Callable[[np.ndarray], None] = lambda x: None
    activation: str | None = None
    dense_of: Callable[[Params], Any] | None = None
    decoder_of: Callable[[Params], Any] | None = None
    kind: str = "own"


class Encoder(NamedTuple):
    """A trained layer: ``h = learner.encode(params, x)``.

    Attributes:
      params: what was learned; leaves with a leading axis ``(members, …)`` where several seeds were trained.
      learner: what learned it.
    """

    params: Params
    learner: Learner
