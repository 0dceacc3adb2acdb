"""[start]: another run whose trained parameters a training begins with."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dlnotes.config.fields import Section

Pattern = Annotated[str, Field(min_length=1)]
"""A path of parameters or its beginning, ``*`` for anything: ``"hidden"``, ``"hidden/0"``, ``"*/b"``."""

Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Start(Section):
    """A training that begins with the parameters of another run: fine-tuning, transfer.

    Whatever the other run cannot give (an output layer of other classes, rows of unknown symbols) is drawn
    afresh from the seed, and the run says what that is.
    """

    run: str = Field(
        min_length=1,
        description="run folder, or folder of runs such as runs/quickstart, of which the newest that has "
        "ended is taken",
    )
    layers: tuple[Pattern, ...] | None = Field(
        default=None,
        description='paths of the parameters that are taken over, such as ["hidden/0", "*/b"]; by default '
        "all; of none: []",
    )
    fresh: tuple[Pattern, ...] = Field(default=(), description="paths of parameters that are not taken over")
    frozen: tuple[Pattern, ...] = Field(
        default=(), description="paths of parameters that stay as they were taken over"
    )
    checkpoint: Literal["auto", "best", "last"] = Field(
        default="auto",
        description="the parameters of the best evaluation, or those at the end; auto: the best ones where "
        "that run kept them",
    )
    point: int | None = Field(
        default=None, ge=0, description="of a run with a sweep; by default its best on validation"
    )
    seeds: Literal["in_turn", "first"] | Seed | tuple[Seed, ...] = Field(
        default="in_turn",
        description="which of that run's seeds each seed here starts from: all in turn, the first, one by "
        "its number, or a list with one for each seed here",
    )
    standardize: Literal["source", "own"] = Field(
        default="source",
        description="inputs are scaled by the numbers of that run, or by those of the data here",
    )

    def problems(self, seeds: int) -> list[str]:
        """What does not fit together, a line each, with paths.

        Args:
          seeds: how many are trained.
        """
        if isinstance(self.seeds, tuple) and len(self.seeds) != seeds:
            return [
                f"start.seeds: got a list of {len(self.seeds)}, training.seeds is {seeds}; allowed: one each"
            ]
        return []
