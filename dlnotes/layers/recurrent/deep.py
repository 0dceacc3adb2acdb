"""Deep recurrent nets: layers between input and state, and between a state and the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.checks import all_positive
from dlnotes.layers.feedforward.dense import Dense, dense, init_dense
from dlnotes.layers.recurrent.cell import Cell, project, start_of, weights
from dlnotes.typing import Array, Params, PRNGKey


class DeepTransitionParams(NamedTuple):
    """``m = MLP(h_{t-1})``, then ``h_t = tanh(b + m W + x_t U)``, with a skip ``+ h_{t-1} S`` inside.

    Attributes:
      U: (inputs, hidden).
      W: (last width, hidden).
      b: (hidden,).
      layers: `Dense` of each hidden layer of the transition, tanh after each.
      S: (hidden, hidden) past the layers, or ``None``.
    """

    U: Array
    W: Array
    b: Array
    layers: tuple[Dense, ...]
    S: Array | None


def _checked(widths: Sequence[int]) -> tuple[int, ...]:
    widths = all_positive("widths", widths)
    if not widths:
        raise ValueError("widths: got none, allowed is the width of at least one layer")
    return widths


def _init_layers(
    keys: Sequence[PRNGKey], sizes: Sequence[int], init_scale: float | Array
) -> tuple[Dense, ...]:
    return tuple(
        init_dense(k, before, after, initializer="glorot_uniform", init_scale=init_scale)
        for k, before, after in zip(keys, sizes, sizes[1:])
    )


def _perceptron(layers: Sequence[Dense], x: Array) -> Array:
    for layer in layers:
        x = jnp.tanh(dense(layer, x))
    return x


def deep_transition(
    widths: Sequence[int], *, skip: bool = False, start: str = "orthogonal", scale: float | Array = 1.0
) -> Cell:
    """A recurrent net whose step from state to state is a multilayer perceptron.

    Args:
      widths: units of each hidden layer between two states.
      skip: also connect a state to the next one directly, so that the shortest path between two
        steps is again one non-linearity long.
      start: of the matrices between states (W and S), a name in ``STARTS``; the layers start Glorot
        uniform.
      scale: factor on them alone at the start.

    Returns:
      A `Cell` of `DeepTransitionParams`, carry (..., hidden).

    Raises:
      ValueError: for no widths, one below 1, or an unknown start.

    Source: notes R11.1; Pascanu et al., 2014; Goodfellow et al. 2016, figure 10.13.
    """
    widths = _checked(widths)
    first = start_of(start, scale)

    def init(
        key: PRNGKey, inputs: int, hidden: int, *, init_scale: float | Array = 1.0
    ) -> DeepTransitionParams:
        U, S = weights(key, inputs, hidden, 1, init_scale, first)
        key_W, *keys = jax.random.split(jax.random.fold_in(key, 1), 1 + len(widths))
        layers = _init_layers(keys, (hidden, *widths), init_scale)
        W = jnp.asarray(init_scale, jnp.float32) * first(key_W, (widths[-1], hidden))
        return DeepTransitionParams(U, W, jnp.zeros(hidden), layers, S if skip else None)

    def carry(params: DeepTransitionParams, batch_shape: tuple[int, ...]) -> Array:
        return jnp.zeros((*batch_shape, params.W.shape[1]), params.W.dtype)

    def resume(params: DeepTransitionParams, carry: Array, z: Array) -> tuple[Array, Array]:
        a = z + _perceptron(params.layers, carry) @ params.W
        h = jnp.tanh(a if params.S is None else a + carry @ params.S)
        return h, h

    def step(params: DeepTransitionParams, carry: Array, x: Array) -> tuple[Array, Array]:
        return resume(params, carry, project(params, x))

    return Cell(init, carry, step, project=project, resume=resume)


class DeepInputParams(NamedTuple):
    """A cell that reads ``MLP(x_t)``.

    Attributes:
      layers: `Dense` of each layer, tanh after each.
      cell: the cell's parameters.
    """

    layers: tuple[Dense, ...]
    cell: Params


def deep_input(cell: Cell, widths: Sequence[int]) -> Cell:
    """A cell with a multilayer perceptron between its input and its state.

    The perceptron does not wait for the state: `unroll` runs it once over all steps.

    Args:
      cell: any cell.
      widths: units of each layer.

    Returns:
      A `Cell` of `DeepInputParams`, with the carry of ``cell``.

    Raises:
      ValueError: for no widths, or one below 1.

    Source: notes R11.1; Pascanu et al., 2014.
    """
    widths = _checked(widths)

    def init(key: PRNGKey, inputs: int, hidden: int, *, init_scale: float | Array = 1.0) -> DeepInputParams:
        key, *keys = jax.random.split(key, 1 + len(widths))
        layers = _init_layers(keys, (inputs, *widths), init_scale)
        return DeepInputParams(layers, cell.init(key, widths[-1], hidden, init_scale=init_scale))

    def within(function: Any) -> Any:
        """A function of the cell as one of the whole."""
        return None if function is None else lambda params, *rest: function(params.cell, *rest)

    def before(function: Any) -> Any:
        """The same, of a function whose last argument is the input."""
        if function is None:
            return None
        return lambda params, *rest: function(params.cell, *rest[:-1], _perceptron(params.layers, rest[-1]))

    return cell._replace(
        init=init,
        carry=within(cell.carry),
        step=before(cell.step),
        project=before(cell.project),
        advance=None,
        fused=within(cell.fused),
        resume=within(cell.resume),
    )
