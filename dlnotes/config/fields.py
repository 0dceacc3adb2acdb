"""The pieces every config section is made of: the strict base, durations, swept numbers."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema


class Section(BaseModel):
    """A part of a config: unknown options are errors, and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(steps?|epochs?|examples?)\s*$")


def _duration(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError('must be a number of steps or a text such as "500 steps", "10 epochs"')
    text = f"{value} steps" if isinstance(value, int) else value
    found = _DURATION.match(text)
    if not found or float(found[1]) <= 0:
        raise ValueError('must be positive, such as 500, "500 steps", "10 epochs" or "60000 examples"')
    if found[2].startswith("step") and "." in found[1]:
        raise ValueError("steps must be whole")
    return f"{found[1]} {found[2].rstrip('s')}s"


Duration = Annotated[
    str,
    BeforeValidator(_duration),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(steps?|epochs?|examples?)\s*$"},
            ]
        }
    ),
]
"""A length of training: 500, "500 steps", "10 epochs", "60000 examples"."""


def steps_in(duration: str, steps_per_epoch: int, examples_per_epoch: int) -> int:
    """A checked `Duration` in steps, at least one."""
    number, unit = duration.split()
    if unit == "steps":
        return int(number)
    epochs = float(number) if unit == "epochs" else float(number) / examples_per_epoch
    return max(1, round(epochs * steps_per_epoch))


def dynamic(default: Any = ..., **limits: Any) -> Any:
    """A field whose value may differ between the members of one compiled program.

    A sweep over such fields is vmapped; a sweep over any other field compiles a program per value.
    """
    return Field(default, json_schema_extra={"dynamic": True}, **limits)


Part = Annotated[int | float, Field(ge=0)]
"""A share (below 1) or a number of examples."""


Decimal = Literal[".", ","]
"""The mark before a number's decimals in a text file."""


Provided = tuple[str, str]
"""Kind of input, and task: ``("image", "classification")``."""


class Source(Section):
    """[data] of any kind: a data source with its options."""

    always: ClassVar[Provided | None] = None
    """What it provides, where no option and no file decides it."""

    @property
    def provides(self) -> Provided | None:
        """What it provides with these options, ``None`` where only its files say so."""
        return self.always


class Split(Source):
    """How examples are divided at random into training, validation and test."""

    validation: Part = Field(
        default=0.1, description="share (below 1) or number of examples held out for validation"
    )
    test: Part = Field(default=0.2, description="share (below 1) or number of examples held out for the test")
    seed: int = Field(default=0, ge=0, description="seed of the split, the same for every training seed")


class OwnSplit(Split):
    """As `Split`, of a person's own files: the test part may have a file of its own."""

    test_path: str | None = Field(
        default=None, description="file of the test part; then `test` counts for nothing"
    )
