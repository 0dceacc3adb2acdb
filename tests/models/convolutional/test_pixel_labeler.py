"""Networks with an answer for every pixel: what each form promises beyond the contract."""

import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import models
from dlnotes.layers.convolutional.convolution import convolve
from dlnotes.layers.convolutional.crf import mean_field
from dlnotes.layers.convolutional.pooling import max_pool
from dlnotes.models.convolutional.segmentation import _dilated, _max_around

RNG = np.random.default_rng(0)


def image(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def star(x, K):
    return jax.lax.conv_general_dilated(x, K, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


@pytest.mark.parametrize("d", [1, 2, 4])
def test_dilation_by_sub_grids_is_dilation(d):
    x, kernel = image(2, 7, 10, 3), image(3, 3, 3, 5)
    got = jax.value_and_grad(lambda x, k: jnp.sum(_dilated(x, k, d) ** 2), (0, 1))(x, kernel)
    want = jax.value_and_grad(lambda x, k: jnp.sum(convolve(x, k, dilation=d) ** 2), (0, 1))(x, kernel)
    chex.assert_trees_all_close(got, want, rtol=2e-4, atol=2e-3)


def test_pooling_of_stride_one():
    x = image(2, 7, 6, 3)
    np.testing.assert_array_equal(_max_around(x, 1), max_pool(x, 3, 1, "SAME"))
    # A distance of 2 pools each of the four sub-grids on its own.
    got = _max_around(x, 2)
    for i, j in np.ndindex(2, 2):
        np.testing.assert_array_equal(got[:, i::2, j::2], max_pool(x[:, i::2, j::2], 3, 1, "SAME"))


@pytest.mark.parametrize("form", ["encoder_decoder", "coarse", "full_size"])
def test_any_size_with_the_same_parameters(form):
    model = models.pixel_labeler((16, 16, 1), 3, form=form, channels=(3, 4, 5))
    params = jax.eval_shape(model.init, jax.random.key(0))
    for height, width in ((16, 16), (13, 22), (3, 5)):
        got = jax.eval_shape(model.apply, params, image(2, height, width, 1))
        assert got.shape == (2, height, width, 3)


def test_coarse_and_full_size_have_the_same_parameters():
    trees = [
        jax.eval_shape(models.pixel_labeler((8, 8, 1), 3, form=f).init, jax.random.key(0))
        for f in ("coarse", "full_size")
    ]
    assert trees[0] == trees[1]


@pytest.mark.parametrize(("form", "step"), [("full_size", 1), ("encoder_decoder", 4), ("coarse", 4)])
def test_labels_follow_a_moved_image(form, step):
    """Away from the edges, by one pixel without shrinking, by the pooling's step with it."""
    model = models.pixel_labeler((40, 40, 1), 3, form=form, channels=(3, 4, 5))
    params = model.init(jax.random.key(1))
    x = jnp.zeros((1, 80, 80, 1)).at[:, 32:48, 32:48].set(image(1, 16, 16, 1))
    moved = model.apply(params, jnp.roll(x, step, (1, 2)))
    np.testing.assert_allclose(moved, jnp.roll(model.apply(params, x), step, (1, 2)), atol=2e-5)


def test_encoder_decoder_written_out():
    model = models.pixel_labeler((8, 8, 2), 3, channels=(4, 5))
    params = model.init(jax.random.key(2))
    x = image(2, 8, 8, 2)

    def layer(p, h):
        return jax.nn.relu(star(h, p.K))  # the biases start at 0

    h0 = layer(params.encoder[0][0], x)
    h1 = layer(params.encoder[1][0], h0.reshape(2, 4, 2, 4, 2, 4).max((2, 4)))
    both = jnp.concatenate([jnp.repeat(jnp.repeat(h1, 2, 1), 2, 2), h0], -1)
    want = layer(params.decoder[0][0], both) @ params.output.K[0, 0]
    np.testing.assert_allclose(model.apply(params, x), want, atol=2e-5)


def test_coarse_is_the_small_grid_enlarged():
    """The pooled classifier written out, and jax's own resizing."""
    model = models.pixel_labeler((8, 8, 1), 3, form="coarse", channels=(4, 5))
    params = model.init(jax.random.key(2))
    x = image(2, 8, 8, 1)
    h = jax.nn.relu(star(x, params.encoder[0][0].K)).reshape(2, 4, 2, 4, 2, 4).max((2, 4))
    small = jax.nn.relu(star(h, params.encoder[1][0].K)) @ params.output.K[0, 0]
    want = jax.image.resize(small, (2, 8, 8, 3), "linear")
    np.testing.assert_allclose(model.apply(params, x), want, atol=2e-5)


def test_mean_field_comes_after_the_labels_of_each_pixel():
    plain = models.pixel_labeler((9, 7, 1), 2, channels=(4, 4))
    smooth = models.pixel_labeler((9, 7, 1), 2, channels=(4, 4), mean_field=3)
    params = smooth.init(jax.random.key(0))
    assert params.field is not None
    assert plain.init(jax.random.key(0)).field is None
    x = image(1, 9, 7, 1)
    want = mean_field(params.field, plain.apply(params._replace(field=None), x), x, steps=3)
    np.testing.assert_allclose(smooth.apply(params, x), want, atol=1e-5)


def test_refinement_written_out():
    model = models.recurrent_refinement((6, 5, 2), 3, steps=3, hidden=4, kernel=3)
    params = model.init(jax.random.key(0))
    x = image(2, 6, 5, 2)

    guesses, term = [], 0.0
    for _ in range(3):
        z = star(jax.nn.relu(star(x, params.U.K) + term), params.V.K)
        guesses.append(z)
        term = star(jax.nn.softmax(z), params.W)
    np.testing.assert_allclose(model.apply(params, x), guesses[-1], atol=1e-5)
    every = models.recurrent_refinement((6, 5, 2), 3, steps=3, hidden=4, kernel=3, every=True)
    np.testing.assert_allclose(every.apply(params, x), jnp.stack(guesses, -2), atol=1e-5)
    # The same parameters, fewer steps; a one-shot network has no W.
    one = models.recurrent_refinement((6, 5, 2), 3, steps=1, hidden=4, kernel=3)
    np.testing.assert_allclose(one.apply(params, x), guesses[0], atol=1e-5)
    assert one.init(jax.random.key(0)).W is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"form": "pyramid"}, ["form", "pyramid", "full_size"]),
        ({"kernel": 4}, ["kernel", "4", "odd"]),
        ({"channels": ()}, ["channels"]),
        ({"mean_field": -1}, ["mean_field", "-1"]),
        ({"normalization": "batch"}, ["normalization", "batch", "layer"]),
    ],
)
def test_labeler_refuses(options, words):
    with pytest.raises(ValueError, match=".*".join(map(re.escape, words))):
        models.pixel_labeler((8, 8, 1), 3, **options)


def test_refusals_of_shapes():
    with pytest.raises(ValueError, match="inputs"):
        models.pixel_labeler((8, 8), 3)
    with pytest.raises(ValueError, match="odd"):
        models.recurrent_refinement((8, 8, 1), 3, kernel=2)
    model = models.pixel_labeler((8, 8, 1), 3)
    with pytest.raises(ValueError, match="height, width, 1"):
        model.apply(model.init(jax.random.key(0)), jnp.ones((1, 8, 8, 2)))
