"""[scaling]: how inputs of numbers are scaled, in place of each channel's mean and deviation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from dlnotes.config.fields import Section

OF_NUMBERS = ("vector", "image", "volume", "sequence")
"""The kinds of input that consist of numbers."""


class Scaling(Section):
    """What is done to inputs of numbers, in this order: log, each, by. Targets go by data.standardize."""

    log: bool = Field(
        default=False,
        description="sign(x) log(1 + |x| / c), with c the median size of a channel's numbers in the training "
        "part: for numbers over several powers of ten",
    )
    each: Literal["no", "example", "channel"] = Field(
        default="no",
        description="an example, or each channel of it, minus its own mean, divided by its own deviation",
    )
    by: Literal["deviation", "quantiles", "range", "nothing"] = Field(
        default="deviation",
        description="of the training part: minus the mean, divided by the deviation; minus the median, "
        "divided by the distance of two quantiles; least and greatest number to 0 and 1; nothing",
    )
    quantiles: tuple[float, float] = Field(default=(0.25, 0.75), description='with by = "quantiles"')
    channels: Literal["own", "together"] = Field(
        default="own",
        description="whether each channel (feature of a vector) has numbers of its own for log and by",
    )

    @model_validator(mode="after")
    def _fits(self) -> Scaling:
        low, high = self.quantiles
        if not 0 <= low < high <= 1:
            raise ValueError(
                f"quantiles: got {low}, {high}, allowed are two shares, 0 <= first < second <= 1"
            )
        if self.quantiles != (0.25, 0.75) and self.by != "quantiles":
            raise ValueError(f'quantiles: got {low}, {high} with by = "{self.by}", they are for "quantiles"')
        return self

    @property
    def affine(self) -> bool:
        """Whether it is a shift and a factor, the same for every example."""
        return not self.log and self.each == "no"
