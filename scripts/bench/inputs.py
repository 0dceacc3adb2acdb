"""Data and initial weights of a case. Numpy only.

Every variant gets the arrays made here, so that all train the same network from the same weights
on the same data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scripts.bench.kinds import CHECK_STEPS, ENCODER_DECODERS, GATES, STAGES, TREES, Case, Stages
from scripts.bench.trees import count, forest

Weights = list[tuple[np.ndarray, np.ndarray]]
"""``(W, b)`` of each layer: dense W is (in, out), convolution W is (height, width, in, out)."""


class Data(NamedTuple):
    """What a variant trains on.

    Attributes:
      x: ``(examples, ...)`` float32, images are NHWC; ``examples`` is a multiple of the batch.
      y: ``(examples,)`` int32 labels.
      check_x, check_y: the fixed first batches, ``(CHECK_STEPS, batch, ...)``, and with members
        ``(CHECK_STEPS, members, batch, ...)``; none without training.
      sizes: ``(examples, axes)`` int32: each example lies at the beginning of its row of ``x``, and is as
        large as this; no rows where every example fills its own.
    """

    x: np.ndarray
    y: np.ndarray
    check_x: np.ndarray
    check_y: np.ndarray
    sizes: np.ndarray = np.zeros((0, 0), np.int32)

    @property
    def batches(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The fixed first batches, one pair a step."""
        return list(zip(self.check_x, self.check_y))


