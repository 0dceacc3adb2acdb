"""dlnotes on trees, one node of every tree at a time."""

from __future__ import annotations

from scripts.bench import ours
from scripts.bench.inputs import Data, Weights
from scripts.bench.interface import Variant
from scripts.bench.kinds import Case


def setup(case: Case, weights: Weights, data: Data) -> Variant:
    """As `ours`, a plain scan over the slots."""
    return ours.trees(case, weights, data, schedule="sequential")
