"""PyTorch eager with the fused kernel of Adam, the option that costs a user one word."""

from __future__ import annotations

from scripts.bench.inputs import Data, Weights
from scripts.bench.interface import Variant
from scripts.bench.kinds import Case
from scripts.bench.variants import torch_common as common


def setup(case: Case, weights: Weights, data: Data) -> Variant:
    """As `torch_eager`, ``fused=True``."""
    common.use_all_cores()
    model = common.build(case, weights)
    step = common.eager_step(model, common.loss_of(case), common.adam(model, case, fused=True))
    return common.variant(case, data, step)
