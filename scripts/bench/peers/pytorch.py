"""PyTorch: as it comes, and with what its users turn to for speed.

As it comes it is a module, a loss, ``torch.optim.Adam`` and a Python loop over tensors in memory.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

from functools import partial
from itertools import cycle

import numpy as np
import torch
from torch.nn import functional as F

from scripts.bench.interface import Data, Setup, Variant, Weights, repeated
from scripts.bench.networks import Images, Seq2Seq, TreeLstm
from scripts.bench.peers import torch_attention, torch_trees
from scripts.bench.peers.torch_networks import answers, build
from scripts.bench.peers.torch_training import (
    adam,
    eager_step,
    epochs,
    loss_of,
    tensors,
    training,
    use_all_cores,
)
from scripts.bench.spec import Case


def eager(case: Case, weights: Weights, data: Data) -> Variant:
    """As it comes; images of different sizes are answered one by one, and trees computed by recursion."""
    if isinstance(case.network, TreeLstm):
        return torch_trees.training(case, weights, data, torch_trees.Recursive)
    if isinstance(case.network, Seq2Seq) and not case.trains:
        return torch_attention.writing(case, weights, data)
    if not case.trains:
        return answers(case, weights, data, list(np.arange(case.examples)[:, None]))
    return one_after_another(case, weights, data) if case.members else plain(case, weights, data)


def plain(
    case: Case, weights: Weights, data: Data, *, flush_denormals: bool = True, fused: bool | None = None
) -> Variant:
    """One network of one tensor."""
    use_all_cores(flush_denormals=flush_denormals)
    return training(case, data, eager_step(build(case.network, weights), case, fused=fused))


def one_after_another(case: Case, weights: Weights, data: Data) -> Variant:
    """The members' epochs in turn: a rate does not depend on how long each stays."""
    use_all_cores()
    steps = []
    for member in range(case.members):
        own = [(W[member], b[member]) for W, b in weights]
        steps.append(eager_step(build(case.network, own), case))
    batches = epochs(*tensors(case, data.x, data.y), case.batch)
    turns = cycle([step for step in steps for _ in range(case.examples // case.batch)])

    def check(fixed):
        return [
            [float(step(*tensors(case, xm, ym))) for step, xm, ym in zip(steps, xs, ys)] for xs, ys in fixed
        ]

    return Variant(check, repeated(lambda: next(turns)(*next(batches)), case.batch))


def compiled(case: Case, weights: Weights, data: Data) -> Variant:
    """Forward and backward are one compiled graph, Adam's update another; of a writer each step is one."""
    if not case.trains:
        return torch_attention.writing(case, weights, data, torch.compile)
    use_all_cores()
    model, loss_fn = build(case.network, weights), loss_of(case)
    optimizer = adam(model, case)
    loss = torch.compile(lambda x, y: loss_fn(model(x), y))
    update = torch.compile(optimizer.step)

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        value = loss(x, y)
        value.backward()
        update()
        return value.detach()

    return training(case, data, step)


def channels_last(case: Case, weights: Weights, data: Data) -> Variant:
    """Images and kernels in channels-last memory."""
    assert isinstance(case.network, Images)
    use_all_cores()
    spatial = len(case.network.input_shape) - 1
    layout = torch.channels_last_3d if spatial == 3 else torch.channels_last
    model = build(case.network, weights).to(memory_format=layout)  # type: ignore[call-overload]
    return training(case, data, eager_step(model, case), layout)


def stacked(case: Case, weights: Weights, data: Data) -> Variant:
    """The members' weights stacked by hand, (members, in, out), and one batched product a layer.

    Each member has its own order of the data.
    """
    use_all_cores()
    layers = [
        (torch.tensor(W, requires_grad=True), torch.tensor(b[:, None], requires_grad=True))
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

    x, y = tensors(case, data.x, data.y)

    def forever():
        while True:
            order = torch.stack([torch.randperm(case.examples) for _ in range(case.members)])
            for index in order.split(case.batch, dim=1):
                yield x[index], y[index]

    batches = forever()

    def check(fixed):
        return [step(torch.from_numpy(xs), torch.from_numpy(ys).long()).tolist() for xs, ys in fixed]

    return Variant(check, repeated(lambda: step(*next(batches)), case.batch * case.members))


def by_size(case: Case, weights: Weights, data: Data) -> Variant:
    """Images of the same size in one batch, as many batches as there are sizes."""
    _, size = np.unique(data.sizes, axis=0, return_inverse=True)
    groups = [np.flatnonzero(size.reshape(-1) == i) for i in range(size.max() + 1)]
    return answers(case, weights, data, groups)


VARIANTS: dict[str, Setup] = {
    "torch_eager": eager,
    "torch_fused": partial(plain, fused=True),
    "torch_denormals": partial(plain, flush_denormals=False),
    "torch_compile": compiled,
    "torch_channels_last": channels_last,
    "torch_bmm": stacked,
    "torch_by_size": by_size,
    "torch_levels": partial(torch_trees.training, network=torch_trees.Batched),
}
"""``fused`` is Adam's kernel, an option that costs a user one word; ``denormals`` leaves numbers too small
for float32's exponent as they are, PyTorch's default; ``levels`` takes all nodes of one height at once."""