def layer_shapes(case: Case) -> list[tuple[int, ...]]:
    """The shape of each layer's W."""
    if case.kind == "mlp":
        return list(zip(case.sizes[:-1], case.sizes[1:]))
    if case.kind in STAGES:
        return _stage_shapes(case, STAGES[case.kind])
    if case.kind in GATES:
        _, features, hidden, classes = case.sizes
        gates = GATES[case.kind] * hidden
        return [(features, gates), (hidden, gates), (hidden, classes)]
    if case.kind in (*ENCODER_DECODERS, *TREES):
        return list(_named_shapes(case).values())
    height, width, channels, first, second, dense, classes = case.sizes
    flat = (height // 4) * (width // 4) * second
    return [(3, 3, channels, first), (3, 3, first, second), (flat, dense), (dense, classes)]


def _named_shapes(case: Case) -> dict[str, tuple[int, int]]:
    """The matrices of a tree net, see `TREES`, or of an encoder-decoder by name.

    These are the names of `dlnotes.models.recurrent.encoder_decoder`, vectors as rows; a GRU has ``U`` with its ``b``
    and ``W`` with its ``d``, see `GATES`.
    """
    if case.kind in TREES:
        symbols, hidden, classes = case.sizes[:3]
        return {
            "E": (symbols, hidden),
            "U": (hidden, 3 * hidden),
            "W": (2 * hidden, 5 * hidden),
            "V": (hidden, classes),
        }
    _, _, vocabulary, outputs, embedding, hidden = case.sizes
    return {
        "E": (vocabulary, embedding),
        "encoder.U": (embedding, 3 * hidden),
        "encoder.W": (hidden, 3 * hidden),
        "W_0": (hidden, hidden),
        "F": (outputs + 1, embedding),
        "decoder.U": (embedding + hidden, 3 * hidden),
        "decoder.W": (hidden, 3 * hidden),
        "W_q": (hidden, hidden),
        "W_k": (hidden, hidden),
        "v": (hidden, 1),
        "V": (2 * hidden, outputs),
    }


_BIASES = {
    "encoder.U": "encoder.b",
    "encoder.W": "encoder.d",
    "W_0": "b_0",
    "decoder.U": "decoder.b",
    "decoder.W": "decoder.d",
    "W": "b",
    "V": "c",
}


def named_weights(case: Case, weights: Weights) -> dict[str, np.ndarray]:
    """The weights of a tree net or an encoder-decoder by name; matrices without a bias leave theirs out."""
    named = {}
    for name, (W, b) in zip(_named_shapes(case), weights, strict=True):
        named[name] = W
        if name in _BIASES:
            named[_BIASES[name]] = b
    return named


def input_shape(case: Case) -> tuple[int, ...]:
    """The shape of an example."""
    rank = {"mlp": 0, "cnn": 2, **dict.fromkeys(GATES, 1)}.get(case.kind)
    return case.sizes[: 1 + (STAGES[case.kind].rank if rank is None else rank)]


def _stage_shapes(case: Case, how: Stages) -> list[tuple[int, ...]]:
    """Of each stage its convolutions, the shortcut last, then the dense layer."""
    *channels, classes = case.sizes[how.rank :]
    window, shapes = (how.kernel,) * how.rank, []
    for before, after, stride in zip(channels, channels[1:], how.strides):
        shapes.append((*window, before, after))
        if how.residual:
            shapes.append((*window, after, after))
            if stride > 1 or before != after:
                shapes.append((*(1,) * how.rank, before, after))
    return [*shapes, (channels[-1] * how.grid**how.rank, classes)]


def make_weights(case: Case, seed: int = 0) -> Weights:
    """Normal W with variance 2 / fan-in and normal b of deviation 0.1, stacked over members.

    In a recurrent or recursive net the variance is 0.5 / fan-in, or the rounding of 512 steps would grow
    along them.
    """
    rng = np.random.default_rng([seed, 1])
    lead = (case.members,) if case.members else ()
    gain = 0.5 if case.kind in (*GATES, *ENCODER_DECODERS, *TREES) else 2
    weights = []
    for shape in layer_shapes(case):
        fan_in = int(np.prod(shape[:-1]))
        W = rng.normal(0, np.sqrt(gain / fan_in), lead + shape).astype(np.float32)
        biases = 4 * case.sizes[1] if case.kind in TREES and shape[-1] == 5 * case.sizes[1] else shape[-1]
        b = rng.normal(0, 0.1, (*lead, biases)).astype(np.float32)
        weights.append((W, b))
    return weights


def _examples(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    if case.name == "xor":
        x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
        return x, np.array([0, 1, 1, 0], np.int32)
    if case.kind == "mlp" and case.sizes[0] == 64:
        from sklearn.datasets import load_digits

        digits: Any = load_digits()
        pixels, labels = digits["data"], digits["target"]
        return (pixels[: case.examples] / 16).astype(np.float32), labels[: case.examples].astype(np.int32)
    if case.kind in ENCODER_DECODERS:
        steps, _, vocabulary, outputs = case.sizes[:4]
        source = rng.integers(0, vocabulary, (case.examples, steps), np.int32)
        target = rng.integers(0, outputs, vocabulary, np.int32)[source[:, ::-1]]
        return np.concatenate([source, target], 1), target
    x = rng.random((case.examples, *input_shape(case)), np.float32)
    flat = x.reshape(case.examples, -1)
    teacher = rng.normal(size=(flat.shape[1], case.sizes[-1])).astype(np.float32)
    scores = flat @ teacher
    return x, (scores - scores.mean(0)).argmax(1).astype(np.int32)


def make_data(case: Case, seed: int = 0) -> Data:
    """The data set and the fixed first batches of a case."""
    rng = np.random.default_rng([seed, 2])
    if case.kind == "any_size":
        return _of_many_sizes(case, rng)
    if case.kind in TREES:
        return _of_trees(case, rng)
    x, y = _examples(case, rng)
    if not case.trains:
        return Data(x, y, x[:0], y[:0])
    if case.batch == case.examples:
        index = np.tile(np.arange(case.batch), (CHECK_STEPS, 1))
    else:
        lead = (CHECK_STEPS, case.members) if case.members else (CHECK_STEPS,)
        index = rng.integers(0, case.examples, (*lead, case.batch))
    return Data(x, y, x[index], y[index])


def _of_many_sizes(case: Case, rng: np.random.Generator) -> Data:
    """Square images (cubes, …), their sides uniform from a quarter of the largest to the largest."""
    largest = input_shape(case)[0]
    sides = rng.integers(largest // 4, largest + 1, case.examples, np.int32)
    x = np.zeros((case.examples, *input_shape(case)), np.float32)
    sizes = np.repeat(sides[:, None], len(input_shape(case)) - 1, axis=1)
    for row, size in zip(x, sizes):
        box = tuple(slice(m) for m in size)
        row[box] = rng.random(row[box].shape, np.float32)
    y = np.zeros(case.examples, np.int32)
    return Data(x, y, x[:0], y[:0], sizes)


def _of_trees(case: Case, rng: np.random.Generator) -> Data:
    """Trees with a random class each; the first batches are those of the data, in its order."""
    x = forest(case, rng)
    y = rng.integers(0, case.sizes[2], case.examples, np.int32)
    index = np.arange(CHECK_STEPS * case.batch).reshape(CHECK_STEPS, -1) % case.examples
    return Data(x, y, x[index], y[index], count(x).astype(np.int32)[:, None])


def per_unit(case: Case, data: Data) -> float:
    """How many examples make one unit of the case's rate."""
    return 1 / float(data.sizes.mean()) if case.kind in TREES else case.per_unit


def probabilities(logits: Any) -> list[list[float]]:
    """The softmax of each row."""
    z = np.asarray(logits, np.float64)
    e = np.exp(z - z.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True)).tolist()


def save_inputs(path: Path, weights: Weights, data: Data) -> None:
    """Write what every variant starts from."""
    arrays = {f"W{i}": W for i, (W, _) in enumerate(weights)}
    arrays |= {f"b{i}": b for i, (_, b) in enumerate(weights)}
    np.savez(path, allow_pickle=False, **arrays, **data._asdict())


def load_inputs(path: Path) -> tuple[Weights, Data]:
    """Read what `save_inputs` wrote."""
    with np.load(path) as file:
        n = sum(name.startswith("W") for name in file.files)
        weights = [(file[f"W{i}"], file[f"b{i}"]) for i in range(n)]
        return weights, Data(*(file[name] for name in Data._fields))
