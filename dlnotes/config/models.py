"""[model]: the family of the network and its sizes."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple, get_args

from pydantic import Field, model_validator

from dlnotes.checks import output_of
from dlnotes.config.cells import Cell
from dlnotes.config.fields import Section, dynamic

Width = Annotated[int, Field(ge=1, le=1_000_000)]
Activation = Literal[
    "relu",
    "leaky_relu",
    "abs",
    "sigmoid",
    "tanh",
    "hard_tanh",
    "softplus",
    "gelu",
    "silu",
    "elu",
    "identity",
]
Initializer = Literal[
    "he_normal",
    "he_uniform",
    "glorot_normal",
    "glorot_uniform",
    "lecun_normal",
    "normal",
    "orthogonal",
    "zeros",
]


MlpActivation = Activation | Literal["prelu"]
"""The one with learned slopes too."""


class Accepts(NamedTuple):
    """The kinds of input and the tasks that a family can be trained on."""

    inputs: tuple[str, ...]
    tasks: tuple[str, ...]


class Family(Section):
    """[model] of any kind: a family of networks with its options, and what is known of the family."""

    kind: str
    accepts: ClassVar[Accepts]
    """What it can be trained on."""
    own_sizes: ClassVar[bool] = False
    """Whether it takes images and volumes that have sizes of their own."""
    convolutional: ClassVar[bool] = False
    """Whether it has convolutions, for which the compiler needs other options on CPU."""
    divide_batch: ClassVar[bool] = False
    """Whether dividing one batch over two CPU devices pays: small products, many steps. On two cores, speed
    divided to single was: tree_net 1.05-1.16, gumbel_tree 1.08, grid_recurrent 1.34, sequence_labeler 1.53,
    chart_tree 1.75."""
    random: ClassVar[bool] = False
    """Whether training draws random numbers, apart from dropout."""
    reconstructs: ClassVar[bool] = False
    """Whether its targets are the inputs, whatever targets the data have."""
    latent_trees: ClassVar[bool] = False
    """Whether it finds trees over sequences."""


class _Model(Family):
    init_scale: float = dynamic(1.0, gt=0, description="factor on the initial weights")


class _WithDropout(_Model):
    dropout: float = dynamic(0.0, ge=0, lt=1, description="share of hidden units dropped in training")


class Linear(_Model):
    """Softmax or linear regression."""

    accepts: ClassVar = Accepts(("vector", "image", "volume"), ("classification", "regression", "any"))
    kind: Literal["linear"]
    initializer: Initializer = "glorot_uniform"


class Mlp(_WithDropout):
    """Fully connected layers."""

    accepts: ClassVar = Accepts(("vector", "image", "volume"), ("classification", "regression", "any"))
    kind: Literal["mlp"]
    widths: tuple[Width, ...] = Field(default=(128,), description="units of each hidden layer")
    activation: MlpActivation | tuple[MlpActivation, ...] = "relu"
    input_dropout: float = dynamic(0.0, ge=0, lt=1)
    skip: bool = Field(default=False, description="add layer i to layer i+2 where their widths agree")
    rank: Width | None = Field(default=None, description="of the hidden matrices, each then a product of two")
    connectivity: float = Field(
        default=1.0, gt=0, le=1, description="share of the layer before that a hidden unit is connected to"
    )
    initializer: Initializer = "he_normal"
    init_bias: float = Field(default=0.0, description="where hidden biases start; 0.1 wakes ReLU units")


class MaxoutMlp(_WithDropout):
    """Maxout layers: each unit is the largest of `pieces` affine maps."""

    accepts: ClassVar = Accepts(("vector", "image", "volume"), ("classification", "regression", "any"))
    kind: Literal["maxout_mlp"]
    widths: tuple[Width, ...] = (240, 240)
    pieces: int = Field(default=5, ge=2, le=64)
    input_dropout: float = dynamic(0.0, ge=0, lt=1)
    initializer: Initializer = "he_normal"


class RbfNetwork(_Model):
    """Radial basis units, each active near its center, and a linear output."""

    accepts: ClassVar = Accepts(("vector", "image", "volume"), ("classification", "regression", "any"))
    kind: Literal["rbf_network"]
    units: Width = 128
    centers: Literal["data", "random"] = Field(
        default="data", description="start at training examples, or at normal random points"
    )
    sigma: float | None = dynamic(
        None, gt=0, description="σ of the units; without it, the root of the number of inputs"
    )


class MixtureOfExperts(_WithDropout):
    """Perceptrons and a gate that weighs all of them, or chooses one for each input."""

    accepts: ClassVar = Accepts(("vector", "image", "volume"), ("classification", "regression", "any"))
    random: ClassVar = True
    kind: Literal["mixture_of_experts"]
    experts: int = Field(default=8, ge=1, le=4096)
    hidden: tuple[Width, ...] = Field(default=(128,), description="units of each expert's hidden layers")
    gate: Literal["soft", "hard"] = Field(
        default="hard", description="all experts for each input, weighted, or one of them"
    )
    balance: float = dynamic(0.3, ge=0, description="weight of the penalty for an uneven use of experts")
    noise: float = dynamic(
        0.0, ge=0, description="standard deviation of what is added to the gate's logits in training"
    )
    activation: Activation = "relu"
    initializer: Initializer = "he_normal"


class GatedMlp(_Model):
    """Fully connected layers whose units are switched in blocks by each input."""

    accepts: ClassVar = Accepts(("vector", "image", "volume"), ("classification", "regression", "any"))
    random: ClassVar = True
    kind: Literal["gated_mlp"]
    widths: tuple[Width, ...] = Field(
        default=(256,), min_length=1, description="units of each hidden layer, a multiple of the blocks"
    )
    blocks: int = Field(default=16, ge=1, le=4096, description="of each hidden layer, each on or off")
    share: float = dynamic(0.25, gt=0, le=1, description="of the blocks that shall be on; 1 is a plain mlp")
    gradient: Literal["score", "straight_through", "gumbel"] = Field(
        default="straight_through", description="estimator of the gradient in the gates' probabilities"
    )
    inference: Literal["likely", "expected"] = Field(
        default="likely", description="blocks more likely on than off, or all of them, weighted"
    )
    grouped: bool = Field(
        default=False, description="compute only the blocks that are on; faster in large batches on a CPU"
    )
    sparsity: float = dynamic(1.0, ge=0, description="weight of the penalties that keep the share")
    variance: float = dynamic(0.1, ge=0, description="weight of the reward for blocks that differ by input")
    temperature: float = dynamic(1.0, gt=0, description="of the estimator gumbel")
    activation: Activation = "relu"
    initializer: Initializer = "he_normal"


class SoftTree(_Model):
    """A decision tree whose nodes are networks: soft in training, one path or all at inference."""

    accepts: ClassVar = Accepts(("vector", "image", "volume"), ("classification", "regression", "any"))
    kind: Literal["soft_tree"]
    depth: int = Field(default=4, ge=0, le=16, description="decisions on a path; 0 is one leaf, no nodes")
    node: tuple[Width, ...] = Field(default=(), description="hidden layers of each node; linear without any")
    leaf: Literal["constant", "net"] = Field(
        default="constant", description="one answer, or a network with hidden layers as the nodes have"
    )
    hard: bool = Field(default=False, description="follow one path at inference: as many nodes as it is deep")
    balance: float = dynamic(0.1, ge=0, description="weight of the penalty for a branch that is not used")
    activation: Activation = "relu"
    initializer: Initializer = "glorot_uniform"


class DeepAutoencoder(_Model):
    """Layers down to a code and their mirror image back: the inputs are the targets."""

    accepts: ClassVar = Accepts(("vector", "image", "volume"), ("classification", "regression", "any"))
    reconstructs: ClassVar = True
    kind: Literal["deep_autoencoder"]
    widths: tuple[Width, ...] = Field(
        default=(128, 30),
        min_length=1,
        description="units of each layer of the encoder; the last is the code",
    )
    activation: Activation | tuple[Activation, ...] = Field(
        default="sigmoid", description="of all layers before the code, or of each"
    )
    code: Activation = Field(
        default="identity", description="activation of the code; identity leaves it free"
    )
    initializer: Initializer = "glorot_normal"


class GraphLayer(Section):
    """A node with parameters: its parents side by side, an affine map, an activation."""

    kind: Literal["layer"]
    name: str
    of: tuple[str, ...] = Field(default=("x",), description='names of earlier nodes; "x" is the input')
    width: Width | None = Field(default=None, description="units; without it, the outputs of the data")
    activation: Activation = "identity"


class GraphFunction(Section):
    """A node without parameters: the sum, product or concatenation of its parents."""

    kind: Literal["sum", "product", "concatenate"]
    name: str
    of: tuple[str, ...] = Field(description='names of earlier nodes; "x" is the input')


GraphNode = Annotated[GraphLayer | GraphFunction, Field(discriminator="kind")]


class Graph(_WithDropout):
    """Named nodes, each a function of earlier ones: a network that need not be a chain."""

    accepts: ClassVar = Accepts(("vector", "image", "volume"), ("classification", "regression", "any"))
    kind: Literal["graph"]
    nodes: tuple[GraphNode, ...] = Field(description="each of the input and of earlier nodes")
    output: str | None = Field(default=None, description="name of the output; the one that no other takes")
    initializer: Initializer = "he_normal"

    @model_validator(mode="after")
    def _nodes_make_a_graph(self) -> Graph:
        output_of([(node.name, node.of) for node in self.nodes], self.output)
        return self


class Cnn(_WithDropout):
    """Stages of convolutions and pooling, then dense layers."""

    accepts: ClassVar = Accepts(("image",), ("classification", "regression", "any"))
    convolutional: ClassVar = True
    kind: Literal["cnn"]
    channels: tuple[Width, ...] = Field(default=(32, 64), min_length=1, description="channels of each stage")
    kernel: int = Field(default=3, ge=1, le=31)
    convolutions: int = Field(default=1, ge=1, le=16, description="convolutions per stage")
    pool: int = Field(default=2, ge=1, le=16)
    dense: tuple[Width, ...] = (128,)
    activation: Activation = "relu"
    normalization: Literal["none", "layer"] = "none"
    initializer: Initializer = "he_normal"


class ConvBranch(Section):
    """One of the branches of a stage: a convolution, before it pooling of stride 1 or a 1-convolution."""

    channels: Width
    kernel: int = Field(default=1, ge=1, le=63, description="width of its kernel, odd")
    reduce: int = Field(
        default=0, ge=0, le=1_000_000, description="maps of a 1-convolution before a wider kernel; 0 for none"
    )
    pool: int = Field(default=1, ge=1, le=63, description="width of the pooling before it, odd; 1 for none")
    pooling: Literal["max", "average"] = "max"


class ConvStage(Section):
    """A few convolutions of as many channels, or parallel branches side by side, then pooling."""

    channels: Width | None = Field(
        default=None, description="maps of each convolution; a stage of branches has the sum of theirs"
    )
    branches: tuple[ConvBranch, ...] = Field(
        default=(), description="parallel ways through the stage, in place of its convolutions"
    )
    blocks: int = Field(default=1, ge=1, le=64, description="convolutions, or residual blocks of two")
    kernel: int = Field(default=3, ge=1, le=63, description="width of every kernel, odd")
    stride: int = Field(default=1, ge=1, le=16, description="of the first convolution")
    dilation: int = Field(default=1, ge=1, le=64)
    residual: bool = False
    pool: int = Field(default=1, ge=1, le=64, description="width and stride of the pooling; 1 for none")
    pooling: Literal["max", "average"] = "max"

    @model_validator(mode="after")
    def _convolutions_or_branches(self) -> ConvStage:
        if not self.branches:
            if self.channels is None:
                raise ValueError("needs channels, or branches with channels of their own")
            return self
        given = [
            name
            for name in ("blocks", "channels", "dilation", "kernel", "residual", "stride")
            if getattr(self, name) != type(self).model_fields[name].default
        ]
        if given:
            raise ValueError(
                f"got {', '.join(given)} with branches, allowed beside branches are pool and pooling"
            )
        return self


class ConvNet(_WithDropout):
    """Stages of convolutions over signals, texts, images, volumes or video, of one size or of any."""

    accepts: ClassVar = Accepts(
        ("image", "sequence", "tokens", "volume"), ("classification", "regression", "tokens", "any")
    )
    own_sizes: ClassVar = True
    convolutional: ClassVar = True
    kind: Literal["conv_net"]
    stages: tuple[ConvStage, ...] = Field(min_length=1)
    head: Literal["flatten", "learned", "grid", "clustered", "average", "largest", "maps"] = Field(
        default="flatten",
        description="how the maps become numbers: all of them, or means over learned regions, a grid, "
        "regions found in each input, everything; the largest value of each map; an answer at every position",
    )
    embedding: Width = Field(
        default=64, description="size of the symbol vectors; unused for images and numeric sequences"
    )
    grid: int = Field(default=2, ge=1, le=64, description="regions along each axis of the heads with regions")
    dense: tuple[Width, ...] = ()
    activation: Activation = "relu"
    normalization: Literal["none", "layer", "group"] = "none"
    groups: int = Field(default=8, ge=1, description="groups of channels normalized together")
    standardize_weights: bool = Field(
        default=False, description="use each channel's kernel with mean 0 and a fixed variance"
    )
    mirror: bool = Field(
        default=False, description="answer with the mean over the input and its mirror image, left to right"
    )
    initializer: Initializer = "he_normal"


class PixelLabeler(_WithDropout):
    """A class for every pixel: an encoder-decoder with skips, a coarse grid enlarged, or full size."""

    accepts: ClassVar = Accepts(("image",), ("pixels",))
    convolutional: ClassVar = True
    kind: Literal["pixel_labeler"]
    form: Literal["encoder_decoder", "coarse", "full_size"] = Field(
        default="encoder_decoder",
        description="pooling and back up with skips; labels of the pooled grid enlarged; pooling of stride 1",
    )
    channels: tuple[Width, ...] = Field(
        default=(16, 32, 64), min_length=1, description="maps of each stage; pooling between two stages"
    )
    kernel: int = Field(default=3, ge=1, le=31, description="odd")
    convolutions: int = Field(default=1, ge=1, le=16, description="convolutions per stage")
    activation: Activation = "relu"
    normalization: Literal["none", "layer"] = "none"
    mean_field: int = Field(
        default=0, ge=0, le=100, description="updates of a trained mean-field smoothing; 0 for none"
    )
    initializer: Initializer = "he_normal"


class RecurrentRefinement(_WithDropout):
    """A guess of every pixel's class, refined by the same convolutions in each step."""

    accepts: ClassVar = Accepts(("image",), ("pixels",))
    convolutional: ClassVar = True
    kind: Literal["recurrent_refinement"]
    steps: int = Field(default=3, ge=1, le=64, description="guesses; 1 is a one-shot network")
    hidden: Width = 32
    kernel: int = Field(default=5, ge=1, le=31, description="odd")
    activation: Activation = "relu"
    initializer: Initializer = "he_normal"


