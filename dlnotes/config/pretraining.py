"""[pretraining] and [fine_tuning]: layers learned one by one without labels, and what is trained then."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dlnotes.config.fields import Section
from dlnotes.config.models import Activation, DeepAutoencoder, Family, Initializer, Mlp, Width
from dlnotes.config.training import OptimizerName


class _Learner(Section):
    epochs: int = Field(default=10, ge=0, le=1_000_000, description="passes over the data; 0: none")
    units: Width | None = Field(default=None, description="of the layer; by default those of model.widths")

    @property
    def unit(self) -> str:
        """The activation of its units."""
        return "sigmoid"


class RbmLayer(_Learner):
    """A restricted Boltzmann machine that learns by contrastive divergence."""

    kind: Literal["rbm"]
    visible: Literal["bernoulli", "gaussian"] = Field(
        default="bernoulli", description="inputs in [0, 1], or real numbers that are standardized"
    )
    steps: int = Field(default=1, ge=1, le=1000, description="of the chain in each update: CD-k")
    persistent: bool = Field(default=False, description="let chains go on between updates")
    chains: int = Field(default=100, ge=1, description="that go on, where they do")
    learning_rate: float | None = Field(default=None, gt=0, description="by default chosen by the options")
    momentum: float = Field(default=0.5, ge=0, lt=1, description="at the start")
    final_momentum: float = Field(default=0.9, ge=0, lt=1, description="after a fifth of the steps")
    weight_decay: float = Field(default=2e-4, ge=0)
    binarize: bool = Field(default=True, description="draw bits of values between 0 and 1 in every step")
    init_scale: float = Field(default=0.01, gt=0, description="standard deviation of the first weights")
    sigma: float = Field(default=1.0, gt=0, description="of real inputs")
    learn_sigma: bool = False


class AutoencoderLayer(_Learner):
    """An autoencoder of one layer: plain, denoising, sparse or contractive."""

    kind: Literal["autoencoder"]
    tied: bool = Field(default=True, description="decode with the transposed matrix")
    activation: Activation = Field(default="sigmoid", description="of its units, as in [model]")
    output: Literal["bernoulli", "gaussian"] = Field(
        default="bernoulli", description="inputs in [0, 1], or real numbers"
    )
    corruption: Literal["none", "mask", "gaussian", "salt_and_pepper"] = "none"
    noise: float = Field(default=0.3, ge=0, description="its amount")
    sparsity: Literal["none", "l1", "kl"] = "none"
    sparsity_weight: float = Field(default=0.1, ge=0)
    sparsity_target: float = Field(default=0.05, gt=0, lt=1, description="mean activity, with sparsity 'kl'")
    contraction: float = Field(default=0.0, ge=0, description="weight of the squared norm of ∂h/∂x")
    optimizer: OptimizerName = "sgd"
    learning_rate: float = Field(default=0.1, gt=0)
    momentum: float | None = Field(default=None, ge=0, lt=1)
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    weight_decay: float = Field(default=0.0, ge=0)
    initializer: Initializer = "glorot_uniform"
    init_scale: float | None = Field(default=None, gt=0)

    @property
    def unit(self) -> str:
        """The activation of its units."""
        return self.activation


class SparseCodingLayer(_Learner):
    """A dictionary for sparse codes, and a layer of ReLU units that learns to find them in one step."""

    kind: Literal["sparse_coding"]
    penalty: float = Field(default=0.1, gt=0, description="λ on the sum of the codes")
    iterations: int = Field(default=50, ge=1, le=10_000, description="of the solver")
    solver: Literal["fista", "ista"] = "fista"
    learning_rate: float = Field(default=1e-3, gt=0, description="of the layer of units")

    @property
    def unit(self) -> str:
        """The activation of its units."""
        return "relu"


class PcaLayer(_Learner):
    """Principal components, as a control: linear units."""

    kind: Literal["pca"]

    @property
    def unit(self) -> str:
        """The activation of its units."""
        return "identity"


LearnerTable = Annotated[
    RbmLayer | AutoencoderLayer | SparseCodingLayer | PcaLayer, Field(discriminator="kind")
]


class Pretraining(Section):
    """Hidden layers learned one after another without labels, each on what the layers below it give.

    They see inputs of the training part only.
    """

    learners: tuple[LearnerTable, ...] = Field(
        default=(),
        description="of the first hidden layers, from the lowest on; none: nothing is learned",
    )
    batch_size: int = Field(default=100, ge=1, description="examples of a step")
    examples: int | None = Field(
        default=None,
        ge=1,
        description="of the training part that are learned from: so many, or all",
    )

    def problems(self, model: Family) -> list[str]:
        """Why it does not fit a network, a line each, with paths."""
        if not self.learners:
            return []
        if not isinstance(model, (Mlp, DeepAutoencoder)):
            return [f"pretraining: is for model.kind 'mlp' and 'deep_autoencoder', got {model.kind!r}"]
        found, widths = [], model.widths
        if len(self.learners) > len(widths):
            found.append(
                f"pretraining.learners: got {len(self.learners)} learners for the {len(widths)} layers of "
                "model.widths, at most one each is allowed"
            )
        names, last = model.activation, model.code if isinstance(model, DeepAutoencoder) else None
        count = len(widths) - (last is not None)
        names = (names,) * count if isinstance(names, str) else names
        names = names if last is None else (*names, last)
        for k, (learner, width, name) in enumerate(zip(self.learners, widths, names)):
            if learner.units not in (None, width):
                found.append(
                    f"pretraining.learners[{k}].units: got {learner.units}, model.widths[{k}] is {width}; "
                    "leave it out, or make them equal"
                )
            if learner.unit != name:
                option = "activation" if k < count else "code"
                found.append(
                    f"model.{option}: got {name!r} for layer {k + 1}, allowed is {learner.unit!r}, that of "
                    f"pretraining.learners[{k}] ({learner.kind})"
                )
        for option, plain in (("rank", None), ("connectivity", 1.0), ("skip", False)):
            if (got := getattr(model, option, plain)) != plain:
                found.append(f"model.{option}: got {got!r}, with [pretraining] it is left out")
        return found


class FineTuning(Section):
    """What is trained after [pretraining] or from a [start], and from how many labels."""

    layers: Literal["all", "top"] = Field(
        default="all", description="all layers; or only those that were not pretrained, the others stay"
    )
    labels: int | None = Field(
        default=None,
        ge=1,
        description="examples of the training part whose targets are learned: the first so many, or all",
    )
