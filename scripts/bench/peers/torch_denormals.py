"""PyTorch eager with numbers too small for float32's exponent left as they are, PyTorch's default."""

from __future__ import annotations

from scripts.bench.inputs import Data, Weights
from scripts.bench.interface import Variant
from scripts.bench.kinds import Case
from scripts.bench.variants import torch_common as common


def setup(case: Case, weights: Weights, data: Data) -> Variant:
    """As `torch_eager`."""
    common.use_all_cores(flush_denormals=False)
    model = common.build(case, weights)
    return common.variant(
        case, data, common.eager_step(model, common.loss_of(case), common.adam(model, case))
    )