class _Recurrent(_WithDropout):
    hidden: Width = 64
    cell: Cell = "lstm"
    layers: int = Field(default=1, ge=1, le=16)
    embedding: Width = Field(
        default=16, description="size of the symbol vectors; unused for numeric sequences"
    )
    bidirectional: bool = False
    input_widths: tuple[Width, ...] = Field(
        default=(), description="hidden layers from what a cell reads to its state"
    )
    output_widths: tuple[Width, ...] = Field(
        default=(), description="hidden layers from the last cell's state to the answer"
    )


class SequenceClassifier(_Recurrent):
    """A recurrent net with one answer per sequence."""

    accepts: ClassVar = Accepts(("tokens", "sequence"), ("classification", "regression"))
    divide_batch: ClassVar = True
    kind: Literal["sequence_classifier"]


class SequenceLabeler(_Recurrent):
    """A recurrent net with an answer at every position; in both directions each sees the whole sequence."""

    accepts: ClassVar = Accepts(("tokens", "sequence"), ("tokens",))
    divide_batch: ClassVar = True
    kind: Literal["sequence_labeler"]


class GridRecurrent(_WithDropout):
    """A convolution, then recurrent nets that cross the image from its four corners."""

    accepts: ClassVar = Accepts(("image",), ("classification", "regression", "pixels"))
    own_sizes: ClassVar = True
    convolutional: ClassVar = True
    divide_batch: ClassVar = True
    kind: Literal["grid_recurrent"]
    hidden: Width = 16
    layers: int = Field(default=1, ge=1, le=16)
    channels: Width = Field(default=16, description="maps of the convolution below")
    kernel: int = Field(default=3, ge=1, le=31, description="of that convolution, odd")


