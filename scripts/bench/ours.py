"""dlnotes itself, through its public engine: one function per case, with the peers' interface.

``setup`` is called in a fresh process before JAX has a backend, so a case may still choose the number of
host devices (``jax.config.update("jax_num_cpu_devices", 2)``) or an ``XLA_FLAGS`` entry.

``weights`` are numpy ``(W, b)`` per layer: dense W (in, out), convolution W (height, width, in, out), images
NHWC and flattened in that order, hidden layers ``case.hidden``; with members every array has a leading
``members`` axis. ``check`` steps on the fixed batches from these weights and returns the loss of each step
before its update, in seeds32 a row of ``members`` losses a step; it is called once, first. ``run`` then
trains on with its own shuffling for at least ``seconds`` and returns after the last update is computed,
counting the examples of all members. The first-step measure times ``setup`` and ``check`` of one batch.
"""

from __future__ import annotations

from scripts.bench.cases import Case, Data, Weights
from scripts.bench.interface import Variant


def _missing(case: Case) -> NotImplementedError:
    return NotImplementedError(f"ours: case {case.name!r} is not connected to dlnotes.training yet")


def xor(case: Case, weights: Weights, data: Data) -> Variant:
    """2-2-1, tanh hidden units, sigmoid output, full batch."""
    raise _missing(case)


def mlp_small(case: Case, weights: Weights, data: Data) -> Variant:
    """64-32-10, ReLU."""
    raise _missing(case)


def mlp_large(case: Case, weights: Weights, data: Data) -> Variant:
    """784-512-512-10, ReLU."""
    raise _missing(case)


def cnn(case: Case, weights: Weights, data: Data) -> Variant:
    """conv 32, ReLU, pool, conv 64, ReLU, pool, dense 128, ReLU, dense 10."""
    raise _missing(case)


def seeds32(case: Case, weights: Weights, data: Data) -> Variant:
    """32 small MLPs side by side, each with its own weights and order."""
    raise _missing(case)


_SETUP = {"xor": xor, "mlp_small": mlp_small, "mlp_large": mlp_large, "cnn": cnn, "seeds32": seeds32}


def setup(case: Case, weights: Weights, data: Data) -> Variant:
    """The variant of a case.

    Raises:
      NotImplementedError: while a case is not connected to the engine.
    """
    return _SETUP[case.name](case, weights, data)
