"""What the network of a case is: its sort and its sizes. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal, NamedTuple


class Layer(NamedTuple):
    """A matrix or a kernel, and the bias drawn beside it.

    Attributes:
      shape: of the matrix, (in, out), or of the kernel, (*window, in, out).
      matrix: its name; "" in a network that takes its layers in their order.
      bias: the name of the bias; "" too where the network has none.
      biases: length of the bias, by default that of the outputs.
    """

    shape: tuple[int, ...]
    matrix: str = ""
    bias: str = ""
    biases: int | None = None


@dataclass(frozen=True, kw_only=True)
class Mlp:
    """Dense layers with an activation between them.

    Attributes:
      widths: of the input, the hidden layers and the output.
      activation: of the hidden layers.
      gain: fan-in times the variance of the initial weights, here and in the networks below.
    """

    widths: tuple[int, ...]
    activation: Literal["tanh", "relu"] = "relu"
    gain: ClassVar[float] = 2

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of an example."""
        return self.widths[:1]

    @property
    def outputs(self) -> int:
        """Units of the last layer."""
        return self.widths[-1]

    @property
    def layers(self) -> list[Layer]:
        """From the input to the output."""
        return [Layer(pair) for pair in pairwise(self.widths)]


@dataclass(frozen=True, kw_only=True)
class Cnn:
    """Twice a 3×3 convolution, ReLU and 2×2 max-pooling, then two dense layers with a ReLU between them.

    Attributes:
      input_shape: height, width and channels of an image.
      channels: of the two convolutions.
      dense: units of the first dense layer.
      outputs: units of the second.
    """

    input_shape: tuple[int, int, int]
    channels: tuple[int, int]
    dense: int
    outputs: int
    gain: ClassVar[float] = 2

    @property
    def positions(self) -> int:
        """Places of the maps that the first dense layer reads."""
        height, width, _ = self.input_shape
        return (height // 4) * (width // 4)

    @property
    def layers(self) -> list[Layer]:
        """From the input to the output."""
        first, second = self.channels
        return [
            Layer((3, 3, self.input_shape[-1], first)),
            Layer((3, 3, first, second)),
            Layer((self.positions * second, self.dense)),
            Layer((self.dense, self.outputs)),
        ]


@dataclass(frozen=True, kw_only=True)
class Staged:
    """Stages of one convolution or residual block each, then means over positions and a dense layer.

    Attributes:
      input_shape: size along each axis, then the channels.
      channels: of each stage.
      strides: of each stage.
      kernel: width of the kernels; zeros of half of it are put around.
      outputs: units of the dense layer.
      residual: ``h = relu(s(x) + γ · (relu(x ∗ K₁ + b₁) ∗ K₂ + b₂))``, s a 1-convolution where the shape
        changes and γ, one a channel, starts at 1; else ``h = relu(x ∗ K + b)``.
      pool: width of the max-pooling that ends a stage; a smaller window at the edge is dropped.
      pool_stride: its stride, by default the width.
      grid: the means are over so many regions along each axis, cell i of g from ``⌊i·m/g⌋`` up to
        ``⌈(i + 1)·m/g⌉``; 1: over all positions.
      any_size: the inputs have many sizes, ``input_shape`` is the largest.
    """

    input_shape: tuple[int, ...]
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    kernel: int
    outputs: int
    residual: bool = False
    pool: int = 1
    pool_stride: int | None = None
    grid: int = 1
    any_size: bool = False
    gain: ClassVar[float] = 2

    @property
    def rank(self) -> int:
        """Axes of an input beside the channels."""
        return len(self.input_shape) - 1

    @property
    def positions(self) -> int:
        """Regions whose means the dense layer reads."""
        return self.grid**self.rank

    @property
    def layers(self) -> list[Layer]:
        """Of each stage its convolutions, the shortcut last, then the dense layer."""
        window, before, layers = (self.kernel,) * self.rank, self.input_shape[-1], []
        for after, stride in zip(self.channels, self.strides, strict=True):
            layers.append(Layer((*window, before, after)))
            if self.residual:
                layers.append(Layer((*window, after, after)))
                if stride > 1 or before != after:
                    layers.append(Layer((*(1,) * self.rank, before, after)))
            before = after
        return [*layers, Layer((self.positions * before, self.outputs))]


@dataclass(frozen=True, kw_only=True)
class Recurrent:
    """A recurrent layer, and a dense layer on its last state.

    The gates stand side by side in the order i, f, o, g or r, u, n: ``a_t = x_t U + b + h_{t-1} W + d``, d a
    constant but for the candidate n of a GRU, in which it stands inside the reset,
    ``n = tanh(x U_n + b_n + r (h W_n + d_n))``.

    Attributes:
      cell: what is repeated.
      steps: length of an input.
      features: numbers a step.
      hidden: units of the state.
      outputs: units of the dense layer.
    """

    cell: Literal["rnn", "lstm", "gru"]
    steps: int
    features: int
    hidden: int
    outputs: int
    gain: ClassVar[float] = 0.5

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of an example."""
        return self.steps, self.features

    @property
    def layers(self) -> list[Layer]:
        """Of the input, of the state, and of the output."""
        gates = {"rnn": 1, "lstm": 4, "gru": 3}[self.cell] * self.hidden
        return [
            Layer((self.features, gates), "U", "b"),
            Layer((self.hidden, gates), "W", "d"),
            Layer((self.hidden, self.outputs), "V", "c"),
        ]


@dataclass(frozen=True, kw_only=True)
class Seq2Seq:
    """A GRU reads, another writes, with additive attention between them.

    The names of the matrices are those of `dlnotes.models.recurrent.encoder_decoder`, vectors as rows; a
    GRU has ``U`` with its ``b`` and ``W`` with its ``d``, as in `Recurrent`.

    Attributes:
      source_steps: symbols read.
      target_steps: symbols written.
      vocabulary: how many different symbols are read.
      outputs: how many different symbols are written.
      embedding: numbers a symbol.
      hidden: units of either state.
    """

    source_steps: int
    target_steps: int
    vocabulary: int
    outputs: int
    embedding: int
    hidden: int
    gain: ClassVar[float] = 0.5

    @property
    def layers(self) -> list[Layer]:
        """The encoder, the first state, the decoder, the attention, and the output."""
        embedding, hidden = self.embedding, self.hidden
        return [
            Layer((self.vocabulary, embedding), "E"),
            Layer((embedding, 3 * hidden), "encoder.U", "encoder.b"),
            Layer((hidden, 3 * hidden), "encoder.W", "encoder.d"),
            Layer((hidden, hidden), "W_0", "b_0"),
            Layer((self.outputs + 1, embedding), "F"),
            Layer((embedding + hidden, 3 * hidden), "decoder.U", "decoder.b"),
            Layer((hidden, 3 * hidden), "decoder.W", "decoder.d"),
            Layer((hidden, hidden), "W_q"),
            Layer((hidden, hidden), "W_k"),
            Layer((hidden, 1), "v"),
            Layer((2 * hidden, self.outputs), "V", "c"),
        ]


@dataclass(frozen=True, kw_only=True)
class TreeLstm:
    """A binary Tree-LSTM with symbols at the leaves, and a dense layer on the state of the root.

    At a leaf ``a = E U + b``, at a node ``a = [h_l; h_r] W + b``, gates side by side in the order i, o, f_l,
    f_r, g; a leaf has i, o, g, and b one f for both; ``c = σ(f_l) c_l + σ(f_r) c_r + σ(i) tanh(g)`` and
    ``h = σ(o) tanh(c)``.

    Attributes:
      symbols: how many different ones there are.
      hidden: units of a state.
      outputs: units of the dense layer.
      leaves: the fewest and the most of a tree.
      shape: of the trees: cut at any place, in halves, chains, or chains of the most leaves beside stumps of
        the fewest.
    """

    symbols: int
    hidden: int
    outputs: int
    leaves: tuple[int, int]
    shape: Literal["anywhere", "halves", "chains", "uneven"]
    gain: ClassVar[float] = 0.5

    @property
    def layers(self) -> list[Layer]:
        """The embedding, the leaves, the inner nodes, and the output."""
        hidden = self.hidden
        return [
            Layer((self.symbols, hidden), "E"),
            Layer((hidden, 3 * hidden), "U"),
            Layer((2 * hidden, 5 * hidden), "W", "b", biases=4 * hidden),
            Layer((hidden, self.outputs), "V", "c"),
        ]


Network = Mlp | Cnn | Staged | Recurrent | Seq2Seq | TreeLstm

Images = Cnn | Staged
"""Networks whose examples have channels, which come last."""
