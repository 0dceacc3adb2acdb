"""Training in PyTorch as its tutorials have it: a loss, a step, a Python loop over tensors in memory."""
# pyright: reportMissingImports=false

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn

from scripts.bench.interface import Data, Variant, repeated
from scripts.bench.networks import Images
from scripts.bench.spec import Case

Step = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def use_all_cores(*, flush_denormals: bool = True) -> None:
    """As many threads as this process has cores.

    Numbers too small for float32's exponent count as 0, as XLA has it: left as they are, as PyTorch does
    unless told, each costs over a hundred cycles, and the gradients of 512 steps are mostly such numbers.
    """
    torch.set_flush_denormal(flush_denormals)  # before the threads start, which take it over
    torch.set_num_threads(len(os.sched_getaffinity(0)))


def loss_of(case: Case) -> nn.Module:
    """−log p, averaged over the batch."""
    return nn.BCEWithLogitsLoss() if case.output == "sigmoid" else nn.CrossEntropyLoss()


def adam(model: nn.Module, case: Case, **options) -> torch.optim.Optimizer:
    """Adam with the case's learning rate."""
    return torch.optim.Adam(model.parameters(), lr=case.learning_rate, **options)


def eager_step(model: nn.Module, case: Case, **options) -> Callable[..., torch.Tensor]:
    """The training step of every tutorial, without reading the loss back; the options are Adam's."""
    loss_fn, optimizer = loss_of(case), adam(model, case, **options)

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def tensors(case: Case, x: np.ndarray, y: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Channels first; float targets of shape (batch, 1) for a sigmoid, int64 labels otherwise."""
    xs, ys = torch.from_numpy(x), torch.from_numpy(y)
    if isinstance(case.network, Images):
        xs = xs.movedim(-1, 1).contiguous()
    return xs, ys.float()[:, None] if case.output == "sigmoid" else ys.long()


def epochs(x: torch.Tensor, y: torch.Tensor, batch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches for ever, in a new order every epoch; a full batch stays as it is."""
    n = len(x)
    while True:
        if batch == n:
            yield x, y
            continue
        for index in torch.randperm(n).split(batch):
            yield x[index], y[index]


def training(case: Case, data: Data, step: Step, layout: torch.memory_format | None = None) -> Variant:
    """`Variant` of a step on tensors in memory."""

    def prepare(x: np.ndarray, y: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        xs, ys = tensors(case, x, y)
        return (xs if layout is None else xs.contiguous(memory_format=layout)), ys

    batches = epochs(*prepare(data.x, data.y), case.batch)

    def check(fixed):
        return [float(step(*prepare(x, y))) for x, y in fixed]

    return Variant(check, repeated(lambda: step(*next(batches)), case.batch))
