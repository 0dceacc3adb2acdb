"""Alignments against all that there are: sums, expected counts and the best one by enumeration."""

from itertools import product

import numpy as np
import pytest

from dlnotes.data import align_pairs


def every(source, target, most=2):
    """All alignments of a pair, as chunks."""
    for lengths in product(range(most + 1), repeat=len(source)):
        if sum(lengths) == len(target):
            ends = np.cumsum(lengths)
            yield tuple(tuple(target[e - n : e]) for e, n in zip(ends, lengths))


def by_enumeration(sources, targets, iterations, most=2):
    """Expectation and maximization over listed alignments: log-likelihoods, and the best alignments."""
    symbols = sorted({a for s in sources for a in s})
    chunks = {tuple(t[i : i + k]) for t in targets for k in range(most + 1) for i in range(len(t) - k + 1)}
    table = {(a, c): 1 / len(chunks) for a in symbols for c in chunks}
    history = []

    def chance(source, alignment):
        return np.prod([table[a, c] for a, c in zip(source, alignment)])

    for step in range(iterations + 1):
        counts, total = dict.fromkeys(table, 0.0), []
        for s, t in zip(sources, targets):
            found = [(chance(s, one), one) for one in every(s, t, most)]
            p = sum(c for c, _ in found)
            total.append(np.log(p))
            for c, one in found:
                for a, chunk in zip(s, one):
                    counts[a, chunk] += c / p
        history.append(np.mean(total))
        if step < iterations:
            sums = {a: sum(counts[a, c] for c in chunks) for a in symbols}
            table = {(a, c): counts[a, c] / sums[a] for a, c in table}
    best = [max(every(s, t, most), key=lambda one, s=s: chance(s, one)) for s, t in zip(sources, targets)]
    return history, [np.log(chance(s, one)) for s, one in zip(sources, best)], chance


def test_against_all_alignments():
    rng = np.random.default_rng(0)
    sources = ["".join(rng.choice(list("abc"), rng.integers(1, 5))) for _ in range(12)]
    targets = [list(rng.choice(list("XYZ"), rng.integers(0, 2 * len(s) + 1))) for s in sources]
    found = align_pairs(sources, targets, iterations=3)
    history, best, chance = by_enumeration(sources, targets, 3)
    np.testing.assert_allclose(found.log_likelihood, history, rtol=1e-10)
    assert np.all(np.diff(found.log_likelihood) > -1e-12)
    for s, t, chunks, log_p in zip(sources, targets, found.chunks, best):
        assert chunks is not None
        assert [a for c in chunks for a in c] == t
        np.testing.assert_allclose(np.log(chance(s, chunks)), log_p, rtol=1e-8)


def test_a_known_code_is_found():
    code = {"a": ("A",), "b": ("B",), "x": ("K", "S"), "e": (), "t": ("T",)}
    rng = np.random.default_rng(1)
    sources = ["".join(rng.choice(list(code), rng.integers(1, 12))) for _ in range(300)]
    targets = [[s for letter in word for s in code[letter]] for word in sources]
    found = align_pairs(sources, targets)
    assert found.chunks == [tuple(code[letter] for letter in word) for word in sources]


def test_long_words_do_not_underflow():
    rng = np.random.default_rng(2)
    sources = [rng.choice([f"s{i}" for i in range(60)], 400).tolist() for _ in range(4)]
    targets = [[f"T{a}" for a in s] for s in sources]
    found = align_pairs(sources, targets, iterations=4)
    assert np.isfinite(found.log_likelihood).all()
    assert [sum(map(len, c or ())) for c in found.chunks] == [400] * 4


def test_what_cannot_be_aligned():
    found = align_pairs(["a", "", "ab"], ["XYZ", "", "X"])
    assert found.chunks[:2] == [None, None]
    assert found.chunks[2] is not None
    with pytest.raises(ValueError, match="targets: got 1 for 2 sources"):
        align_pairs(["a", "b"], ["X"])
    with pytest.raises(ValueError, match="no pair"):
        align_pairs(["a"], ["XYZ"])
    with pytest.raises(ValueError, match="most: got 0"):
        align_pairs(["a"], ["X"], most=0)
