"""Distributions over sequences against the sum over all of them, and what is drawn against that."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax

from dlnotes.models.recurrent.infilling import exact_fillings, sampled_fillings
from dlnotes.models.recurrent.stopping import Given, sequence_distribution, write_sequences

K, LONGEST = 2, 4
KINDS = [
    dict(ending="symbol"),
    dict(ending="stop", clock=True),
    dict(ending="length"),
    dict(ending="symbol", vector=3, way="both"),
    dict(ending="stop", vector=3, way="initial", cell="lstm"),
    dict(ending="length", vector=3, way="input", remaining=False),
]
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(map(str, kind.values())))
VECTOR = jnp.array([0.5, -1.0, 2.0])


def make(kind, seed=0):
    model = sequence_distribution(K, 4, LONGEST, init_scale=2.0, **kind)
    params = jax.jit(model.init)(jax.random.key(seed))
    # Away from the zeros that the biases and lengths start at.
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(seed + 1), len(leaves))
    params = tree.unflatten([a + 0.3 * jax.random.normal(k, a.shape) for a, k in zip(leaves, keys)])
    # Most sequences end early, so that the sum over those of a few symbols is nearly all.
    if kind["ending"] == "symbol":
        params = params._replace(c=params.c.at[K].add(2.0))
    return model, params if params.d is None else params._replace(d=params.d + 3.0)


def every(longest=LONGEST):
    """All sequences of at most ``longest`` symbols, padded, and which positions are real."""
    found = [list(s) for n in range(longest + 1) for s in itertools.product(range(K), repeat=n)]
    mask = np.array([[t < len(s) for t in range(longest)] for s in found])
    return np.array([s + [0] * (longest - len(s)) for s in found], np.int32), mask


def log_p(model, params, kind, y, mask):
    y, mask = jnp.asarray(y), jnp.asarray(mask)
    x = Given(y, jnp.broadcast_to(VECTOR[None], (len(y), 3))) if "vector" in kind else y
    return np.asarray(jax.jit(model.apply)(params, x, mask=mask), np.float64)


def by_hand(params, kind, sequence):
    """``log P`` of one sequence, a loop over its steps."""
    params = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    n, total, cell, vector = len(sequence), 0.0, params.cell, np.asarray(VECTOR)
    h = np.zeros(4)
    if kind.get("way") in ("both", "initial"):
        h = np.tanh(vector @ params.W_0 + params.b_0)
    if kind["ending"] == "length":
        total += log_softmax(params.lengths)[n - 1]
    for t, symbol in enumerate([K, *sequence]):
        z = cell.U[symbol] + cell.b
        if kind.get("clock"):
            z = z + t / LONGEST * params.u_t
        if kind["ending"] == "length" and kind.get("remaining", True):
            z = z + (n - t) / LONGEST * params.u_l
        if kind.get("way") in ("both", "input"):
            z = z + vector @ params.R
        reset, update = expit(z[:8] + h @ cell.W[:, :8]).reshape(2, 4)
        new = np.tanh(z[8:] + reset * (h @ cell.W[:, 8:] + cell.b_n))
        h = (1 - update) * new + update * h
        p = softmax(h @ params.V + params.c)
        stop = expit(h @ params.v + params.d) if kind["ending"] == "stop" and t > 0 else 0.0
        if t < n:
            total += np.log(p[sequence[t]] * (1 - stop))
        elif kind["ending"] != "length":
            total += np.log(p[K] if kind["ending"] == "symbol" else stop)
    return total


@pytest.mark.parametrize("kind", [k for k in KINDS if k.get("cell") != "lstm"], ids=str)
def test_log_probability_is_the_product_over_steps(kind):
    model, params = make(kind)
    sequences = [[1], [0, 1], [1, 1, 0, 1]]
    y = np.array([s + [0] * (4 - len(s)) for s in sequences], np.int32)
    mask = np.arange(4) < np.array([[len(s)] for s in sequences])
    want = [by_hand(params, kind, s) for s in sequences]
    np.testing.assert_allclose(log_p(model, params, kind, y, mask), want, rtol=1e-4, atol=1e-5)


@kinds
@pytest.mark.slow
def test_probabilities_sum_to_one_and_samples_follow_them(kind):
    model, params = make(kind)
    y, mask = every()
    p = np.exp(log_p(model, params, kind, y, mask))
    if kind["ending"] != "symbol":
        assert p[0] < 1e-6 or kind["ending"] == "length"
        y, mask, p = y[1:], mask[1:], p[1:]
    n = 4000
    vector = jnp.broadcast_to(VECTOR[None], (n, 3)) if "vector" in kind else None
    drawn = np.asarray(write_sequences(params, jax.random.key(2), n, LONGEST, vector))
    padded = np.where(mask, y, -1)
    seen = (drawn[:, None] == padded[None]).all(-1).mean(0)
    np.testing.assert_allclose(seen.sum(), 1)
    whole = mask.sum(1) == LONGEST
    if kind["ending"] == "length":
        np.testing.assert_allclose(p.sum(), 1, rtol=1e-5)
    else:
        # What goes on beyond the longest is cut there; few go on for twice as long.
        assert p.sum() < 1
        most = np.exp(log_p(model, params, kind, *every(2 * LONGEST + 1))).sum()
        np.testing.assert_allclose(most, 1, atol=5e-3)
    short = ~whole if kind["ending"] != "length" else np.ones_like(whole)
    assert (np.abs(seen - p)[short] < 5 * np.sqrt(p * (1 - p) / n)[short] + 1e-3).all()


def test_parameters_do_not_grow_with_the_length():
    def size(longest):
        model = sequence_distribution(K, 4, longest, clock=True)
        return sum(a.size for a in jax.tree.leaves(jax.eval_shape(model.init, jax.random.key(0))))

    assert size(4) == size(400)
    assert 10**6 * size(30) < K**30


def test_gap_in_the_middle():
    kind = dict(ending="length", clock=True)
    model, params = make(kind, seed=3)
    sequence, gap = jnp.array([1, 0, 0, 1], jnp.int32), (1, 2)

    @jax.jit
    def whole(y):
        return model.apply(params, y)

    fillings, p = exact_fillings(whole, sequence, gap, K)
    joint = np.array(
        [np.exp(log_p(model, params, kind, [[1, *f, 1]], np.ones((1, 4), bool)))[0] for f in fillings]
    )
    np.testing.assert_allclose(p, joint / joint.sum(), rtol=1e-4)
    # What comes behind the gap matters.
    other = exact_fillings(whole, sequence.at[3].set(0), gap, K)[1]
    assert np.abs(np.asarray(p) - np.asarray(other)).max() > 1e-3
    n = 3000
    drawn = sampled_fillings(whole, jax.random.key(1), sequence, gap, K, chains=n, sweeps=10)
    seen = (np.asarray(drawn)[:, None] == fillings[None]).all(-1).mean(0)
    assert (np.abs(seen - p) < 5 * np.sqrt(p * (1 - p) / n) + 1e-3).all()


def test_errors():
    with pytest.raises(ValueError, match="did you mean 'stop'"):
        sequence_distribution(2, 3, 4, ending="stopp")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="longest: got 0"):
        sequence_distribution(2, 3, 0)
    with pytest.raises(ValueError, match=r"gap: got \(4,\)"):
        exact_fillings(lambda y: y.sum(1), jnp.zeros(4, jnp.int32), (4,), 2)
    with pytest.raises(ValueError, match="sample them"):
        exact_fillings(lambda y: y.sum(1), jnp.zeros(40, jnp.int32), tuple(range(30)), 2)
