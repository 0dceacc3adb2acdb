"""dlnotes with each batch whole on one CPU device."""

from __future__ import annotations

from scripts.bench import ours
from scripts.bench.cases import Case, Data, Weights
from scripts.bench.interface import Variant


def setup(case: Case, weights: Weights, data: Data) -> Variant:
    """A recurrent case, or teacher forcing."""
    train = ours.attention if case.kind == "attention" else ours.recurrent
    return train(case, weights, data, divide=False)
