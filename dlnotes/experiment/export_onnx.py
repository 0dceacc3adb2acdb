"""A trained member as a file of ONNX, which many runtimes read; in whole numbers too."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from dlnotes.config import ConfigError
from dlnotes.data.dataset import Examples
from dlnotes.data.scaling import raw_inputs
from dlnotes.experiment.export_int8 import Cost, calibration_examples, cost_of
from dlnotes.experiment.result import Trained
from dlnotes.jax_internals import for_other_platforms
from dlnotes.training.state import Member

PACKAGES = ("jax2onnx", "onnxruntime")
"""What converts, and what runs and quantizes the converted file; the extra "onnx"."""

ROWS = 256
"""Examples that are predicted at once."""


def require_onnx(trained: Trained) -> None:
    """Refuse what is not converted, before anything is computed.

    Raises:
      ConfigError: without the extra, and for inputs that are not one array of floats of one size.
    """
    name, dataset = str(trained.folder.path), trained.dataset
    if missing := [package for package in PACKAGES if find_spec(package) is None]:
        told = f"onnx: needs {' and '.join(missing)}: python -m pip install 'dlnotes[onnx]'"
        raise ConfigError(name, [told])
    if dataset.input not in ("vector", "image", "volume") or dataset.train.mask is not None:
        raise ConfigError(
            name,
            [
                f"onnx: got {trained.config.model.kind} on {dataset.name}, allowed are networks of vectors, "
                "images and volumes of one size"
            ],
        )


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what the converter says of parts of its own that are not used, and the quantizer of advice."""
    import onnxruntime  # pyright: ignore[reportMissingImports]

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    onnxruntime.set_default_logger_severity(3)  # errors only
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        onnxruntime.set_default_logger_severity(2)


def to_onnx(
    function: Callable[..., Any], arguments: Mapping[str, Any], trained: Trained
) -> tuple[bytes, Callable[..., np.ndarray]]:
    """The content of a file, and the program as onnxruntime runs it.

    Args:
      function: of raw arrays.
      arguments: their shapes by name, sizes that are free in letters.
      trained: the run, for messages.

    Raises:
      ConfigError: where the converter knows an operation not.
    """
    import jax2onnx  # pyright: ignore[reportMissingImports]

    shapes = [tuple(n if isinstance(n, int) else str(n) for n in a.shape) for a in arguments.values()]
    try:
        with _quietly():
            made: Any = jax2onnx.to_onnx(
                for_other_platforms(function),
                shapes,
                model_name=trained.config.name,
                input_names=list(arguments),
                output_names=["output"],
            )
    except (NotImplementedError, ValueError, TypeError, KeyError) as error:
        told = f"onnx: jax2onnx does not convert {trained.config.model.kind}: {error}"
        raise ConfigError(str(trained.folder.path), [told]) from None
    content = made.SerializeToString()
    return content, running(content)


def running(content: bytes) -> Callable[..., np.ndarray]:
    """The program of a file, run by onnxruntime on the CPU."""
    import onnxruntime  # pyright: ignore[reportMissingImports]

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]

    def call(*arrays: Any) -> np.ndarray:
        given = {name: np.asarray(a, np.float32) for name, a in zip(names, arrays)}
        return np.asarray(session.run(None, given)[0])

    return call


def to_int8(content: bytes, trained: Trained, one: Member) -> tuple[bytes, Callable[..., np.ndarray], Cost]:
    """A converted network in whole numbers, by onnxruntime's own quantizer.

    Weights have a scale for each output, activations 8 bits without a sign, scales of theirs from some
    training examples.

    Args:
      content: of the file in float.
      trained: the run.
      one: the member, with its axis.

    Raises:
      ConfigError: when the training data are gone: scales cannot be found.
    """
    import onnx  # pyright: ignore[reportMissingImports]
    from onnxruntime import quantization  # pyright: ignore[reportMissingImports]
    from onnxruntime.quantization.shape_inference import quant_pre_process  # pyright: ignore[reportMissingImports]

    if trained.dataset.missing:
        told = f"onnx: in whole numbers needs training examples, {trained.dataset.missing}"
        raise ConfigError(str(trained.folder.path), [told])
    proto = onnx.load_from_string(content)
    _leave_out_no_biases(proto)
    name = proto.graph.input[0].name

    class Reader(quantization.CalibrationDataReader):
        """Some training examples, some rows at a time."""

        def __init__(self) -> None:
            x = raw_inputs(calibration_examples(trained.dataset).x, trained.dataset)
            self.parts: Iterator[np.ndarray] = iter(np.array_split(x, -(-len(x) // ROWS)))

        def get_next(self) -> dict[str, np.ndarray] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
            part = next(self.parts, None)
            return None if part is None else {name: np.asarray(part, np.float32)}

    with tempfile.TemporaryDirectory() as folder, _quietly():
        given, plain, path = (Path(folder) / f"{name}.onnx" for name in ("given", "plain", "int8"))
        given.write_bytes(proto.SerializeToString())
        # What depends on weights alone, such as a kernel with its axes exchanged, is computed now.
        quant_pre_process(given, plain, skip_symbolic_shape=True)
        quantization.quantize_static(
            plain,
            path,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Gemm", "MatMul"],
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        small = path.read_bytes()
    call = running(small)
    cost = cost_of(trained, one, (len(content), len(small)), lambda some: _outputs(call, trained, some))
    return small, call, cost


def _leave_out_no_biases(proto: Any) -> None:
    """Products without a bias have the number 0 for one once converted, which the quantizer does not know."""
    from onnx import numpy_helper  # pyright: ignore[reportMissingImports]

    zeros = {a.name for a in proto.graph.initializer if not a.dims and not numpy_helper.to_array(a).any()}
    for node in proto.graph.node:
        if node.op_type == "Gemm" and len(node.input) == 3 and node.input[2] in zeros:
            del node.input[2]


def _outputs(call: Callable[..., np.ndarray], trained: Trained, examples: Examples) -> np.ndarray:
    """Outputs as the network gives them, of a program that gives probabilities or numbers in own units."""
    found = []
    for start in range(0, examples.size, ROWS):
        x = np.asarray(examples.x[start : start + ROWS])
        found.append(call(raw_inputs(x, trained.dataset)))
    answer = np.concatenate(found)
    if trained.dataset.task != "regression":
        return np.log(np.maximum(answer, np.float32(1e-30)))
    scale = trained.dataset.standardize_y
    return answer if scale is None else np.asarray(scale(answer), np.float32)