class CharacterModel(_WithDropout):
    """A recurrent language model over characters."""

    accepts: ClassVar = Accepts(("tokens",), ("tokens",))
    divide_batch: ClassVar = True
    kind: Literal["character_model"]
    hidden: Width = 128
    cell: Literal["lstm", "gru", "rnn"] = "lstm"
    layers: int = Field(default=1, ge=1, le=16)
    embedding: Width = 32


class Seq2Seq(_WithDropout):
    """A recurrent encoder-decoder, with attention or without."""

    accepts: ClassVar = Accepts(("pair",), ("tokens",))
    divide_batch: ClassVar = True
    kind: Literal["seq2seq"]
    hidden: Width = 64
    cell: Literal["lstm", "gru", "rnn"] = "gru"
    layers: int = Field(default=1, ge=1, le=16, description="of the encoder, and of the decoder")
    decoder_hidden: Width | None = Field(default=None, description="if it differs from the encoder's")
    embedding: Width = 32
    attention: Literal["additive", "dot", "local", "none"] = "additive"
    window: int = Field(default=4, ge=1, description="how far local attention looks from its middle")
    context: Literal["input", "initial", "both"] = Field(
        default="both",
        description="how a context of fixed size (attention 'none') enters the decoder: at each step, as its "
        "first state, or both",
    )
    bidirectional: bool = True

    @model_validator(mode="after")
    def _context_of_fixed_size(self) -> Seq2Seq:
        if self.context != "both" and self.attention != "none":
            raise ValueError(
                f"context: got {self.context!r} with attention {self.attention!r}, goes with attention 'none'"
            )
        return self


