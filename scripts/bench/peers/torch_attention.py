"""An encoder-decoder with additive attention in PyTorch, as its tutorials write it."""
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from scripts.bench.inputs import named_weights
from scripts.bench.interface import Data, Variant, Weights, repeated
from scripts.bench.networks import Seq2Seq
from scripts.bench.peers.torch_training import use_all_cores
from scripts.bench.spec import BEAMS, Case


class EncoderDecoder(nn.Module):
    """A GRU reads, another writes; the embedding of all targets and the output layer are outside its loop."""

    def __init__(self, network: Seq2Seq, weights: Weights):
        super().__init__()
        outputs, embedding, hidden = network.outputs, network.embedding, network.hidden
        self.steps = network.source_steps
        self.source = nn.Embedding(network.vocabulary, embedding)
        self.encoder = nn.GRU(embedding, hidden, batch_first=True)
        self.first = nn.Linear(hidden, hidden)
        self.target = nn.Embedding(outputs + 1, embedding)
        self.decoder = nn.GRUCell(embedding + hidden, hidden)
        self.query = nn.Linear(hidden, hidden, bias=False)
        self.key = nn.Linear(hidden, hidden, bias=False)
        self.v = nn.Linear(hidden, 1, bias=False)
        self.readout = nn.Linear(2 * hidden, outputs)

        w = named_weights(network, weights)
        kept = torch.cat([torch.zeros(2 * hidden), torch.ones(hidden)])

        def fill(parameter: torch.Tensor, a: np.ndarray) -> None:
            with torch.no_grad():
                parameter.copy_(torch.from_numpy(np.ascontiguousarray(a.T)))

        fill(self.source.weight, w["E"].T)
        fill(self.target.weight, w["F"].T)
        for gru, name, end in ((self.encoder, "encoder", "_l0"), (self.decoder, "decoder", "")):
            for mine, key in (("weight_ih", "U"), ("bias_ih", "b"), ("weight_hh", "W"), ("bias_hh", "d")):
                fill(getattr(gru, mine + end), w[f"{name}.{key}"])
            # Of two biases that are only ever added one is trained, as everywhere.
            getattr(gru, "bias_hh" + end).register_hook(lambda gradient: gradient * kept)
        fill(self.first.weight, w["W_0"])
        fill(self.first.bias, w["b_0"])
        for layer, name in ((self.query, "W_q"), (self.key, "W_k"), (self.v, "v")):
            fill(layer.weight, w[name])
        fill(self.readout.weight, w["V"])
        fill(self.readout.bias, w["c"])
        self.begin = outputs

    def read(self, source: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The decoder's first state, the annotations, and their keys."""
        annotations, last = self.encoder(self.source(source))
        return torch.tanh(self.first(last[0])), annotations, self.key(annotations)

    def step(self, h, y, annotations, keys):
        """One step of the decoder: ``(h, [h; C])``."""
        scores = self.v(torch.tanh(self.query(h)[:, None] + keys)).squeeze(-1)
        context = torch.einsum("bs,bsd->bd", torch.softmax(scores, -1), annotations)
        h = self.decoder(torch.cat([y, context], -1), h)
        return h, torch.cat([h, context], -1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits ``(batch, outputs, T)`` with teacher forcing; ``x`` has the source, then the target."""
        source, target = x[:, : self.steps], x[:, self.steps :]
        h, annotations, keys = self.read(source)
        begin = torch.full_like(target[:, :1], self.begin)
        inputs = self.target(torch.cat([begin, target[:, :-1]], 1))
        features = []
        for y in inputs.unbind(1):
            h, feature = self.step(h, y, annotations, keys)
            features.append(feature)
        return self.readout(torch.stack(features, 1)).transpose(1, 2)

    @torch.inference_mode()
    def greedy(self, source: torch.Tensor, length: int) -> torch.Tensor:
        """Symbols ``(batch, length)``; 0 ends a sequence, -1 stands behind it."""
        h, annotations, keys = self.read(source)
        symbol = torch.full((len(source),), self.begin)
        done = torch.zeros(len(source), dtype=torch.bool)
        written = torch.full((len(source), length), -1)
        for t in range(length):
            h, feature = self.step(h, self.target(symbol), annotations, keys)
            symbol = self.readout(feature).argmax(-1)
            written[:, t] = torch.where(done, -1, symbol)
            done |= symbol == 0
            if done.all():
                break
        return written

    @torch.inference_mode()
    def beam(self, source: torch.Tensor, length: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The best sequences ``(batch, width, length)`` and their log-probabilities, best first."""
        h, annotations, keys = self.read(source)
        batch = len(source)
        h, annotations, keys = (a.repeat_interleave(width, 0) for a in (h, annotations, keys))
        symbol = torch.full((batch * width,), self.begin)
        log_p = torch.full((batch, width), -torch.inf)
        log_p[:, 0] = 0
        done = torch.zeros(batch, width, dtype=torch.bool)
        written = torch.full((batch, width, 0), -1)
        first = torch.arange(batch)[:, None] * width
        for _ in range(length):
            h, feature = self.step(h, self.target(symbol), annotations, keys)
            scores = torch.log_softmax(self.readout(feature), -1).view(batch, width, -1)
            stay = torch.full_like(scores[0, 0], -torch.inf)
            stay[0] = 0
            total = log_p[:, :, None] + torch.where(done[:, :, None], stay, scores)
            log_p, best = total.flatten(1).topk(width)
            parent, following = best // scores.shape[-1], best % scores.shape[-1]
            ended = done.gather(1, parent)
            column = torch.where(ended, -1, following)
            written = written.gather(1, parent[:, :, None].expand(-1, -1, written.shape[-1]))
            written = torch.cat([written, column[:, :, None]], -1)
            h, symbol, done = h[(first + parent).flatten()], following.flatten(), ended | (following == 0)
            if done.all():
                break
        return written, log_p


def writing(case: Case, weights: Weights, data: Data, wrap: Callable = lambda step: step) -> Variant:
    """Greedy decoding or beam search, with ``wrap`` around the decoder's step."""
    network = case.network
    assert isinstance(network, Seq2Seq)
    use_all_cores()
    model = EncoderDecoder(network, weights).eval()
    model.step = wrap(model.step)
    length = network.target_steps
    source = torch.from_numpy(data.x[:, : network.source_steps])

    def write() -> torch.Tensor:
        if case.task == "greedy":
            return model.greedy(source, length)
        return model.beam(source, length, BEAMS)[1][:, 0]

    def check(fixed):
        return write().tolist()

    return Variant(check, repeated(write, case.examples))
