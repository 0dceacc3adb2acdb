"""Principal components as a learner: the control that every other one is measured against."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dlnotes.checks import positive
from dlnotes.layers.feedforward.dense import Dense, add_bias
from dlnotes.pretraining.checked import check_rows
from dlnotes.pretraining.learner import Learner, Metrics
from dlnotes.typing import Array, PRNGKey, Weight


class PCAParams(NamedTuple):
    """Parameters of ``h = (x − μ) W``, ``x̂ = h Wᵀ + μ``.

    Attributes:
      W: ``(inputs, units)`` orthonormal columns, by falling variance.
      mean: ``(inputs,)`` μ.
      variances: ``(units,)`` of each h_j.
    """

    W: Weight
    mean: Weight
    variances: Weight


class PCAState(NamedTuple):
    """What has been seen.

    Attributes:
      params: of what had been seen when they were last computed, see `pca`.
      start: ``(inputs,)`` the mean that was given, which sums are taken around.
      first: ``(inputs,)`` mean of ``x − start``.
      second: ``(inputs, inputs)`` mean of ``(x − start)(x − start)ᵀ``.
      step: ``()`` int32 steps taken.
    """

    params: PCAParams
    start: Array
    first: Array
    second: Array
    step: Array


def pca(units: int) -> Learner:
    """The first principal components, linear and orthonormal.

    Every step takes its batch into the mean and the covariance. The components are computed from them at the
    first step, at each that doubles the number of steps, and at the last one, which ``progress`` tells:
    after whole epochs they are those of all the data, however many epochs there were (as long as batches
    divide the data; else a few rows count twice). Metrics: "reconstruction", ``‖x − x̂‖²`` of the batch by
    the components at the end of the step.

    Args:
      units: components, at most as many as inputs.

    Raises:
      ValueError: on a number that is not allowed; by ``init`` where there are fewer inputs.

    Source: notes P14.2.

    Example:
      >>> learner = pca(1)
      >>> x = jnp.array([[1.0, 1.0], [-1.0, -1.0], [2.0, 2.0], [-2.0, -2.0]])
      >>> state = learner.init(jax.random.key(0), x.mean(0), 2)
      >>> state, metrics = learner.step(state, x, jax.random.key(0), jnp.zeros(()))
      >>> jnp.abs(learner.encode(state.params, x)).round(3)[:, 0].tolist()
      [1.4140000343322754, 1.4140000343322754, 2.828000068664551, 2.828000068664551]
    """
    positive(units=units)

    def init(key: PRNGKey, mean: Array, inputs: int) -> PCAState:
        if units > inputs:
            raise ValueError(f"units: got {units}, allowed are at most {inputs}, as many as inputs")
        mean = jnp.asarray(mean, jnp.float32)
        params = PCAParams(jnp.eye(inputs, units), mean, jnp.zeros((units,), jnp.float32))
        zero = jnp.zeros((inputs, inputs), jnp.float32)
        return PCAState(params, mean, jnp.zeros_like(mean), zero, jnp.zeros((), jnp.int32))

    def step(state: PCAState, x: Array, key: PRNGKey, progress: Array) -> tuple[PCAState, Metrics]:
        share = 1 / (state.step.astype(jnp.float32) + 1)
        off = x - jnp.broadcast_to(state.start, x.shape)
        first = state.first + share * (jnp.mean(off, axis=0) - state.first)
        second = state.second + share * (off.T @ off / x.shape[0] - state.second)
        params = _refreshed(_is_due(state.step, progress), state.params, state.start, first, second)
        state = PCAState(params, state.start, first, second, state.step + 1)
        error = x - decode(params, encode(params, x))
        return state, {"reconstruction": jnp.sum(error * error) / x.shape[0]}

    def encode(params: PCAParams, x: Array) -> Array:
        return (x - jnp.broadcast_to(params.mean, x.shape)) @ params.W

    def decode(params: PCAParams, h: Array) -> Array:
        return add_bias(h @ jnp.asarray(params.W).mT, params.mean)

    def dense_of(params: PCAParams) -> Dense:
        W, mean = jnp.asarray(params.W), jnp.asarray(params.mean)
        return Dense(W, -(mean[..., None, :] @ W)[..., 0, :])

    return Learner(
        units=units,
        init=init,
        step=step,
        encode=encode,
        decode=decode,
        check=lambda x: check_rows(x),
        activation="identity",
        dense_of=dense_of,
        decoder_of=lambda params: Dense(jnp.asarray(params.W).mT, params.mean),
        kind="pca",
    )


def _is_due(step: Array, progress: Array) -> Array:
    """Whether components are computed at a step: the first, powers of two, and the last."""
    taken = step + 1
    doubled = (taken & step) == 0
    # progress is step / total: at the last one, step + 1 is the total.
    total = jnp.round(step.astype(jnp.float32) / jnp.maximum(progress, 1e-12))
    return doubled | (taken.astype(jnp.float32) >= total)


@jax.custom_batching.custom_vmap
def _refreshed(due: Array, params: PCAParams, start: Array, first: Array, second: Array) -> PCAParams:
    """The components of what has been seen, where they are due; else the old ones, at no cost."""
    return lax.cond(due, lambda: _components(params, start, first, second), lambda: params)


@_refreshed.def_vmap
def _(size: int, batched: list, due: Array, *arrays: Array):
    """Members are due at the same steps: under vmap a choice for each would compute all at every step."""
    due_batched, *others = batched
    due = due if due_batched else jnp.broadcast_to(due, (size,))
    given = jax.tree.map(
        lambda a, is_batched: a if is_batched else jnp.broadcast_to(a, (size, *a.shape)),
        tuple(arrays),
        tuple(others),
    )
    found = lax.cond(
        jnp.any(due),
        lambda: lax.map(lambda one: _refreshed(*one), (due, *given)),  # one eigenproblem at a time
        lambda: given[0],
    )
    return found, jax.tree.map(lambda _: True, found)


def _components(old: PCAParams, start: Array, first: Array, second: Array) -> PCAParams:
    covariance = second - first[:, None] * first[None]
    variances, vectors = jnp.linalg.eigh(covariance)
    units = old.W.shape[1]
    W, variances = vectors[:, ::-1][:, :units], jnp.maximum(variances[::-1][:units], 0)
    # The sign is free: the entry of largest size is positive.
    largest = jnp.take_along_axis(W, jnp.argmax(jnp.abs(W), axis=0)[None], axis=0)
    return PCAParams(W * jnp.where(largest < 0, -1.0, 1.0), start + first, variances)
