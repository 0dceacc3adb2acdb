"""Decoding against the exact distribution: every sequence of a small vocabulary, by a plain loop."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

from dlnotes.layers.recurrent.unroll import gru
from dlnotes.models.recurrent import generation

K, T, B, END = 3, 3, 2, 2
BEGIN = jnp.array([0, 1], jnp.int32)


def step(params, carry, symbol):
    """A GRU that starts, for each of the batch, elsewhere; the bias of the source is in ``params``."""
    cell, table, out, bias = params
    carry, h = gru.step(cell, carry, table[symbol])
    return carry, h @ out + bias


def network(seed=0):
    keys = jax.random.split(jax.random.key(seed), 5)
    cell = gru.init(keys[0], 4, 5, init_scale=2.0)
    table, out = jax.random.normal(keys[1], (K, 4)), 2 * jax.random.normal(keys[2], (5, K))
    params = (cell, table, out, jax.random.normal(keys[3], (B, K)))
    return params, jax.random.normal(keys[4], (B, 5))


def every_sequence(length=T):
    """All of at most ``length`` symbols, those that have not ended cut there; -1 behind the end."""
    found = []
    for n in range(1, length + 1):
        for body in itertools.product(range(K), repeat=n):
            ended = body[-1] == END
            if END not in body[:-1] and (ended or n == length):
                found.append([*body, *[-1] * (length - n)])
    return np.array(found, np.int32)


def by_hand(params, carry, b, sequence):
    """``log P`` of one sequence by a loop over its symbols."""
    cell, table, out, bias = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    h, before, total = np.asarray(carry[b], np.float64), int(BEGIN[b]), 0.0
    for symbol in sequence:
        if symbol < 0:
            break
        z, r = table[before] @ cell.U + cell.b, h @ cell.W
        reset, update = (1 / (1 + np.exp(-(z[i : i + 5] + r[i : i + 5]))) for i in (0, 5))
        n = np.tanh(z[10:] + reset * (r[10:] + cell.b_n))
        h = (1 - update) * n + update * h
        logits = h @ out + bias[b]
        total += logits[symbol] - np.log(np.exp(logits).sum())
        before = symbol
    return total


SEQUENCES = every_sequence()


def exact(params, carry):
    return np.array([[by_hand(params, carry, b, s) for s in SEQUENCES] for b in range(B)])


search = jax.jit(
    partial(generation.beam_search, step, end=END), static_argnames=("width", "length", "length_penalty")
)


@pytest.mark.parametrize("seed", [0, 1])
def test_scores_of_all_sequences(seed):
    params, carry = network(seed)
    score = jax.jit(lambda s: generation.log_probability(step, params, carry, BEGIN, s))
    got = np.stack([score(jnp.stack([s, s])) for s in jnp.asarray(SEQUENCES)], 1)
    np.testing.assert_allclose(got, exact(params, carry), atol=2e-5)
    np.testing.assert_allclose(np.exp(got).sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("penalty", [0.0, 0.7])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_beam_of_full_width_is_every_sequence_in_order(seed, penalty):
    params, carry = network(seed)
    width = len(SEQUENCES) + 2
    beams = search(params, carry, BEGIN, width=width, length=T, length_penalty=penalty)
    log_p = exact(params, carry)
    n = (SEQUENCES >= 0).sum(1)
    for b in range(B):
        score = log_p[b] / n**penalty
        order = np.argsort(-score)
        np.testing.assert_array_equal(beams.symbols[b, :-2], SEQUENCES[order])
        np.testing.assert_allclose(beams.log_p[b, :-2], log_p[b, order], atol=2e-5)
        np.testing.assert_allclose(beams.score[b, :-2], score[order], atol=2e-5)
    # There are no more sequences: the places left are empty.
    assert np.isneginf(beams.log_p[:, -2:]).all()
    assert (np.asarray(beams.symbols[:, -2:]) == -1).all()


def test_beam_of_width_one_is_greedy():
    for seed in range(4):
        params, carry = network(seed)
        want = generation.greedy(step, params, carry, BEGIN, length=6, end=END)
        beams = search(params, carry, BEGIN, width=1, length=6, length_penalty=0.0)
        np.testing.assert_array_equal(beams.symbols[:, 0], want)


def plain_beam_search(params, carry, b, width, length):
    """The same search with Python lists."""
    kept = [((), 0.0)]
    for _ in range(length):
        found = []
        for body, log_p in kept:
            if body and body[-1] == END:
                found.append((body, log_p))
            else:
                found += [((*body, k), by_hand(params, carry, b, (*body, k))) for k in range(K)]
        kept = sorted(found, key=lambda pair: -pair[1])[:width]
    return kept


@pytest.mark.parametrize("width", [2, 3])
def test_narrow_beams_against_a_plain_search(width):
    params, carry = network(3)
    beams = search(params, carry, BEGIN, width=width, length=5, length_penalty=0.0)
    for b in range(B):
        for j, (body, log_p) in enumerate(plain_beam_search(params, carry, b, width, 5)):
            np.testing.assert_array_equal(beams.symbols[b, j], [*body, *[-1] * (5 - len(body))])
            np.testing.assert_allclose(beams.log_p[b, j], log_p, atol=2e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_samples_follow_the_exact_distribution(temperature):
    params, carry = network(0)
    n = 4000
    many = jax.tree.map(lambda a: jnp.repeat(a[:1], n, 0), (params[3], carry, BEGIN))
    cell, table, out, _ = params
    draw = jax.jit(partial(generation.sample, step, length=T, end=END))
    drawn = np.asarray(
        draw((cell, table, out, many[0]), many[1], many[2], jax.random.key(5), temperature=temperature)
    )
    # Cold sampling is sampling from a network with larger logits.
    heated = (cell, table, out / temperature, params[3] / temperature)
    p = np.exp(exact(heated, carry)[0])
    seen = (drawn[:, None] == SEQUENCES[None]).all(-1)
    assert (seen.sum(1) == 1).all()
    enough = n * p >= 5
    counts, expected = seen.sum(0), n * p
    rest = [counts[~enough].sum()], [expected[~enough].sum()]
    counts, expected = (np.append(a[enough], r) for a, r in zip((counts, expected), rest))
    assert chisquare(counts + 1e-9, expected * (counts + 1e-9).sum() / expected.sum()).pvalue > 1e-3


def test_without_an_end_and_cold():
    params, carry = network(1)
    text = generation.sample(step, params, carry, BEGIN, jax.random.key(0), length=4, temperature=0.0)
    np.testing.assert_array_equal(text, generation.greedy(step, params, carry, BEGIN, length=4))
    assert (np.asarray(text) >= 0).all()


def test_errors():
    params, carry = network(1)
    with pytest.raises(ValueError, match="length: got 0"):
        generation.greedy(step, params, carry, BEGIN, length=0)
    with pytest.raises(ValueError, match="width: got 0"):
        generation.beam_search(step, params, carry, BEGIN, width=0, length=2, end=END)
