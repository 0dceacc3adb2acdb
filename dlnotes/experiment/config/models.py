"""[model]: the family of the network and its sizes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dlnotes.experiment.config.fields import Section, dynamic

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


class _Model(Section):
    init_scale: float = dynamic(1.0, gt=0, description="factor on the initial weights")


class _WithDropout(_Model):
    dropout: float = dynamic(0.0, ge=0, lt=1, description="share of hidden units dropped in training")


class Linear(_Model):
    """Softmax or linear regression."""

    kind: Literal["linear"]
    initializer: Initializer = "glorot_uniform"


class Mlp(_WithDropout):
    """Fully connected layers."""

    kind: Literal["mlp"]
    widths: tuple[Width, ...] = Field(default=(128,), description="units of each hidden layer")
    activation: Activation | tuple[Activation, ...] = "relu"
    input_dropout: float = dynamic(0.0, ge=0, lt=1)
    skip: bool = Field(default=False, description="add layer i to layer i+2 where their widths agree")
    initializer: Initializer = "he_normal"


class MaxoutMlp(_WithDropout):
    """Maxout layers: each unit is the largest of `pieces` affine maps."""

    kind: Literal["maxout_mlp"]
    widths: tuple[Width, ...] = (240, 240)
    pieces: int = Field(default=5, ge=2, le=64)
    input_dropout: float = dynamic(0.0, ge=0, lt=1)
    initializer: Initializer = "he_normal"


class Cnn(_WithDropout):
    """Stages of convolutions and pooling, then dense layers."""

    kind: Literal["cnn"]
    channels: tuple[Width, ...] = Field(default=(32, 64), min_length=1, description="channels of each stage")
    kernel: int = Field(default=3, ge=1, le=31)
    convolutions: int = Field(default=1, ge=1, le=16, description="convolutions per stage")
    pool: int = Field(default=2, ge=1, le=16)
    dense: tuple[Width, ...] = (128,)
    activation: Activation = "relu"
    normalization: Literal["none", "layer"] = "none"
    initializer: Initializer = "he_normal"


class SequenceClassifier(_WithDropout):
    """A recurrent net with one answer per sequence."""

    kind: Literal["sequence_classifier"]
    hidden: Width = 64
    cell: Literal["lstm", "gru", "rnn"] = "lstm"
    layers: int = Field(default=1, ge=1, le=16)
    embedding: Width = Field(
        default=16, description="size of the symbol vectors; unused for numeric sequences"
    )
    bidirectional: bool = False


class CharacterModel(_WithDropout):
    """A recurrent language model over characters."""

    kind: Literal["character_model"]
    hidden: Width = 128
    cell: Literal["lstm", "gru", "rnn"] = "lstm"
    layers: int = Field(default=1, ge=1, le=16)
    embedding: Width = 32


class Seq2Seq(_WithDropout):
    """A recurrent encoder-decoder with attention."""

    kind: Literal["seq2seq"]
    hidden: Width = 64
    cell: Literal["lstm", "gru", "rnn"] = "gru"
    embedding: Width = 32
    attention: Literal["additive", "dot", "none"] = "additive"
    bidirectional: bool = True


class TreeNet(_WithDropout):
    """A recursive net over binary trees of any shape."""

    kind: Literal["tree_net"]
    hidden: Width = 64
    cell: Literal["tree_lstm", "affine"] = "tree_lstm"


class Given(Section):
    """A network that Python code passes in: ``dlnotes.run(config, model=...)``."""

    kind: Literal["given"]


Model = Annotated[
    Linear | Mlp | MaxoutMlp | Cnn | SequenceClassifier | CharacterModel | Seq2Seq | TreeNet | Given,
    Field(discriminator="kind"),
]

ACCEPTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "linear": (("vector", "image"), ("classification", "regression", "any")),
    "mlp": (("vector", "image"), ("classification", "regression", "any")),
    "maxout_mlp": (("vector", "image"), ("classification", "regression", "any")),
    "cnn": (("image",), ("classification", "regression", "any")),
    "sequence_classifier": (("tokens", "sequence"), ("classification", "regression")),
    "character_model": (("tokens",), ("tokens",)),
    "seq2seq": (("pair",), ("tokens",)),
    "tree_net": (("tree",), ("classification",)),
    "given": (
        ("vector", "image", "sequence", "tokens", "pair", "tree"),
        ("classification", "regression", "tokens", "any"),
    ),
}
"""The inputs and tasks each family can be trained on."""
