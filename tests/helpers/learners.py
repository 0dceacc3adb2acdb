"""Small learners of one layer, for tests of what trains and stacks any learner."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.layers.feedforward.dense import Dense
from dlnotes.pretraining.learner import Learner


class OwnState(NamedTuple):
    params: Any
    velocity: Any


def tied(units, *, rate=0.5, activation="sigmoid", noise=0.0, kind="tied"):
    """A tied autoencoder by gradient descent with momentum; a linear one for "identity"."""
    phi = {"sigmoid": jax.nn.sigmoid, "identity": lambda z: z}[activation]

    def init(key, mean, inputs):
        W = jax.random.normal(key, (inputs, units)) * 0.3 / inputs**0.5
        params = (Dense(W, jnp.zeros(units)), mean)
        return OwnState(params, jax.tree.map(jnp.zeros_like, params))

    def encode(params, x):
        dense, _ = params
        return phi(x @ dense.W + dense.b.reshape((1,) * (x.ndim - 1) + (-1,)))

    def decode(params, h):
        dense, c = params
        return h @ dense.W.T + c.reshape((1,) * (h.ndim - 1) + (-1,))

    def loss(params, x, key):
        seen = x + noise * jax.random.normal(key, x.shape)
        return jnp.mean(jnp.sum((decode(params, encode(params, seen)) - x) ** 2, axis=-1))

    def step(state, x, key, progress):
        error, gradient = jax.value_and_grad(loss)(state.params, x, key)
        momentum = 0.5 + 0.4 * progress
        velocity = jax.tree.map(lambda v, g: momentum * v - rate * g, state.velocity, gradient)
        params = jax.tree.map(jnp.add, state.params, velocity)
        return OwnState(params, velocity), {"reconstruction": error}

    def check(x):
        if x.min() < -50:
            raise ValueError(f"x: got {x.min()}, allowed is at least -50")

    return Learner(
        units=units,
        init=init,
        step=step,
        encode=encode,
        decode=decode,
        check=check,
        activation=activation,
        dense_of=lambda params: params[0],
        decoder_of=lambda params: Dense(params[0].W.swapaxes(-1, -2), params[1]),
        kind=kind,
    )


def unchanged(units):
    """The identity; its step counts."""

    def init(key, mean, inputs):
        return OwnState({"count": jnp.zeros((), jnp.int32)}, ())

    def step(state, x, key, progress):
        return OwnState({"count": state.params["count"] + 1}, ()), {"reconstruction": jnp.zeros(())}

    return Learner(units, init, step, lambda params, x: x, lambda params, h: h, kind="identity")


def digits(n=200):
    """Rows of scikit-learn's digits in [0, 1]."""
    from sklearn.datasets import load_digits

    return np.asarray(load_digits().data[:n] / 16, np.float32)
