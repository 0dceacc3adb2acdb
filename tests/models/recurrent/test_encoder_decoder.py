"""Decoding against teacher forcing, and the network against its equations step by step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, softmax

from dlnotes.data.dataset import Pair
from dlnotes.layers.recurrent.unroll import CELLS
from dlnotes.models.recurrent import generation
from dlnotes.models.recurrent.decoding import (
    attention_weights,
    beam_decode,
    greedy_decode,
    mixed_targets,
    sample_decode,
)
from dlnotes.models.recurrent.encoder_decoder import seq2seq

V, K, H, D, E, S, T = 5, 4, 5, 6, 3, 4, 5
KINDS = [
    dict(cell="gru", attention="additive"),
    dict(cell="lstm", attention="dot", bidirectional=False, layers=2, decoder_hidden=D),
    dict(cell="gru", attention="local", window=1, decoder_hidden=D),
    dict(cell="rnn", attention="none", decoder_hidden=D),
    dict(cell="lstm", attention="none", bidirectional=False, context="initial", layers=2),
    dict(cell="gru", attention="none", context="input"),
]


def named(kind):
    return "-".join(map(str, kind.values()))


# One without attention, one of each sort with it: by default the others' parts have been there.
kinds = pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, id=named(kind), marks=pytest.mark.slow if i in (1, 3, 5) else ())
        for i, kind in enumerate(KINDS)
    ],
)
SOURCE = jax.random.randint(jax.random.key(1), (6, S), 0, V)
MASK = jnp.arange(S)[None] < jnp.array([4, 2, 1, 3, 4, 4])[:, None]


def make(seed=0, **kind):
    model = seq2seq(V, H, K, embedding=E, init_scale=2.0, **kind)
    return model, jax.jit(model.init)(jax.random.key(seed))


def by_hand(kind, params, source, target):
    """Logits of one pair, a Python loop over layers, positions and symbols."""
    cell = CELLS[kind["cell"]]
    jitted = jax.jit(cell.step)
    params, source, target = jax.tree.map(np.asarray, (params, source, target))

    def step(p, carry, x):
        return jax.tree.map(np.asarray, jitted(p, carry, x))

    hs = [params.E[symbol] for symbol in source]
    for k, forward in enumerate(params.forward):
        outs = []
        directions = [(forward, 1)] if params.backward is None else [(forward, 1), (params.backward[k], -1)]
        for p, order in directions:
            carry, found = cell.carry(p, (1,)), []
            for h in hs[::order]:
                carry, out = step(p, carry, h[None])
                found.append(out[0])
            outs.append(found)
        last = np.concatenate([found[-1] for found in outs])
        hs = [np.concatenate(pair) for pair in zip(*(found[::o] for found, (_, o) in zip(outs, directions)))]
    a, attention, context = np.stack(hs), kind["attention"], kind.get("context", "both")
    width, carries = kind.get("decoder_hidden", H), []
    for k, layer in enumerate(params.decoder):
        carry = jax.tree.map(np.asarray, cell.carry(layer, (1,)))
        if context != "input":
            own = slice(k * width, (k + 1) * width)
            h = np.tanh(last @ params.W_0[:, own] + params.b_0[own])[None]
            carry = carry._replace(h=h) if kind["cell"] == "lstm" else h
        carries.append(carry)
    logits = []
    for symbol in target:
        h = cell.hidden(carries[0])[0]
        read = [last]
        if attention != "none":
            q, keys = h @ params.attention.W_q, a @ params.attention.W_k
            scores = keys @ q / np.sqrt(width).astype(np.float32)
            if attention == "additive":
                scores = np.tanh(q[None] + keys) @ params.attention.v
            if attention == "local":
                position = params.attention.position
                p = (len(a) - 1) * expit(np.tanh(h @ position.W_p) @ position.v_p)
                far = np.arange(len(a)) - p
                near = np.exp(-(far**2) / (2 * (position.window / 2) ** 2)) * (np.abs(far) <= position.window)
                weights = np.exp(scores) * near
                read = [(weights / weights.sum()) @ a]
            else:
                read = [softmax(scores) @ a]
        read = [] if context == "initial" else read
        h = np.concatenate([params.F[symbol], *read])[None]
        for k, layer in enumerate(params.decoder):
            carries[k], h = step(layer, carries[k], h)
        logits.append(np.concatenate([h[0], *read]) @ params.V + params.c)
    return np.stack(logits)


@kinds
def test_network_follows_its_equations(kind):
    model, params = make(**kind)
    target = jax.random.randint(jax.random.key(2), (6, 3), 0, K + 1)
    got = jax.jit(model.apply)(params, Pair(SOURCE, target), mask=MASK)
    want = by_hand(kind, params, SOURCE[3, : int(MASK[3].sum())], target[3])
    np.testing.assert_allclose(got[3], want, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("kind", [KINDS[0], KINDS[4]], ids=["attention", "first state"])
def test_greedy_path_is_the_argmax_of_teacher_forcing_on_itself(kind):
    lengths = set()
    model, first = make(**kind)
    apply = jax.jit(model.apply)
    # From an end symbol that hardly wins to one that mostly does: sequences of several lengths.
    for bias in (-0.5, 1.0, 2.0):
        params = first._replace(c=first.c.at[0].set(bias))
        written = np.asarray(greedy_decode(params, SOURCE, MASK, length=T))
        begin = np.full((6, 1), K)
        target = np.concatenate([begin, np.maximum(written, 0)[:, :-1]], 1).astype(np.int32)
        logits = apply(params, Pair(SOURCE, target), mask=MASK)
        real = written >= 0
        np.testing.assert_array_equal(written[real], np.argmax(logits, -1)[real])
        for line in written:
            end = np.flatnonzero(line == 0)
            stop = end[0] + 1 if len(end) else T
            assert (line[stop:] == -1).all()
            assert (line[:stop] >= 0).all()
            lengths.add(int(stop))
    assert len(lengths) > 1


@pytest.mark.parametrize("kind", KINDS[1:4], ids=["dot", "local", "none"])
@pytest.mark.slow
def test_beams_have_the_probability_that_teacher_forcing_gives(kind):
    model, params = make(**kind)
    beams = beam_decode(params, SOURCE, MASK, length=T, width=3)
    assert (np.diff(beams.log_p, axis=1) <= 0).all()
    apply = jax.jit(model.apply)
    for j in range(3):
        written = np.asarray(beams.symbols[:, j])
        target = np.concatenate([np.full((6, 1), K), np.maximum(written, 0)[:, :-1]], 1).astype(np.int32)
        logits = apply(params, Pair(SOURCE, target), mask=MASK)
        np.testing.assert_allclose(
            generation.taken(logits, jnp.asarray(written)).sum(1), beams.log_p[:, j], rtol=1e-4, atol=1e-4
        )


@pytest.mark.slow
def test_a_wide_beam_is_exact_and_samples_follow_the_network():
    model, params = make(**KINDS[0])
    every = [[0, -1], *([i, j] for i in range(1, K) for j in range(K))]
    every = np.array(every, np.int32)
    n = len(every)
    target = np.stack([np.full(n, K), every[:, 0]], 1).astype(np.int32)
    x = Pair(jnp.broadcast_to(SOURCE[:1], (n, S)), target)
    log_p = np.asarray(generation.taken(jax.jit(model.apply)(params, x), jnp.asarray(every)).sum(1))
    np.testing.assert_allclose(np.exp(log_p).sum(), 1, rtol=1e-5)
    beams = beam_decode(params, SOURCE[:1], length=2, width=n)
    np.testing.assert_array_equal(beams.symbols[0], every[np.argsort(-log_p)])
    many = jnp.broadcast_to(SOURCE[:1], (2000, S))
    drawn = np.asarray(sample_decode(params, jax.random.key(3), many, length=2))
    seen = (drawn[:, None] == every[None]).all(-1).mean(0)
    p = np.exp(log_p)
    assert (np.abs(seen - p) < 5 * np.sqrt(p * (1 - p) / 2000) + 1e-3).all()


@pytest.mark.slow
def test_a_share_of_the_inputs_is_the_networks_own():
    _, params = make(**KINDS[1])
    n, time = 1500, 4
    target = jnp.concatenate([jnp.full((n, 1), K), jnp.full((n, time - 1), 3)], 1)
    x = Pair(jnp.broadcast_to(SOURCE[:1], (n, S)), target)
    mixed = jax.jit(mixed_targets)
    one_each = jax.random.split(jax.random.key(0), n)
    for key in (jax.random.key(0), one_each):
        np.testing.assert_array_equal(mixed(params, x, 0.0, key).target, target)
        half, own = (np.asarray(mixed(params, x, share, key).target) for share in (0.5, 1.0))
        np.testing.assert_array_equal(half[:, 0], K)
        # Running free the inputs are samples, whose first symbol has the network's probabilities.
        drawn = np.asarray(sample_decode(params, jax.random.key(1), x.source, length=1))[:, 0]
        p = np.bincount(drawn, minlength=K) / n
        q = np.bincount(own[:, 1], minlength=K) / n
        assert np.abs(p - q).max() < 5 * np.sqrt(0.5 / n)
        given = np.mean(half[:, 1] == 3)
        assert abs(given - (0.5 + 0.5 * p[3])) < 5 * np.sqrt(0.25 / n)
    # What an example draws follows its own key alone.
    part = mixed(params, jax.tree.map(lambda a: a[5:9], x), 0.5, one_each[5:9]).target
    np.testing.assert_array_equal(part, half[5:9])


def test_greedy_decode_of_a_padded_source_and_under_vmap():
    _, params = make(**KINDS[0])
    want = greedy_decode(params, SOURCE, MASK, length=T)
    longer = jnp.concatenate([SOURCE, jnp.full((6, 2), 3, SOURCE.dtype)], 1)
    wide = jnp.concatenate([MASK, jnp.zeros((6, 2), bool)], 1)
    np.testing.assert_array_equal(greedy_decode(params, longer, wide, length=T), want)
    many = jax.tree.map(lambda a: jnp.stack([a, -a]), params)
    got = jax.vmap(lambda p: greedy_decode(p, SOURCE, MASK, length=T))(many)
    np.testing.assert_array_equal(got[0], want)


@pytest.mark.parametrize("attention", ["additive", "dot", "local"])
def test_attention_weights(attention):
    _, params = make(cell="gru", attention=attention)
    target = jax.random.randint(jax.random.key(2), (6, 3), 0, K + 1)
    weights = np.asarray(jax.jit(attention_weights)(params, Pair(SOURCE, target), MASK))
    assert weights.shape == (6, 3, S)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    assert (np.moveaxis(weights, 1, 2)[~np.asarray(MASK)] == 0).all()
    assert weights[0].std(0).max() > 1e-4


def test_errors():
    with pytest.raises(ValueError, match="did you mean 'additive'"):
        seq2seq(V, H, K, attention="aditive")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="hidden: got 0"):
        seq2seq(V, 0, K)
    with pytest.raises(ValueError, match=r"dropout: got -0\.1"):
        seq2seq(V, H, K, dropout=-0.1)
    _, params = make(cell="rnn", attention="none")
    with pytest.raises(ValueError, match="without attention"):
        attention_weights(params, Pair(SOURCE, SOURCE), MASK)
    with pytest.raises(ValueError, match="context: got 'initial' with attention 'dot'"):
        seq2seq(V, H, K, attention="dot", context="initial")
    with pytest.raises(ValueError, match="window: got 0"):
        seq2seq(V, H, K, attention="local", window=0)
    with pytest.raises(ValueError, match="width: got 0"):
        beam_decode(params, SOURCE, MASK, length=2, width=0)
    with pytest.raises(ValueError, match="length: got 0"):
        greedy_decode(params, SOURCE, MASK, length=0)
