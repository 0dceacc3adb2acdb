"""The deep Boltzmann machine: layers of bits, each connected with the one below and the one above.

    E(x⁰, …, x^m) = −Σ_k x^k W^k x^{k+1} − Σ_k b^k · x^k,    x⁰ = v

Even layers are independent bits given the odd ones, and the odd ones given the even ones: Gibbs sampling
takes two halves, and one set can be summed out exactly. A machine with one hidden layer is a restricted
Boltzmann machine.

Source: Salakhutdinov and Hinton, 2009; notes, pre-training, P14.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp, xlogy

from dlnotes.checks import all_positive, positive
from dlnotes.layers.feedforward.dense import Dense, add_bias
from dlnotes.pretraining.draws import draw_bits
from dlnotes.pretraining.enumeration import all_states
from dlnotes.pretraining.rbm import RBMParams
from dlnotes.typing import Array, PRNGKey, Weight


class DBMParams(NamedTuple):
    """Parameters of a deep Boltzmann machine with m hidden layers.

    Attributes:
      W: m arrays, ``W[k]`` (units of layer k, units of layer k + 1); layer 0 is visible.
      b: m + 1 arrays of biases, ``b[k]`` (units of layer k,).
    """

    W: tuple[Weight, ...]
    b: tuple[Weight, ...]


def check_machine(params: DBMParams) -> None:
    """Check that the arrays of a machine fit together.

    Raises:
      ValueError: naming the array.
    """
    if not params.W or len(params.b) != len(params.W) + 1:
        raise ValueError(
            f"params: got {len(params.W)} matrices and {len(params.b)} vectors of biases, allowed is at "
            "least one matrix and one vector more"
        )
    for k, W in enumerate(params.W):
        sizes = params.b[k].shape[-1], params.b[k + 1].shape[-1]
        if W.shape[-2:] != sizes:
            raise ValueError(f"params.W[{k}]: got shape {W.shape}, the biases beside it need {sizes}")


def init_machine(
    key: PRNGKey, units: Sequence[int], mean: Array | None = None, *, scale: float = 0.01
) -> DBMParams:
    """Small normal weights; hidden biases 0, visible ones where ``σ(b) = mean``.

    Args:
      key: of the draws.
      units: of each layer, the visible one first.
      mean: ``(visible,)`` of the data.
      scale: standard deviation of the weights.

    Raises:
      ValueError: on sizes that are not allowed.
    """
    units = all_positive("units", units)
    if len(units) < 2:
        raise ValueError(f"units: got {list(units)}, allowed is a visible layer and at least one hidden one")
    keys = jax.random.split(key, len(units) - 1)
    W = tuple(scale * jax.random.normal(k, pair) for k, pair in zip(keys, pairwise(units)))
    visible = jnp.zeros(units[0]) if mean is None else logit(mean)
    return DBMParams(W, (visible, *(jnp.zeros(n) for n in units[1:])))


def logit(mean: Array, least: float = 0.01) -> Array:
    """``log(p / (1 − p))``, of probabilities kept away from 0 and 1."""
    p = jnp.clip(mean, least, 1 - least)
    return jnp.log(p) - jnp.log1p(-p)


def from_machines(rbms: Sequence[RBMParams]) -> DBMParams:
    """A deep Boltzmann machine from restricted ones that were trained with doubled inputs.

    Each was trained with twice the weights where, in the deep machine, its other neighbor will stand (see
    `dlnotes.pretraining.doubled_rbm`). A layer between two machines gets the mean of the biases that both
    have for it; the weights of machines that are doubled both ways, those neither lowest nor highest, are
    taken as they are.

    Args:
      rbms: the lowest first.

    Raises:
      ValueError: when there are none or their sizes do not fit.

    Source: Salakhutdinov and Hinton, 2009, section 3.1.
    """
    if not len(rbms):
        raise ValueError("rbms: got none, allowed is at least one")
    between = []
    for i, (below, above) in enumerate(pairwise(rbms)):
        if below.c.shape != above.b.shape:
            raise ValueError(
                f"rbms[{i + 1}]: got {above.b.shape[-1]} visible units, allowed are the {below.c.shape[-1]} "
                "hidden units of the one below"
            )
        between.append((below.c + above.b) / 2)
    return DBMParams(tuple(r.W for r in rbms), (rbms[0].b, *between, rbms[-1].c))


def recognition_layers(params: DBMParams) -> tuple[Dense, ...]:
    """The bottom-up pass as layers of a sigmoid network: ``σ(b^k + 2 h^{k−1} W^{k−1})``, the top one not
    doubled.

    The doubled weights stand for the layer above, which has not been computed yet. They are what mean field
    starts from, and a start for a feedforward network.
    """
    last = len(params.W) - 1
    return tuple(Dense(W if k == last else 2 * W, b) for k, (W, b) in enumerate(zip(params.W, params.b[1:])))


def energy(params: DBMParams, layers: Sequence[Array]) -> Array:
    """``E`` of states of all layers, each ``(..., units)``, the visible one first: ``(...)``."""
    pairs = zip(params.W, layers, layers[1:])
    bonds = sum(jnp.sum((low @ W) * high, axis=-1) for W, low, high in pairs)
    return -jnp.asarray(bonds) - sum(x @ b for x, b in zip(layers, params.b))


def total_input(params: DBMParams, layers: Sequence[Array | None], k: int) -> Array:
    """What layer k gets from its neighbors and its biases: ``(..., units of k)``."""
    below = layers[k - 1] if k else None
    above = layers[k + 1] if k < len(params.W) else None
    z = None if below is None else below @ params.W[k - 1]
    if above is not None:
        down = above @ params.W[k].T
        z = down if z is None else z + down
    if z is None:
        raise ValueError(f"layers: got no states beside layer {k}, at least one neighbor is needed")
    return add_bias(z, params.b[k])


def free_energy(params: DBMParams, layers: Sequence[Array | None]) -> Array:
    """``−log Σ exp(−E)`` over the layers that are ``None``, which their neighbors make independent.

    Args:
      params: of the machine.
      layers: ``(..., units)`` of each layer or ``None``, no two neighbors of which are ``None``.

    Returns:
      ``(...)``. With ``(v, None)`` it is the free energy of a restricted Boltzmann machine.

    Raises:
      ValueError: when there is not one entry for each layer or two neighbors are summed out.
    """
    if len(layers) != len(params.b):
        raise ValueError(f"layers: got {len(layers)}, allowed is one for each of {len(params.b)} layers")
    if any(a is None and b is None for a, b in pairwise(layers)):
        raise ValueError("layers: got two neighbors that are None, allowed is that one is given")
    total = jnp.zeros(())
    for k, x in enumerate(layers):
        if x is None:
            total = jnp.sum(jax.nn.softplus(total_input(params, layers, k)), axis=-1) + total
        else:
            total = x @ params.b[k] + total
    for W, low, high in zip(params.W, layers, layers[1:]):
        if low is not None and high is not None:
            total = jnp.sum((low @ W) * high, axis=-1) + total
    return -total


def mean_field(params: DBMParams, v: Array, *, sweeps: int = 10) -> tuple[Array, ...]:
    """The product of independent bits nearest to the posterior, after a fixed number of sweeps.

    From the bottom-up pass (`recognition_layers`), each sweep sets every hidden layer in turn to
    ``μ^k = σ(μ^{k−1} W^{k−1} + μ^{k+1} W^kᵀ + b^k)``, which is the best one given the others: `lower_bound`
    never falls.

    Args:
      params: of the machine.
      v: ``(..., visible)``.
      sweeps: over all hidden layers.

    Returns:
      Means ``(..., units)`` of each hidden layer, the lowest first.
    """
    if sweeps < 0:
        raise ValueError(f"sweeps: got {sweeps}, allowed is at least 0")
    return jax.lax.fori_loop(0, sweeps, lambda _, means: _sweep(params, v, means), bottom_up(params, v))


def mean_field_until(
    params: DBMParams, v: Array, *, tolerance: float = 1e-4, most: int = 1000
) -> tuple[tuple[Array, ...], Array]:
    """Mean field until no mean moves by more than ``tolerance`` in a sweep.

    Args as of `mean_field`, and ``most`` sweeps at most. Returns its means, and the number of sweeps, ``()``.
    """
    positive(most=most)
    if not tolerance > 0:
        raise ValueError(f"tolerance: got {tolerance}, allowed is above 0")

    def unfinished(carry):
        _, moved, n = carry
        return (moved > tolerance) & (n < most)

    def sweep(carry):
        means, _, n = carry
        new = _sweep(params, v, means)
        moved = jnp.max(jnp.stack([jnp.max(jnp.abs(a - b)) for a, b in zip(new, means)]))
        return new, moved, n + 1

    first = bottom_up(params, v)
    start = (first, jnp.asarray(jnp.inf, first[0].dtype), jnp.zeros((), jnp.int32))
    means, _, n = jax.lax.while_loop(unfinished, sweep, start)
    return means, n


def bottom_up(params: DBMParams, v: Array) -> tuple[Array, ...]:
    """Means of every hidden layer by `recognition_layers`, from ``v`` (..., visible)."""
    found = []
    for layer in recognition_layers(params):
        v = jax.nn.sigmoid(add_bias(v @ layer.W, layer.b))
        found.append(v)
    return tuple(found)


def top_down(params: DBMParams, h: Array) -> Array:
    """Visible means from those of the top layer; weights are doubled where a layer below is still missing."""
    for k in range(len(params.W) - 1, -1, -1):
        h = jax.nn.sigmoid(add_bias((2 if k else 1) * (h @ params.W[k].T), params.b[k]))
    return h


def _sweep(params: DBMParams, v: Array, means: tuple[Array, ...]) -> tuple[Array, ...]:
    layers = [v, *means]
    for k in range(1, len(layers)):
        layers[k] = jax.nn.sigmoid(total_input(params, layers, k))
    return tuple(layers[1:])


def lower_bound(params: DBMParams, v: Array, means: Sequence[Array], log_z: float | Array) -> Array:
    """``log p(v) ≥ −E(v, μ) + H(μ) − log Z`` of independent bits with means μ, in nats: ``(...)``.

    Args:
      params: of the machine.
      v: ``(..., visible)``.
      means: of each hidden layer, from `mean_field`.
      log_z: exact (`log_partition`) or estimated (`annealed_importance_dbm`).
    """
    entropy = sum(-jnp.sum(xlogy(m, m) + xlogy(1 - m, 1 - m), axis=-1) for m in means)
    return -energy(params, (v, *means)) + entropy - log_z


def log_partition(params: DBMParams) -> Array:
    """``log Z`` by enumeration of the even or the odd layers, whichever have fewer units; the others are
    summed out.

    Raises:
      ValueError: when there are too many states.
    """
    check_machine(params)
    _, states = _enumerated(params, 0)
    return logsumexp(-free_energy(params, states))


def log_prob(params: DBMParams, v: Array, log_z: float | Array | None = None) -> Array:
    """Exact ``log p(v)`` by enumeration, in nats; for machines of a few units.

    Args:
      params: of the machine.
      v: ``(n, visible)`` bits.
      log_z: where it is known; else `log_partition` is taken.

    Returns:
      ``(n,)``.

    Raises:
      ValueError: when there are too many states.

    Example:
      >>> machine = init_machine(jax.random.key(0), (4, 3, 2), scale=0.0)
      >>> float(log_prob(machine, jnp.ones((1, 4)))[0] / jnp.log(2))
      -4.0
    """
    check_machine(params)
    n, (_, *states) = _enumerated(params, 1)
    return _clamped(params, v, states, n) - (log_partition(params) if log_z is None else log_z)


@partial(jax.jit, static_argnums=3)
def _clamped(params: DBMParams, v: Array, states: list[Array | None], n: int) -> Array:
    """``log Σ_h exp(−E(v, h))`` of each row of v, over ``n`` states of the hidden layers that are given."""

    def one(x: Array) -> Array:
        clamped = jnp.broadcast_to(x, (n, x.shape[0]))
        return logsumexp(-free_energy(params, (clamped, *states)))

    return jax.lax.map(one, v)


def _enumerated(params: DBMParams, first: int) -> tuple[int, list[Array | None]]:
    """How many states the layers from ``first`` on have, enumerated in every second layer, and those."""
    sizes = [b.shape[0] for b in params.b]
    sets = [list(range(start, len(sizes), 2)) for start in (first, first + 1)]
    chosen = min(sets, key=lambda layers: sum(sizes[k] for k in layers))
    states = all_states(sum(sizes[k] for k in chosen), f"layers {chosen} of the machine")
    found: list[Array | None] = [None] * len(sizes)
    for k in chosen:
        found[k], states = states[:, : sizes[k]], states[:, sizes[k] :]
    return found[chosen[0]].shape[0] if chosen else 1, found  # pyright: ignore[reportOptionalMemberAccess]


def gibbs(params: DBMParams, key: PRNGKey, layers: Sequence[Array]) -> tuple[Array, ...]:
    """One step of block Gibbs sampling: odd layers given the even ones, then even ones given the odd ones.

    Args:
      params: of the machine.
      key: of the draws.
      layers: ``(chains, units)`` bits of every layer, the visible one first.

    Returns:
      Their new states.
    """
    found = list(layers)
    for k in (*range(1, len(found), 2), *range(0, len(found), 2)):
        found[k] = draw_bits(jax.random.fold_in(key, k), jax.nn.sigmoid(total_input(params, found, k)))
    return tuple(found)


def start_chains(params: DBMParams, key: PRNGKey, chains: int, v: Array | None = None) -> tuple[Array, ...]:
    """States of every layer for new chains: visible bits as given or by their biases alone, the others
    bottom up."""
    keys = jax.random.split(key, len(params.b))
    b = jnp.asarray(params.b[0])
    means = jnp.broadcast_to(jax.nn.sigmoid(b), (chains, b.shape[0])) if v is None else v
    layers = [draw_bits(keys[0], means)]
    for k, layer in zip(keys[1:], recognition_layers(params)):
        layers.append(draw_bits(k, jax.nn.sigmoid(add_bias(layers[-1] @ layer.W, layer.b))))
    return tuple(layers)


def chains_over_time(
    params: DBMParams,
    key: PRNGKey,
    *,
    chains: int = 10,
    snapshots: int = 10,
    every: int = 100,
    start: Array | None = None,
) -> Array:
    """What the machine dreams: block Gibbs chains, each seen from time to time.

    Args:
      params: of the machine.
      key: of all draws.
      chains: that run beside one another.
      snapshots: of each chain; the first is after one step.
      every: steps between two snapshots.
      start: ``(chains, visible)`` data to start from, hidden layers bottom up; by default visible bits by
        their biases alone.

    Returns:
      ``(snapshots, chains, visible)`` visible means given the layer above.

    Raises:
      ValueError: on sizes that do not fit.
    """
    check_machine(params)
    positive(chains=chains, snapshots=snapshots, every=every)
    if start is not None and start.shape != (chains, params.b[0].shape[0]):
        raise ValueError(f"start: got shape {start.shape}, allowed is {(chains, params.b[0].shape[0])}")
    return _run_chains(params, key, start, chains, snapshots, every)


@partial(jax.jit, static_argnums=(3, 4, 5))
def _run_chains(params, key, start, chains: int, snapshots: int, every: int) -> Array:
    first, key = jax.random.split(key)
    layers = start_chains(params, first, chains, start)

    def step(layers, key):
        return gibbs(params, key, layers), None

    def snapshot(layers, key):
        now, later = jax.random.split(key)
        layers, _ = step(layers, now)
        seen = jax.nn.sigmoid(total_input(params, (None, *layers[1:]), 0))
        return jax.lax.scan(step, layers, jax.random.split(later, every - 1))[0], seen

    return jax.lax.scan(snapshot, layers, jax.random.split(key, snapshots))[1]
