"""[data]: texts with classes and words with labels; what `dlnotes.config.data` puts together."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from dlnotes.config.fields import Part, Source

Column = Annotated[int, Field(ge=1)] | str


class _Texts(Source):
    path: str | None = None
    validation_path: str | None = Field(
        default=None, description="a file or folder that is the validation part; else a share of the others"
    )
    test_path: str | None = Field(default=None, description="likewise the test part")
    min_count: int = Field(
        default=2, ge=1, description="how often a symbol must be in the training part to be known"
    )
    vocabulary_size: int = Field(
        default=20_000, ge=1, description="largest number of known symbols, the most frequent ones"
    )
    validation: Part | None = Field(
        default=None, description="share or number held out for validation; 0.1 without a validation_path"
    )
    test: Part | None = Field(default=None, description="the same for the test; 0.2 without a test_path")
    seed: int = Field(default=0, ge=0, description="seed of the split, the same for every training seed")

    @model_validator(mode="after")
    def _parts_are_told_once(self) -> _Texts:
        for name in ("validation", "test"):
            other, share = getattr(self, f"{name}_path"), getattr(self, name)
            if other is not None and share is not None:
                raise ValueError(
                    f"{name}: got {share} beside {name}_path = {other!r}; allowed is one of both"
                )
            if other is not None and self.path is None:
                raise ValueError(f"{name}_path: got {other!r} without a path of training data")
        return self


class TextClasses(_Texts):
    """Your own texts with a class each: a table, or a folder with one sub-folder of .txt files per class."""

    always: ClassVar = ("tokens", "classification")
    kind: Literal["text_classes"]
    path: str | None = Field(
        default=None,
        description=".csv, .tsv, .parquet or a folder; by default sentences of the documentation of the "
        "installed libraries, their class the library",
    )
    text: Column = Field(
        default="text", description="column: its name in the first line, or its number from 1"
    )
    label: Column = Field(default="label", description="column: its name, or its number from 1")
    delimiter: str | None = Field(
        default=None,
        min_length=1,
        max_length=1,
        description="between cells; by default a comma in .csv files and a tab in others",
    )
    tokens: Literal["words", "characters"] = "words"
    lower: bool = Field(default=True, description="take capitals as small letters")
    max_length: int = Field(default=400, ge=1, description="symbols of a text; what comes after is cut")
    drop_empty: bool = Field(default=False, description="leave out rows with an empty text or label")
    limit: int = Field(default=2000, ge=10, description="sentences of each library, without a path")


class TokenLabels(_Texts):
    """Your own words with a label each: in columns, a word a line, a blank line between sentences."""

    always: ClassVar = ("tokens", "tokens")
    kind: Literal["token_labels"]
    path: str | None = Field(
        default=None,
        description="a file in columns, as CoNLL's; by default sentences of the documentation of the "
        "installed libraries, labeled where code is marked",
    )
    word: int = Field(default=1, description="column, from 1, or from the last with -1")
    label: int = Field(default=-1, description="column, from 1, or from the last with -1")
    lower: bool = Field(default=False, description="take words that differ in capitals only as one")
    unknown: Literal["forms", "one"] = Field(
        default="forms", description="symbols of unknown words: by their form and ending, or one for all"
    )
    entities: Literal["auto", "runs", "none"] = Field(
        default="auto",
        description="that F1 is measured of: those of labels such as B-PER, I-PER; neighbors with the same "
        "label other than O; none",
    )
    max_length: int = Field(default=200, ge=1, description="words of a sentence; longer ones are divided")
    limit: int = Field(default=6000, ge=50, description="sentences, without a path")


TextData = TextClasses | TokenLabels
