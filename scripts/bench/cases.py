"""What is measured: networks, data, initial weights and the bars. Numpy only.

Every variant gets the arrays made here, so that all train the same network from the same weights
on the same data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

Weights = list[tuple[np.ndarray, np.ndarray]]
"""``(W, b)`` of each layer: dense W is (in, out), convolution W is (height, width, in, out)."""

CHECK_STEPS = 5
"""How many first steps must give the same losses before anything is timed."""

TOLERANCE = 1e-4
"""Largest relative difference of those losses, or of the probabilities of a case without training."""


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


class Case(NamedTuple):
    """One network trained by Adam (b1 0.9, b2 0.999, eps 1e-8), or only asked for answers.

    Attributes:
      name: as on the command line.
      title: for the report.
      kind: "mlp" (``sizes`` are the widths, input first), "cnn" (``sizes`` are the image's
        (height, width, channels), the two convolutions' channels, the dense width, the classes), one
        of `STAGES` (``sizes`` are the input's, its channels, those of the stages, the classes), or one of
        `GATES` (``sizes`` are steps, features, hidden units, classes; the last state is classified), or
        "attention" (``sizes`` are steps read, steps written, symbols read, symbols written, embedding,
        hidden units; ``x`` has the source, then the target, which ``y`` has again), or "greedy" or
        "beam", what the same network writes by itself.
      sizes: see ``kind``.
      hidden: activation of the hidden layers.
      output: "sigmoid" (one unit, −log p of a Bernoulli) or "softmax" (−log p of a category).
      batch: examples a step, of each member.
      learning_rate: of Adam.
      examples: rows of the data set.
      members: networks trained side by side, 0 for one plain network.
      unit: of the rate.
      per_unit: examples that make one unit.
      variants: who takes part, the reference first.
      note: for the report, what else is to be known.
    """

    name: str
    title: str
    kind: Literal[
        "mlp",
        "cnn",
        "residual",
        "conv1d",
        "conv3d",
        "pool",
        "overlap_pool",
        "any_size",
        "rnn",
        "lstm",
        "gru",
        "attention",
        "greedy",
        "beam",
    ]
    sizes: tuple[int, ...]
    hidden: Literal["tanh", "relu"]
    output: Literal["sigmoid", "softmax"]
    batch: int
    learning_rate: float
    examples: int
    members: int
    unit: str
    per_unit: int
    variants: tuple[str, ...]
    note: str = ""

    @property
    def trains(self) -> bool:
        """Whether there are updates; else all examples are answered again and again."""
        return self.kind not in ("any_size", "greedy", "beam")


class Stages(NamedTuple):
    """Stages of one convolution or residual block each, then means over positions and a dense layer.

    Attributes:
      rank: sizes of an input.
      kernel: width of the kernels; zeros of half of it are put around.
      strides: of each stage.
      residual: ``h = relu(s(x) + γ · (relu(x ∗ K₁ + b₁) ∗ K₂ + b₂))``, s a 1-convolution where the shape
        changes and γ, one a channel, starts at 1; else ``h = relu(x ∗ K + b)``.
      pool: width of the max-pooling that ends a stage; a smaller window at the edge is dropped.
      pool_stride: its stride, by default the width.
      grid: the means are over so many regions along each axis, cell i of g from ``⌊i·m/g⌋`` up to
        ``⌈(i + 1)·m/g⌉``; 1: over all positions.
    """

    rank: int
    kernel: int
    strides: tuple[int, ...]
    residual: bool
    pool: int
    pool_stride: int | None = None
    grid: int = 1


STAGES = {
    "residual": Stages(2, 3, (1, 2, 2), True, 1),
    "conv1d": Stages(1, 5, (1, 1, 1), False, 1),
    "conv3d": Stages(3, 3, (1, 1, 1), False, 2),
    "pool": Stages(2, 1, (1,), False, 2),
    "overlap_pool": Stages(2, 1, (1,), False, 3, pool_stride=2),
    "any_size": Stages(2, 3, (1, 1, 1), False, 2, grid=2),
}

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
"""Recurrent nets, with the number of gates. Their weights are ``(U, b)``, ``(W, d)`` and ``(V, c)``, gates
side by side in the order i, f, o, g or r, u, n: ``a_t = x_t U + b + h_{t-1} W + d``, d a constant but for the
candidate n of a GRU, in which it stands inside the reset, ``n = tanh(x U_n + b_n + r (h W_n + d_n))``."""

ENCODER_DECODERS = ("attention", "greedy", "beam")
"""The kinds with one network, trained or writing."""

BEAMS = 5
"""Hypotheses kept by the beam search."""

BUCKETS = 8
"""Padded shapes, at most, that ours computes images of different sizes in."""

REFERENCE = "torch_eager"

_PEERS = (
    REFERENCE,
    "torch_fused",
    "torch_compile",
    "keras_fit",
    "keras_steps",
    "flax_loop",
    "ours",
)

_CONVOLUTIONAL = (
    REFERENCE,
    "torch_channels_last",
    "torch_compile",
    "flax_loop",
    "ours",
    "ours_steps",
)
"""``ours_steps`` is the same network stepped from a Python loop: what the scan is worth on this machine."""

_RECURRENT = (REFERENCE, "torch_compile", "flax_loop", "ours", "ours_single")
"""``ours`` divides each batch over as many CPU devices as there are cores; ``ours_single`` does not."""

CASES: dict[str, Case] = {
    case.name: case
    for case in (
        Case(
            "xor", "XOR 2-2-1, full batch", "mlp", (2, 2, 1), "tanh", "sigmoid",
            4, 1e-2, 4, 0, "steps/s", 4, tuple(name for name in _PEERS if name != "keras_steps"),
        ),
        Case(
            "mlp_small", "MLP 64-32-10, batch 32, digits", "mlp", (64, 32, 10), "relu", "softmax",
            32, 1e-3, 1792, 0, "examples/s", 1, _PEERS,
        ),
        Case(
            "mlp_large", "MLP 784-512-512-10, batch 128", "mlp", (784, 512, 512, 10), "relu", "softmax",
            128, 1e-3, 20480, 0, "examples/s", 1, _PEERS,
        ),
        Case(
            "cnn", "CNN 28×28, conv32-pool-conv64-pool-128-10, batch 128", "cnn",
            (28, 28, 1, 32, 64, 128, 10), "relu", "softmax", 128, 1e-3, 8192, 0, "examples/s", 1,
            (REFERENCE, "torch_channels_last", *_PEERS[1:], "ours_steps"),
        ),
        Case(
            "cnn_32", "the same CNN, batch 32", "cnn",
            (28, 28, 1, 32, 64, 128, 10), "relu", "softmax", 32, 1e-3, 8192, 0, "examples/s", 1,
            _CONVOLUTIONAL,
        ),
        Case(
            "cnn_residual", "residual network 32×32×3, blocks of 16, 32 and 64, batch 64", "residual",
            (32, 32, 3, 16, 32, 64, 10), "relu", "softmax", 64, 1e-3, 4096, 0, "examples/s", 1,
            _CONVOLUTIONAL,
        ),
        Case(
            "cnn_1d", "1-D convolutions, 256 × 9, three of 64 channels, batch 64", "conv1d",
            (256, 9, 64, 64, 64, 10), "relu", "softmax", 64, 1e-3, 4096, 0, "examples/s", 1,
            tuple(name for name in _CONVOLUTIONAL if name != "torch_channels_last"),
        ),
        Case(
            "cnn_3d", "3-D convolutions, 16³, 8, 16 and 32 channels, batch 16", "conv3d",
            (16, 16, 16, 1, 8, 16, 32, 10), "relu", "softmax", 16, 1e-3, 1024, 0, "examples/s", 1,
            _CONVOLUTIONAL,
        ),
        Case(
            "cnn_pool", "2×2 max-pooling of 28×28×32 after a 1×1 convolution, batch 128", "pool",
            (28, 28, 32, 32, 10), "relu", "softmax", 128, 1e-3, 1024, 0, "examples/s", 1, _CONVOLUTIONAL,
        ),
        Case(
            "cnn_overlap_pool", "3×3 max-pooling, stride 2, of 28×28×32 after a 1×1 convolution, batch 128",
            "overlap_pool", (28, 28, 32, 32, 10), "relu", "softmax", 128, 1e-3, 1024, 0, "examples/s", 1,
            _CONVOLUTIONAL,
        ),
        Case(
            "cnn_any_size", "answers for 256 square images of 16 to 64 pixels, three convolutions, 2×2 means",
            "any_size", (64, 64, 3, 16, 32, 64, 10), "relu", "softmax", 256, 0.0, 256, 0, "examples/s", 1,
            (REFERENCE, "torch_by_size", "ours", "ours_padded"),
            "The forward pass alone, of all images: torch_eager one by one, torch_by_size together those of "
            f"the same size, ours in at most {BUCKETS} padded shapes with masks, ours_padded all in the "
            "largest. Batches are put together, and ours is compiled (a program a shape), before the clock "
            "starts. What is compared are the probabilities of every image.",
        ),
        Case(
            "rnn_64", "plain RNN, 128 units, 64 steps, batch 64", "rnn", (64, 64, 128, 10), "tanh", "softmax",
            64, 1e-3, 2048, 0, "examples/s", 1, _RECURRENT,
        ),
        Case(
            "rnn_512", "plain RNN, 128 units, 512 steps, batch 64", "rnn", (512, 64, 128, 10), "tanh",
            "softmax", 64, 1e-3, 512, 0, "examples/s", 1, _RECURRENT,
        ),
        Case(
            "lstm_64", "LSTM, 128 units, 64 steps, batch 64", "lstm", (64, 64, 128, 10), "tanh", "softmax",
            64, 1e-3, 2048, 0, "examples/s", 1, _RECURRENT,
        ),
        Case(
            "lstm_512", "LSTM, 128 units, 512 steps, batch 64", "lstm", (512, 64, 128, 10), "tanh",
            "softmax", 64, 1e-3, 512, 0, "examples/s", 1, _RECURRENT,
        ),
        Case(
            "gru_64", "GRU, 128 units, 64 steps, batch 64", "gru", (64, 64, 128, 10), "tanh", "softmax",
            64, 1e-3, 2048, 0, "examples/s", 1, _RECURRENT,
        ),
        Case(
            "attention", "GRU encoder-decoder, additive attention, 128 units, 20 symbols to 20, batch 64",
            "attention", (20, 20, 40, 40, 64, 128), "tanh", "softmax", 64, 1e-3, 4096, 0, "examples/s", 1,
            tuple(name for name in _RECURRENT if name != "flax_loop"), "Teacher forcing.",
        ),
        Case(
            "greedy", "the same network writes, the most probable symbol at each step, batch 128", "greedy",
            (20, 20, 40, 40, 64, 128), "tanh", "softmax", 128, 0.0, 128, 0, "examples/s", 1,
            (REFERENCE, "torch_compile", "ours"), "What is compared are the symbols.",
        ),
        Case(
            "beam", f"the same network writes, beam search of width {BEAMS}, batch 128", "beam",
            (20, 20, 40, 40, 64, 128), "tanh", "softmax", 128, 0.0, 128, 0, "examples/s", 1,
            (REFERENCE, "torch_compile", "ours"),
            "The beams of a batch are one tensor in both. What is compared are the log-probabilities of the "
            "best beams.",
        ),
        Case(
            "seeds32", "32 seeds of the small MLP, batch 32 each", "mlp", (64, 32, 10), "relu", "softmax",
            32, 1e-3, 1792, 32, "examples/s", 1, (REFERENCE, "torch_bmm", "flax_loop", "ours"),
        ),
    )
}  # fmt: skip

FIRST_STEP = "first_step"
FIRST_STEP_CASES = ("mlp_large", "cnn", "lstm_64", "attention")
FIRST_STEP_VARIANTS = (REFERENCE, "torch_compile", "keras_fit", "flax_loop", "ours")

OTHER_PYTHON = ("torch", "keras")
"""Variants of libraries that dlnotes does not depend on, by prefix: they run under ``--torch-python``."""


class Bar(NamedTuple):
    """What ours must reach on ``case``.

    Attributes:
      case: name of the case.
      kind: "ratio" is ours over ``peer`` in paired rounds and must be at least ``value``; "seconds"
        is the first step of ours with a warm cache and must be at most ``value``.
      peer: the variant compared with ("" for seconds).
      value: the bar.
    """

    case: str
    kind: Literal["ratio", "seconds"]
    peer: str
    value: float


BARS = (
    Bar("xor", "ratio", REFERENCE, 400),
    Bar("mlp_small", "ratio", REFERENCE, 20),
    Bar("mlp_large", "ratio", REFERENCE, 1.4),
    Bar("cnn", "ratio", REFERENCE, 1.25),
    Bar("rnn_64", "ratio", REFERENCE, 2.0),
    Bar("rnn_512", "ratio", REFERENCE, 2.0),
    Bar("lstm_64", "ratio", REFERENCE, 1.0),
    Bar("lstm_512", "ratio", REFERENCE, 1.25),
    Bar("attention", "ratio", REFERENCE, 2.1),
    Bar("seeds32", "ratio", REFERENCE, 35),
    Bar("seeds32", "ratio", "torch_bmm", 3),
    Bar("mlp_large", "seconds", "", 0.7),
    Bar("cnn", "seconds", "", 0.7),
    Bar("lstm_64", "seconds", "", 0.7),
    Bar("attention", "seconds", "", 0.7),
)


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
    if case.kind in ENCODER_DECODERS:
        return list(_attention_shapes(case).values())
    height, width, channels, first, second, dense, classes = case.sizes
    flat = (height // 4) * (width // 4) * second
    return [(3, 3, channels, first), (3, 3, first, second), (flat, dense), (dense, classes)]


def _attention_shapes(case: Case) -> dict[str, tuple[int, int]]:
    """The matrices of an encoder-decoder by name: those of `dlnotes.models.encoder_decoder`, vectors as rows.

    A GRU has ``U`` with its ``b`` and ``W`` with its ``d``, see `GATES`.
    """
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
    "V": "c",
}


def attention_weights(case: Case, weights: Weights) -> dict[str, np.ndarray]:
    """The weights of an encoder-decoder by name; matrices without a bias leave theirs out."""
    named = {}
    for name, (W, b) in zip(_attention_shapes(case), weights, strict=True):
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

    In a recurrent net the variance is 0.5 / fan-in, or the rounding of 512 steps would grow along them.
    """
    rng = np.random.default_rng([seed, 1])
    lead = (case.members,) if case.members else ()
    gain = 0.5 if case.kind in (*GATES, *ENCODER_DECODERS) else 2
    weights = []
    for shape in layer_shapes(case):
        fan_in = int(np.prod(shape[:-1]))
        W = rng.normal(0, np.sqrt(gain / fan_in), lead + shape).astype(np.float32)
        b = rng.normal(0, 0.1, (*lead, shape[-1])).astype(np.float32)
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
