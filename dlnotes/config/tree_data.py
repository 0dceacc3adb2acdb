"""[data]: trees; what `dlnotes.config.data` puts together."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from dlnotes.config.fields import Part, Source, Split


class ListOps(Source):
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
    def provides(self) -> tuple[str, str]:
        """Kind of input, and task."""
        return ("tokens" if self.structure == "sequence" else "tree", "classification")


class Logic(Source):
    """Pairs of formulas of propositional logic; the answer is one of seven relations."""

    always: ClassVar = ("tree", "classification")
    kind: Literal["logic"]
    n_train: int = Field(default=20000, ge=10)
    n_validation: int = Field(default=1000, ge=1)
    n_test: int = Field(default=6000, ge=1)
    train_operators: int = Field(
        default=4, ge=1, le=50, description="most operators of a formula in training"
    )
    test_operators: int = Field(default=12, ge=1, le=50, description="and in the test")
    variables: int = Field(default=4, ge=2, le=6, description="of six, that one pair may use")
    seed: int = Field(default=0, ge=0)


class Molecules(Split):
    """7,807 molecules as trees of atoms: does it pass the blood-brain barrier?"""

    always: ClassVar = ("tree", "classification")
    kind: Literal["molecules"]
    split: Literal["random", "molecule", "scaffold"] = Field(
        default="random",
        description="by line; without a molecule (but for mirror images), or a scaffold, in two parts",
    )
    min_count: int = Field(default=5, ge=1, description="rarer names of atoms become <unk>")
    data_dir: str | None = Field(default=None, description="folder with the file; else the usual places")


class Sst(Source):
    """The Stanford Sentiment Treebank: sentences as binary trees, a sentiment at every phrase."""

    kind: Literal["sst"]
    labels: Literal["fine", "binary"] = "fine"
    targets: Literal["nodes", "root"] = Field(default="nodes", description="of the training part")
    eval_targets: Literal["root", "nodes"] = Field(
        default="root", description="what validation and test ask for where targets are at nodes"
    )
    min_count: int = Field(default=2, ge=1, description="rarer words become <unk>")
    data_dir: str | None = Field(default=None, description="folder with the file; else the usual places")
    download: bool = Field(default=True, description="fetch the canonical file when it is not found")

    @property
    def provides(self) -> tuple[str, str]:
        """Kind of input, and task."""
        return ("tree", "tokens" if self.targets == "nodes" else "classification")


class TreeFile(Split):
    """Your own trees, one a line, with a class for the tree or for every node."""

    kind: Literal["tree_file"]
    path: str
    test_path: str | None = Field(default=None, description="test trees; else a share of the others")
    form: Literal["classes", "names", "leaves", "smiles", "python"] = Field(
        default="classes",
        description="brackets that begin with a class, a name, or neither; SMILES; Python expressions",
    )
    targets: Literal["root", "nodes"] = Field(default="root", description="nodes: with the form 'classes'")
    min_count: int = Field(default=1, ge=1, description="rarer names become <unk>")
    max_nodes: int = Field(default=10_000, ge=1, description="of a tree; larger ones are refused")
    test: Part | None = Field(default=None, description="share or number of trees; 0.2 where no test_path is")

    @property
    def provides(self) -> tuple[str, str]:
        """Kind of input, and task."""
        return ("tree", "tokens" if self.targets == "nodes" else "classification")

    @model_validator(mode="after")
    def _classes_at_nodes(self) -> TreeFile:
        if self.targets == "nodes" and self.form != "classes":
            raise ValueError(f"targets: 'nodes' needs the form 'classes', got {self.form!r}")
        return self


TreeData = ListOps | Logic | Molecules | Sst | TreeFile
