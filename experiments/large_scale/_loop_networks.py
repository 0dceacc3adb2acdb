"""One perceptron written as loops: its weights together or apart, with vector instructions or without."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dlnotes import layers
from dlnotes.devices import timed
from dlnotes.devices.roofline import Timed
from dlnotes.jax_internals import compiler_knows
from dlnotes.models import MLP
from dlnotes.typing import Array

SCALAR = {"xla_cpu_prefer_vector_width": 64}
"""Narrower than any vector register: the compiler then adds up one number at a time."""
X86 = ("x86_64", "amd64", "i686")
LAYOUTS = ("together", "apart")


def scalar_code(machine: str) -> bool:
    """Whether the compiler can leave vector instructions out on this machine.

    Args:
      machine: of ``platform.machine()``.
    """
    return jax.default_backend() == "cpu" and machine.lower() in X86 and compiler_knows(SCALAR)


def looped(params: MLP, x: Array, layout: str) -> Array:
    """The answer for one example after another, ``z ← z + x_i W_i`` input by input.

    The order of the additions is the same in both layouts, and so is the answer, to the last bit.

    Args:
      params: as `laid_out` gives them.
      x: ``(examples, inputs)``.
      layout: "together": the weights W_i of an input stand next to one another, ``(inputs, units)``;
        "apart": those of a unit do, ``(units, inputs)``, and W_i is spread over the memory.
    """

    def layer(weights: Any, x: Array) -> Array:
        def add(i: Any, z: Array) -> Array:
            row = weights.W[i] if layout == "together" else weights.W[:, i]
            return z + x[i] * row

        return lax.fori_loop(0, x.shape[0], add, weights.b)

    def one(x: Array) -> Array:
        for weights in params.hidden:
            x = layers.relu(layer(weights, x))
        return layer(params.output, x)

    return lax.map(one, x)


def laid_out(params: MLP, layout: str) -> MLP:
    """Parameters of ``models.mlp`` in one of `LAYOUTS`."""
    if layout == "together":
        return params
    return jax.tree.map(lambda a: jnp.asarray(np.ascontiguousarray(np.asarray(a).T)), params)


def random_perceptron(inputs: int, units: int, outputs: int) -> MLP:
    """Weights of one hidden layer, drawn by numpy, which compiles nothing."""
    rng = np.random.default_rng(units)

    def dense(n: int, m: int) -> layers.Dense:
        W = rng.standard_normal((n, m), np.float32) * np.float32((2 / n) ** 0.5)
        return layers.Dense(jnp.asarray(W), jnp.asarray(0.1 * rng.standard_normal(m, np.float32)))

    return MLP((dense(inputs, units),), (None,), dense(units, outputs))


def loops(params: MLP, x: Array, layout: str, *, vectors: bool) -> Timed:
    """`looped`, compiled and made to be timed; its work is the number of examples."""
    options = {} if vectors else {"compiler_options": SCALAR}
    name = f"{layout}, {'vectors' if vectors else 'no vectors'}"
    return timed(name, lambda p, x: looped(p, x, layout), laid_out(params, layout), x, work=len(x), **options)
