"""Labels of pixels refined step by step by one set of convolutions: a recurrent network over an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp

from dlnotes.checks import all_positive, positive, shares
from dlnotes.layers import random
from dlnotes.layers.activations import activation as activation_named
from dlnotes.layers.convolutional.convolution import Convolution, conv, convolve, init_convolution
from dlnotes.layers.initializers import initializer as initializer_named
from dlnotes.models.feedforward.mlp import keys_or_none
from dlnotes.models.model import Model
from dlnotes.typing import Array, PRNGKey


class Refinement(NamedTuple):
    """Parameters of ``H_t = g(X ∗ U + Ŷ_{t−1} ∗ W + b)``, ``Ŷ_t = softmax(H_t ∗ V + c)``, t = 1 … T.

    In the first step the term with W is absent. The same three kernels serve every step.

    Attributes:
      U: `Convolution` of the image, (kernel, kernel, channels, hidden), and b.
      V: `Convolution` to the labels, (kernel, kernel, hidden, outputs), and c.
      W: ``(kernel, kernel, outputs, hidden)``, the kernel of the labels; ``None`` for one step.
    """

    U: Convolution
    V: Convolution
    W: Array | None


def recurrent_refinement(
    inputs: Sequence[int],
    outputs: int,
    *,
    steps: int = 3,
    hidden: int = 32,
    kernel: int = 5,
    every: bool = False,
    activation: str = "relu",
    dropout: float | Array = 0.0,
    initializer: str = "he_normal",
    init_scale: float | Array = 1.0,
) -> Model:
    """A guess of every pixel's class, refined from the image and the guess before; equation: `Refinement`.

    A step widens what a pixel's label depends on by ``2·(kernel − 1)`` pixels, without further parameters.

    Args:
      inputs: shape of an example, (height, width, channels); only the channels matter to the parameters.
      outputs: number of classes.
      steps: T, the number of guesses; 1 is a one-shot network.
      hidden: maps of H.
      kernel: height and width of the kernels U, V and W, odd.
      every: give the logits of all steps, to train them all (`dlnotes.outputs.over_steps`).
      activation: g, a name in ``layers.ACTIVATIONS``.
      dropout: rate on H; the same values are dropped in every step.
      initializer: a name in ``layers.INITIALIZERS``.
      init_scale: factor on the initial weights.

    Returns:
      ``Model(init, apply)``; ``apply`` takes ``(batch, height, width, channels)`` and returns
      ``(batch, height, width, outputs)``, with ``every`` ``(batch, height, width, steps, outputs)``.

    Raises:
      ValueError: on sizes or names that are not allowed.

    Source: notes C7.2; Pinheiro and Collobert, 2014.

    Example:
      >>> model = recurrent_refinement((9, 8, 1), 4, steps=2, hidden=6)
      >>> model.apply(model.init(jax.random.key(0)), jnp.ones((2, 9, 8, 1))).shape
      (2, 9, 8, 4)
    """
    inputs = all_positive("inputs", inputs)
    if len(inputs) != 3:
        raise ValueError(f"inputs: got {inputs}, allowed is (height, width, channels)")
    positive(outputs=outputs, steps=steps, hidden=hidden, kernel=kernel)
    if kernel % 2 == 0:
        raise ValueError(f"kernel: got {kernel}, allowed is an odd number (the maps keep their size)")
    shares(dropout=dropout)
    initializer_named(initializer)
    g = activation_named(activation)
    window = (kernel, kernel)

    def init(key: PRNGKey, /) -> Refinement:
        of_image, to_labels, of_labels = random.split(key, 3)
        how: Any = {"initializer": initializer, "init_scale": init_scale}
        return Refinement(
            U=init_convolution(of_image, window, inputs[2], hidden, **how),
            V=init_convolution(to_labels, window, hidden, outputs, **how),
            W=init_convolution(of_labels, window, outputs, hidden, **how).K if steps > 1 else None,
        )

    def apply(
        params: Refinement, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None
    ) -> Array:
        if x.ndim != 4 or x.shape[-1] != inputs[2]:
            raise ValueError(f"x: got shape {x.shape}, allowed is (batch, height, width, {inputs[2]})")
        (drop,) = keys_or_none(key, 1)
        seen, W = conv(params.U, x), cast(Array, params.W)  # the same in every step

        def guess(h: Array) -> Array:
            return conv(params.V, random.dropout(drop, g(h), dropout))

        # Written out rather than scanned: T is small, and the first step has no term with W.
        logits = [guess(seen)]
        for _ in range(steps - 1):
            logits.append(guess(seen + convolve(jax.nn.softmax(logits[-1]), W)))
        return jnp.stack(logits, axis=-2) if every else logits[-1]

    return Model(init, apply)
