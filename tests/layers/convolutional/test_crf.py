"""Mean field against enumeration and plain loops, connected regions against scipy."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from jax.test_util import check_grads
from scipy.special import logsumexp, softmax

from dlnotes.layers.convolutional.crf import (
    MeanField,
    connected_regions,
    init_mean_field,
    mean_field,
    pair_strengths,
)

RNG = np.random.default_rng(0)


def field(scale=1.0):
    M = RNG.normal(size=(3, 3)).astype(np.float32) * scale
    return MeanField(jnp.asarray(M), *(jnp.asarray(v, jnp.float32) for v in (0.3 * scale, 0.4 * scale, -0.5)))


def draw(h, w, classes=3):
    logits = RNG.normal(size=(1, h, w, classes)).astype(np.float32)
    return jnp.asarray(logits), jnp.asarray(RNG.normal(size=(1, h, w, 2)), jnp.float32)


def strength(params, image, i, j):
    d = np.sum((np.asarray(image)[0][i] - np.asarray(image)[0][j]) ** 2)
    return float(params.base + params.contrast * np.exp(-d / (2 * np.exp(2 * params.log_width))))


def neighbors_of(i, h, w, count):
    steps = [(0, 1), (1, 0), (0, -1), (-1, 0)] + [(1, 1), (1, -1), (-1, 1), (-1, -1)] * (count == 8)
    return [(i[0] + a, i[1] + b) for a, b in steps if 0 <= i[0] + a < h and 0 <= i[1] + b < w]


@pytest.mark.parametrize("count", [4, 8])
def test_an_update_is_the_sum_over_neighbors(count):
    params, (z, image) = field(), draw(3, 4)
    got = mean_field(params, z, image, steps=1, neighbors=count, damping=0.0)
    q, M = softmax(np.asarray(z), -1), np.asarray(params.compatibility + params.compatibility.T) / 2
    for i in product(range(3), range(4)):
        near = neighbors_of(i, 3, 4, count)
        message = sum(strength(params, image, i, j) * M @ q[0][j] for j in near)
        np.testing.assert_allclose(got[0][i], np.asarray(z)[0][i] - message, rtol=1e-4, atol=1e-5)


def test_it_nears_the_exact_marginals_where_pairs_are_weak():
    params, (z, image) = field(0.7), draw(2, 3)
    pixels = list(product(range(2), range(3)))
    M = np.asarray(params.compatibility + params.compatibility.T) / 2
    pairs = [(a, b) for a, b in product(pixels, pixels) if a < b and b in neighbors_of(a, 2, 3, 4)]
    strengths = {pair: strength(params, image, *pair) for pair in pairs}
    labelings, unary = list(product(range(3), repeat=6)), np.asarray(z)[0]
    scores = np.array(
        [
            sum(unary[p][y] for p, y in zip(pixels, ys))
            - sum(strengths[a, b] * M[ys[pixels.index(a)], ys[pixels.index(b)]] for a, b in pairs)
            for ys in labelings
        ]
    )
    p = np.exp(scores - logsumexp(scores))
    exact = np.zeros((2, 3, 3))
    for ys, weight in zip(labelings, p):
        for pixel, y in zip(pixels, ys):
            exact[pixel][y] += weight
    smoothed = jax.nn.softmax(mean_field(params, z, image, steps=30))[0]
    alone = np.abs(jax.nn.softmax(z)[0] - exact).max()
    assert alone > 0.05
    assert np.abs(smoothed - exact).max() < alone / 4


@pytest.mark.slow
def test_it_is_trainable():
    params, (z, image) = field(), draw(3, 3)
    check_grads(lambda p, z, x: mean_field(p, z, x, steps=2), (params, z, image), 1, modes=["rev"], rtol=3e-2)


def test_noise_within_a_region_is_removed():
    truth = np.zeros((1, 40, 40), int)
    truth[:, 10:30, 10:30] = 1
    noisy = np.where(RNG.random(truth.shape) < 0.15, 1 - truth, truth)
    z = jnp.asarray(2.0 * jax.nn.one_hot(noisy, 2))
    image = jnp.asarray(truth[..., None], jnp.float32)
    smooth = mean_field(init_mean_field(2), z, image, steps=10).argmax(-1)
    assert (smooth != truth).mean() < 0.3 * (noisy != truth).mean()


def test_pairs_outside_the_image_have_no_strength():
    right, below = pair_strengths(init_mean_field(2), jnp.zeros((1, 2, 3, 1)))
    assert not right[:, :, -1].any()
    assert not below[:, -1].any()
    assert (right[:, :, :-1] == 1.0).all()


@pytest.mark.parametrize("count", [4, 8])
def test_regions_are_scipys(count):
    labels = RNG.integers(0, 3, (3, 9, 11))
    got = np.asarray(jax.jit(connected_regions, static_argnums=1)(labels, count))
    structure = np.ones((3, 3)) if count == 8 else None
    for image, ids in zip(labels, got):
        want = np.zeros(image.shape, int)
        for value in range(3):
            numbered, _ = scipy.ndimage.label(image == value, structure)
            want += np.where(numbered > 0, numbered + want.max(), 0)
        pairs = set(zip(want.ravel().tolist(), ids.ravel().tolist()))
        assert len(pairs) == len(set(want.ravel())) == len(set(ids.ravel()))
        assert all(ids.ravel()[i] == i for i in set(ids.ravel()))


def test_wrong_options_are_named():
    z, image = draw(2, 2)
    with pytest.raises(ValueError, match="neighbors: got 6"):
        mean_field(field(), z, image, neighbors=6)
    with pytest.raises(ValueError, match="neighbors: got 5"):
        connected_regions(jnp.zeros((1, 2, 2), jnp.int32), 5)
    with pytest.raises(ValueError, match="damping: got 1"):
        mean_field(field(), z, image, damping=1.0)
    with pytest.raises(ValueError, match="classes: got 0"):
        init_mean_field(0)
