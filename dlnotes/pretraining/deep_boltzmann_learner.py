"""Learning a deep Boltzmann machine: its layers one by one with doubled inputs, then all of them jointly."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.checks import all_positive, positive
from dlnotes.layers.feedforward.dense import Dense, add_bias
from dlnotes.pretraining.deep_boltzmann_machine import (
    DBMParams,
    check_machine,
    gibbs,
    init_machine,
    logit,
    mean_field,
    start_chains,
    top_down,
    total_input,
)
from dlnotes.pretraining.draws import draw_bits
from dlnotes.pretraining.learner import Learner, Metrics
from dlnotes.pretraining.rbm import RBMParams
from dlnotes.pretraining.train import LayerState
from dlnotes.typing import Array, PRNGKey


class DBMState(NamedTuple):
    """What joint learning carries from step to step.

    Attributes:
      params: of the machine.
      velocity: of the gradient ascent with momentum, as ``params``.
      chains: ``(chains, units)`` bits of every layer, the samples of the model.
    """

    params: DBMParams
    velocity: DBMParams
    chains: tuple[Array, ...]


def statistics(layers: Sequence[Array]) -> DBMParams:
    """``E[−∂E/∂θ]`` over the rows of states or means: the mean of ``x^k x^{k+1}ᵀ`` and of ``x^k``.

    The gradient of the mean ``log p(v)`` is that of the data, hidden layers by their posterior, less that of
    the model.
    """
    rows = layers[0].shape[0]
    W = tuple(low.T @ high / rows for low, high in pairwise(layers))
    return DBMParams(W, tuple(jnp.mean(x, axis=0) for x in layers))


def dbm(
    units: Sequence[int],
    *,
    learning_rate: float = 0.005,
    momentum: float = 0.9,
    weight_decay: float = 2e-4,
    chains: int = 100,
    sweeps: int = 10,
    gibbs_steps: int = 5,
    start: DBMParams | None = None,
    init_scale: float = 0.01,
) -> Learner:
    """A learner of all layers of a deep Boltzmann machine at once.

    Each step takes the hidden layers of the data by mean field, moves persistent chains by block Gibbs
    sampling, and goes along the difference of their `statistics`. Without a start by `doubled_rbm` or of
    small size it learns little.

    Args:
      units: of each hidden layer, the lowest first.
      learning_rate: of the first step; it falls in a straight line to 0, without which persistent chains do
        not settle.
      momentum: share of a step that is taken again in the next.
      weight_decay: times the weights, not the biases, beside the gradient.
      chains: persistent ones.
      sweeps: of mean field.
      gibbs_steps: of each chain for each update.
      start: parameters to start from, from `from_machines`; of one machine, for all seeds. See `with_starts`.
      init_scale: standard deviation of the first weights without ``start``.

    Returns:
      `Learner`: ``encode`` gives the top layer's means after mean field, ``decode`` one pass down.

    Raises:
      ValueError: on numbers that are not allowed.

    Source: Salakhutdinov and Hinton, 2009.
    """
    units = all_positive("units", units)
    if not units:
        raise ValueError("units: got none, allowed is at least one hidden layer")
    positive(chains=chains, gibbs_steps=gibbs_steps, sweeps=sweeps)
    _positive_numbers(learning_rate=learning_rate, init_scale=init_scale)
    _shares(momentum=momentum)
    if weight_decay < 0:
        raise ValueError(f"weight_decay: got {weight_decay}, allowed is at least 0")
    if start is not None:
        check_machine(start)
        if (got := tuple(b.shape[-1] for b in start.b[1:])) != units:
            raise ValueError(f"start: got hidden layers of {list(got)} units, allowed are {list(units)}")

    def init(key: PRNGKey, mean: Array, inputs: int) -> DBMState:
        first, second = jax.random.split(key)
        if start is not None and start.b[0].shape[-1] != inputs:
            raise ValueError(f"start: got {start.b[0].shape[-1]} visible units, the data have {inputs}")
        params = start or init_machine(first, (inputs, *units), mean, scale=init_scale)
        params = jax.tree.map(jnp.asarray, params)
        return DBMState(params, jax.tree.map(jnp.zeros_like, params), start_chains(params, second, chains))

    def step(state: DBMState, x: Array, key: PRNGKey, progress: Array) -> tuple[DBMState, Metrics]:
        params = state.params
        means = mean_field(params, x, sweeps=sweeps)

        def on(layers, key):
            return gibbs(params, key, layers), None

        samples, _ = jax.lax.scan(on, state.chains, jax.random.split(key, gibbs_steps))
        gradient = jax.tree.map(jnp.subtract, statistics((x, *means)), statistics(samples))
        gradient = gradient._replace(W=tuple(g - weight_decay * W for g, W in zip(gradient.W, params.W)))
        now = (1 - progress) * learning_rate
        velocity = jax.tree.map(lambda u, g: momentum * u + now * g, state.velocity, gradient)
        new = DBMState(jax.tree.map(jnp.add, params, velocity), velocity, samples)
        shown = jax.nn.sigmoid(total_input(params, (None, means[0], *means[1:]), 0))
        return new, {"reconstruction": _error(x, shown)}

    return Learner(
        units=units[-1],
        init=init,
        step=step,
        encode=lambda params, x: mean_field(params, x, sweeps=sweeps)[-1],
        decode=top_down,
        check=check_bits,
        kind="dbm",
    )


def with_starts(state: LayerState, params: DBMParams) -> LayerState:
    """The state of a `dbm` in training before its first step, each member with parameters of its own.

    Args:
      state: of ``train(dbm(…), x, …, steps=0)``.
      params: leaves ``(members, ...)``, such as `from_machines` of a stack of as many seeds.

    Raises:
      ValueError: when the parameters are of another machine, or of another number of members.

    Example:
      >>> from dlnotes.pretraining import greedy, train
      >>> from dlnotes.pretraining.deep_boltzmann_machine import from_machines
      >>> x = np.eye(6, dtype=np.float32)
      >>> machines = [e.params for e in greedy(doubled_stack((4, 3)), x, seeds=range(2), epochs=1)]
      >>> ready = train(dbm((4, 3)), x, seeds=range(2), epochs=5, steps=0).state
      >>> ready = with_starts(ready, from_machines(machines))
      >>> train(dbm((4, 3)), x, seeds=range(2), epochs=5, state=ready).encoder.params.W[0].shape
      (2, 6, 4)
    """
    members = state.members
    expected, got = (jax.tree.map(np.shape, p) for p in (members.state.params, params))
    if expected != got:
        raise ValueError(f"params: got arrays of shapes {got}, allowed are {expected}")

    def one(words: Array, params: DBMParams, old: DBMState) -> DBMState:
        key = jax.random.fold_in(jax.random.wrap_key_data(words), 0xDB)
        still = jax.tree.map(jnp.zeros_like, params)
        return DBMState(params, still, start_chains(params, key, old.chains[0].shape[0]))

    params = jax.tree.map(jnp.asarray, params)
    started = jax.jit(jax.vmap(one))(members.key, params, members.state)
    return state._replace(members=members._replace(state=jax.device_get(started)))


class DoubledState(NamedTuple):
    """What a machine with doubled inputs carries from step to step.

    Attributes:
      params: of the machine, single.
      velocity: of the gradient ascent with momentum, as ``params``.
    """

    params: RBMParams
    velocity: RBMParams


def doubled_rbm(
    units: int,
    *,
    up: int = 2,
    down: int = 1,
    learning_rate: float = 0.05,
    momentum: tuple[float, float] = (0.5, 0.9),
    weight_decay: float = 2e-4,
    gibbs_steps: int = 1,
    init_scale: float = 0.01,
) -> Learner:
    """A restricted Boltzmann machine that is to become a layer of a deep one, trained by contrastive
    divergence.

    In the deep machine a layer gets input from two sides; here the missing side is stood in for by a second
    copy of the one that is there, which shares its weights: ``p(h | v) = σ(c + up·v W)``, ``p(v | h) = σ(b +
    down·h Wᵀ)``. The lowest machine has ``up = 2, down = 1``, the highest ``up = 1, down = 2``, those
    between 2 and 2.

    Args:
      units: hidden ones.
      up: copies of the visible layer, 1 or 2.
      down: copies of the hidden layer, 1 or 2.
      learning_rate: of the first steps; it falls to 0 over the second half.
      momentum: in the first tenth of the steps, and after it.
      weight_decay: times the weights, beside the gradient.
      gibbs_steps: k of CD-k.
      init_scale: standard deviation of the first weights.

    Returns:
      `Learner` with `RBMParams`; what it encodes are means with ``up`` copies, what the next machine learns
        from.

    Raises:
      ValueError: on numbers that are not allowed.

    Source: Salakhutdinov and Hinton, 2009, section 3.1.
    """
    positive(units=units, gibbs_steps=gibbs_steps)
    for name, copies in {"up": up, "down": down}.items():
        if copies not in (1, 2):
            raise ValueError(f"{name}: got {copies}, allowed are 1 and 2")
    _positive_numbers(learning_rate=learning_rate, init_scale=init_scale)
    _shares(**{f"momentum[{i}]": m for i, m in enumerate(momentum)})

    def hidden(params: RBMParams, v: Array) -> Array:
        return jax.nn.sigmoid(add_bias(up * (v @ params.W), params.c))

    def visible(params: RBMParams, h: Array) -> Array:
        return jax.nn.sigmoid(add_bias(down * (h @ params.W.T), params.b))

    def init(key: PRNGKey, mean: Array, inputs: int) -> DoubledState:
        W = init_scale * jax.random.normal(key, (inputs, units))
        params = RBMParams(W, logit(mean), jnp.zeros(units))
        return DoubledState(params, jax.tree.map(jnp.zeros_like, params))

    def step(state: DoubledState, x: Array, key: PRNGKey, progress: Array) -> tuple[DoubledState, Metrics]:
        params, n = state.params, x.shape[0]
        before = h = hidden(params, x)
        v = x
        for k in jax.random.split(key, gibbs_steps):
            drawn, seen = jax.random.split(k)
            means = visible(params, draw_bits(drawn, h))
            v = draw_bits(seen, means)
            h = hidden(params, v)
        W = (x.T @ before - v.T @ h) / n - weight_decay * params.W
        gradient = RBMParams(W, jnp.mean(x - v, axis=0), jnp.mean(before - h, axis=0))
        now = learning_rate * jnp.minimum(1.0, 2 * (1 - progress))
        kept = jnp.where(progress < 0.1, *momentum)
        velocity = jax.tree.map(lambda u, g: kept * u + now * g, state.velocity, gradient)
        new = DoubledState(jax.tree.map(jnp.add, params, velocity), velocity)
        return new, {"reconstruction": _error(x, visible(params, before))}

    return Learner(
        units=units,
        init=init,
        step=step,
        encode=hidden,
        decode=visible,
        check=check_bits,
        activation="sigmoid",
        dense_of=lambda params: Dense(up * params.W, params.c),
        decoder_of=lambda params: Dense(down * jnp.swapaxes(jnp.asarray(params.W), -1, -2), params.b),
        kind="doubled_rbm",
    )


def doubled_stack(units: Sequence[int], **options: float) -> tuple[Learner, ...]:
    """`doubled_rbm` of each hidden layer of a deep Boltzmann machine, with copies where neighbors are
    missing.

    Example:
      >>> [learner.units for learner in doubled_stack((500, 1000))]
      [500, 1000]
    """
    units, last = all_positive("units", units), len(units) - 1
    copies = [(1 if k == last and k else 2, 2 if k else 1) for k in range(len(units))]
    if last == 0:
        copies = [(1, 1)]
    return tuple(
        doubled_rbm(n, up=up, down=down, **options)  # pyright: ignore[reportArgumentType]
        for n, (up, down) in zip(units, copies)
    )


def check_bits(x: np.ndarray) -> None:
    """Check that data are probabilities or bits.

    Raises:
      ValueError: naming the range that they have.
    """
    low, high = float(np.min(x)), float(np.max(x))
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"x: got values from {low:.4g} to {high:.4g}, allowed for bits is 0 to 1, chances of each"
        )


def _error(x: Array, shown: Array) -> Array:
    return jnp.mean(jnp.sum(jnp.square(x - shown), axis=-1))


def _positive_numbers(**numbers: float) -> None:
    for name, value in numbers.items():
        if not value > 0:
            raise ValueError(f"{name}: got {value}, allowed is above 0")


def _shares(**numbers: float) -> None:
    for name, value in numbers.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name}: got {value}, allowed is 0 <= {name} < 1")
