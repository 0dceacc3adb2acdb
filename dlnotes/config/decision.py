"""[decision]: from which probability on an example is taken for a class, where there are two."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dlnotes.config.fields import Section


class Decision(Section):
    """The threshold of two classes, chosen on the validation part or given."""

    threshold: Literal["accuracy", "balanced_accuracy", "f1"] | Annotated[float, Field(gt=0, lt=1)] = Field(
        default="f1",
        description="what it makes largest on the validation part, of each seed; or a number. Without "
        "[decision] it is 1/2",
    )
    positive: str | None = Field(
        default=None, min_length=1, description="class that it is for; by default the last of the two"
    )
