"""Layers in whole numbers: exact products, the bound of their rounding, and what cannot be quantized."""

from fractions import Fraction
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dlnotes.layers import (
    Convolution,
    Dense,
    InputScale,
    calibrated,
    conv,
    multiplier,
    quantize_convolution,
    quantize_dense,
    quantized_conv,
    quantized_dense,
    requantize,
)
from dlnotes.layers.large_scale.quantized import MOST_TERMS, most, scale_of, to_whole

RNG = np.random.default_rng(2)


def dense(inputs=9, outputs=4, dtype=np.float32):
    W, b = RNG.standard_normal((inputs, outputs)), RNG.standard_normal(outputs)
    return Dense(jnp.asarray(W.astype(dtype)), jnp.asarray(b.astype(dtype)))


def in_whole_numbers(x, inputs):
    """numpy: inputs as whole numbers of 64 bits with 0 for 0, and their scale, of each row or known."""
    if inputs is None:
        s = np.abs(x).max(tuple(range(1, x.ndim)), keepdims=True) / np.float32(127)
        return np.clip(np.rint(x / s), -127, 127).astype(np.int64), s
    s, zero = np.asarray(inputs.scale), int(inputs.zero)
    return np.clip(np.rint(x / s) + zero, -128, 127).astype(np.int64) - zero, s


@pytest.mark.parametrize("kind", ["of each example", "both signs", "after a ReLU", "negative"])
@pytest.mark.parametrize("per_output", [True, False])
def test_the_product_is_that_of_whole_numbers(kind, per_output):
    params = dense(300, 5)
    x = RNG.standard_normal((7, 300)).astype(np.float32) * 3
    x = {"after a ReLU": np.maximum(x, 0), "negative": -np.abs(x)}.get(kind, x)
    inputs = None if kind == "of each example" else calibrated(jnp.asarray(x), share=0.99)
    if kind != "of each example":
        assert int(inputs.zero) == {"after a ReLU": -128, "negative": 127}.get(kind, int(inputs.zero))
    q = quantize_dense(params, per_output=per_output, inputs=inputs)
    assert q.q.dtype == jnp.int8
    whole, s = in_whole_numbers(x, inputs)
    total = whole @ np.asarray(q.q, np.int64)
    want = total * s.astype(np.float64) * np.asarray(q.scale) + np.asarray(params.b)
    got = jax.jit(quantized_dense)(q, x)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    assert (np.unique(np.asarray(q.scale)).size == 1) == (not per_output)
    # The whole numbers themselves: with scales of one and no bias nothing is left but the sum.
    ones = q._replace(scale=jnp.ones(5), b=None)
    if inputs is not None:
        ones = ones._replace(inputs=InputScale(jnp.ones(()), inputs.zero))
        np.testing.assert_array_equal(quantized_dense(ones, jnp.asarray(whole, jnp.float32)), total)


NUMBERS = st.floats(-9, 9, width=32)


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, (5, 3), elements=st.floats(-4, 4, width=32)),
    arrays(np.float32, (2, 5), elements=NUMBERS),
    st.integers(2, 8),
    st.booleans(),
)
def test_the_bound_of_the_rounding(W, x, bits, static):
    inputs = calibrated(jnp.asarray(x), share=1.0) if static else None
    q = quantize_dense(Dense(jnp.asarray(W), jnp.zeros(3)), bits=bits, inputs=inputs)
    s_x = np.asarray(inputs.scale if static else scale_of(jnp.asarray(x), axis=-1))
    s_o = np.asarray(q.scale)
    got = np.asarray(quantized_dense(q, jnp.asarray(x)), np.float64)
    # A zero point is rounded too, so the outermost numbers may be cut off by half a step.
    half = 1.0 if static else 0.5
    rounded = np.abs(x).sum(1, keepdims=True) * s_o / 2 + np.abs(W).sum(0) * s_x * half
    bound = rounded + 5 * s_x * s_o * half / 2
    assert (np.abs(got - x.astype(np.float64) @ W) <= bound * (1 + 1e-5) + 1e-6).all()


