"""Autoencoders of one layer: plain, denoising, sparse, contractive, with tied weights or free ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dlnotes.checks import chosen, positive
from dlnotes.layers.activations import activation as activation_named
from dlnotes.layers.feedforward.dense import Dense, add_bias
from dlnotes.layers.initializers import initializer as initializer_named
from dlnotes.pretraining.checked import check_rows, not_negative
from dlnotes.pretraining.corruption import check_noise, corrupt
from dlnotes.pretraining.learner import Learner, Metrics
from dlnotes.pretraining.reconstruction import (
    OUTPUTS,
    AutoencoderParams,
    Penalties,
    decoding,
    value_and_gradient,
)
from dlnotes.training.optimizers import optimizer as optimizer_named
from dlnotes.typing import Array, PRNGKey

CLOSEST = 1e-3
"""A bias that starts at the logit of a mean takes the mean at least so far from 0 and from 1."""


class AutoencoderState(NamedTuple):
    """What training carries from step to step.

    Attributes:
      params: see `AutoencoderParams`.
      opt_state: the optimizer's.
    """

    params: AutoencoderParams
    opt_state: Any


WITH_MOMENTUM = ("sgd", "rmsprop", "lars", "muon")
"""Optimizers that take a momentum."""

FACTORS: dict[str, Callable[[Array], Array]] = {
    "constant": jnp.ones_like,
    "linear": lambda progress: 1 - progress,
    "cosine": lambda progress: 0.5 * (1 + jnp.cos(jnp.pi * progress)),
}
"""Factor on the learning rate by the share of the steps that are over."""


def autoencoder(
    units: int,
    *,
    tied: bool = True,
    activation: str = "sigmoid",
    output: Literal["bernoulli", "gaussian"] = "bernoulli",
    corruption: Literal["none", "mask", "gaussian", "salt_and_pepper"] = "none",
    noise: float | Array = 0.3,
    sparsity: Literal["none", "l1", "kl"] = "none",
    sparsity_weight: float | Array = 0.1,
    sparsity_target: float | Array = 0.05,
    contraction: float | Array = 0.0,
    optimizer: str = "sgd",
    learning_rate: float | Array = 0.1,
    momentum: float | None = None,
    schedule: Literal["constant", "linear", "cosine"] = "constant",
    weight_decay: float | Array = 0.0,
    initializer: str = "glorot_uniform",
    init_scale: float | Array | None = None,
) -> Learner:
    """An autoencoder of one layer; equation and parameters: `AutoencoderParams`.

    Each step lowers, on a batch, the mean over examples of

        −log p(x | h V + b) + penalties,   h = g(x̃ W + c),   x̃ ~ q(x̃ | x),

    where −log p is the cross-entropy of a logistic output or half the squared error of a linear one, summed
    over the inputs. ``encode`` sees x without noise. Metrics: "reconstruction", the squared error
    ``Σ_i (x̂_i − x_i)²`` from the inputs with noise, and "loss", all that is lowered.

    Args:
      units: of the hidden layer; more than inputs are allowed, and then need noise or a penalty.
      tied: decode with ``V = Wᵀ``.
      activation: g, a name in ``layers.ACTIVATIONS``.
      output: "bernoulli" for data in [0, 1], "gaussian" for real numbers.
      corruption: the noise q, see `corrupt`; denoising.
      noise: its amount.
      sparsity: "l1" adds ``sparsity_weight · Σ_j |h_j|``, "kl" adds ``sparsity_weight · Σ_j KL(ρ ‖ ρ̂_j)``
        with ρ̂ the mean of h over the batch, for the sigmoid only.
      sparsity_weight: see there.
      sparsity_target: ρ.
      contraction: λ of ``λ ‖∂h/∂x‖²_F``, which for the sigmoid is ``λ Σ_j (h_j(1 − h_j))² Σ_i W_ij²``.
      optimizer: a name in ``training.optimizers.OPTIMIZERS``.
      learning_rate: of a step on the mean over the batch of sums over inputs; may be traced.
      momentum: of "sgd" and others that have it.
      schedule: of the learning rate over all steps, falling to 0 unless "constant".
      weight_decay: decoupled, of the matrices.
      initializer: of W and V, a name in ``layers.INITIALIZERS``.
      init_scale: factor on their start; by default 4 for the sigmoid, else 1 (Glorot and Bengio, 2010).

    Raises:
      ValueError: on sizes, rates or names that are not allowed.

    Source: Vincent et al., 2010 (denoising); Rifai et al., 2011 (contractive); notes P14.2.

    Example:
      >>> learner = autoencoder(3, corruption="mask", noise=0.25)
      >>> x = jax.random.uniform(jax.random.key(0), (8, 5))
      >>> state = learner.init(jax.random.key(1), x.mean(0), 5)
      >>> state, metrics = learner.step(state, x, jax.random.key(2), jnp.zeros(()))
      >>> learner.encode(state.params, x).shape, sorted(metrics)
      ((8, 3), ['loss', 'reconstruction'])
    """
    positive(units=units)
    g = activation_named(activation)
    out = chosen("output", output, OUTPUTS)
    check_noise(corruption, noise)
    chosen("sparsity", sparsity, dict.fromkeys(("none", "l1", "kl")))
    not_negative(
        sparsity_weight=sparsity_weight,
        contraction=contraction,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
    )
    if sparsity == "kl":
        if activation != "sigmoid":
            raise ValueError(
                f"activation: got {activation!r} with sparsity 'kl', allowed is 'sigmoid': "
                "a divergence needs activities between 0 and 1"
            )
        if isinstance(sparsity_target, (int, float)) and not 0 < sparsity_target < 1:
            raise ValueError(f"sparsity_target: got {sparsity_target}, allowed is 0 < sparsity_target < 1")
    penalties = Penalties(sparsity, sparsity_weight, sparsity_target, contraction)
    if momentum is not None and optimizer not in WITH_MOMENTUM:
        allowed = ", ".join(WITH_MOMENTUM)
        raise ValueError(
            f"momentum: got {momentum} with optimizer {optimizer!r}, allowed is None; {allowed} take one"
        )
    factor = chosen("schedule", schedule, FACTORS)
    transformation: Any = optimizer_named(optimizer, 1.0, weight_decay=weight_decay, momentum=momentum)
    if init_scale is None:
        init_scale = 4.0 if activation == "sigmoid" else 1.0
    draw = initializer_named(initializer, init_scale)

    def init(key: PRNGKey, mean: Array, inputs: int) -> AutoencoderState:
        key_W, key_V = jax.random.split(key)
        b = jnp.asarray(mean, jnp.float32)
        if output == "bernoulli":
            b = jax.scipy.special.logit(jnp.clip(b, CLOSEST, 1 - CLOSEST))
        params = AutoencoderParams(
            W=draw(key_W, (inputs, units)),
            b=b,
            c=jnp.zeros((units,), jnp.float32),
            V=None if tied else draw(key_V, (units, inputs)),
        )
        return AutoencoderState(params, transformation.init(params))

    def step(
        state: AutoencoderState, x: Array, key: PRNGKey, progress: Array
    ) -> tuple[AutoencoderState, Metrics]:
        seen = x if corruption == "none" else corrupt(key, x, corruption=corruption, noise=noise)
        gradient, metrics = value_and_gradient(state.params, seen, x, g, out, penalties)
        updates, opt_state = transformation.update(gradient, state.opt_state, state.params)
        rate = learning_rate * factor(progress)
        before: Any = state.params
        params: Any = optax.apply_updates(before, jax.tree.map(lambda u: rate * u, updates))
        return AutoencoderState(params, opt_state), metrics

    def encode(params: AutoencoderParams, x: Array) -> Array:
        return g(add_bias(x @ params.W, params.c))

    def decode(params: AutoencoderParams, h: Array) -> Array:
        return out.mean(add_bias(h @ decoding(params), params.b))

    def check(x: np.ndarray) -> None:
        if output == "bernoulli":
            check_rows(x, low=0, high=1, why="output 'bernoulli' ('gaussian' takes any)")
        elif corruption == "salt_and_pepper":
            check_rows(x, low=0, high=1, why="corruption 'salt_and_pepper', which sets numbers to 0 or 1")
        else:
            check_rows(x)

    return Learner(
        units=units,
        init=init,
        step=step,
        encode=encode,
        decode=decode,
        check=check,
        activation=activation,
        dense_of=lambda params: Dense(params.W, params.c),
        decoder_of=lambda params: Dense(decoding(params), params.b),
        kind="autoencoder",
    )