class TreeNet(_WithDropout):
    """A recursive net over trees of any shape; an answer for each tree, or for each node if the data have."""

    accepts: ClassVar = Accepts(("tree",), ("classification", "regression", "tokens"))
    divide_batch: ClassVar = True
    kind: Literal["tree_net"]
    hidden: Width = 64
    cell: Literal["tree_lstm", "child_sum", "tree_gru", "affine", "tensor"] = Field(
        default="tree_lstm",
        description="how a node's state follows from its children's; child_sum takes any number in any "
        "order, tensor has a bilinear form for each unit",
    )
    embedding: Width | None = Field(
        default=None, description="size of the symbol vectors; without it, the hidden size"
    )
    inputs: Literal["nodes", "leaves"] = Field(
        default="nodes", description="who takes its symbol in: every node that has one, or the leaves only"
    )
    schedule: Literal["waves", "sequential"] = Field(
        default="waves",
        description="all nodes of a batch that are ready at once, or one slot of every tree after the other",
    )


class _LatentTree(_WithDropout):
    latent_trees: ClassVar = True
    hidden: Width = 64
    cell: Literal["tree_lstm", "child_sum", "tree_gru", "affine", "tensor"] = "tree_lstm"
    leaf: Literal["cell", "lstm"] = Field(
        default="cell", description="what makes a leaf's state: its symbol, or an LSTM that has read up to it"
    )


