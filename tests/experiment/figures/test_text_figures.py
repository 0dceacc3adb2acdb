"""Bits per character of n-grams against plain counting, and the figures of a language model's run."""

# pyright: reportOptionalMemberAccess=false, reportArgumentType=false, reportOptionalOperand=false, reportAttributeAccessIssue=false

import csv
import lzma
import math
from collections import Counter

import numpy as np
import pytest
from tiny_run import tiny

from dlnotes.config import parse
from dlnotes.data import copy_memory, text
from dlnotes.data.texts.ngrams import ngram_bits, xz_bits
from dlnotes.experiment.figures import text as text_figures
from dlnotes.experiment.run import run


def counted(train, test, order, symbols):
    """The same n-grams from dictionaries, a symbol at a time."""
    grams = Counter(tuple(train[i : i + k]) for k in range(1, order + 1) for i in range(len(train) - k + 1))
    total = 0.0
    for i in range(1, len(test)):
        p = 1 / symbols
        for k in range(1, order + 1):
            if i - k + 1 < 0:
                break
            h = tuple(test[i - k + 1 : i])
            followed = {g[-1]: n for g, n in grams.items() if len(g) == k and g[:-1] == h}
            if followed:
                n, t = sum(followed.values()), len(followed)
                p = (followed.get(test[i], 0) + t * p) / (n + t)
        total -= math.log2(p)
    return total / (len(test) - 1)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_ngrams_against_plain_counting(order):
    rng = np.random.default_rng(order)
    train, test = rng.integers(0, 5, 120) * rng.integers(0, 2, 120), rng.integers(0, 6, 40)
    found = ngram_bits(train, test, order=order, symbols=6)
    np.testing.assert_allclose(found, [counted(train, test, k, 6) for k in range(1, order + 1)], rtol=1e-12)


def test_probabilities_of_all_symbols_add_up_to_one():
    train = np.random.default_rng(0).integers(0, 4, 60)
    for before in ([0, 1, 2], [3, 3, 3]):
        mean = [ngram_bits(train, np.array([*before, c]), order=3, symbols=4)[-1] for c in range(4)]
        shared = ngram_bits(train, np.array(before), order=3, symbols=4)[-1] * (len(before) - 1)
        assert sum(2.0 ** (shared - len(before) * m) for m in mean) == pytest.approx(1)


def test_order_and_xz():
    with pytest.raises(ValueError, match="order: got 10"):
        ngram_bits(np.zeros(20, int), np.zeros(20, int), order=10, symbols=100)
    with pytest.raises(ValueError, match="train, test: got 2, 9"):
        ngram_bits(np.zeros(2, int), np.zeros(9, int), order=3, symbols=4)
    letters = "".join(np.random.default_rng(0).choice(list("abcd"), 3000))
    alone, behind = xz_bits(letters, letters)
    assert alone == 8 * len(lzma.compress(letters.encode(), preset=9)) / 3000
    assert 2 < alone < 3  # two bits at best
    assert behind < 0.2


def test_the_text_is_put_together_again(tmp_path):
    (tmp_path / "own.txt").write_text(written := "the cat sat on the mat " * 30)
    d = text(tmp_path / "own.txt", window=7)
    again = "".join(d.symbols[i] for i in text_figures.text_codes(d.train))
    assert written.startswith(again)
    assert len(again) == 7 * d.train.size + 1
    assert text_figures.fitting(copy_memory(n_train=2, n_validation=0, n_test=0)) == []


def test_a_language_models_run_has_them(tmp_path):
    (tmp_path / "own.txt").write_text("the cat sat on the mat " * 30)
    config = tiny(tmp_path / "runs") | {
        "data": {"kind": "text", "path": str(tmp_path / "own.txt"), "window": 7},
        "model": {"kind": "character_model", "hidden": 3, "embedding": 2},
        "training": {"duration": "3 steps", "batch_size": 8, "seeds": 2, "ema": None},
        "output": {"directory": str(tmp_path / "runs")},
    }
    result = run(parse(config))
    with open(result.folder / "figures" / "bits_per_symbol.csv") as f:
        rows = dict(list(csv.reader(f))[1:])
    assert list(rows)[:2] == ["xz -9, the test text alone", "xz -9 behind the training text"]
    own = result.metrics["test"]["loss"]["mean"] / math.log(2)
    assert float(rows["this net (character model)"]) == pytest.approx(own, rel=1e-5)
    assert float(rows["interpolated 5-gram"]) < float(rows["interpolated 1-gram"])
    sampled = (result.folder / "figures" / "samples.txt").read_text()
    assert sampled.count("[[") == sampled.count("]]") == 3 * 3 + 1
    assert (result.folder / "figures" / "bits_per_symbol.png").stat().st_size > 5000
