"""The recurrent networks of the PyTorch variants: its fused kernels, and a linear layer on the last state."""
# pyright: reportMissingImports=false

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from scripts.bench.interface import Weights
from scripts.bench.networks import Recurrent

CELLS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
ORDER = {"rnn": [0], "lstm": [0, 1, 3, 2], "gru": [0, 1, 2]}
"""Which of the weights' gates (i, f, o, g or r, u, n) stands at each place of PyTorch's."""


class LastState(nn.Module):
    """``softmax(V h_T + c)`` before its softmax."""

    def __init__(self, network: Recurrent, weights: Weights):
        super().__init__()
        hidden, order = network.hidden, ORDER[network.cell]
        (U, b), (W, d), (V, c) = weights
        self.recurrent = CELLS[network.cell](network.features, hidden, batch_first=True)
        self.readout = nn.Linear(hidden, network.outputs)

        def gates(a: np.ndarray) -> torch.Tensor:
            parts = np.split(a, len(order), axis=-1)
            return torch.from_numpy(np.concatenate([parts[i] for i in order], -1).T.copy())

        given = {"weight_ih_l0": U, "bias_ih_l0": b, "weight_hh_l0": W, "bias_hh_l0": d}
        with torch.no_grad():
            for name, a in given.items():
                getattr(self.recurrent, name).copy_(gates(a))
            self.readout.weight.copy_(torch.from_numpy(V.T.copy()))
            self.readout.bias.copy_(torch.from_numpy(c))
        # One bias is trained, as everywhere: two would take two steps of Adam where the others take one.
        second = self.recurrent.bias_hh_l0
        if network.cell == "gru":
            kept = torch.cat([torch.zeros(2 * hidden), torch.ones(hidden)])
            second.register_hook(lambda gradient: gradient * kept)
        else:
            second.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.readout(self.recurrent(x)[0][:, -1])
