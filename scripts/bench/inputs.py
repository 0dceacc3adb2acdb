"""Data and initial weights of a case. Numpy only.

Every variant gets the arrays made here, so that all train the same network from the same weights
on the same data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from scripts.bench.interface import Data, Weights
from scripts.bench.networks import Cnn, Mlp, Network, Recurrent, Seq2Seq, Staged, TreeLstm
from scripts.bench.spec import CHECK_STEPS, Case
from scripts.bench.trees import count, forest


def named_weights(network: Network, weights: Weights) -> dict[str, np.ndarray]:
    """The weights by the names that the network's layers give them; what has no name is left out."""
    named = {}
    for layer, (W, b) in zip(network.layers, weights, strict=True):
        named |= {name: a for name, a in ((layer.matrix, W), (layer.bias, b)) if name}
    return named


def make_weights(case: Case, seed: int = 0) -> Weights:
    """Normal W with variance gain / fan-in and normal b of deviation 0.1, stacked over members.

    In a recurrent or recursive net the gain is smaller than elsewhere, or the rounding of 512 steps would
    grow along them. Every layer draws a bias, used or not.
    """
    rng = np.random.default_rng([seed, 1])
    lead = (case.members,) if case.members else ()
    weights = []
    for layer in case.network.layers:
        fan_in = int(np.prod(layer.shape[:-1]))
        biases = layer.shape[-1] if layer.biases is None else layer.biases
        W = rng.normal(0, np.sqrt(case.network.gain / fan_in), lead + layer.shape).astype(np.float32)
        b = rng.normal(0, 0.1, (*lead, biases)).astype(np.float32)
        weights.append((W, b))
    return weights


def make_data(case: Case, seed: int = 0) -> Data:
    """The data set and the fixed first batches of a case."""
    rng = np.random.default_rng([seed, 2])
    match case.network:
        case TreeLstm() as network:
            return _of_trees(case, network, rng)
        case Staged(any_size=True) as network:
            return _of_many_sizes(case, network, rng)
        case Seq2Seq() as network:
            x, y = _reversed(case, network, rng)
        case Mlp() | Cnn() | Staged() | Recurrent() as network:
            x, y = _labeled(case, network, rng)
    if not case.trains:
        return Data(x, y, x[:0], y[:0])
    if case.batch == case.examples:
        index = np.tile(np.arange(case.batch), (CHECK_STEPS, 1))
    else:
        lead = (CHECK_STEPS, case.members) if case.members else (CHECK_STEPS,)
        index = rng.integers(0, case.examples, (*lead, case.batch))
    return Data(x, y, x[index], y[index])


def _labeled(
    case: Case, network: Mlp | Cnn | Staged | Recurrent, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """What the case's ``data`` names."""
    if case.data == "xor":
        x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
        return x, np.array([0, 1, 1, 0], np.int32)
    if case.data == "digits":
        from sklearn.datasets import load_digits

        digits: Any = load_digits()
        pixels, labels = digits["data"], digits["target"]
        return (pixels[: case.examples] / 16).astype(np.float32), labels[: case.examples].astype(np.int32)
    x = rng.random((case.examples, *network.input_shape), np.float32)
    flat = x.reshape(case.examples, -1)
    teacher = rng.normal(size=(flat.shape[1], network.outputs)).astype(np.float32)
    scores = flat @ teacher
    return x, (scores - scores.mean(0)).argmax(1).astype(np.int32)


def _reversed(case: Case, network: Seq2Seq, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sources, and as targets their symbols in the opposite order, each replaced by another."""
    source = rng.integers(0, network.vocabulary, (case.examples, network.source_steps), np.int32)
    target = rng.integers(0, network.outputs, network.vocabulary, np.int32)[source[:, ::-1]]
    return np.concatenate([source, target], 1), target


def _of_many_sizes(case: Case, network: Staged, rng: np.random.Generator) -> Data:
    """Square images (cubes, …), their sides uniform from a quarter of the largest to the largest."""
    largest = network.input_shape[0]
    sides = rng.integers(largest // 4, largest + 1, case.examples, np.int32)
    x = np.zeros((case.examples, *network.input_shape), np.float32)
    sizes = np.repeat(sides[:, None], network.rank, axis=1)
    for row, size in zip(x, sizes):
        box = tuple(slice(m) for m in size)
        row[box] = rng.random(row[box].shape, np.float32)
    y = np.zeros(case.examples, np.int32)
    return Data(x, y, x[:0], y[:0], sizes)


def _of_trees(case: Case, network: TreeLstm, rng: np.random.Generator) -> Data:
    """Trees with a random class each; the first batches are those of the data, in its order."""
    x = forest(network, case.examples, rng)
    y = rng.integers(0, network.outputs, case.examples, np.int32)
    index = np.arange(CHECK_STEPS * case.batch).reshape(CHECK_STEPS, -1) % case.examples
    return Data(x, y, x[index], y[index], count(x).astype(np.int32)[:, None])


def per_unit(case: Case, data: Data) -> float:
    """How many examples make one unit of the case's rate."""
    match case.unit:
        case "examples/s":
            return 1
        case "steps/s":
            return case.batch
        case "nodes/s":
            return 1 / float(data.sizes.mean())


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
