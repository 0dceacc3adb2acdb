"""``torch.compile`` of the loss and of the update, default mode."""
# pyright: reportMissingImports=false

from __future__ import annotations

import torch

from scripts.bench.inputs import Data, Weights
from scripts.bench.interface import Variant
from scripts.bench.kinds import Case
from scripts.bench.variants import torch_attention
from scripts.bench.variants import torch_common as common


def setup(case: Case, weights: Weights, data: Data) -> Variant:
    """Forward and backward are one compiled graph, Adam's update another; of a writer each step is one."""
    if case.kind in ("greedy", "beam"):
        return torch_attention.writing(case, weights, data, torch.compile)
    common.use_all_cores()
    model, loss_fn = common.build(case, weights), common.loss_of(case)
    optimizer = common.adam(model, case)
    loss_of = torch.compile(lambda x, y: loss_fn(model(x), y))
    update = torch.compile(optimizer.step)

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        loss = loss_of(x, y)
        loss.backward()
        update()
        return loss.detach()

    return common.variant(case, data, step)
