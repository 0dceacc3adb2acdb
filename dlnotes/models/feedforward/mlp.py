"""Feed-forward networks: linear, multilayer perceptron, maxout."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from dlnotes.checks import all_positive, positive, shares
from dlnotes.layers import random
from dlnotes.layers.activations import activation as activation_named
from dlnotes.layers.activations import prelu
from dlnotes.layers.feedforward.dense import Dense, dense, init_dense
from dlnotes.layers.feedforward.factored import Factored, factored_dense, init_factored
from dlnotes.layers.feedforward.maxout import dense_maxout
from dlnotes.layers.feedforward.sparse import connections, init_masked_dense, masked_dense
from dlnotes.layers.initializers import initializer as initializer_named
from dlnotes.models.model import Model
from dlnotes.typing import Array, PRNGKey


class MLP(NamedTuple):
    """Parameters of a multilayer perceptron.

    ``h⁰ = x``, ``hⁱ = gᵢ(hⁱ⁻¹ Wᵢ + bᵢ)``, ``output = h W + b``; with skip connections ``hⁱ`` has
    ``hⁱ⁻²`` added to it.

    Attributes:
      hidden: for each layer a `Dense` with ``W`` (previous width, width) and ``b`` (width,), or a
        `Factored`, whose matrix is ``W = U V``.
      slopes: for each layer the learned slopes (width,) of a "prelu", else ``None``.
      output: `Dense`, (last width, outputs).
    """

    hidden: tuple[Dense | Factored, ...]
    slopes: tuple[Array | None, ...]
    output: Dense


class MaxoutMLP(NamedTuple):
    """Parameters of ``hⁱ_j = max over p of (hⁱ⁻¹ Wᵢ + bᵢ)_{j·pieces + p}``, ``output = h W + b``.

    Attributes:
      hidden: for each layer a `Dense` with ``W`` (previous width, width·pieces).
      output: `Dense`, (last width, outputs).
    """

    hidden: tuple[Dense, ...]
    output: Dense


def linear(
    inputs: int | Sequence[int],
    outputs: int,
    *,
    initializer: str = "he_normal",
    init_scale: float | Array = 1.0,
) -> Model:
    """The linear model ``output = x W + b``, parameters `Dense`.

    Args:
      inputs: size of an example, or its shape, which is flattened.
      outputs: number of outputs (logits).
      initializer: a name in ``layers.INITIALIZERS``.
      init_scale: multiplier of the initial ``W``; may be a traced scalar; 0 starts at zero.

    Raises:
      ValueError: on sizes or names that are not allowed.

    Source: notes F1.2, F2.6.
    """
    features = count_inputs(inputs)
    positive(outputs=outputs)
    initializer_named(initializer)

    def init(key: PRNGKey, /) -> Dense:
        return init_dense(key, features, outputs, initializer=initializer, init_scale=init_scale)

    def apply(params: Dense, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None) -> Array:
        return dense(params, flatten(x, features))

    return Model(init, apply)


def mlp(
    inputs: int | Sequence[int],
    widths: Sequence[int],
    outputs: int,
    *,
    activation: str | Sequence[str] = "relu",
    dropout: float | Array = 0.0,
    input_dropout: float | Array = 0.0,
    skip: bool = False,
    rank: int | None = None,
    connectivity: float = 1.0,
    initializer: str = "he_normal",
    init_scale: float | Array = 1.0,
    init_bias: float = 0.0,
) -> Model:
    """A multilayer perceptron; equation and parameters: `MLP`.

    Args:
      inputs: size of an example, or its shape, which is flattened.
      widths: units of each hidden layer; empty gives a linear model.
      outputs: number of outputs (logits).
      activation: a name in ``layers.ACTIVATIONS`` or "prelu" (learned slopes, from 0.25), for all
        hidden layers or one for each.
      dropout: share of each hidden layer's units dropped when a key is given; may be traced.
      input_dropout: the same for the inputs.
      skip: add the output of layer i to that of layer i + 2 wherever their widths agree (the input
        counts as layer 0); after the activation, before dropout.
      rank: of every hidden matrix, which then is a product of two (notes F3.6); ``None`` for whole ones.
      connectivity: share of the layer before that each hidden unit is connected to, by a fixed random
        pattern (notes F4.7); 1 connects all.
      initializer: a name in ``layers.INITIALIZERS``.
      init_scale: multiplier of every initial weight; may be a traced scalar.
      init_bias: where hidden biases start (the notes propose 0.1 for ReLU, F3.1).

    Raises:
      ValueError: on sizes, rates or names that are not allowed.

    Source: notes F1.1.
    """
    features = count_inputs(inputs)
    widths = all_positive("widths", widths)
    positive(outputs=outputs)
    shares(dropout=dropout)
    shares(input_dropout=input_dropout)
    initializer_named(initializer)
    names = (activation,) * len(widths) if isinstance(activation, str) else tuple(activation)
    if len(names) != len(widths):
        raise ValueError(
            f"activation: got {len(names)} names for {len(widths)} hidden layers, one each is needed"
        )
    functions = tuple(None if name == "prelu" else activation_named(name) for name in names)
    if rank is not None:
        positive(rank=rank)
    if not 0 < connectivity <= 1 or (rank is not None and connectivity < 1):
        raise ValueError(f"connectivity: got {connectivity}, allowed is in (0, 1], and 1 with a rank")
    sizes = list(zip((features, *widths), widths)) if connectivity < 1 else []
    masks = [connections(n, m, connectivity, seed=i) for i, (n, m) in enumerate(sizes)]

    def init(key: PRNGKey, /) -> MLP:
        *hidden, output = chain(key, (features, *widths), widths, outputs, initializer, init_scale, init_bias)
        if rank is not None:
            hidden = [
                init_factored(k, n, rank, p, initializer=initializer, init_scale=init_scale, bias=init_bias)
                for k, n, p in zip(random.split(key, len(widths)), (features, *widths), widths)
            ]
        if masks:
            hidden = [
                init_masked_dense(k, M, initializer=initializer, init_scale=init_scale, bias=init_bias)
                for k, M in zip(random.split(key, len(widths)), masks)
            ]
        slopes = tuple(jnp.full((w,), 0.25) if g is None else None for w, g in zip(widths, functions))
        return MLP(tuple(hidden), slopes, output)

    def apply(params: MLP, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None) -> Array:
        keys = keys_or_none(key, len(widths) + 1)
        h = before = random.dropout(keys[0], flatten(x, features), input_dropout)
        connected = masks or [None] * len(widths)
        for layer, M, slope, g, key in zip(params.hidden, connected, params.slopes, functions, keys[1:]):
            z = pre_activations(layer, M, h)
            new = prelu(z, slope) if slope is not None else g(z)  # type: ignore[misc]
            if skip and layer is not params.hidden[0] and new.shape == before.shape:
                new = new + before
            before, h = h, random.dropout(key, new, dropout)
        return dense(params.output, h)

    return Model(init, apply)


def pre_activations(layer: Dense | Factored, mask: np.ndarray | None, h: Array) -> Array:
    """``h W + b`` of a hidden layer: whole, in two factors, or with the connections of a mask only."""
    if isinstance(layer, Factored):
        return factored_dense(layer, h)
    return dense(layer, h) if mask is None else masked_dense(layer, h, mask)


def maxout_mlp(
    inputs: int | Sequence[int],
    widths: Sequence[int],
    outputs: int,
    *,
    pieces: int = 5,
    dropout: float | Array = 0.0,
    input_dropout: float | Array = 0.0,
    initializer: str = "he_normal",
    init_scale: float | Array = 1.0,
) -> Model:
    """A network of maxout units; equation and parameters: `MaxoutMLP`.

    Args:
      inputs: size of an example, or its shape, which is flattened.
      widths: maxout units of each hidden layer; each has ``pieces`` rows of weights.
      outputs: number of outputs (logits).
      pieces: k, the linear pieces of each unit.
      dropout, input_dropout, initializer, init_scale: as in `mlp`.

    Raises:
      ValueError: on sizes, rates or names that are not allowed.

    Source: Goodfellow et al., 2013; notes F3.3, F3.4.
    """
    features = count_inputs(inputs)
    widths = all_positive("widths", widths)
    positive(outputs=outputs)
    positive(pieces=pieces)
    shares(dropout=dropout)
    shares(input_dropout=input_dropout)
    initializer_named(initializer)

    def init(key: PRNGKey, /) -> MaxoutMLP:
        rows = tuple(width * pieces for width in widths)
        *hidden, output = chain(key, (features, *widths), rows, outputs, initializer, init_scale, 0.0)
        return MaxoutMLP(tuple(hidden), output)

    def apply(
        params: MaxoutMLP, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None
    ) -> Array:
        keys = keys_or_none(key, len(widths) + 1)
        h = random.dropout(keys[0], flatten(x, features), input_dropout)
        for layer, key in zip(params.hidden, keys[1:]):
            h = random.dropout(key, dense_maxout(layer, h, pieces), dropout)
        return dense(params.output, h)

    return Model(init, apply)


def chain(
    key: PRNGKey,
    widths: tuple[int, ...],
    rows: tuple[int, ...],
    outputs: int,
    initializer: str,
    init_scale: float | Array,
    bias: float,
) -> list[Dense]:
    """Dense layers from ``widths[i]`` inputs to ``rows[i]`` outputs, then one to ``outputs`` with bias 0."""
    keys = random.split(key, len(rows) + 1)
    sizes = [*zip(widths, rows, (bias,) * len(rows)), (widths[-1], outputs, 0.0)]
    return [
        init_dense(k, a, b, initializer=initializer, init_scale=init_scale, bias=start)
        for k, (a, b, start) in zip(keys, sizes)
    ]


def keys_or_none(key: PRNGKey | None, n: int) -> tuple[PRNGKey | None, ...]:
    """``n`` keys derived from ``key``, or ``n`` times ``None`` without one."""
    return (None,) * n if key is None else random.split(key, n)


def flatten(x: Array, features: int) -> Array:
    """``(batch, ...)`` as ``(batch, features)``.

    Raises:
      ValueError: when an example does not have so many entries.
    """
    if x.ndim < 2 or prod(x.shape[1:]) != features:
        raise ValueError(
            f"x: got shape {x.shape}, allowed is (batch, ...) with {features} numbers per example"
        )
    return x.reshape(x.shape[0], features)


def count_inputs(inputs: int | Sequence[int]) -> int:
    """The size of an example, from its size or its shape."""
    shape = (inputs,) if isinstance(inputs, int) else tuple(inputs)
    if not shape or any(not isinstance(n, int) or n < 1 for n in shape):
        raise ValueError(f"inputs: got {inputs}, allowed is a positive integer or a shape of them")
    return prod(shape)
