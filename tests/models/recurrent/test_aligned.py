"""Outputs given inputs of the same length: independent without feedback, and drawn as they are scored."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes.data.dataset import Pair
from dlnotes.layers.recurrent.unroll import CELLS
from dlnotes.models.recurrent import generation
from dlnotes.models.recurrent.aligned import aligned_sequences, write_aligned

I, K, T = 3, 2, 3
EVERY = np.array(list(itertools.product(range(K), repeat=T)), np.int32)


def make(feedback, cell: Any = "gru"):
    model = aligned_sequences(I, 4, K, feedback=feedback, cell=cell, init_scale=3.0)
    return model, jax.jit(model.init)(jax.random.key(1))


def exact(model, params, source):
    """Probabilities of all outputs given one source."""
    shifted = np.concatenate([np.full((len(EVERY), 1), K), EVERY[:, :-1]], 1).astype(np.int32)
    x = Pair(jnp.broadcast_to(source[None], (len(EVERY), *source.shape)), shifted)
    return np.exp(generation.taken(jax.jit(model.apply)(params, x), jnp.asarray(EVERY)).sum(1))


@pytest.mark.parametrize("feedback", [True, False])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_outputs_depend_on_each_other_only_by_feedback(feedback, cell):
    model, params = make(feedback, cell)
    source = jax.random.normal(jax.random.key(2), (T, I))
    p = exact(model, params, source)
    np.testing.assert_allclose(p.sum(), 1, rtol=1e-5)
    marginals = [[p[EVERY[:, t] == k].sum() for k in range(K)] for t in range(T)]
    product = np.prod([np.take(marginals[t], EVERY[:, t]) for t in range(T)], 0)
    apart = np.abs(p - product).max()
    assert apart > 1e-3 if feedback else apart < 1e-6
    n = 4000
    drawn = np.asarray(write_aligned(params, jax.random.key(0), jnp.broadcast_to(source[None], (n, T, I))))
    seen = (drawn[:, None] == EVERY[None]).all(-1).mean(0)
    assert (np.abs(seen - p) < 5 * np.sqrt(p * (1 - p) / n) + 1e-3).all()


@pytest.mark.parametrize("symbols", [True, False])
def test_logits_follow_the_equations(symbols):
    model, params = make(True)
    source = jax.random.randint(jax.random.key(4), (2, T), 0, I)
    features = jax.nn.one_hot(source, I)
    target = jnp.array([[K, 1, 0], [K, 0, 0]])
    got = jax.jit(model.apply)(params, Pair(source if symbols else features, target))
    for b in range(2):
        h = jnp.zeros((1, 4))
        for t in range(T):
            cell = params.cell._replace(b=params.cell.b + params.F[target[b, t]])
            h, _ = CELLS["gru"].step(cell, h, features[b, t][None])
            np.testing.assert_allclose(got[b, t], h[0] @ params.V + params.c, rtol=1e-4, atol=1e-5)


def test_greedy_feeds_back_what_it_writes():
    model, params = make(True)
    source = jax.random.normal(jax.random.key(2), (5, T, I))
    written = write_aligned(params, jax.random.key(0), source, greedy=True)
    shifted = jnp.concatenate([jnp.full((5, 1), K), written[:, :-1]], 1)
    logits = jax.jit(model.apply)(params, Pair(source, shifted))
    np.testing.assert_array_equal(written, jnp.argmax(logits, -1))


def test_errors():
    with pytest.raises(ValueError, match="outputs: got 0"):
        aligned_sequences(2, 3, 0)
