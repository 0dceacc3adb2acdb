"""[teacher]: trained runs whose answers a student learns beside the targets of its data."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dlnotes.config.fields import Section, dynamic


class Teacher(Section):
    """Trained runs that are one teacher together.

    Of each run all seeds that did not fail, of a sweep those of its best point.
    """

    runs: tuple[str, ...] = Field(
        min_length=1,
        description="run folders, or folders of runs such as runs/quickstart, of which the newest that has "
        "ended is taken",
    )
    share: float = dynamic(
        0.9, ge=0, le=1, description="of the teacher's answers in the loss; the rest is the targets'"
    )
    temperature: float = dynamic(
        4.0,
        gt=0,
        description="of classes: logits of both are divided by it, so that small probabilities count",
    )
    mean: Literal["probabilities", "logits"] = Field(
        default="probabilities", description="of several members of classes: what is averaged"
    )
    noise: float = dynamic(
        0.0,
        ge=0,
        description="standard deviation of noise on the inputs, drawn anew every step; the teacher answers "
        "the noisy inputs",
    )
    extra: str | None = Field(
        default=None,
        description="file of further inputs, without targets, in the form of the training data: the teacher "
        "alone answers them",
    )
