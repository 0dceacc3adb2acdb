"""PyTorch eager with images and kernels in channels-last memory."""
# pyright: reportMissingImports=false

from __future__ import annotations

import torch

from scripts.bench.inputs import Data, Weights
from scripts.bench.interface import Variant
from scripts.bench.kinds import Case
from scripts.bench.variants import torch_common as common


def setup(case: Case, weights: Weights, data: Data) -> Variant:
    """As `torch_eager`, another memory format."""
    common.use_all_cores()
    layout = torch.channels_last_3d if case.kind == "conv3d" else torch.channels_last
    model = common.build(case, weights).to(memory_format=layout)  # type: ignore[call-overload]
    step = common.eager_step(model, common.loss_of(case), common.adam(model, case))
    return common.variant(case, data, step, layout)
