"""Cells without gates: the plain recurrent net with three activations, and its output-recurrent kin."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.checks import chosen, positive
from dlnotes.layers.activations import activation as activation_named
from dlnotes.layers.recurrent.bptt import rnn_steps
from dlnotes.layers.recurrent.cell import Cell, project, row, split_cell, start_of, weights, zeros
from dlnotes.typing import Array, PRNGKey


class RNNParams(NamedTuple):
    """``h_t = tanh(b + h_{t-1} W + x_t U)``.

    Attributes:
      U: (inputs, hidden).
      W: (hidden, hidden).
      b: (hidden,).
    """

    U: Array
    W: Array
    b: Array


class ReluRNNParams(NamedTuple):
    """``h_t = max(0, b + h_{t-1} W + x_t U)``; the shapes of `RNNParams`."""

    U: Array
    W: Array
    b: Array


class LinearRNNParams(NamedTuple):
    """``h_t = b + h_{t-1} W + x_t U``; the shapes of `RNNParams`."""

    U: Array
    W: Array
    b: Array


PLAIN = {"tanh": RNNParams, "relu": ReluRNNParams, "identity": LinearRNNParams}
"""The activations of a plain cell; each has parameters of its own type, so that `cell_of` knows them."""


def plain_cell(activation: str = "tanh", *, start: str = "orthogonal", scale: float | Array = 1.0) -> Cell:
    """The cell ``h_t = g(b + h_{t-1} W + x_t U)``.

    With "relu" and ``start="identity"`` it is the IRNN: at first it adds up what it reads.

    Args:
      activation: g, "tanh", "relu" or "identity".
      start: of W, a name in ``STARTS`` ("orthogonal", "identity", "glorot_uniform", "glorot_normal").
      scale: factor on W alone at the start; for an orthogonal W, its spectral radius.

    Returns:
      A `Cell` of `RNNParams`, `ReluRNNParams` or `LinearRNNParams`, carry (..., hidden).

    Raises:
      ValueError: for an unknown activation or start.

    Example:
      >>> cell = plain_cell("relu", start="identity")
      >>> cell.init(jax.random.key(0), 3, 2).W.tolist()
      [[1.0, 0.0], [0.0, 1.0]]

    Source: notes R9.1; Le, Jaitly and Hinton, 2015 (identity start); Saxe et al., 2014 (orthogonal).
    """
    kind, g, first = (
        chosen("activation", activation, PLAIN),
        activation_named(activation),
        start_of(start, scale),
    )

    def init(key: PRNGKey, inputs: int, hidden: int, *, init_scale: float | Array = 1.0) -> Any:
        U, W = weights(key, inputs, hidden, 1, init_scale, first)
        return kind(U, W, jnp.zeros(hidden))

    def advance(params: Any, carry: Array, z: Array, r: Array) -> tuple[Array, Array]:
        h = g(z + r)
        return h, h

    def fused(params: Any, carry: Array, z: Array, active: Array | None) -> tuple[Array, Array]:
        return rnn_steps(activation, params.W, z, carry, active)

    return split_cell(init, zeros, advance, fused=fused)


rnn = plain_cell()
"""The plain cell ``h_t = tanh(b + h_{t-1} W + x_t U)``; parameters `RNNParams`, carry (..., hidden)."""

relu_rnn = plain_cell("relu")
"""The plain cell with ReLU; parameters `ReluRNNParams`."""

linear_rnn = plain_cell("identity")
"""The plain cell without activation, a linear dynamical system; parameters `LinearRNNParams`."""


class OutputRNNParams(NamedTuple):
    """``h_t = tanh(b + o_{t-1} W + x_t U)``, ``o_t = c + h_t V``: only the output goes on in time.

    Attributes:
      U: (inputs, hidden).
      W: (outputs, hidden).
      b: (hidden,).
      V: (hidden, outputs).
      c: (outputs,).
    """

    U: Array
    W: Array
    b: Array
    V: Array
    c: Array


def output_recurrent(outputs: int) -> Cell:
    """The cell whose only way from step to step is its output: ``o_t = c + V tanh(b + W o_{t-1} + U x_t)``.

    Run by `unroll` it reads its own outputs (free running); `teacher_forced` gives it the true ones.

    Args:
      outputs: width of o.

    Returns:
      A `Cell` of `OutputRNNParams`; its carry and its output are o, (..., outputs).

    Raises:
      ValueError: for a width below 1.

    Source: notes R9.1; Goodfellow et al. 2016, figure 10.4.
    """
    positive(outputs=outputs)

    def init(key: PRNGKey, inputs: int, hidden: int, *, init_scale: float | Array = 1.0) -> OutputRNNParams:
        positive(inputs=inputs, hidden=hidden)
        scale, glorot = jnp.asarray(init_scale, jnp.float32), jax.nn.initializers.glorot_uniform()
        sizes = ((inputs, hidden), (outputs, hidden), (hidden, outputs))
        U, W, V = (scale * glorot(k, s, jnp.float32) for k, s in zip(jax.random.split(key, 3), sizes))
        return OutputRNNParams(U, W, jnp.zeros(hidden), V, jnp.zeros(outputs))

    return split_cell(init, zeros, _output_advance)


def _output_advance(params: OutputRNNParams, carry: Array, z: Array, r: Array) -> tuple[Array, Array]:
    o = jnp.tanh(z + r) @ params.V
    o = o + row(params.c, o)
    return o, o


def teacher_forced(params: OutputRNNParams, xs: Array, ys: Array, *, first: Array | None = None) -> Array:
    """All steps of the output-recurrent net at once: ``o_t = c + V tanh(b + W y_{t-1} + U x_t)``.

    As the true output of the step before is known, no step waits for another: there is no loop, and the
    gradient of a step does not go back in time.

    Args:
      params: of an `output_recurrent` cell.
      xs: (batch, time, inputs).
      ys: (batch, time, outputs) the true outputs; that of the last step is not read.
      first: (batch, outputs) what the first step reads; by default zero.

    Returns:
      (batch, time, outputs).

    Raises:
      ValueError: when the shapes do not fit together.

    Example:
      >>> params = output_recurrent(2).init(jax.random.key(0), 3, 8)
      >>> teacher_forced(params, jnp.ones((4, 5, 3)), jnp.zeros((4, 5, 2))).shape
      (4, 5, 2)

    Source: notes R9.3; Goodfellow et al. 2016, 10.2.1.
    """
    expected = (*xs.shape[:2], params.c.shape[0])
    if ys.shape != expected:
        raise ValueError(f"ys: got shape {ys.shape}, allowed is {expected}")
    before = jnp.zeros_like(ys[:, 0]) if first is None else first
    if before.shape != ys[:, 0].shape:
        raise ValueError(f"first: got shape {before.shape}, allowed is {ys[:, 0].shape}")
    fed = jnp.concatenate([before[:, None], ys[:, :-1]], 1)
    o = jnp.tanh(project(params, xs) + fed @ params.W) @ params.V
    return o + row(params.c, o)
