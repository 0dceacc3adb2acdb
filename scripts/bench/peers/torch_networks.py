"""The networks of the PyTorch variants, as a user would write them, and their answers."""
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from scripts.bench.inputs import probabilities
from scripts.bench.interface import Data, Variant, Weights, repeated
from scripts.bench.networks import Cnn, Mlp, Network, Recurrent, Seq2Seq, Staged, TreeLstm
from scripts.bench.peers.torch_attention import EncoderDecoder
from scripts.bench.peers.torch_recurrent import LastState
from scripts.bench.peers.torch_training import tensors, use_all_cores
from scripts.bench.spec import Case


def build(network: Network, weights: Weights) -> nn.Module:
    """A network with the given weights; those of trees are in `torch_trees`.

    Raises:
      TypeError: of trees, which are more than a tensor.
    """
    match network:
        case Mlp():
            return _filled(_mlp(network), weights)
        case Cnn():
            return _filled(_cnn(network), weights, network.positions)
        case Staged():
            return _filled(_staged(network), weights, network.positions)
        case Recurrent():
            return LastState(network, weights)
        case Seq2Seq():
            return EncoderDecoder(network, weights)
        case TreeLstm():
            raise TypeError("network: got trees, which torch_trees has")


def _mlp(network: Mlp) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, (n, m) in enumerate(pairwise(network.widths)):
        if i:
            layers.append(nn.Tanh() if network.activation == "tanh" else nn.ReLU())
        layers.append(nn.Linear(n, m))
    return nn.Sequential(*layers)


def _cnn(network: Cnn) -> nn.Sequential:
    first, second = network.channels
    return nn.Sequential(
        nn.Conv2d(network.input_shape[-1], first, 3, padding="same"),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(first, second, 3, padding="same"),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(network.positions * second, network.dense),
        nn.ReLU(),
        nn.Linear(network.dense, network.outputs),
    )


def _staged(network: Staged) -> nn.Sequential:
    conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[network.rank - 1]
    pool = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[network.rank - 1]
    kernel, before = network.kernel, network.input_shape[-1]
    layers: list[nn.Module] = []
    for after, stride in zip(network.channels, network.strides):
        if network.residual:
            layers.append(_Residual(before, after, stride, kernel))
        else:
            layers += [conv(before, after, kernel, stride, kernel // 2), nn.ReLU()]
        if network.pool > 1:
            layers.append(pool(network.pool, network.pool_stride))
        before = after
    means = [_Mean()] if network.grid == 1 else [nn.AdaptiveAvgPool2d(network.grid), nn.Flatten()]
    return nn.Sequential(*layers, *means, nn.Linear(before * network.positions, network.outputs))


class _Mean(nn.Module):
    """Over all positions, for each channel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(2).mean(2)


class _Residual(nn.Module):
    """A block as in `scripts.bench.networks.Staged`."""

    def __init__(self, before: int, after: int, stride: int, kernel: int):
        super().__init__()
        self.first = nn.Conv2d(before, after, kernel, stride, kernel // 2)
        self.second = nn.Conv2d(after, after, kernel, 1, kernel // 2)
        changed = stride > 1 or before != after
        self.shortcut = nn.Conv2d(before, after, 1, stride) if changed else nn.Identity()
        self.gain = nn.Parameter(torch.ones(after, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.shortcut(x) + self.gain * self.second(torch.relu(self.first(x))))


def _filled(model: nn.Module, weights: Weights, positions: int = 1) -> nn.Module:
    """The model with the given weights; its first dense layer reads maps of so many positions.

    (in, out) becomes (out, in), HWIO becomes OIHW, and the flattened maps become channel first.
    """
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    learned = [layer for layer in model.modules() if isinstance(layer, kinds)]
    with torch.no_grad():
        for layer, (W, b) in zip(learned, weights, strict=True):
            if W.ndim > 2:
                W = np.moveaxis(W, (-1, -2), (0, 1))
            else:
                W = W.reshape(positions, -1, W.shape[1]).transpose(2, 1, 0).reshape(W.shape[1], -1)
                positions = 1
            layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(W)))
            assert layer.bias is not None
            layer.bias.copy_(torch.from_numpy(b))
    return model


def answers(case: Case, weights: Weights, data: Data, groups: Sequence[np.ndarray]) -> Variant:
    """Inference, a batch for each group of row numbers; the images of a group are of one size."""
    use_all_cores()
    model = build(case.network, weights).eval()
    outputs, parts = case.network.outputs, []
    for rows in groups:
        box = tuple(slice(int(m)) for m in data.sizes[rows[0]])
        images, _ = tensors(case, np.ascontiguousarray(data.x[(rows, *box)]), data.y[rows])
        parts.append((torch.from_numpy(rows), images))

    @torch.inference_mode()
    def answer() -> torch.Tensor:
        out = torch.empty(case.examples, outputs)
        for rows, images in parts:
            out[rows] = model(images)
        return out

    def check(fixed):
        return probabilities(answer().numpy())

    return Variant(check, repeated(answer, case.examples))
