"""Rows of the model contract for recurrent and encoder-decoder networks."""

import numpy as np
from contract_row import Row, cross_entropy

from dlnotes import models
from dlnotes.data.dataset import Pair
from dlnotes.models.recurrent.stopping import Given
from dlnotes.typing import Batch

N = 4


def lengths_mask(lengths, time):
    return np.arange(time) < np.asarray(lengths)[:, None]


def batch_of(x, y, mask):
    return Batch(x, y, mask, np.ones(N, np.float32))


def features():
    x = np.random.default_rng(0).normal(size=(N, 4, 3)).astype(np.float32)
    return batch_of(x, np.array([0, 1, 2, 1]), lengths_mask([4, 2, 1, 3], 4))


def tokens():
    rng = np.random.default_rng(1)
    x = rng.integers(0, 5, (N, 4), dtype=np.int32)
    x[:, 0] = np.arange(N)
    x[3, :2] = 4
    mask = lengths_mask([4, 2, 4, 3], 4)
    return batch_of(x, np.array([0, 1, 2, 1]), mask)


def text():
    base = tokens()
    # Every symbol occurs at a real position, and the first symbol of a row decides the rest.
    x = np.array([[0, 1, 2, 3], [1, 3, 0, 0], [2, 4, 1, 0], [4, 0, 2, 0]], np.int32)
    y = np.where(base.mask, np.roll(x, -1, 1), -1)
    return batch_of(x, y, base.mask)


def pairs():
    source = np.array([[0, 1, 2], [1, 3, 0], [2, 0, 4], [4, 0, 0]], np.int32)
    mask = lengths_mask([3, 2, 3, 1], 3)
    y = np.array([[1, 2, 0], [2, 0, -1], [3, 1, 0], [0, -1, -1]], np.int32)
    target = np.concatenate([np.full((N, 1), 4), np.maximum(y, 0)[:, :-1]], 1).astype(np.int32)
    return batch_of(Pair(source, target), y, mask)


def whole_sequences():
    """Different vectors, each with a sequence of its own."""
    base = tokens()
    x = np.array([[0, 1, 2, 3], [1, 3, 0, 0], [2, 4, 1, 0], [4, 0, 2, 0]], np.int32)
    vector = np.random.default_rng(2).normal(size=(N, 3)).astype(np.float32)
    return batch_of(Given(x, vector), np.zeros(N, np.int32), base.mask)


def pad_sequences(batch):
    return batch._replace(
        x=batch.x._replace(symbols=longer(batch.x.symbols, 3)), mask=longer(batch.mask, False)
    )


def log_loss(output, batch):
    return -output


def aligned():
    rng = np.random.default_rng(5)
    y = np.array([[0, 1, 2, -1], [1, 1, 0, 2], [2, 0, -1, -1], [1, 2, 2, 0]], np.int32)
    target = np.concatenate([np.full((N, 1), 3), np.maximum(y, 0)[:, :-1]], 1).astype(np.int32)
    x = Pair(rng.normal(size=(N, 4, 3)).astype(np.float32), target)
    return batch_of(x, y, y >= 0)


def pad_aligned(batch):
    x = Pair(longer(batch.x.source, 7.0), longer(batch.x.target, 2))
    return batch._replace(x=x, y=longer(batch.y, -1), mask=longer(batch.mask, False))


def longer(array, fill):
    return np.concatenate([array, np.full((N, 2, *array.shape[2:]), fill, array.dtype)], 1)


def pad(batch):
    y = batch.y if batch.y.ndim == 1 else longer(batch.y, -1)
    return batch._replace(
        x=longer(batch.x, 3 if batch.x.ndim == 2 else 7.0), y=y, mask=longer(batch.mask, False)
    )


def pad_pairs(batch):
    x = Pair(longer(batch.x.source, 3), longer(batch.x.target, 2))
    return batch._replace(x=x, y=longer(batch.y, -1), mask=longer(batch.mask, False))


def row(name, model, batch, padding, **settings):
    return Row(name, model, batch, cross_entropy, random=True, pad=padding, **settings)


ROWS = [
    row("lstm", lambda: models.sequence_classifier(3, 6, 3, dropout=0.3), features, pad),
    row(
        "bidirectional gru of two layers on tokens",
        lambda: models.sequence_classifier(
            5, 5, 3, cell="gru", layers=2, embedding=4, bidirectional=True, dropout=0.3
        ),
        tokens,
        pad,
        slow=True,
    ),
    row(
        "character model",
        lambda: models.character_model(5, 8, embedding=4, dropout=0.3),
        text,
        pad,
        learning_rate=3e-2,
    ),
    row("seq2seq additive", lambda: models.seq2seq(5, 6, 4, embedding=4, dropout=0.3), pairs, pad_pairs),
    row(
        "seq2seq dot lstm, two layers",
        lambda: models.seq2seq(
            5, 6, 4, embedding=4, cell="lstm", attention="dot", bidirectional=False, layers=2, dropout=0.3
        ),
        pairs,
        pad_pairs,
        slow=True,
    ),
    row(
        "seq2seq local",
        lambda: models.seq2seq(
            5, 6, 4, embedding=4, cell="rnn", attention="local", window=1, decoder_hidden=7, dropout=0.3
        ),
        pairs,
        pad_pairs,
        # Where the window ends the weights jump; a window over everything has no end.
        smooth=lambda: models.seq2seq(
            5, 6, 4, embedding=4, cell="rnn", attention="local", window=9, decoder_hidden=7
        ),
        slow=True,
    ),
    row(
        "seq2seq of a first state",
        lambda: models.seq2seq(
            5, 8, 4, embedding=4, cell="rnn", attention="none", context="initial", dropout=0.3
        ),
        pairs,
        pad_pairs,
        slow=True,
    ),
    Row(
        "sequence that a symbol ends",
        lambda: models.sequence_distribution(5, 8, 6, vector=3, way="both", clock=True),
        whole_sequences,
        log_loss,
        pad=pad_sequences,
    ),
    Row(
        "sequence that a unit stops",
        lambda: models.sequence_distribution(5, 8, 6, ending="stop", vector=3),
        whole_sequences,
        log_loss,
        steps=400,
        pad=pad_sequences,
        slow=True,
    ),
    Row(
        "sequence of a drawn length",
        lambda: models.sequence_distribution(5, 8, 6, ending="length", vector=3, way="initial"),
        whole_sequences,
        log_loss,
        pad=pad_sequences,
        overfit=1.3,  # the entropy of the lengths is 1.04
        slow=True,
    ),
    Row(
        "aligned sequences",
        lambda: models.aligned_sequences(3, 8, 3),
        aligned,
        cross_entropy,
        pad=pad_aligned,
    ),
]
