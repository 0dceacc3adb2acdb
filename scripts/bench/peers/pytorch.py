"""PyTorch as it comes: a module, a loss, ``torch.optim.Adam``, a Python loop over tensors in memory.

Images of different sizes are answered one by one, and trees computed by recursion.
"""

from __future__ import annotations

import time

import numpy as np

from scripts.bench.inputs import Data, Weights
from scripts.bench.interface import Variant
from scripts.bench.kinds import TREES, Case
from scripts.bench.variants import torch_attention, torch_trees
from scripts.bench.variants import torch_common as common


def setup(case: Case, weights: Weights, data: Data) -> Variant:
    """One network, or with members one after another."""
    if case.kind in ("greedy", "beam"):
        return torch_attention.writing(case, weights, data)
    if case.kind in TREES:
        return torch_trees.variant(case, weights, data, torch_trees.Recursive)
    if not case.trains:
        return common.answers(case, weights, data, list(np.arange(case.examples)[:, None]))
    common.use_all_cores()
    if case.members:
        return _one_after_another(case, weights, data)
    model = common.build(case, weights)
    return common.variant(
        case, data, common.eager_step(model, common.loss_of(case), common.adam(model, case))
    )


def _one_after_another(case: Case, weights: Weights, data: Data) -> Variant:
    """The members' epochs in turn: a rate does not depend on how long each stays."""
    steps = []
    for member in range(case.members):
        model = common.build(case, [(W[member], b[member]) for W, b in weights])
        steps.append(common.eager_step(model, common.loss_of(case), common.adam(model, case)))
    x, y = common.tensors(case, data.x, data.y)
    batches = common.epochs(x, y, case.batch)
    per_epoch = case.examples // case.batch

    def check(fixed):
        return [
            [float(step(*common.tensors(case, xm, ym))) for step, xm, ym in zip(steps, xs, ys)]
            for xs, ys in fixed
        ]

    done = 0

    def run(seconds: float) -> tuple[int, float]:
        nonlocal done
        start, first = time.perf_counter(), done
        while True:
            steps[done // per_epoch % case.members](*next(batches))
            done += 1
            elapsed = time.perf_counter() - start
            if elapsed >= seconds:
                return (done - first) * case.batch, elapsed

    return Variant(check, run)
