"""The networks of the claims on depth: their sizes, and the ratios of errors by hand."""

import jax
import numpy as np
import pytest

from dlnotes import data
from dlnotes.training import initial_params, predict
from experiments.feedforward import _convolution_depth as convolutions
from experiments.feedforward import depth_convolutions as parameters
from experiments.feedforward import depth_generalization as generalization
from experiments.feedforward import depth_optimization as optimization


def test_the_smallest_network_counted_by_hand():
    kernels, dense = (25 * 4, 9 * 4 * 8), (49 * 8 * 8, 8 * 10)
    parameters = sum(kernels) + 4 + 8 + sum(dense) + 8 + 10
    assert convolutions.counted(convolutions.Shape(4, 0, 8)) == (
        parameters,
        14 * 14 * sum(kernels) + sum(dense),
    )


def test_a_further_convolution_adds_its_kernel_and_bias():
    sizes = [convolutions.counted(convolutions.Shape(4, more, 8)) for more in (0, 1, 3)]
    assert np.diff([p for p, _ in sizes]).tolist() == [9 * 64 + 8, 2 * (9 * 64 + 8)]
    assert np.diff([a for _, a in sizes]).tolist() == [49 * 9 * 64, 2 * 49 * 9 * 64]


def test_the_deeper_network_has_fewer_parameters_than_the_wider_ones():
    *wider, deeper = (convolutions.counted(s)[0] for s in parameters.shapes(parameters.DepthConvolutions()))
    assert 75_000 < deeper < min(wider)


def test_pairs_have_about_as_many_parameters():
    options = generalization.DepthGeneralization()
    pair = [
        sum(
            int(np.prod(a.shape))
            for a in jax.tree.leaves(
                jax.eval_shape(generalization.dense_network(options, k).init, jax.random.key(0))
            )
        )
        for k in (0, 1)
    ]
    pairs = [pair]
    shapes = (
        convolutions.Shape(options.maps, 0, 64),
        convolutions.Shape(options.maps_deep, options.more, 64),
    )
    pairs.append([convolutions.counted(s)[0] for s in shapes])
    for shallow, deep in pairs:
        assert min(shallow, deep) > 85_000
        assert deep / shallow == pytest.approx(1, abs=0.05)


def test_error_ratios_by_hand():
    accuracy = np.array([[90.0, 91, 92, 94], [91, 92.5, 92, 95], [90, 90, 91, 92], [92, 93, 95, 96]])
    m = {"accuracy": accuracy[1:]}
    assert parameters.errors(m, parameters.MAPS).value == pytest.approx(
        (8 * 7 * 5 * 4 / (9 * 7.5 * 8 * 5)) ** 0.25
    )
    pair = {"fashion_accuracy": accuracy[:2]}
    assert generalization.errors(pair, 1).value == pytest.approx((9 * 7.5 * 8 * 5 / (10 * 9 * 8 * 6)) ** 0.25)


def test_judging_in_blocks_is_the_mean_over_all_images():
    model = convolutions.network(convolutions.Shape(2, 1, 4))
    params = initial_params(model, range(3), "he_convolution")
    rng = np.random.default_rng(0)
    examples = data.Examples(rng.normal(size=(20, 28, 28, 1)).astype(np.float32), rng.integers(10, size=20))
    logits = np.asarray(jax.nn.log_softmax(predict(model, params, examples.x)))
    picked = logits[:, np.arange(20), examples.y]
    want = -picked.mean(1), (logits.argmax(-1) == examples.y).mean(1)
    half = data.Examples(examples.x[:15], examples.y[:15])
    np.testing.assert_allclose(convolutions.judged(model, params, examples), want, rtol=1e-4)
    found = convolutions.judged(model, params, half)[1]
    np.testing.assert_allclose(found, (logits[:, :15].argmax(-1) == half.y).mean(1), rtol=1e-5)


@pytest.mark.parametrize("depth", [1, 4, 32])
def test_narrow_networks_have_the_parameters_of_two_layers(depth):
    counts = [
        optimization.size(optimization.network(arm, d, 64))
        for arm, d in ((optimization.NARROW, depth), (optimization.RELU, optimization.SHALLOW))
    ]
    assert counts[1] == 784 * 64 + 64 + 64 * 64 + 64 + 64 * 10 + 10
    assert counts[0] == pytest.approx(counts[1], rel=0.03)


def test_how_much_harder_by_hand():
    rng = np.random.default_rng(0)
    loss = rng.uniform(0.1, 1, (3, 4, 2, 5))
    m = {"loss": loss, "depths": np.array([1, 2, 4, 8])}
    assert optimization.harder(m, optimization.TANH).value == pytest.approx(
        (loss[1, 3, 1] - loss[1, 1, 1]).mean()
    )
    m["loss"][0, 1:, 1] = np.array([[1.0] * 5, [2.0] * 5, [3.0] * 4 + [1.5]])
    assert optimization.rises(m, optimization.RELU).value == pytest.approx((4 * 1 + 0.5) / 5)
