"""[data]: trees; what `dlnotes.experiment.config.data` puts together."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dlnotes.experiment.config.fields import Section


class ListOps(Section):
    """Nested list operations (MIN, MAX, MED, SM) as trees or sequences; the answer is a digit."""

    kind: Literal["list_ops"]
    n_train: int = Field(default=5000, ge=10)
    n_validation: int = Field(default=500, ge=1)
    n_test: int = Field(default=1000, ge=1)
    structure: Literal["given", "operators", "balanced", "chain", "sequence"] = Field(
        default="given",
        description="binary trees as published; a node an operator; the same symbols under balanced trees or "
        "chains; without a tree",
    )
    max_depth: int = Field(default=20, ge=1, le=50)
    max_args: int = Field(default=5, ge=2, le=10)
    max_length: int = Field(default=100, ge=4)
    seed: int = Field(default=0, ge=0)

    @property
    def feeds(self) -> tuple[str, str]:
        """Kind of input, and task."""
        return ("tokens" if self.structure == "sequence" else "tree", "classification")
