"""What the claims on convolution and pooling measure with, against what it should give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiment_module import experiment
from pydantic import ValidationError
from scipy import ndimage, signal

from dlnotes.analysis import count
from dlnotes.data.dataset import Examples
from dlnotes.layers import Convolution

equivariance = experiment("convolutional/equivariance")
invariance = experiment("convolutional/pooling_invariance")
learned = experiment("convolutional/learned_invariance")
shared = experiment("convolutional/shared_weights")


def test_error_is_relative_and_of_the_places_asked_for():
    rng = np.random.default_rng(0)
    b = rng.standard_normal((2, 3, 6, 6, 4))
    where = equivariance.inside(6, 2)
    assert where.sum() == 4
    a = b * np.array([1.0, 1.5])[:, None, None, None, None]
    np.testing.assert_allclose(equivariance.error(a, b, where), [0, 0.5], atol=1e-12)
    a = b.copy()
    a[:, :, 0] += 1  # at the border only
    assert np.all(equivariance.error(a, b, where) == 0)
    assert np.all(equivariance.error(a, b) > 0)


def test_symmetric_kernels_equal_their_turns_and_mirror_images():
    K = np.random.default_rng(0).standard_normal((2, 5, 5, 3, 4)).astype(np.float32)
    found = equivariance.symmetric(K)
    for image in (np.rot90(found, axes=(1, 2)), np.flip(found, 1), np.flip(found, 2)):
        np.testing.assert_allclose(image, found, atol=1e-6)
    np.testing.assert_allclose(found.sum((1, 2)), K.sum((1, 2)), atol=1e-5)
    np.testing.assert_allclose(found[:, 2, 2], K[:, 2, 2], atol=1e-6)


def test_interpolated_turns_and_scales_are_scipys():
    a = np.random.default_rng(0).standard_normal((2, 28, 28, 3)).astype(np.float32)
    want = ndimage.rotate(a, 30, axes=(1, 2), reshape=False, order=3)
    np.testing.assert_allclose(equivariance.rotated(30)(a), want, atol=1e-4)
    smooth = ndimage.gaussian_filter(a, (0, 3, 3, 0))
    # Interpolated quarter turns are the exact ones; an enlargement keeps what a point shows.
    np.testing.assert_allclose(
        equivariance.rotated(90)(a), ndimage.rotate(a, 90, axes=(1, 2), reshape=False), atol=1e-4
    )
    larger = equivariance.scaled(1.25)(smooth)
    line = 13.5 + (np.arange(28) - 13.5) / 1.25
    points = np.stack(np.meshgrid(line, line, indexing="ij"))
    want = ndimage.map_coordinates(smooth[1, :, :, 2], points, order=3)
    np.testing.assert_allclose(larger[1, :, :, 2], want, atol=1e-4)


def test_share_of_changed_outputs_by_hand():
    a = np.array([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 400.0, 400.0]]).T.reshape(1, 2, 2, 2)
    b = a.copy()
    b[0, 0, 0, 0] = 0.5  # of the first map, whose deviation is near 2: by a quarter, and all of its value
    b[0, 1, 1, 1] += (
        20  # of the second, whose deviation is near 200: by a tenth, and a twentieth of its value
    )
    found = np.asarray(invariance.changed(jnp.asarray(a), jnp.asarray(b)))
    by_tolerance = dict(zip(invariance.TOLERANCES, found))
    want = {0.0: 2 / 8, 0.05: 2 / 8, 0.15: 1 / 8, 0.2: 1 / 8, 0.3: 0.0}
    assert {t: by_tolerance[t] for t in want} == pytest.approx(want)
    assert found[-1] == pytest.approx(1 / 8)


def test_outputs_that_are_zero_in_both_views_count_as_unchanged():
    a = jnp.zeros((1, 2, 2, 1))
    assert np.all(np.asarray(invariance.changed(a, a)) == 0)


def test_shares_compare_two_views_a_pixel_apart():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 9, 9, 1)).astype(np.float32)
    kernel = rng.standard_normal((3, 3, 1, 1)).astype(np.float32)
    params = Convolution(jnp.asarray(kernel), jnp.zeros(1))
    views = [
        np.maximum([signal.correlate(image[:, :, 0], kernel[:, :, 0, 0], "valid") for image in view], 0)
        for view in (x[:, :, :-1], x[:, :, 1:])
    ]
    largest = [ndimage.maximum_filter(view, (1, 3, 3))[:, 1:-1, 1:-1] for view in views]
    for row, (a, b) in ((0, views), (1 + invariance.JUDGED, largest)):
        share = (np.abs(a - b) > 0.25 * np.std([a, b])).mean()
        strict = (np.abs(a - b) > 0.1 * np.maximum(a, b)).mean()
        found = invariance.shares(params, jnp.asarray(x))[row]
        assert float(found[invariance.TOLERANCE]) == pytest.approx(share, abs=1e-6)
        assert float(found[-1]) == pytest.approx(strict, abs=1e-6)


@pytest.mark.parametrize("axes", [1, 2])
def test_pooling_saves_work(axes):
    assert invariance.saved(3, axes, "dense") == (3**axes, 3**axes)
    assert invariance.saved(3, axes, "convolution") == (3**axes, 1)


def test_sensitivity_of_responses_to_one_thing_only():
    rng = np.random.default_rng(0)
    image, angle = rng.standard_normal((400, 1, 3)), rng.standard_normal((1, 12, 3))
    of_image, of_angle = np.broadcast_to(image, (400, 12, 3)), np.broadcast_to(angle, (400, 12, 3))
    np.testing.assert_allclose(learned.sensitivity(of_image), 0, atol=1e-9)
    np.testing.assert_allclose(learned.sensitivity(of_angle), 1, atol=1e-9)
    both = rng.standard_normal((20000, 12, 1))
    scale = 7 * both + 3
    np.testing.assert_allclose(learned.sensitivity(scale), learned.sensitivity(both), atol=1e-9)
    # Independent noise: all variance but that of the means of 12.
    np.testing.assert_allclose(learned.sensitivity(both), 11 / 12, atol=0.01)
    assert np.isnan(learned.sensitivity(np.ones((3, 4, 2)))).all()


def test_groups_are_those_of_the_layer_and_regrouping_mixes_units():
    x = np.random.default_rng(0).standard_normal((2, 14, 14, 1)).astype(np.float32)
    model = learned.network(3, learned.GROUP)
    params = model.init(jax.random.key(0))
    many = jax.tree.map(lambda a: a[None], params.filters)
    r = learned.responses_of(many, x[:, None])[0]
    h = learned.grouped(r)[:, 0]
    np.testing.assert_allclose(
        h @ np.asarray(params.output.W) + np.asarray(params.output.b), model.apply(params, x), atol=1e-4
    )
    # Responses that say which unit a filter is of: each new group holds units u, u + 1, ….
    units = 5
    names = np.repeat(np.arange(units), learned.GROUP) + 0.1 * np.arange(2)[:, None, None]
    assert learned.regrouped(names).shape == (2, 1, units)


def test_how_often_one_filter_is_the_largest():
    r = np.zeros((2, 2, 2 * learned.GROUP))
    r[..., 1] = 1  # of the first unit always the same filter
    r[0, :, learned.GROUP] = r[1, :, learned.GROUP + 2] = 1  # of the second unit one for each image
    assert learned.one_filter(r) == 0.75


def test_a_turned_image_is_turned_then_halved():
    image = np.random.default_rng(0).standard_normal((1, 28, 28, 1))
    want = np.rot90(image[0, :, :, 0]).reshape(14, 2, 14, 2).mean((1, 3))
    np.testing.assert_allclose(learned.turned(image, np.array([90.0]))[0, :, :, 0], want, atol=1e-5)


def test_layers_are_counted_as_the_notes_do():
    found, formula = shared.counted()
    np.testing.assert_array_equal(found, formula)
    assert shared.CASES[shared.DRAWN] == ((14, 14), 5, 8)
    assert found[shared.DRAWN].tolist() == [[156800, 156800], [20000, 20000], [200, 20000]]


def test_networks_have_the_sizes_they_are_compared_at():
    image = np.zeros((1, 14, 14, 1), np.float32)
    sizes = [count(shared.network(which), image).parameters for which in range(len(shared.NAMES))]
    assert sizes[shared.CNN] < min(sizes[shared.ONE], sizes[shared.TWO])
    one, unshared, plain = (sizes[w] for w in (shared.SHARED, shared.UNSHARED, shared.DENSE))
    assert plain - 197 * 800 == unshared - 26 * 800 == one - 26 * 8


def test_examples_of_a_seed_grow_and_repeat():
    part = Examples(np.arange(4000.0)[:, None, None, None] + np.zeros((1, 28, 28, 1)), np.arange(4000))
    seeds, numbers = np.array([0, 0, 1]), np.array([100, 300, 100])
    options = shared.SharedWeights(examples=(100, 300, 2700))
    found = shared.drawn_examples(part, seeds, numbers, options)
    assert found.x.shape == (3, 2700, 14, 14, 1)
    np.testing.assert_array_equal(found.x[:, :, 0, 0, 0], found.y)
    kept = [set(y) for y in found.y]
    assert [len(k) for k in kept] == [100, 300, 100]
    assert kept[0] < kept[1]
    assert kept[0] != kept[2]
    assert np.all(np.bincount(found.y[1])[list(kept[1])] == 9)


@pytest.mark.parametrize("examples", [(100,), (300, 100), (100, 250)])
def test_sets_of_examples_must_divide_the_largest(examples):
    with pytest.raises(ValidationError, match="divide the last"):
        shared.SharedWeights(examples=examples)


def test_examples_needed_are_read_off_the_curve():
    numbers = (100, 300, 900, 2700)
    curve = np.array([[0.5, 0.5], [0.6, 0.7], [0.7, 0.6], [0.8, 0.9]])
    found = shared.needed(numbers, curve, np.array([0.65, 0.2]))
    np.testing.assert_allclose(found, [300 * 3**0.5, 100])
    rising = np.stack([np.linspace(0.5, 0.8, 4)] * 3, axis=1)
    late = np.concatenate([rising[:1], rising[:-1]])
    measured = {"accuracy": np.stack([rising, late]), "examples": np.array(numbers)}
    # The rival has after 2,700 what the other has after 900.
    assert shared.factor(measured, 0, 1).value == pytest.approx(3)
