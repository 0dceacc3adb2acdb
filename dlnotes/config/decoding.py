"""[decoding]: how an encoder-decoder writes when it is measured and used."""

from __future__ import annotations

from pydantic import Field

from dlnotes.config.fields import Section


class Decoding(Section):
    """Beam search, for the error rates of a run and for `dlnotes predict`."""

    beam: int = Field(
        default=1, ge=1, le=1000, description="beginnings kept at each step; 1 decodes greedily"
    )
    length_penalty: float = Field(
        default=0.0, ge=0, description="hypotheses of n symbols are ordered by log p / n^length_penalty"
    )
