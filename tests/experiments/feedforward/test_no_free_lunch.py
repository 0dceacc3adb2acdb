"""Counting over all functions of three bits, against a plain loop and known numbers."""

from itertools import combinations, product

import numpy as np

from experiments.feedforward import no_free_lunch as lunch


def majority(x, y, other):
    return np.full(len(other), int(2 * y.sum() > len(y)))


def test_wrong_answers_are_those_of_a_plain_loop():
    found = lunch.wrong(lunch.answers(majority), lunch.REST)
    for k, split in enumerate(combinations(range(8), 4)):
        for f in (0, 17, 105, 150, 254):
            labels = [(f >> i) & 1 for i in range(8)]
            seen = [labels[i] for i in split]
            answer = int(sum(seen) > 2)
            want = sum(labels[i] != answer for i in range(8) if i not in split)
            assert found[k, f] == want
    assert 2 * found.sum() == 70 * 256 * 4


def test_any_answers_at_all_are_wrong_at_half():
    answers = np.random.default_rng(0).integers(2, size=(70, 16, 8))
    assert 2 * lunch.wrong(answers, lunch.REST).sum() == 70 * 256 * 4


def test_learners_fit_what_they_saw():
    for learner in (lunch.nearest, lunch.tree, lunch.rbf_machine):
        some = lunch.SPLITS[::23]
        for split, y in product(some, lunch.LABELS[::5]):
            x = lunch.POINTS[split]
            np.testing.assert_array_equal(learner(x, y, x), y)


def test_there_are_104_threshold_functions_of_three_bits():
    """Muroga 1971; parity and its opposite are not among them."""
    found = lunch.separable()
    assert found.sum() == 104
    parity = lunch.POINTS.sum(1) % 2
    at = (parity == lunch.FUNCTIONS).all(1)
    assert not found[at].any()