class GumbelTree(_LatentTree):
    """A recursive net that builds its own binary tree, by choosing which neighbors to compose."""

    accepts: ClassVar = Accepts(("tokens", "tree"), ("classification", "regression"))
    random: ClassVar = True
    divide_batch: ClassVar = True
    kind: Literal["gumbel_tree"]
    temperature: float = dynamic(1.0, gt=0, description="of the softmax that the choice's gradient is of")
    relaxed: bool = Field(default=False, description="mix the pairs by the softmax instead of choosing one")


class ChartTree(_LatentTree):
    """A recursive net over all binary trees at once, each weighted by its own scores; up to 64 symbols."""

    accepts: ClassVar = Accepts(("tokens", "tree"), ("classification", "regression"))
    divide_batch: ClassVar = True
    kind: Literal["chart_tree"]


class Given(Family):
    """A network that Python code passes in: ``dlnotes.run(config, model=...)``."""

    accepts: ClassVar = Accepts(
        ("vector", "image", "volume", "sequence", "tokens", "pair", "tree"),
        ("classification", "regression", "tokens", "pixels", "any"),
    )
    own_sizes: ClassVar = True
    convolutional: ClassVar = True
    kind: Literal["given"]


AnyFamily = (
    Linear
    | Mlp
    | MaxoutMlp
    | RbfNetwork
    | Graph
    | DeepAutoencoder
    | GatedMlp
    | MixtureOfExperts
    | SoftTree
    | Cnn
    | ConvNet
    | PixelLabeler
    | RecurrentRefinement
    | SequenceClassifier
    | SequenceLabeler
    | GridRecurrent
    | CharacterModel
    | Seq2Seq
    | TreeNet
    | GumbelTree
    | ChartTree
    | Given
)

Model = Annotated[AnyFamily, Field(discriminator="kind")]

FAMILIES: dict[str, type[Family]] = {
    get_args(family.model_fields["kind"].annotation)[0]: family for family in get_args(AnyFamily)
}
"""Every family by its ``kind``."""


def that_fit(input: str, task: str) -> list[str]:
    """The kinds of the families that can be trained on an input and a task."""
    return [k for k, f in FAMILIES.items() if input in f.accepts.inputs and task in f.accepts.tasks]
