"""Weights and multiply-adds of dense, unshared and convolutional layers, counted in the layers themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import jax
import numpy as np

from dlnotes import analysis, models
from dlnotes.layers import (
    conv,
    dense,
    init_convolution,
    init_dense,
    init_locally_connected,
    locally_connected,
)
from dlnotes.typing import Array, PRNGKey


def layer_counts(kind: str, sizes: Sequence[int], window: int, outputs: int) -> analysis.Counts:
    """Weights and multiply-adds of one layer from one channel to so many, counted in the layer itself."""
    windows, places = (window,) * len(sizes), tuple(m - window + 1 for m in sizes)
    key = jax.random.key(0)

    def without_bias(init: Callable[[PRNGKey], Any], apply: Callable[[Any, Array], Array]) -> analysis.Counts:
        # The bias is taken out by counting with and without its numbers: the notes count weights.
        found = analysis.count(
            models.Model(init, lambda p, x, **_: apply(p, x)), np.zeros((1, *sizes, 1), np.float32)
        )
        return found._replace(parameters=found.parameters - jax.eval_shape(init, key).b.size)

    if kind == "dense":
        m, n = prod(sizes), prod(places) * outputs
        return without_bias(lambda k: init_dense(k, m, n), lambda p, x: dense(p, x.reshape(1, m)))
    if kind == "unshared":
        return without_bias(
            lambda k: init_locally_connected(k, sizes, windows, 1, outputs), locally_connected
        )
    return without_bias(
        lambda k: init_convolution(k, windows, 1, outputs), lambda p, x: conv(p, x, padding="VALID")
    )


CASES = (((12,), 3, 1), ((40,), 5, 4), ((14, 14), 5, 8), ((9, 12), 2, 1))
"""Sizes, window and maps of the layers whose weights and multiply-adds are counted."""
DRAWN = 2
"""The case that is drawn, the single layers on clothes."""
KINDS = ("dense", "unshared", "shared")


def counted() -> tuple[np.ndarray, np.ndarray]:
    """Weights and multiply-adds, counted and by the formulas, each ``(cases, kinds, 2)``.

    With c maps each place has c outputs, and the shared kernel k weights for each map.
    """
    found, formula = [], []
    for sizes, window, maps in CASES:
        m, k = prod(sizes), window ** len(sizes)
        n = prod(s - window + 1 for s in sizes) * maps
        found.append([layer_counts(kind, sizes, window, maps) for kind in KINDS])
        formula.append([(m * n, m * n), (k * n, k * n), (k * maps, k * n)])
    return np.array(found), np.array(formula)
