"""The deep autoencoder: layers down to a code, and their mirror image back to the input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.checks import all_positive, chosen
from dlnotes.layers.activations import activation as activation_named
from dlnotes.layers.feedforward.dense import Dense, dense, init_dense
from dlnotes.layers.initializers import initializer as initializer_named
from dlnotes.layers.random import split
from dlnotes.models.feedforward.mlp import count_inputs, flatten
from dlnotes.models.model import Model
from dlnotes.typing import Array, PRNGKey

OUTPUTS: dict[str, Callable[[Array], Array]] = {"bernoulli": jax.nn.sigmoid, "gaussian": lambda z: z}
"""What the output unit makes of its numbers, by name."""


class DeepAutoencoder(NamedTuple):
    """Parameters of a deep autoencoder.

    ``h⁰ = x``, ``hⁱ = gᵢ(hⁱ⁻¹ Wᵢ + bᵢ)`` down to the code ``h^m``, and back through as many layers, the
    activations in reverse order; the last layer's numbers are those of the output unit (logits of
    "bernoulli").

    Attributes:
      encoder: for each layer a `Dense`, the first takes the input.
      decoder: for each layer a `Dense`, the first takes the code, the last gives as many numbers as the
        input has.
    """

    encoder: tuple[Dense, ...]
    decoder: tuple[Dense, ...]


class Halves(NamedTuple):
    """A deep autoencoder in parts, each a function of `DeepAutoencoder` parameters.

    Attributes:
      encode: ``encode(params, x) -> code``, ``(batch, ...)`` to ``(batch, units)``.
      decode: ``decode(params, code) -> x̂``, ``(batch, units)`` to ``(batch, inputs)``, after the output
        unit.
      reconstruct: ``reconstruct(params, x) -> x̂``.
    """

    encode: Callable[[DeepAutoencoder, Array], Array]
    decode: Callable[[DeepAutoencoder, Array], Array]
    reconstruct: Callable[[DeepAutoencoder, Array], Array]


def deep_autoencoder(
    inputs: int | Sequence[int],
    widths: Sequence[int],
    *,
    activation: str | Sequence[str] = "sigmoid",
    code: str = "identity",
    initializer: str = "glorot_normal",
    init_scale: float | Array = 1.0,
) -> Model:
    """A deep autoencoder; equation and parameters: `DeepAutoencoder`.

    Its output is what the output unit takes: train logits with `dlnotes.outputs.soft_bernoulli_nll` where
    inputs are in [0, 1], else with ``squared_error``, the flattened inputs as targets. The decoder starts at
    the transposes of the encoder.

    Args:
      inputs: size of an example, or its shape, which is flattened.
      widths: units of each layer of the encoder; the last is the code.
      activation: a name in ``layers.ACTIVATIONS`` for all layers between, or one for each.
      code: activation of the code layer; "identity" does not bound it.
      initializer: a name in ``layers.INITIALIZERS``, of the encoder.
      init_scale: multiplier of the initial weights; may be a traced scalar.

    Raises:
      ValueError: on sizes or names that are not allowed.

    Source: Hinton and Salakhutdinov, 2006; notes P14.3.

    Example:
      >>> model = deep_autoencoder(6, (4, 2))
      >>> params = model.init(jax.random.key(0))
      >>> [layer.W.shape for layer in (*params.encoder, *params.decoder)]
      [(6, 4), (4, 2), (2, 4), (4, 6)]
      >>> model.apply(params, jnp.ones((3, 6))).shape
      (3, 6)
    """
    features, widths, up, down = _structure(inputs, widths, activation, code)
    initializer_named(initializer)

    def init(key: PRNGKey, /) -> DeepAutoencoder:
        sizes = zip(split(key, len(widths)), (features, *widths), widths)
        encoder = tuple(
            init_dense(k, a, b, initializer=initializer, init_scale=init_scale) for k, a, b in sizes
        )
        decoder = tuple(Dense(layer.W.T, jnp.zeros(layer.W.shape[0])) for layer in reversed(encoder))
        return DeepAutoencoder(encoder, decoder)

    def apply(
        params: DeepAutoencoder, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None
    ) -> Array:
        return _down(params, down, _up(params, up, flatten(x, features)))

    return Model(init, apply)


def autoencoder_halves(
    inputs: int | Sequence[int],
    widths: Sequence[int],
    *,
    activation: str | Sequence[str] = "sigmoid",
    code: str = "identity",
    output: str = "bernoulli",
) -> Halves:
    """The encoder and the decoder of a `deep_autoencoder` with the same arguments.

    Args:
      inputs: as there.
      widths: as there.
      activation: as there.
      code: as there.
      output: the output unit, "bernoulli" or "gaussian".

    Raises:
      ValueError: as there.
    """
    features, _, up, down = _structure(inputs, widths, activation, code)
    unit = chosen("output", output, OUTPUTS)

    def encode(params: DeepAutoencoder, x: Array) -> Array:
        return _up(params, up, flatten(x, features))

    def decode(params: DeepAutoencoder, h: Array) -> Array:
        return unit(_down(params, down, h))

    return Halves(encode, decode, lambda params, x: decode(params, encode(params, x)))


_Activations = tuple[Callable[[Array], Array], ...]


def _structure(
    inputs: int | Sequence[int], widths: Sequence[int], activation: str | Sequence[str], code: str
) -> tuple[int, tuple[int, ...], _Activations, _Activations]:
    """Sizes, checked, and the activations on the way up to the code and down to the layer before the
    output."""
    features, widths = count_inputs(inputs), all_positive("widths", widths)
    if not widths:
        raise ValueError("widths: got none, allowed is at least one layer, the code")
    between = len(widths) - 1
    names = (activation,) * between if isinstance(activation, str) else tuple(activation)
    if len(names) != between:
        raise ValueError(
            f"activation: got {len(names)} names, allowed is one for all layers before the code or one for "
            f"each of the {between}"
        )
    functions = tuple(activation_named(name) for name in names)
    return features, widths, (*functions, activation_named(code)), functions[::-1]


def _up(params: DeepAutoencoder, functions: _Activations, h: Array) -> Array:
    for layer, g in zip(params.encoder, functions):
        h = g(dense(layer, h))
    return h


def _down(params: DeepAutoencoder, functions: _Activations, h: Array) -> Array:
    for layer, g in zip(params.decoder, functions):
        h = g(dense(layer, h))
    return dense(params.decoder[-1], h)
