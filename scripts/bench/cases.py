"""What is measured: the networks, who takes part, and the bars."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from scripts.bench.kinds import BEAMS, BUCKETS, Case

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

_LONG = (REFERENCE, "torch_denormals", *_RECURRENT[1:])
_DENORMALS = (
    "torch_denormals is torch_eager as PyTorch leaves it, with numbers below 1e-38 computed as they are; "
    "elsewhere they count as 0, as XLA has it. The gradients of this net fade to such numbers."
)

_RECURSIVE = (REFERENCE, "torch_levels", "ours", "ours_single", "ours_sequential")
"""``torch_eager`` is recursive, ``torch_levels`` takes all nodes of one height over the batch at once, and
``ours_sequential`` one node of every tree at a time."""

_TREES = (
    "torch_eager computes each tree by recursion, torch_levels all nodes of one height over the batch at "
    "once, with schedules made before the clock starts; ours makes its schedules within the step."
)


def _tree_sweep() -> list[Case]:
    """Trees by batch, and by depth at about as many nodes."""
    variants = ("torch_levels", "ours", "ours_sequential")

    def case(name: str, title: str, kind: Any, leaves: tuple[int, int], batch: int, sweep: str) -> Case:
        sizes, examples = (40, 128, 10, *leaves), max(4 * batch, 256)
        return Case(
            name, title, kind, sizes, "tanh", "softmax", batch, 1e-3, examples, 0, "nodes/s", 1, variants,
            sweep=sweep,
        )  # fmt: skip

    by_batch = [
        case(f"trees_{n}", f"batch {n}", "random_trees", (10, 40), n, "Trees of 10 to 40 leaves, by batch")
        for n in (8, 32, 128, 512)
    ]
    sweep = "Batches of 64 trees, by shape"
    by_shape = [
        case(f"{name}_{n}", f"{title} of {n} leaves, {depth} levels", kind, (n, n), 64, sweep)
        for name, title, kind, n, depth in (
            ("balanced", "balanced", "balanced_trees", 32, 5),
            ("chain", "chains", "chains", 32, 31),
            ("balanced", "balanced", "balanced_trees", 256, 8),
            ("cut", "cut anywhere", "random_trees", 256, "about 20"),
            ("chain", "chains", "chains", 256, 255),
        )
    ]
    return by_batch + by_shape


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
            "softmax", 64, 1e-3, 512, 0, "examples/s", 1, _LONG, _DENORMALS,
        ),
        Case(
            "lstm_64", "LSTM, 128 units, 64 steps, batch 64", "lstm", (64, 64, 128, 10), "tanh", "softmax",
            64, 1e-3, 2048, 0, "examples/s", 1, _RECURRENT,
        ),
        Case(
            "lstm_512", "LSTM, 128 units, 512 steps, batch 64", "lstm", (512, 64, 128, 10), "tanh",
            "softmax", 64, 1e-3, 512, 0, "examples/s", 1, _LONG, _DENORMALS,
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
            "tree", "binary Tree-LSTM, 128 units, 64 trees of 10 to 40 leaves", "random_trees",
            (40, 128, 10, 10, 40), "tanh", "softmax", 64, 1e-3, 1024, 0, "nodes/s", 1, _RECURSIVE, _TREES,
        ),
        Case(
            "tree_uneven", "the same, 64 trees: a quarter chains of 200 leaves, else stumps of 3",
            "uneven_trees", (40, 128, 10, 3, 200), "tanh", "softmax", 64, 1e-3, 1024, 0, "nodes/s", 1,
            _RECURSIVE,
        ),
        *_tree_sweep(),
        Case(
            "seeds32", "32 seeds of the small MLP, batch 32 each", "mlp", (64, 32, 10), "relu", "softmax",
            32, 1e-3, 1792, 32, "examples/s", 1, (REFERENCE, "torch_bmm", "flax_loop", "ours"),
        ),
    )
}  # fmt: skip

FIRST_STEP = "first_step"
FIRST_STEP_CASES = ("mlp_large", "cnn", "lstm_64", "attention", "tree")
FIRST_STEP_VARIANTS = (REFERENCE, "torch_levels", "torch_compile", "keras_fit", "flax_loop", "ours")

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
    Bar("tree", "ratio", REFERENCE, 30),
    Bar("tree", "ratio", "torch_levels", 1.6),
    Bar("seeds32", "ratio", REFERENCE, 35),
    Bar("seeds32", "ratio", "torch_bmm", 3),
    Bar("mlp_large", "seconds", "", 0.7),
    Bar("cnn", "seconds", "", 0.7),
    Bar("lstm_64", "seconds", "", 0.7),
    Bar("attention", "seconds", "", 0.7),
    Bar("tree", "seconds", "", 0.7),
)
