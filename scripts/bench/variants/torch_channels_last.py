"""PyTorch eager with images and kernels in channels-last memory."""
# pyright: reportMissingImports=false

from __future__ import annotations

import torch

from scripts.bench.cases import Case, Data, Weights
from scripts.bench.interface import Variant
from scripts.bench.variants import torch_common as common


def setup(case: Case, weights: Weights, data: Data) -> Variant:
    """As `torch_eager`, another memory format."""
    common.use_all_cores()
    model = common.build(case, weights).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    step = common.eager_step(model, common.loss_of(case), common.adam(model, case))
    return common.variant(case, data, step, torch.channels_last)
