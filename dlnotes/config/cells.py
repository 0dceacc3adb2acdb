"""The recurrent cell of a network: a name, or a table with settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from dlnotes.config.fields import Section

_Units = Annotated[int, Field(ge=1, le=1_000_000)]
_TimeConstant = Annotated[float, Field(ge=1)]


class _WithStart(Section):
    start: Literal["orthogonal", "identity", "glorot_uniform", "glorot_normal"] = Field(
        default="orthogonal", description="of the recurrent matrix"
    )
    scale: float = Field(default=1.0, gt=0, description="factor on it at the start")


class PlainCell(_WithStart):
    """h = g(b + h W + x U); "relu" with an identity start is the IRNN."""

    kind: Literal["rnn"]
    activation: Literal["tanh", "relu", "identity"] = "tanh"


class LSTMCell(Section):
    """Long short-term memory with additions."""

    kind: Literal["lstm"]
    peepholes: bool = Field(default=False, description="the gates see the memory")
    layer_norm: bool = Field(default=False, description="normalize the gates' sums and the memory's way out")


class LeakyCell(_WithStart):
    """Units that keep a running mean over about τ steps."""

    kind: Literal["leaky"]
    time_constants: tuple[_TimeConstant, ...] = Field(
        default=(1.0, 4.0, 16.0), min_length=1, description="τ of equal groups of units"
    )
    learned: bool = Field(default=False, description="start there and learn them")


class DelayedCell(_WithStart):
    """Skip connections through time."""

    kind: Literal["delayed"]
    delay: int = Field(ge=2, le=10_000, description="steps that a skip connection passes over")
    short: bool = Field(default=True, description="keep the connections of one step")


class DeepTransitionCell(_WithStart):
    """A multilayer perceptron from state to state."""

    kind: Literal["deep_transition"]
    widths: tuple[_Units, ...] = Field(min_length=1, description="hidden layers between two states")
    skip: bool = Field(default=False, description="also connect a state to the next one directly")


CellName = Literal["lstm", "gru", "rnn"]
CellTable = Annotated[
    PlainCell | LSTMCell | LeakyCell | DelayedCell | DeepTransitionCell, Field(discriminator="kind")
]


def _form(value: Any) -> str:
    return "[table]" if isinstance(value, (Mapping, Section)) else "[name]"


Cell = Annotated[
    Annotated[CellName, Tag("[name]")] | Annotated[CellTable, Tag("[table]")], Discriminator(_form)
]
"""A name, or a table; errors speak of the form that was given only."""
