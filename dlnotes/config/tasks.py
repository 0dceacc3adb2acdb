"""[tasks.NAME]: several tasks that are learned at once, on one representation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from dlnotes.config.fields import Part, Section, dynamic
from dlnotes.config.models import Activation, Width

TaskName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=40)]
"""It is in the names of metrics and files."""

INPUTS = "inputs"
"""The target of a task that reconstructs what the network reads."""

TRUNKS = (
    "linear",
    "mlp",
    "maxout_mlp",
    "rbf_network",
    "graph",
    "cnn",
    "conv_net",
    "sequence_classifier",
    "grid_recurrent",
    "tree_net",
    "given",
)
"""Families whose outputs can be features: one answer an example, no state."""

_OF_CLASSES = ("cross_entropy", "hinge", "brier")
_OF_COUNTS = ("poisson_nll", "negative_binomial_nll")


class Task(Section):
    """One task: what is to be learned, by which loss, and how much it counts."""

    target: str | None = Field(
        default=None,
        min_length=1,
        description='"inputs" for a reconstruction, or a column; by default the target of [data]',
    )
    kind: Literal["auto", "classification", "regression", "counts"] = Field(
        default="auto", description="of a column: texts, and up to 20 different whole numbers, are classes"
    )
    loss: Literal[
        "auto",
        "cross_entropy",
        "hinge",
        "brier",
        "squared_error",
        "absolute_error",
        "poisson_nll",
        "negative_binomial_nll",
    ] = Field(default="auto", description="counts have poisson_nll or negative_binomial_nll")
    weight: float = dynamic(
        1.0, ge=0, description="of its loss in the sum over an example's tasks; 0 leaves it out"
    )
    widths: tuple[Width, ...] = Field(
        default=(), description="hidden layers of its head; none: one linear layer"
    )
    labels: Part | None = Field(
        default=None,
        description="share (below 1) or number of the training examples that keep their target, as many of "
        "each class as it has; by default all",
    )
    repeat: int = Field(
        default=1, ge=1, le=10_000, description="how often an epoch has each example with this target"
    )
    corruption: Literal["none", "mask", "gaussian"] = Field(
        default="none",
        description="noise on what the network reads for this task in training; the target stays clean",
    )
    amount: float = dynamic(
        0.3, ge=0, description="of the noise: share of the inputs set to 0, or standard deviation"
    )

    @property
    def reconstructs(self) -> bool:
        """Whether its target is what the network reads."""
        return self.target == INPUTS

    @model_validator(mode="after")
    def _fits(self) -> Task:
        if self.reconstructs:
            for name, plain in (("labels", None), ("repeat", 1), ("kind", "auto")):
                if (got := getattr(self, name)) != plain:
                    raise ValueError(
                        f"{name}: got {got!r} for a reconstruction, every example has this target"
                    )
            if self.loss in (*_OF_CLASSES, *_OF_COUNTS):
                raise ValueError(
                    f"loss: got {self.loss!r} for a reconstruction, allowed: squared_error, absolute_error"
                )
        if self.kind == "counts" and self.loss in _OF_CLASSES:
            raise ValueError(f"loss: got {self.loss!r} for counts, allowed: {', '.join(_OF_COUNTS)}")
        if self.loss in _OF_COUNTS and self.kind != "counts":
            raise ValueError(f"kind: got {self.kind!r} with loss {self.loss!r}, allowed: 'counts'")
        if self.labels == 0:
            raise ValueError("labels: got 0, allowed is above 0 (a task without targets learns nothing)")
        if self.corruption == "mask" and self.amount > 1:
            raise ValueError(
                f"amount: got {self.amount}, allowed is 0 to 1, the share of the inputs set to 0"
            )
        return self


class Representation(Section):
    """What the tasks share: [model] gives the features, an activation follows, then each task's head."""

    features: Width = Field(default=128, description="outputs of the network of [model]")
    activation: Activation = "relu"
    dropout: float = dynamic(0.0, ge=0, lt=1, description="share of the features dropped in training")
