"""Layers in whole numbers against the operators of onnxruntime."""

import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes.layers import (
    Convolution,
    Dense,
    InputScale,
    calibrated,
    multiplier,
    quantize_convolution,
    quantize_dense,
    quantized_conv,
    quantized_dense,
    requantize,
)

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'dlnotes[test]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

RNG = np.random.default_rng(5)


def run(operator, arguments, out, **options):
    """What an operator of onnxruntime gives for arrays."""
    kinds = {np.dtype(t): k for t, k in ((np.int8, 3), (np.uint8, 2), (np.int32, 6), (np.float32, 1))}
    value = onnx.helper.make_tensor_value_info
    inputs = {f"a{i}": np.asarray(a) for i, a in enumerate(arguments)}
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(operator, list(inputs), ["y"], **options)],
        operator,
        [value(name, kinds[a.dtype], a.shape) for name, a in inputs.items()],
        [value("y", kinds[np.dtype(out)], None)],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def ones(layer, inputs):
    """A layer without scales and bias: its output is the sum of whole numbers."""
    layer = layer._replace(scale=jnp.ones_like(layer.scale), b=None)
    return layer._replace(inputs=InputScale(jnp.ones(()), inputs.zero))


def unsigned(whole, zero):
    """What is −128 … 127 here as 0 … 255: the processors' instructions take inputs without a sign."""
    return (whole + 128).astype(np.uint8), np.uint8(zero + 128)


@pytest.mark.parametrize("relu", [True, False])
def test_matmul_integer(relu):
    x = RNG.standard_normal((6, 200)).astype(np.float32)
    x = np.maximum(x, 0) if relu else x
    inputs = calibrated(x)
    layer = quantize_dense(Dense(jnp.asarray(RNG.standard_normal((200, 9)), jnp.float32), jnp.zeros(9)))
    zero = int(inputs.zero)
    whole = np.clip(np.rint(x / np.asarray(inputs.scale)) + zero, -128, 127).astype(int)
    given = unsigned(whole, zero)
    want = run("MatMulInteger", [given[0], np.asarray(layer.q), given[1], np.int8(0)], np.int32)
    got = quantized_dense(ones(layer, inputs), jnp.asarray(whole - zero, jnp.float32))
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("stride", [1, 2])
def test_conv_integer(stride):
    x = RNG.standard_normal((2, 7, 6, 3)).astype(np.float32)
    inputs = calibrated(x)
    K = jnp.asarray(RNG.standard_normal((3, 3, 3, 4)), jnp.float32)
    layer, zero = quantize_convolution(Convolution(K, jnp.zeros(4))), int(inputs.zero)
    whole = np.clip(np.rint(x / np.asarray(inputs.scale)) + zero, -128, 127).astype(int)
    given = unsigned(whole, zero)
    want = run(
        "ConvInteger",
        [given[0].transpose(0, 3, 1, 2), np.asarray(layer.q).transpose(3, 2, 0, 1), given[1], np.int8(0)],
        np.int32,
        pads=[1, 1, 1, 1],
        strides=[stride, stride],
    )
    x = jnp.asarray(whole - zero, jnp.float32)
    got = quantized_conv(ones(layer, inputs), x, padding=1, stride=stride)
    np.testing.assert_array_equal(got, want.transpose(0, 2, 3, 1))


def test_qlinear_matmul_requantizes():
    a = RNG.integers(-127, 128, (20, 64)).astype(np.int8)
    b = RNG.integers(-127, 128, (64, 15)).astype(np.int8)
    scales = np.array([0.02, 0.01, 0.31], np.float32)
    zero = np.int8(0)
    want = run("QLinearMatMul", [a, scales[0], zero, b, scales[1], zero, scales[2], zero], np.int8)
    factor = float(scales[0].astype(np.float64) * scales[1] / scales[2])
    total = a.astype(np.int32) @ b.astype(np.int32)
    exact = total * factor
    clear = (np.abs(exact - np.floor(exact) - 0.5) > 1e-4) & (np.abs(exact) < 127)
    assert clear.mean() > 0.8
    np.testing.assert_array_equal(requantize(total, multiplier(factor))[clear], want[clear])
