"""Networks that look at one place: the place, the crop, and the score function's gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import models
from dlnotes.analysis import count

RNG = np.random.default_rng(1380)
COARSE, SIZE, CELLS = 2, 4, 5
SHAPE = (COARSE * CELLS, COARSE * CELLS, 1)
LOCATOR = models.pixel_labeler((CELLS, CELLS, 1), 1, channels=(3,), convolutions=1)
CLASSIFIER = models.mlp((SIZE, SIZE, 1), (6,), 3, activation="tanh")
MODEL = models.hard_attention(LOCATOR, CLASSIFIER, coarse=COARSE, size=SIZE)
X = jnp.asarray(RNG.standard_normal((6, *SHAPE)), jnp.float32)


def look(params, **options):
    return models.glimpse(LOCATOR, CLASSIFIER, params, X, coarse=COARSE, size=SIZE, **options)


def test_it_classifies_the_square_around_the_best_cell(key):
    params = MODEL.init(key)
    means = np.asarray(X).reshape(6, CELLS, COARSE, CELLS, COARSE, 1).mean((2, 4))
    places = np.asarray(LOCATOR.apply(params.locator, jnp.asarray(means)))[..., 0]
    wide = np.pad(X, ((0, 0), (9, 9), (9, 9), (0, 0)))
    for i, place in enumerate(places):
        r, c = np.unravel_index(place.argmax(), place.shape)
        top, left = (COARSE * p + COARSE // 2 - SIZE // 2 + 9 for p in (r, c))
        seen = jnp.asarray(wide[i : i + 1, top : top + SIZE, left : left + SIZE])
        expected = CLASSIFIER.apply(params.classifier, seen)[0]
        np.testing.assert_allclose(MODEL.apply(params, X)[i], expected, rtol=1e-5, atol=1e-6)


def test_an_object_in_the_corner_is_in_the_middle_of_what_is_seen(key):
    """The square is filled up with zeros; moved back inside it would show the object elsewhere."""
    x = jnp.zeros((1, *SHAPE)).at[0, 0, 0, 0].set(1.0)
    found = models.glimpse(
        models.linear((CELLS, CELLS, 1), CELLS**2),
        models.Model(lambda key: (), lambda params, seen, **_: seen.reshape(1, -1)),
        models.HardAttention(models.linear((CELLS, CELLS, 1), CELLS**2).init(key), ()),
        x,
        coarse=COARSE,
        size=SIZE,
        cell=jnp.array([0]),
    )
    seen = np.asarray(found.logits).reshape(SIZE, SIZE)
    assert np.argwhere(seen).tolist() == [[1, 1]]


def test_the_score_function_has_the_gradient_of_the_expected_cost(key):
    """The mean over all cells, each with its probability, against the derivative of the expectation."""
    params, y = MODEL.init(key), jnp.array([0, 1, 2, 0, 1, 2])
    cells = jnp.arange(CELLS**2)

    def cost(params, cell):
        logits = look(params, cell=jnp.full(len(X), cell)).logits
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1)[:, 0]

    costs = jax.vmap(lambda cell: cost(params, cell))(cells)  # (cells, batch)

    def expected(locator):
        p = jax.nn.softmax(look(params._replace(locator=locator), cell=jnp.zeros(6)).places)
        return jnp.sum(p.T * costs)

    def surrogate(locator, baseline):
        p = jax.nn.softmax(look(params, cell=jnp.zeros(6)).places).T
        log_prob = jax.vmap(
            lambda cell: look(params._replace(locator=locator), cell=jnp.full(6, cell)).log_prob
        )(cells)
        return jnp.sum(p * (costs - baseline) * log_prob)

    exact = jax.grad(expected)(params.locator)
    for baseline in (0.0, 1.7):
        found = jax.grad(surrogate)(params.locator, baseline)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5), found, exact)


def test_cells_are_drawn_from_the_softmax(key):
    params = MODEL.init(key)
    draws = jax.vmap(lambda k: look(params, key=k).cell)(jax.random.split(key, 4000))
    p = np.asarray(jax.nn.softmax(look(params).places))
    for i in range(len(X)):
        share = np.bincount(draws[:, i], minlength=CELLS**2) / 4000
        assert np.abs(share - p[i]).max() < 4 * np.sqrt(0.25 / 4000)
    own = look(params, key=jax.random.split(key, len(X)))  # one key for each example
    np.testing.assert_allclose(own.log_prob, np.log(p[np.arange(6), own.cell]), rtol=1e-5)


def test_its_cost_is_that_of_the_two_networks(key):
    whole = count(MODEL, X).multiply_adds
    first = count(LOCATOR, jnp.zeros((6, CELLS, CELLS, 1))).multiply_adds
    assert whole == first + count(CLASSIFIER, jnp.zeros((6, SIZE, SIZE, 1))).multiply_adds


def test_what_does_not_fit_is_said(key):
    params = MODEL.init(key)
    large = models.hard_attention(LOCATOR, CLASSIFIER, coarse=COARSE, size=11)
    with pytest.raises(ValueError, match="size: got 11, larger than the image of 10 x 10"):
        large.apply(params, X)
    uneven = models.hard_attention(LOCATOR, CLASSIFIER, coarse=3, size=SIZE)
    with pytest.raises(ValueError, match="coarse: got 3 for x of shape"):
        uneven.apply(params, X)
    with pytest.raises(ValueError, match="coarse: got 0"):
        models.hard_attention(LOCATOR, CLASSIFIER, coarse=0, size=SIZE)
