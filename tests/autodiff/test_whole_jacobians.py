"""Whole Jacobians in both directions, against jax.jacrev; their cost counted."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes.autodiff import (
    convolution_link,
    dense_link,
    elementwise_link,
    softmax_link,
    whole_jacobian,
)
from dlnotes.layers import Dense


def array(rng, *shape):
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


def chain(rng, widths):
    links = []
    for a, b in pairwise(widths):
        links += [dense_link(Dense(array(rng, a, b) / a**0.5, array(rng, b))), elementwise_link("tanh")]
    return [*links[:-1], softmax_link()]


def run(links, x):
    for link in links:
        x = link.value(x)
    return x


@pytest.mark.parametrize("widths", [(6, 4, 2), (2, 4, 6), (3, 3)])
def test_both_directions_against_jax(widths):
    rng = np.random.default_rng(0)
    links, x = chain(rng, widths), array(rng, widths[0])
    want = jax.jacrev(lambda x: run(links, x))(x)
    for mode in ("reverse", "forward", "cheapest"):
        found = whole_jacobian(links, x, mode)
        np.testing.assert_allclose(found.jacobian, want, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found.value, run(links, x), rtol=1e-6)


def test_products_are_as_many_as_outputs_or_inputs_for_each_link():
    rng = np.random.default_rng(1)
    for n, m in ((7, 2), (2, 7)):
        links, x = chain(rng, (n, 5, m)), array(rng, n)
        found = {mode: whole_jacobian(links, x, mode).products for mode in ("reverse", "forward", "cheapest")}
        assert found == {"reverse": m * 4, "forward": n * 4, "cheapest": min(m, n) * 4}


def test_images_and_batches():
    rng = np.random.default_rng(2)
    K, x = array(rng, 3, 3, 2, 2), array(rng, 1, 5, 4, 2)
    links = [convolution_link(K, stride=2, padding=1), elementwise_link("sigmoid")]

    def value(x):
        y = jax.lax.conv_general_dilated(
            x, K, (2, 2), [(1, 1), (1, 1)], dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return jax.nn.sigmoid(y)

    want = jax.jacfwd(value)(x)
    for mode in ("reverse", "forward"):
        found = whole_jacobian(links, x, mode)
        assert found.jacobian.shape == want.shape
        np.testing.assert_allclose(found.jacobian, want, rtol=1e-4, atol=1e-6)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="links: got none"):
        whole_jacobian([], jnp.ones(2))
    with pytest.raises(ValueError, match="mode: got 'backward'"):
        whole_jacobian([softmax_link()], jnp.ones(2), "backward")
    with pytest.raises(ValueError, match="name: got 'tahn'"):
        elementwise_link("tahn")
