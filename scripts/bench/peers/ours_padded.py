"""dlnotes with every image padded to the largest: what its size buckets are worth."""

from __future__ import annotations

from scripts.bench import ours
from scripts.bench.inputs import Data, Weights
from scripts.bench.interface import Variant
from scripts.bench.kinds import Case


def setup(case: Case, weights: Weights, data: Data) -> Variant:
    """As `ours`, in one shape."""
    return ours.any_size(case, weights, data, most=1)
