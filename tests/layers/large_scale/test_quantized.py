"""Layers in whole numbers: exact products, the bound of their rounding, and what cannot be quantized."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dlnotes.layers import Convolution, Dense, conv
from dlnotes.layers.large_scale.quantized import (
    MOST_TERMS,
    calibrated_scale,
    most,
    multiplier,
    quantize_convolution,
    quantize_dense,
    quantized_conv,
    quantized_dense,
    requantize,
    scale_of,
    to_whole,
)

RNG = np.random.default_rng(2)


def dense(inputs=9, outputs=4, dtype=np.float32):
    W, b = RNG.standard_normal((inputs, outputs)), RNG.standard_normal(outputs)
    return Dense(jnp.asarray(W.astype(dtype)), jnp.asarray(b.astype(dtype)))


@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize("per_output", [True, False])
def test_the_product_is_that_of_whole_numbers(static, per_output):
    params = dense(300, 5)
    x = RNG.standard_normal((7, 300)).astype(np.float32) * 3
    scale = calibrated_scale(x, share=0.99) if static else None
    q = quantize_dense(params, per_output=per_output, input_scale=scale)
    assert q.q.dtype == jnp.int8
    s = np.full((7, 1), scale) if static else np.abs(x).max(1, keepdims=True) / np.float32(127)
    whole = np.clip(np.rint(x / s), -127, 127).astype(np.int64)
    total = whole @ np.asarray(q.q, np.int64)
    want = total * s * np.asarray(q.scale) + np.asarray(params.b)
    np.testing.assert_allclose(jax.jit(quantized_dense)(q, x), want, rtol=1e-5, atol=1e-5)
    assert (np.unique(np.asarray(q.scale)).size == 1) == (not per_output)


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, (5, 3), elements=st.floats(-4, 4, width=32)),
    arrays(np.float32, (2, 5), elements=st.floats(-9, 9, width=32)),
    st.integers(2, 8),
)
def test_the_bound_of_the_rounding(W, x, bits):
    q = quantize_dense(Dense(jnp.asarray(W), jnp.zeros(3)), bits=bits)
    s_x, s_o = np.asarray(scale_of(jnp.asarray(x), axis=-1)), np.asarray(q.scale)
    got = np.asarray(quantized_dense(q, jnp.asarray(x)), np.float64)
    bound = (np.abs(x).sum(1, keepdims=True) * s_o + np.abs(W).sum(0) * s_x) / 2 + 5 * s_x * s_o / 4
    assert (np.abs(got - x.astype(np.float64) @ W) <= bound * (1 + 1e-5) + 1e-6).all()


def test_a_sum_may_be_as_large_as_it_can_be():
    q = quantize_dense(Dense(jnp.ones((MOST_TERMS, 1)), jnp.zeros(1)))
    x = jnp.ones((1, MOST_TERMS))
    np.testing.assert_allclose(quantized_dense(q, x), [[MOST_TERMS]], rtol=1e-6)
    with pytest.raises(ValueError, match="133145 inputs of an output, allowed are at most 133144"):
        quantize_dense(Dense(jnp.ones((MOST_TERMS + 1, 1)), jnp.zeros(1)))


@pytest.mark.parametrize(("padding", "stride"), [("SAME", 1), ("SAME", 2), ("VALID", 1), ("VALID", 2)])
@pytest.mark.parametrize("static", [True, False])
def test_a_convolution_is_that_of_the_whole_numbers(padding, stride, static):
    K = RNG.standard_normal((3, 2, 4, 5)).astype(np.float32)
    params = Convolution(jnp.asarray(K), jnp.asarray(RNG.standard_normal(5).astype(np.float32)))
    x = jnp.asarray(RNG.standard_normal((3, 7, 6, 4)).astype(np.float32))
    scale = calibrated_scale(x, share=1.0) if static else None
    q = quantize_convolution(params, input_scale=scale)
    s = jnp.full((3, 1, 1, 1), scale) if static else scale_of(x, axis=(1, 2, 3))
    whole = to_whole(x, s).astype(jnp.float32)
    total = conv(Convolution(q.q.astype(jnp.float32), jnp.zeros(5)), whole, padding=padding, stride=stride)
    want = np.asarray(total) * np.asarray(s) * np.asarray(q.scale) + np.asarray(params.b)  # sums are exact
    got = quantized_conv(q, x, padding=padding, stride=stride)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    plain = conv(params, x, padding=padding, stride=stride)
    assert float(jnp.abs(got - plain).max()) < 0.05 * float(jnp.abs(plain).max())


def test_fewer_bits_round_more():
    params, x = dense(64, 8), jnp.asarray(RNG.standard_normal((50, 64)).astype(np.float32))
    exact = np.asarray(x @ params.W) + np.asarray(params.b)
    errors = [
        float(jnp.abs(quantized_dense(quantize_dense(params, bits=b), x) - exact).mean()) for b in range(2, 9)
    ]
    assert all(a > b for a, b in pairwise(errors))
    assert set(np.unique(quantize_dense(params, bits=2).q)) == {-1, 0, 1}


def test_odd_parameters_and_inputs():
    dead = dense()._replace(W=dense().W.at[:, 1].set(0.0))
    q = quantize_dense(dead)
    assert float(q.scale[1]) == 1.0
    np.testing.assert_allclose(quantized_dense(q, jnp.zeros((1, 9))), dead.b[None], rtol=1e-6)
    half = dense(dtype=jnp.bfloat16)
    assert quantized_dense(quantize_dense(half), jnp.ones((1, 9), jnp.bfloat16)).dtype == jnp.float32
    with pytest.raises(ValueError, match="a weight that is not finite"):
        quantize_dense(dead._replace(W=dead.W.at[0, 0].set(jnp.nan)))
    for bits in (1, 9):
        with pytest.raises(ValueError, match=f"bits: got {bits}, allowed are 2 to 8"):
            quantize_dense(dead, bits=bits)
    with pytest.raises(ValueError, match="x: got 3 features"):
        quantized_dense(q, jnp.ones((1, 3)))
    with pytest.raises(ValueError, match="share: got 0"):
        calibrated_scale(np.ones(3), share=0)
    with pytest.raises(ValueError, match="x: got no numbers"):
        calibrated_scale(np.ones(0))
    assert float(calibrated_scale(np.zeros(3))) == 1.0


@settings(max_examples=200, deadline=None)
@given(st.integers(-(2**31), 2**31 - 1), st.floats(1e-9, 0.999999))
def test_requantized_by_whole_numbers_alone(total, factor):
    m = multiplier(factor)
    assert 2**30 <= int(m.M0) < 2**31
    exact = float(m.M0) * 2.0 ** -int(m.n)
    assert abs(exact - factor) <= factor * 2.0**-31
    got = requantize(np.array([total], np.int32), m)
    from fractions import Fraction

    value = Fraction(total) * int(m.M0) / 2 ** int(m.n)
    assert got[0] == max(-127, min(127, round(value)))  # Python's round: half to even, exactly


def test_a_factor_must_be_below_one():
    for factor in (0.0, 1.0, -0.5):
        with pytest.raises(ValueError, match="factor: got"):
            multiplier(factor)
    assert most(8) == 127