@settings(max_examples=100, deadline=None)
@given(arrays(np.float32, (40,), elements=NUMBERS), st.sampled_from([0.9, 0.999, 1.0]))
def test_a_calibration_spans_zero_and_the_examples(x, share):
    scale, zero = calibrated(jnp.asarray(x), share=share)
    assert -128 <= int(zero) <= 127
    low, high = (float(scale) * (q - int(zero)) for q in (-128, 127))
    want = np.quantile(x, [1 - share, share])
    step = 1.01 * float(scale) if np.ptp(np.append(x, 0)) > 1e-30 else 1e-30
    assert low <= min(want[0], 0) + step / 2
    assert high >= max(want[1], 0) - step / 2


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_may_be_as_large_as_it_can_be(sign):
    """All 66,311 products are 255 · 127: one more might not fit in 32 bits."""
    assert MOST_TERMS * 255 * 127 < 2**31 <= (MOST_TERMS + 1) * 255 * 127
    x = jnp.ones((1, MOST_TERMS))
    W = jnp.full((MOST_TERMS, 1), float(sign))
    for inputs in (calibrated(x), None):
        layer = quantize_dense(Dense(W, jnp.zeros(1)), inputs=inputs)
        np.testing.assert_allclose(quantized_dense(layer, x), [[sign * MOST_TERMS]], rtol=1e-6)
    with pytest.raises(ValueError, match="66312 inputs of an output, allowed are at most 66311"):
        quantize_dense(Dense(jnp.ones((MOST_TERMS + 1, 1)), jnp.zeros(1)))


@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize(
    ("sizes", "window", "how"),
    [
        ((7, 6), (3, 2), {"padding": "SAME"}),
        ((7, 6), (3, 2), {"padding": "SAME", "stride": 2}),
        ((7, 6), (3, 2), {"padding": "VALID", "stride": (1, 2)}),
        ((7, 6), (3, 3), {"padding": ((2, 0), (1, 3)), "dilation": 2}),
        ((9,), (4,), {"padding": 1, "stride": 2}),
        ((4, 5, 3), (2, 3, 2), {"padding": "SAME", "stride": 2}),
    ],
)
def test_a_convolution_is_that_of_the_whole_numbers(sizes, window, how, static):
    K = RNG.standard_normal((*window, 4, 5)).astype(np.float32)
    params = Convolution(jnp.asarray(K), jnp.asarray(RNG.standard_normal(5).astype(np.float32)))
    x = RNG.standard_normal((3, *sizes, 4)).astype(np.float32) + 0.5
    inputs = calibrated(jnp.asarray(x), share=1.0) if static else None
    q = quantize_convolution(params, inputs=inputs)
    whole, s = in_whole_numbers(x, inputs)
    exact = Convolution(q.q.astype(jnp.float32), jnp.zeros(5))
    total = np.asarray(conv(exact, jnp.asarray(whole, jnp.float32), **how))  # floats, exact below 2^24
    want = total * s * np.asarray(q.scale) + np.asarray(params.b)
    got = quantized_conv(q, x, **how)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    plain = conv(params, jnp.asarray(x), **how)
    assert float(jnp.abs(got - plain).max()) < 0.05 * float(jnp.abs(plain).max())


def test_fewer_bits_round_more():
    params, x = dense(64, 8), jnp.asarray(RNG.standard_normal((50, 64)).astype(np.float32))
    exact = np.asarray(x @ params.W) + np.asarray(params.b)
    errors = [
        float(jnp.abs(quantized_dense(quantize_dense(params, bits=b), x) - exact).mean()) for b in range(2, 9)
    ]
    assert all(a > b for a, b in pairwise(errors))
    assert set(np.unique(quantize_dense(params, bits=2).q)) == {-1, 0, 1}


