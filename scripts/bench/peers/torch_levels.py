"""PyTorch eager on trees, all nodes of one height over the batch at once."""

from __future__ import annotations

from scripts.bench.inputs import Data, Weights
from scripts.bench.interface import Variant
from scripts.bench.kinds import Case
from scripts.bench.variants import torch_trees


def setup(case: Case, weights: Weights, data: Data) -> Variant:
    """As `torch_eager`, without recursion."""
    return torch_trees.variant(case, weights, data, torch_trees.Batched)
