"""How fast a perceptron is in whole numbers and in floating point, by two implementations of each."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import models

IMPLEMENTATIONS = ("onnxruntime", "XLA")
KINDS = ("float32", "int8")
BATCHES = (1, 16, 256)
SPENT = 0.004
"""Seconds that one timing takes about."""


def installed() -> bool:
    """Whether the implementation by hand is there."""
    return all(find_spec(package) is not None for package in ("onnx", "onnxruntime"))


Network = Callable[[np.ndarray], Any]


def compiled(params: models.MLP, model: models.Model, x: np.ndarray) -> dict[str, Network]:
    """The perceptron as the compiler writes it, with each kind of numbers."""
    small, whole = models.quantized(model, params, jnp.asarray(x))
    made = {"float32": (model, jax.device_put(params)), "int8": (small, whole)}

    def network(of: models.Model, params: Any) -> Network:
        program = jax.jit(lambda params, x: of.apply(params, x))
        return lambda x: jax.block_until_ready(program(params, x))

    return {kind: network(*one) for kind, one in made.items()}


def by_hand(params: models.MLP, x: np.ndarray) -> dict[str, Network]:
    """The perceptron by onnxruntime, whose routines are written for each family of processors; on one core.

    Its own quantizer makes it whole numbers from end to end: 8 bits between the layers too.
    """
    import onnxruntime  # pyright: ignore[reportMissingImports]
    from onnx import TensorProto, helper, numpy_helper  # pyright: ignore[reportMissingImports]
    from onnxruntime import quantization  # pyright: ignore[reportMissingImports]

    nodes, weights, before = [], [], "x"
    layers = [*params.hidden, params.output]
    for i, layer in enumerate(layers):
        last = i == len(layers) - 1
        for name, value in ((f"W{i}", layer.W), (f"b{i}", layer.b)):
            weights.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        out = "y" if last else f"z{i}"
        nodes.append(helper.make_node("Gemm", [before, f"W{i}", f"b{i}"], [out], name=f"layer{i}"))
        if not last:
            nodes.append(helper.make_node("Relu", [out], [f"h{i}"], name=f"relu{i}"))
            before = f"h{i}"
    sizes = {"x": np.asarray(layers[0].W).shape[0], "y": np.asarray(layers[-1].W).shape[1]}
    inputs, outputs = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", sizes[name]])] for name in "xy"
    )
    graph = helper.make_graph(nodes, "perceptron", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    wide = model.SerializeToString()  # before the quantizer, which changes what it is given

    class Once(quantization.CalibrationDataReader):
        """All examples at once."""

        left = [{"x": np.asarray(x, np.float32)}]  # noqa: RUF012

        def get_next(self) -> Any:
            return self.left.pop() if self.left else None

    with TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)  # advice for larger graphs
        quantization.quantize_static(
            model,
            path,
            Once(),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        logging.disable(before)
        contents = {"float32": wide, "int8": path.read_bytes()}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3

    def network(content: bytes) -> Network:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return lambda x: session.run(None, {"x": x})[0]

    return {kind: network(content) for kind, content in contents.items()}


def times(networks: dict[tuple[str, str], Network], x: np.ndarray, rounds: int) -> np.ndarray:
    """Seconds of a forward pass, ``(implementations, kinds, batches, rounds)``; 1 where there is none.

    In each round every network has its turn, beginning with another one, so that what else the machine does
    falls on all of them alike.
    """
    found = np.ones((len(IMPLEMENTATIONS), len(KINDS), len(BATCHES), rounds))
    for j, size in enumerate(BATCHES):
        some = np.ascontiguousarray(x[:size], np.float32)
        repeated = {}
        for which, network in networks.items():
            network(some)  # compiles
            start = time.perf_counter()
            for _ in range(3):
                network(some)
            repeated[which] = max(1, round(SPENT * 3 / (time.perf_counter() - start)))
        turns = list(networks.items())
        for k in range(rounds):
            at = k % len(turns)
            for which, network in turns[at:] + turns[:at]:
                start = time.perf_counter()
                for _ in range(repeated[which]):
                    network(some)
                place = IMPLEMENTATIONS.index(which[0]), KINDS.index(which[1]), j, k
                found[place] = (time.perf_counter() - start) / repeated[which]
    return found