def test_numbers_without_a_sign_are_twice_as_exact():
    params, x = dense(64, 8), jnp.asarray(RNG.random((200, 64)).astype(np.float32))
    exact = np.asarray(x @ params.W) + np.asarray(params.b)

    def error(inputs):
        rounded = quantized_dense(quantize_dense(params, inputs=inputs), x)
        by_weights = quantized_dense(quantize_dense(params), x) * 0 + dequantized(params, x)
        return float(jnp.sqrt(jnp.mean((rounded - by_weights) ** 2)))

    def dequantized(params, x):
        q = quantize_dense(params)
        return x @ (q.q.astype(jnp.float32) * q.scale[None]) + params.b[None]

    signed = InputScale(jnp.max(x) / 127, jnp.zeros((), jnp.int32))
    assert 1.7 < error(signed) / error(calibrated(x, share=1.0)) < 2.3
    assert exact.shape == (200, 8)


def test_odd_parameters_and_inputs():
    dead = dense()._replace(W=dense().W.at[:, 1].set(0.0))
    q = quantize_dense(dead)
    assert float(q.scale[1]) == 1.0
    np.testing.assert_allclose(quantized_dense(q, jnp.zeros((1, 9))), dead.b[None], rtol=1e-6)
    tiny = dead._replace(W=dead.W.at[:, 2].set(1e-44))  # so small that nothing can be divided by it
    assert bool(jnp.isfinite(quantized_dense(quantize_dense(tiny), jnp.ones((1, 9)))).all())
    half = dense(dtype=jnp.bfloat16)
    assert quantized_dense(quantize_dense(half), jnp.ones((1, 9), jnp.bfloat16)).dtype == jnp.float32
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="a weight that is not finite"):
            quantize_dense(dead._replace(W=dead.W.at[2, 0].set(bad)))
    assert bool(jnp.isnan(quantized_dense(q, jnp.full((1, 9), jnp.nan))).all())
    for bits in (1, 9):
        with pytest.raises(ValueError, match=f"bits: got {bits}, allowed are 2 to 8"):
            quantize_dense(dead, bits=bits)
    with pytest.raises(ValueError, match="x: got 3 features"):
        quantized_dense(q, jnp.ones((1, 3)))
    with pytest.raises(ValueError, match="share: got 0"):
        calibrated(np.ones(3), share=0)
    with pytest.raises(ValueError, match="x: got no numbers"):
        calibrated(np.ones(0))
    assert float(calibrated(np.zeros(3)).scale) == 1.0
    image = quantize_convolution(Convolution(jnp.ones((3, 3, 2, 4)), jnp.zeros(4)))
    with pytest.raises(ValueError, match="x: got shape"):
        quantized_conv(image, jnp.ones((5, 5, 2)))
    with pytest.raises(ValueError, match="larger than the padded input"):
        quantized_conv(image, jnp.ones((1, 2, 5, 2)), padding="VALID")


@settings(max_examples=300, deadline=None)
@given(st.integers(-(2**31), 2**31 - 1), st.one_of(st.floats(1e-9, 0.999999), st.floats(1e-300, 1e-9)))
def test_requantized_by_whole_numbers_alone(total, factor):
    m = multiplier(factor)
    exact = Fraction(int(m.M0)) / 2 ** int(m.n)
    if factor >= 2.0**-31:
        assert 2**30 <= int(m.M0) < 2**31
        assert abs(exact - Fraction(factor)) <= Fraction(factor) / 2**31
    else:
        assert abs(exact - Fraction(factor)) * 2**31 <= Fraction(1, 2)
    got = requantize(np.array([total], np.int32), m)
    assert got[0] == max(-127, min(127, round(total * exact)))  # Python's round: half to even, exactly


def test_a_half_goes_to_the_even_number():
    halves = requantize(np.arange(-6, 7), multiplier(0.5))
    assert halves.tolist() == [-3, -2, -2, -2, -1, 0, 0, 0, 1, 2, 2, 2, 3]
    of_each = requantize(np.array([[3, 3], [-1000, 90]]), multiplier([0.5, 0.25]))
    assert of_each.tolist() == [[2, 1], [-127, 22]]


def test_a_factor_must_be_below_one():
    for factor in (0.0, 1.0, -0.5):
        with pytest.raises(ValueError, match="factor: got"):
            multiplier(factor)
    assert most(8) == 127
    assert to_whole(jnp.array([0.5, 1.5, -900.0]), jnp.array(1.0)).tolist() == [0, 2, -127]
