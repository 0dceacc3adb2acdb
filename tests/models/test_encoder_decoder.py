"""Decoding against teacher forcing, and the decoder against its equations step by step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes.data.dataset import Pair
from dlnotes.layers.recurrent import CELLS
from dlnotes.models.encoder_decoder import attention_weights, greedy_decode, seq2seq

V, K, H, E, S, T = 5, 4, 5, 3, 4, 5
KINDS = [("gru", "additive", True), ("lstm", "dot", False), ("rnn", "none", True), ("lstm", "none", False)]
kinds = pytest.mark.parametrize(("cell", "attention", "bidirectional"), KINDS)
SOURCE = jax.random.randint(jax.random.key(1), (6, S), 0, V)
MASK = jnp.arange(S)[None] < jnp.array([4, 2, 1, 3, 4, 4])[:, None]


def make(cell, attention, bidirectional, seed=0):
    model = seq2seq(
        V, K, H, embedding=E, cell=cell, attention=attention, bidirectional=bidirectional, init_scale=2.0
    )
    return model, model.init(jax.random.key(seed))


@kinds
def test_decoder_follows_its_equations(cell, attention, bidirectional):
    model, params = make(cell, attention, bidirectional)
    target = jax.random.randint(jax.random.key(2), (6, 3), 0, K + 1)
    got = jax.jit(model.apply)(params, Pair(SOURCE, target), mask=MASK)
    c, step = CELLS[cell], jax.jit(CELLS[cell].step)
    for b in (0, 1):
        n = int(MASK[b].sum())
        outs = []
        for p, order in ((params.forward, 1), (params.backward, -1)):
            if p is None:
                continue
            carry, hs = c.carry(p, (1,)), []
            for symbol in SOURCE[b, :n][::order]:
                carry, h = step(p, carry, params.E[symbol][None])
                hs.append(h[0])
            outs.append(hs)
        last = jnp.concatenate([hs[-1] for hs in outs])
        if bidirectional:
            outs[1] = outs[1][::-1]
        a = jnp.stack([jnp.concatenate(pair) for pair in zip(*outs)])
        h = jnp.tanh(last @ params.W_0 + params.b_0)[None]
        carry = c.carry(params.decoder, (1,))
        carry = carry._replace(h=h) if cell == "lstm" else h
        for t in range(3):
            h = c.hidden(carry)[0]
            context = last
            if attention != "none":
                q, keys = h @ params.attention.W_q, a @ params.attention.W_k
                if attention == "additive":
                    scores = jnp.tanh(q[None] + keys) @ params.attention.v
                else:
                    scores = keys @ q / np.sqrt(H).astype(np.float32)
                context = jax.nn.softmax(scores) @ a
            carry, h = step(params.decoder, carry, jnp.concatenate([params.F[target[b, t]], context])[None])
            want = jnp.concatenate([h[0], context]) @ params.V + params.c
            np.testing.assert_allclose(got[b, t], want, rtol=1e-4, atol=1e-4)


@kinds
def test_greedy_path_is_the_argmax_of_teacher_forcing_on_itself(cell, attention, bidirectional):
    lengths = set()
    model, first = make(cell, attention, bidirectional)
    apply = jax.jit(model.apply)
    # From an end symbol that hardly wins to one that mostly does: sequences of several lengths.
    for bias in (-0.5, 0.5, 1.0, 2.0):
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


def test_greedy_decode_of_a_padded_source_and_under_vmap():
    _, params = make("gru", "additive", True)
    want = greedy_decode(params, SOURCE, MASK, length=T)
    longer = jnp.concatenate([SOURCE, jnp.full((6, 2), 3, SOURCE.dtype)], 1)
    wide = jnp.concatenate([MASK, jnp.zeros((6, 2), bool)], 1)
    np.testing.assert_array_equal(greedy_decode(params, longer, wide, length=T), want)
    many = jax.tree.map(lambda a: jnp.stack([a, -a]), params)
    got = jax.vmap(lambda p: greedy_decode(p, SOURCE, MASK, length=T))(many)
    np.testing.assert_array_equal(got[0], want)


@pytest.mark.parametrize("attention", ["additive", "dot"])
def test_attention_weights(attention):
    _, params = make("gru", attention, True)
    target = jax.random.randint(jax.random.key(2), (6, 3), 0, K + 1)
    weights = np.asarray(attention_weights(params, Pair(SOURCE, target), MASK))
    assert weights.shape == (6, 3, S)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    assert (np.moveaxis(weights, 1, 2)[~np.asarray(MASK)] == 0).all()
    assert weights[0].std(0).max() > 1e-4


def test_errors():
    with pytest.raises(ValueError, match="did you mean 'additive'"):
        seq2seq(V, K, H, attention="aditive")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="hidden: got 0"):
        seq2seq(V, K, 0)
    with pytest.raises(ValueError, match=r"dropout: got -0\.1"):
        seq2seq(V, K, H, dropout=-0.1)
    _, params = make("rnn", "none", True)
    with pytest.raises(ValueError, match="without attention"):
        attention_weights(params, Pair(SOURCE, SOURCE), MASK)
    with pytest.raises(ValueError, match="length: got 0"):
        greedy_decode(params, SOURCE, MASK, length=0)
