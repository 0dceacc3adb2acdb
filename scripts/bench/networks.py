"""What a case is made of: its network and its sizes. Standard library only."""

from __future__ import annotations

from typing import Literal, NamedTuple

CHECK_STEPS = 5
"""How many first steps must give the same losses before anything is timed."""

TOLERANCE = 1e-4
"""Largest relative difference of those losses, or of the probabilities of a case without training."""


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
        "beam", what the same network writes by itself, or one of `TREES` (``sizes`` are symbols, hidden
        units, classes, the fewest and the most leaves of a tree; the root is classified).
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
      sweep: a title, under which the report puts the cases that have it into one table.
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
        "random_trees",
        "uneven_trees",
        "balanced_trees",
        "chains",
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
    sweep: str = ""

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

TREES = ("random_trees", "uneven_trees", "balanced_trees", "chains")
"""Binary Tree-LSTMs with symbols at the leaves, by the shapes of their trees: cut at any place, chains beside
stumps, in halves, or chains alone. Their weights are ``E``, ``U``, ``(W, b)`` and ``(V, c)``: at a leaf
``a = E U + b``, at a node ``a = [h_l; h_r] W + b``, gates side by side in the order i, o, f_l, f_r, g; a leaf
has i, o, g, and b one f for both; ``c = σ(f_l) c_l + σ(f_r) c_r + σ(i) tanh(g)`` and
``h = σ(o) tanh(c)``."""

BEAMS = 5
"""Hypotheses kept by the beam search."""

BUCKETS = 8
"""Padded shapes, at most, that ours computes images of different sizes in."""
