"""Ensembles and dropout, held against enumeration of all masks and closed forms in numpy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from dlnotes import layers, models, outputs, training
from dlnotes.layers.feedforward.dense import Dense

RNG = np.random.default_rng(11)


def test_all_masks_of_a_softmax_regression_have_the_mean_of_weight_scaling():
    """The renormalized geometric mean of 2¹⁰ sub-models is one pass with halved weights, exactly."""
    n, k = 10, 4
    W, b, x = RNG.normal(size=(n, k)), RNG.normal(size=k), RNG.normal(size=(3, n))
    masks = np.array(list(itertools.product((0, 1), repeat=n)))
    logs = log_softmax(np.einsum("mi,bi,ik->mbk", masks, x, W) + b, -1)
    geometric = softmax(logs.mean(0), -1)
    np.testing.assert_allclose(geometric, softmax(x @ (W / 2) + b, -1), atol=1e-12)
    # The same by the library: dropout doubles what it keeps, so that no key is weight scaling.
    model = models.linear(n, k)
    params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), type(model.init(0))(W / 2, b))
    np.testing.assert_allclose(
        jax.nn.softmax(model.apply(params, x.astype(np.float32))), geometric, atol=1e-5
    )
    stacked = jax.tree.map(lambda *a: jnp.stack(a), *[
        Dense(jnp.asarray(m[:, None] * W, jnp.float32), jnp.asarray(b, jnp.float32)) for m in masks
    ])  # fmt: skip
    both = models.ensemble(model, len(masks), mean="logits")
    got = jax.nn.softmax(both.apply(stacked, x.astype(np.float32)))
    np.testing.assert_allclose(got, geometric, atol=1e-5)
    arithmetic = jnp.exp(models.ensemble(model, len(masks)).apply(stacked, x.astype(np.float32)))
    np.testing.assert_allclose(arithmetic, np.exp(logs).mean(0), atol=1e-5)


@pytest.mark.parametrize("members", [1, 3, 8])
def test_variance_of_a_mean_of_correlated_members(members):
    """The squared error of the mean of k members is ``v/k + (1 − 1/k)c``: v of each, c of each two."""
    w, x, y = RNG.normal(size=(members, 3, 1)), RNG.normal(size=(50, 3)), RNG.normal(size=(50, 1))
    e = np.einsum("ni,mio->mno", x, w) - y
    moments = np.einsum("mno,lno->ml", e, e) / 50
    v, c = np.trace(moments) / members, (moments.sum() - np.trace(moments)) / max(members * (members - 1), 1)
    params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), Dense(w, np.zeros((members, 1))))
    whole = models.ensemble(models.linear(3, 1), members, mean="outputs")
    got = outputs.squared_error(whole.apply(params, x.astype(np.float32)), y.astype(np.float32)).total.mean()
    np.testing.assert_allclose(got, v / members + (1 - 1 / members) * c, rtol=1e-5)


def trained(members):
    model = models.mlp(6, (8,), 3)
    return model, jax.vmap(model.init)(jax.random.split(jax.random.key(4), members))


X, Y = RNG.normal(size=(20, 6)).astype(np.float32), RNG.integers(0, 3, 20).astype(np.int32)


def test_the_loss_of_the_mean_is_at_most_the_mean_loss():
    model, params = trained(5)
    each = training.predict(model, params, X)
    mean = np.mean([outputs.cross_entropy(z, Y).total for z in each], axis=0)
    joined = models.ensemble(model, 5).apply(params, X)
    assert (outputs.cross_entropy(joined, Y).total < mean).all()  # of every example (Jensen)
    np.testing.assert_allclose(np.exp(joined), softmax(each, -1).mean(0), rtol=1e-5)


@pytest.mark.parametrize("mean", ["probabilities", "logits"])
def test_one_member_is_itself(mean):
    model, params = trained(1)
    alone = training.predict(model, params, X)[0]
    got = models.ensemble(model, 1, mean=mean).apply(params, X)
    np.testing.assert_allclose(jax.nn.log_softmax(got), log_softmax(alone, -1), atol=1e-5)


def test_members_that_broke_down_are_found():
    model, params = trained(4)
    broken = params._replace(output=params.output._replace(W=params.output.W.at[2, 0, 0].set(jnp.nan)))
    whole = models.ensemble(model, 4)
    assert jnp.isnan(whole.apply(broken, X)).any()
    good = models.finite_members(broken)
    assert good.tolist() == [True, True, False, True]
    kept = jax.tree.map(lambda a: a[good], broken)
    want = softmax(training.predict(model, params, X)[good], -1).mean(0)
    np.testing.assert_allclose(np.exp(whole.apply(kept, X)), want, rtol=1e-5)


def test_refusals():
    model = models.mlp(3, (4,), 2)
    with pytest.raises(ValueError, match="members: got 0"):
        models.ensemble(model, 0)
    with pytest.raises(ValueError, match="mean: got 'median', allowed are probabilities"):
        models.ensemble(model, 2, mean="median")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="samples: got 0"):
        models.sample_outputs(model, model.init(0), np.ones((2, 3), np.float32), key=1, samples=0)


def test_samples_are_those_of_all_masks():
    """Of a linear regression with dropped inputs: mean ``Wx + b``, variance ``p/(1 − p) Σ (w_i x_i)²``."""
    w, x, rate = RNG.normal(size=5), RNG.normal(size=5), 0.4
    model = models.linear(5, 1)

    def apply(params, x, /, *, key=None, mask=None):
        return model.apply(params, layers.dropout(key, x, rate))

    params = Dense(jnp.asarray(w[:, None], jnp.float32), jnp.ones(1))
    z = models.sample_outputs(
        models.Model(model.init, apply), params, x[None].astype(np.float32), key=3, samples=20_000
    )
    variance = rate / (1 - rate) * ((w * x) ** 2).sum()
    np.testing.assert_allclose(z.mean(), w @ x + 1, atol=5 * np.sqrt(variance / 20_000))
    np.testing.assert_allclose(z.var(), variance, rtol=0.05)


def test_a_sample_follows_the_examples_key():
    model = models.mlp(6, (8,), 3, dropout=0.5)
    params, keys = model.init(2), jax.random.split(jax.random.key(1), 20)
    whole = models.sample_outputs(model, params, X, key=keys, samples=4)
    part = models.sample_outputs(model, params, X[5:9], key=keys[5:9], samples=4)
    np.testing.assert_allclose(part, whole[:, 5:9], atol=1e-6)
    assert not np.allclose(whole[0], whole[1])
    none = models.sample_outputs(models.mlp(6, (8,), 3), params, X, key=1, samples=2)
    np.testing.assert_allclose(none[0], none[1])
