"""The config of a claim: which experiment measures it, with which options."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from dlnotes.config.fields import Section
from dlnotes.config.places import Name

Budget = Literal["quick", "full", "large"]
"""Quick shows that everything runs, full decides on two cores, large has a published experiment's sizes."""


class ClaimOutput(Section):
    """Where a claim's runs are kept."""

    directory: str = Field(
        default="runs", description="folder of the run folders; ~ and $VARIABLE are replaced"
    )


class ClaimConfig(Section):
    """Everything that decides the numbers of a claim."""

    name: Name = Field(default="claim", description="names the folder of its runs")
    experiment: str = Field(
        pattern=r"^[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*$",
        description='the module that measures it, "chapter/name" under the experiments folder',
    )
    experiments: str | None = Field(
        default=None,
        description="folder of experiment modules; by default the one beside the configs folder",
    )
    budget: Budget = Field(default="full", description="quick, large: with the options of that table")
    options: dict[str, Any] = Field(default={}, description="the experiment's own options")
    quick: dict[str, Any] = Field(default={}, description="options that --budget quick changes")
    large: dict[str, Any] = Field(default={}, description="options that --budget large changes")
    output: ClaimOutput = ClaimOutput()
