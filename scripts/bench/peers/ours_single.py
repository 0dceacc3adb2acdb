"""dlnotes with each batch whole on one CPU device."""

from __future__ import annotations

from scripts.bench import ours
from scripts.bench.inputs import Data, Weights
from scripts.bench.interface import Variant
from scripts.bench.kinds import TREES, Case


def setup(case: Case, weights: Weights, data: Data) -> Variant:
    """A recurrent case, teacher forcing, or trees."""
    if case.kind in TREES:
        return ours.trees(case, weights, data, divide=False)
    train = ours.attention if case.kind == "attention" else ours.recurrent
    return train(case, weights, data, divide=False)
