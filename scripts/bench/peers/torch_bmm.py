"""PyTorch with the members' weights stacked by hand and one batched product a layer."""
# pyright: reportMissingImports=false

from __future__ import annotations

import time

import torch
from torch.nn import functional as F

from scripts.bench.inputs import Data, Weights
from scripts.bench.interface import Variant
from scripts.bench.kinds import Case
from scripts.bench.variants import torch_common as common


def setup(case: Case, weights: Weights, data: Data) -> Variant:
    """W is (members, in, out); each member has its own order of the data."""
    common.use_all_cores()
    layers = [
        (torch.from_numpy(W).requires_grad_(), torch.from_numpy(b)[:, None].contiguous().requires_grad_())
        for W, b in weights
    ]
    optimizer = torch.optim.Adam([p for layer in layers for p in layer], lr=case.learning_rate)

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        h = x
        for i, (W, b) in enumerate(layers):
            h = torch.baddbmm(b, F.relu(h) if i else h, W)
        losses = F.cross_entropy(h.flatten(0, 1), y.flatten(), reduction="none").view(y.shape).mean(1)
        losses.sum().backward()
        optimizer.step()
        return losses.detach()

    x, y = common.tensors(case, data.x, data.y)

    def epochs():
        while True:
            order = torch.stack([torch.randperm(case.examples) for _ in range(case.members)])
            for index in order.split(case.batch, dim=1):
                yield x[index], y[index]

    batches = epochs()

    def check(fixed):
        return [step(torch.from_numpy(xs), torch.from_numpy(ys).long()).tolist() for xs, ys in fixed]

    def run(seconds: float) -> tuple[int, float]:
        start, steps = time.perf_counter(), 0
        while True:
            step(*next(batches))
            steps += 1
            elapsed = time.perf_counter() - start
            if elapsed >= seconds:
                return steps * case.batch * case.members, elapsed

    return Variant(check, run)
