"""What the sequence models promise beyond the contract of every model."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import layers
from dlnotes.layers.recurrent.unroll import CELLS, unroll
from dlnotes.models.recurrent.sequence import character_model, sample, sequence_classifier, sequence_labeler


@pytest.mark.parametrize("cell", list(CELLS))
def test_classifier_reads_the_last_real_state(cell):
    model = sequence_classifier(3, 4, 2, cell=cell, layers=2, bidirectional=True)
    params = model.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (2, 4, 3))
    mask = jnp.arange(4)[None] < jnp.array([4, 2])[:, None]
    got = jax.jit(model.apply)(params, x, mask=mask)
    c, step = CELLS[cell], jax.jit(CELLS[cell].step)
    for b, n in enumerate([4, 2]):
        hs = list(x[b, :n])
        for forward, backward in zip(params.forward, params.backward):
            outs = []
            for p, inputs in ((forward, hs), (backward, hs[::-1])):
                carry, out = c.carry(p, ()), []
                for h in inputs:
                    carry, y = _one(step, p, carry, h)
                    out.append(y)
                outs.append(out)
            last = jnp.concatenate([outs[0][-1], outs[1][-1]])
            hs = [jnp.concatenate(pair) for pair in zip(outs[0], outs[1][::-1])]
        np.testing.assert_allclose(got[b], last @ params.V + params.c, rtol=1e-4, atol=1e-5)


def _one(step, p, carry, h):
    carry, y = step(p, jax.tree.map(lambda a: a[None], carry), h[None])
    return jax.tree.map(lambda a: a[0], carry), y[0]


def test_character_model_is_causal():
    model = character_model(5, 6, embedding=3, layers=2)
    params = model.init(jax.random.key(0))
    apply = jax.jit(model.apply)
    x = jax.random.randint(jax.random.key(1), (2, 6), 0, 5)
    other = x.at[:, 3].set((x[:, 3] + 1) % 5)
    a, b = apply(params, x), apply(params, other)
    np.testing.assert_array_equal(a[:, :3], b[:, :3])
    assert not np.allclose(a[:, 3:], b[:, 3:])


@pytest.mark.parametrize("cell", list(CELLS))
def test_greedy_sample_follows_the_logits(cell):
    model = character_model(5, 6, embedding=3, layers=2, cell=cell, init_scale=2.0)
    params = model.init(jax.random.key(3))
    prefix = jnp.array([[1, 2], [4, 0]], jnp.int32)
    text = sample(params, jax.random.key(0), prefix, length=5, temperature=0.0)
    logits = jax.jit(model.apply)(params, jnp.concatenate([prefix, text], 1))
    np.testing.assert_array_equal(text, jnp.argmax(logits[:, 1:-1], -1))


def test_samples_follow_the_model():
    model = character_model(3, 4, embedding=2, init_scale=2.0)
    params = model.init(jax.random.key(0))
    n = 4000
    text = np.asarray(sample(params, jax.random.key(1), jnp.zeros((n, 1), jnp.int32), length=2))
    every = np.array(list(itertools.product(range(3), repeat=2)), np.int32)
    inputs = np.concatenate([np.zeros((9, 1), np.int32), every], 1)
    log_p = jax.nn.log_softmax(jax.jit(model.apply)(params, inputs)[:, :2])
    p = np.exp(np.take_along_axis(np.asarray(log_p), every[..., None], 2)[..., 0].sum(1))
    np.testing.assert_allclose(p.sum(), 1, rtol=1e-5)
    seen = np.bincount(text @ [3, 1], minlength=9) / n
    assert (np.abs(seen - p) < 5 * np.sqrt(p * (1 - p) / n)).all()


def test_sweep_over_dropout_and_scale_is_one_program():
    x = jax.random.normal(jax.random.key(1), (3, 4, 2))

    def run(rate, scale):
        model = sequence_classifier(2, 4, 2, cell="rnn", dropout=rate, init_scale=scale)
        return model.apply(model.init(jax.random.key(0)), x, key=jax.random.key(2))

    rates, scales = jnp.array([0.0, 0.4]), jnp.array([1.0, 0.5])
    got = jax.jit(jax.vmap(run))(rates, scales)
    for k in range(2):
        np.testing.assert_allclose(got[k], jax.jit(run)(rates[k], scales[k]), rtol=1e-5, atol=1e-6)


def test_errors():
    with pytest.raises(ValueError, match="did you mean 'gru'"):
        sequence_classifier(2, 3, 2, cell="grus")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="layers: got 0"):
        character_model(2, 3, layers=0)
    with pytest.raises(ValueError, match="dropout: got 1"):
        character_model(2, 3, dropout=1.0)
    with pytest.raises(ValueError, match="embedding: got 0"):
        sequence_classifier(2, 3, 2, embedding=0)
    params = character_model(3, 4).init(jax.random.key(0))
    with pytest.raises(ValueError, match="prefix: got shape"):
        sample(params, jax.random.key(0), jnp.zeros((2, 0), jnp.int32), length=3)
    with pytest.raises(ValueError, match="length: got 0"):
        sample(params, jax.random.key(0), jnp.zeros((2, 1), jnp.int32), length=0)


def test_labeler_reads_the_past_and_in_both_directions_the_future():
    mask = jnp.arange(5)[None] < jnp.array([5, 3])[:, None]
    x = jax.random.normal(jax.random.key(1), (2, 5, 3))
    for both in (False, True):
        model = sequence_labeler(3, 4, 2, bidirectional=both, layers=2)
        params = model.init(jax.random.key(0))
        apply = jax.jit(lambda x, mask, model=model, params=params: model.apply(params, x, mask=mask))
        whole = apply(x, mask)
        assert whole.shape == (2, 5, 2)
        alone = apply(x[1:, :3], mask[1:, :3])
        np.testing.assert_allclose(whole[1, :3], alone[0], rtol=1e-5, atol=1e-6)
        moved = np.abs(apply(x.at[:, 2].add(1.0), mask) - whole).max(-1)
        assert (moved[:, 2:3] > 0).all()
        assert (moved[:, :2] > 0).all() == both
        assert (moved[0, 3:] > 0).all()
        # What stands on the padding of the second sequence is nobody's business.
        np.testing.assert_array_equal(apply(x.at[1, 3:].set(9.0), mask)[1, :3], whole[1, :3])


def test_cells_with_settings():
    x = jax.random.normal(jax.random.key(1), (2, 6, 3))
    for cell in (layers.delayed(2), layers.deep_transition((4,), skip=True), layers.plain_cell("relu")):
        model = sequence_classifier(3, 4, 2, cell=cell)
        params = model.init(jax.random.key(0))
        h = cell.hidden(unroll(cell, params.forward[0], x)[0])
        np.testing.assert_allclose(
            model.apply(params, x), h @ params.V + params.c[None], rtol=1e-5, atol=1e-6
        )
