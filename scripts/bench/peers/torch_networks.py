"""The networks and the training loop of the PyTorch variants."""
# pyright: reportMissingImports=false

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import nn

from scripts.bench.inputs import Data, Weights, probabilities
from scripts.bench.interface import Variant, again_and_again
from scripts.bench.kinds import ENCODER_DECODERS, GATES, STAGES, Case

Step = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def use_all_cores(*, flush_denormals: bool = True) -> None:
    """As many threads as this process has cores.

    Numbers too small for float32's exponent count as 0, as XLA has it: left as they are, as PyTorch does
    unless told, each costs over a hundred cycles, and the gradients of 512 steps are mostly such numbers.
    """
    torch.set_flush_denormal(flush_denormals)  # before the threads start, which take it over
    torch.set_num_threads(len(os.sched_getaffinity(0)))


def build(case: Case, weights: Weights) -> nn.Module:
    """The network of a case with the given weights, as a user would write it."""
    if case.kind in STAGES:
        return _staged(case, weights)
    if case.kind in GATES:
        from scripts.bench.variants.torch_recurrent import LastState

        return LastState(case, weights)
    if case.kind in ENCODER_DECODERS:
        from scripts.bench.variants.torch_attention import EncoderDecoder

        return EncoderDecoder(case, weights)
    if case.kind == "mlp":
        layers: list[nn.Module] = []
        for i, (n, m) in enumerate(zip(case.sizes[:-1], case.sizes[1:])):
            if i:
                layers.append(nn.Tanh() if case.hidden == "tanh" else nn.ReLU())
            layers.append(nn.Linear(n, m))
    else:
        height, width, channels, first, second, dense, classes = case.sizes
        layers = [
            nn.Conv2d(channels, first, 3, padding="same"),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(first, second, 3, padding="same"),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(height // 4 * (width // 4) * second, dense),
            nn.ReLU(),
            nn.Linear(dense, classes),
        ]
    with torch.no_grad():
        learned = [layer for layer in layers if isinstance(layer, (nn.Linear, nn.Conv2d))]
        for layer, (W, b) in zip(learned, to_torch(case, weights)):
            layer.weight.copy_(torch.from_numpy(W))
            assert layer.bias is not None
            layer.bias.copy_(torch.from_numpy(b))
    return nn.Sequential(*layers)


def _staged(case: Case, weights: Weights) -> nn.Module:
    """The stages of a case."""
    how = STAGES[case.kind]
    conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[how.rank - 1]
    pool = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[how.rank - 1]
    before, *channels, classes = case.sizes[how.rank :]
    layers: list[nn.Module] = []
    for after, s in zip(channels, how.strides):
        if how.residual:
            layers.append(_Residual(before, after, s, how.kernel))
        else:
            layers += [conv(before, after, how.kernel, s, how.kernel // 2), nn.ReLU()]
        if how.pool > 1:
            layers.append(pool(how.pool, how.pool_stride))
        before = after
    means = [_Mean()] if how.grid == 1 else [nn.AdaptiveAvgPool2d(how.grid), nn.Flatten()]
    model = nn.Sequential(*layers, *means, nn.Linear(before * how.grid**how.rank, classes))
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    learned = [layer for layer in model.modules() if isinstance(layer, kinds)]
    with torch.no_grad():
        for layer, (W, b) in zip(learned, to_torch(case, weights), strict=True):
            layer.weight.copy_(torch.from_numpy(W))
            assert layer.bias is not None
            layer.bias.copy_(torch.from_numpy(b))
    return model


class _Mean(nn.Module):
    """Over all positions, for each channel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(2).mean(2)


class _Residual(nn.Module):
    """A block as in `scripts.bench.cases.Stages`."""

    def __init__(self, before: int, after: int, stride: int, kernel: int):
        super().__init__()
        self.first = nn.Conv2d(before, after, kernel, stride, kernel // 2)
        self.second = nn.Conv2d(after, after, kernel, 1, kernel // 2)
        changed = stride > 1 or before != after
        self.shortcut = nn.Conv2d(before, after, 1, stride) if changed else nn.Identity()
        self.gain = nn.Parameter(torch.ones(after, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.shortcut(x) + self.gain * self.second(torch.relu(self.first(x))))


def to_torch(case: Case, weights: Weights) -> Weights:
    """(in, out) becomes (out, in), HWIO becomes OIHW, and the flattening becomes channel first."""
    out = []
    for i, (W, b) in enumerate(weights):
        if W.ndim > 2:
            W = np.moveaxis(W, (-1, -2), (0, 1))
        elif case.kind == "cnn" and i == 2:
            height, width, channels = case.sizes[0] // 4, case.sizes[1] // 4, case.sizes[4]
            W = W.reshape(height, width, channels, -1).transpose(3, 2, 0, 1).reshape(W.shape[1], -1)
        elif case.kind in STAGES and STAGES[case.kind].grid > 1:
            cells = STAGES[case.kind].grid ** STAGES[case.kind].rank
            W = W.reshape(cells, -1, W.shape[1]).transpose(2, 1, 0).reshape(W.shape[1], -1)
        else:
            W = W.T
        out.append((np.ascontiguousarray(W), b))
    return out


def loss_of(case: Case) -> nn.Module:
    """−log p, averaged over the batch."""
    return nn.BCEWithLogitsLoss() if case.output == "sigmoid" else nn.CrossEntropyLoss()


def tensors(case: Case, x: np.ndarray, y: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Channels first; float targets of shape (batch, 1) for a sigmoid, int64 labels otherwise."""
    xs, ys = torch.from_numpy(x), torch.from_numpy(y)
    if case.kind == "cnn" or case.kind in STAGES:
        xs = xs.movedim(-1, 1).contiguous()
    return xs, ys.float()[:, None] if case.output == "sigmoid" else ys.long()


def eager_step(model: nn.Module, loss_fn: nn.Module, optimizer: torch.optim.Optimizer) -> Step:
    """The training step of every tutorial, without reading the loss back."""

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def adam(model: nn.Module, case: Case, **options) -> torch.optim.Optimizer:
    """Adam with the case's learning rate."""
    return torch.optim.Adam(model.parameters(), lr=case.learning_rate, **options)


def epochs(x: torch.Tensor, y: torch.Tensor, batch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches for ever, in a new order every epoch; a full batch stays as it is."""
    n = len(x)
    while True:
        if batch == n:
            yield x, y
            continue
        for index in torch.randperm(n).split(batch):
            yield x[index], y[index]


def variant(case: Case, data: Data, step: Step, memory_format: torch.memory_format | None = None) -> Variant:
    """`Variant` of a step on tensors in memory."""

    def prepare(x: np.ndarray, y: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        xs, ys = tensors(case, x, y)
        return (xs if memory_format is None else xs.contiguous(memory_format=memory_format)), ys

    batches = epochs(*prepare(data.x, data.y), case.batch)

    def check(fixed):
        return [float(step(*prepare(x, y))) for x, y in fixed]

    def run(seconds: float) -> tuple[int, float]:
        start, steps = time.perf_counter(), 0
        while True:
            step(*next(batches))
            steps += 1
            elapsed = time.perf_counter() - start
            if elapsed >= seconds:
                return steps * case.batch, elapsed

    return Variant(check, run)


def answers(case: Case, weights: Weights, data: Data, groups: Sequence[np.ndarray]) -> Variant:
    """Inference, a batch for each group of row numbers; the images of a group are of one size."""
    use_all_cores()
    model = build(case, weights).eval()
    parts = []
    for rows in groups:
        box = tuple(slice(int(m)) for m in data.sizes[rows[0]])
        images, _ = tensors(case, np.ascontiguousarray(data.x[(rows, *box)]), data.y[rows])
        parts.append((torch.from_numpy(rows), images))

    @torch.inference_mode()
    def answer() -> torch.Tensor:
        out = torch.empty(case.examples, case.sizes[-1])
        for rows, images in parts:
            out[rows] = model(images)
        return out

    def check(fixed):
        return probabilities(answer().numpy())

    return Variant(check, again_and_again(case, answer))
