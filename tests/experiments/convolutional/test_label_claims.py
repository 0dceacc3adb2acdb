"""What the claims on pixel labels and on images of any size make by themselves."""

import jax
import jax.numpy as jnp
import numpy as np
from experiment_module import experiment

from dlnotes import analysis, models, outputs
from experiments.convolutional import _scene_labels
from experiments.convolutional import _sized_networks as sized


def test_pooling_of_stride_one_keeps_the_size_and_of_two_does_not():
    module = experiment("convolutional/pixel_labels")
    assert module.sides_left(16, 1) == 16
    assert module.sides_left(16, 2) == 4


def test_rivals_have_the_parameters_or_the_work_that_they_are_named_for():
    pixels, refined = experiment("convolutional/pixel_labels"), experiment("convolutional/refinement")
    one = np.zeros((1, 16, 16, 1), np.float32)
    full, coarse, wide, decoder = (analysis.count(pixels.network(i, 16), one) for i in range(4))
    assert full.parameters == coarse.parameters
    assert 0.95 < full.multiply_adds / wide.multiply_adds < 1.05
    assert 0.95 < decoder.multiply_adds / wide.multiply_adds < 1.05
    counts = refined.counted(16)
    five = counts[refined.GUESSES[-1] - 1]
    assert abs(counts[refined.WIDE].parameters / five.parameters - 1) < 0.04
    assert abs(counts[refined.DEEP].parameters / five.parameters - 1) < 0.04
    assert abs(counts[refined.WIDEST].multiply_adds / five.multiply_adds - 1) < 0.04


def test_the_loss_of_several_guesses_is_their_mean(key):
    model = models.recurrent_refinement((5, 6, 1), 3, steps=2, hidden=4, kernel=3, every=True)
    x = jax.random.normal(key, (2, 5, 6, 1))
    y = jnp.arange(60).reshape(2, 5, 6) % 3
    z = model.apply(model.init(key), x)
    found = _scene_labels.loss_of(2)(z, y).total
    each = [outputs.cross_entropy(z[..., t, :], y).total for t in range(2)]
    np.testing.assert_allclose(found, (each[0] + each[1]) / 2, rtol=1e-5)


def test_convolutions_take_every_size_and_a_matrix_one():
    conv, _, dense = (sized.takes(network) for network in sized.NETWORKS)
    assert conv.all()
    np.testing.assert_array_equal(np.array(sized.SIZES)[dense], [sized.RESIZED])


def test_neighbors_that_are_alike_are_counted():
    module = experiment("convolutional/smoothed_labels")
    scene = np.array([[0, 0], [0, 1]])
    np.testing.assert_allclose(module.alike(scene[None, None]), [0.5])


def test_the_loss_of_pixels_is_minus_the_log_of_the_true_label():
    module = experiment("convolutional/smoothed_labels")
    z = np.log(np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]]))[None, None, None]
    np.testing.assert_allclose(
        module.cross_entropy(z, np.array([[[[2, 0]]]])), [-np.log([0.5, 0.6]).mean()], rtol=1e-6
    )
