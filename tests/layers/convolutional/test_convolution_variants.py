"""Transposed, depthwise and locally connected layers against their definitions, and PyTorch's sizes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.test_util import check_grads

from dlnotes.layers import convolve, depthwise, init_locally_connected, locally_connected, transposed_convolve

RNG = np.random.default_rng(0)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "extra"),
    [(1, 0, 1, 0), (2, 1, 1, 1), (3, 0, 1, 2), (1, 2, 2, 0), (2, 1, 2, 0)],
)
def test_transposed_is_the_adjoint(stride, padding, dilation, extra):
    y, K = normal(2, 5, 4, 3), normal(3, 2, 6, 3)
    a_back = transposed_convolve(
        y, K, stride=stride, padding=padding, dilation=dilation, output_padding=extra
    )
    sizes = [stride * (m - 1) - 2 * padding + dilation * (k - 1) + extra + 1 for m, k in zip((5, 4), (3, 2))]
    assert a_back.shape == (2, *sizes, 6)
    a = normal(*a_back.shape)
    forward = convolve(a, K, stride=stride, padding=padding, dilation=dilation)
    np.testing.assert_allclose(jnp.vdot(forward, y), jnp.vdot(a, a_back), rtol=1e-4)


def test_transposed_is_the_librarys_own():
    y, K = normal(2, 5, 4, 3), normal(2, 2, 6, 3)
    want = lax.conv_transpose(
        y, K, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"), transpose_kernel=True
    )
    np.testing.assert_allclose(transposed_convolve(y, K, stride=2), want, rtol=1e-4, atol=1e-5)
    check_grads(
        jax.jit(lambda y, K: transposed_convolve(y, K, stride=2)), (y, K), 1, modes=["rev"], rtol=1e-2
    )


def test_depthwise_is_one_convolution_per_channel():
    x, K = normal(2, 6, 5, 3), normal(3, 2, 3, 4)
    got = depthwise(x, K)
    for c in range(3):
        alone = convolve(x[..., c : c + 1], K[..., c : c + 1, :])
        np.testing.assert_allclose(got[..., 4 * c : 4 * c + 4], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sizes", [(7,), (5, 6), (4, 3, 5)])
def test_locally_connected_with_one_kernel_everywhere_is_a_convolution(sizes):
    window = (2, 3, 2)[: len(sizes)]
    params = init_locally_connected(jax.random.key(0), sizes, window, 2, 3)
    x = normal(2, *sizes, 2)
    one = params.K[(0,) * len(sizes)]
    same = params._replace(K=jnp.broadcast_to(one, params.K.shape))
    np.testing.assert_allclose(
        locally_connected(same, x), convolve(x, one, padding="VALID"), rtol=1e-4, atol=1e-5
    )


def test_locally_connected_is_the_librarys_own():
    params = init_locally_connected(jax.random.key(1), (5, 6), (2, 3), 2, 3)
    assert float(jnp.std(params.K)) == pytest.approx(np.sqrt(2 / 12), rel=0.1)  # the fan-in of one place
    params = params._replace(b=normal(*params.b.shape))
    x = normal(2, 5, 6, 2)
    # conv_general_dilated_local lays the patches out channel by channel.
    rhs = params.K.transpose(0, 1, 4, 2, 3, 5).reshape(4, 4, 12, 3)
    want = lax.conv_general_dilated_local(
        x, rhs, (1, 1), "VALID", (2, 3), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(locally_connected(params, x), want + params.b[None], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: transposed_convolve(normal(1, 3, 3, 2), normal(2, 2, 3, 4)), "kernel: got shape"),
        (lambda: transposed_convolve(normal(1, 3, 2), normal(2, 3, 2), output_padding=1), "output_padding"),
        (lambda: depthwise(normal(1, 4, 3), normal(2, 2, 1)), "x has 3 channels"),
        (
            lambda: locally_connected(
                init_locally_connected(jax.random.key(0), (5,), (2,), 1, 1), normal(1, 6, 1)
            ),
            "x: got shape",
        ),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
