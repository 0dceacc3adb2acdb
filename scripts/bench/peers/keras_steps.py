"""Keras 3 on JAX: ``model.fit`` with ``steps_per_execution``, the option that costs a user one word."""

from __future__ import annotations

from scripts.bench.inputs import Data, Weights
from scripts.bench.interface import Variant
from scripts.bench.kinds import Case
from scripts.bench.variants import keras_fit

STEPS_PER_EXECUTION = 8
"""Divides every case's steps per epoch, so that no execution is cut short."""


def setup(case: Case, weights: Weights, data: Data) -> Variant:
    """As `keras_fit`, eight steps a call."""
    return keras_fit.setup(case, weights, data, STEPS_PER_EXECUTION)
