import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dlnotes.data.split import part_sizes, split_indices


@given(
    st.lists(st.integers(3, 40), min_size=2, max_size=6),
    st.floats(0, 0.45),
    st.floats(0, 0.45),
    st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_stratified_parts_are_disjoint_exact_and_proportional(counts, validation, test, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)) * 7, counts))
    n = len(labels)
    assume(all(part == 0 or part * n >= 0.5 for part in (validation, test)))  # no part of less than one
    training = n - round(validation * n) - round(test * n)
    assume(sum(max(1, count * training // n) for count in counts) <= training)  # else refused
    sizes = part_sizes(n, validation=validation, test=test)
    parts = split_indices(n, validation=validation, test=test, seed=seed, stratify=labels)
    assert tuple(map(len, parts)) == sizes
    assert sorted(np.concatenate(parts).tolist()) == list(range(n))
    for part, size in zip(parts, sizes):
        assert (np.diff(part) > 0).all()
        for label, count in zip(np.arange(len(counts)) * 7, counts):
            assert abs((labels[part] == label).sum() - count * size / n) < 1 + 1e-9


def test_pure_function_of_the_seed():
    a, b, c = (split_indices(50, validation=5, test=0.2, seed=s) for s in (1, 1, 2))
    assert all((p == q).all() for p, q in zip(a, b))
    assert not (a[2] == c[2]).all()


def test_every_row_is_as_likely_to_be_tested():
    hits = np.zeros(10)
    for seed in range(600):
        hits[split_indices(10, validation=0, test=3, seed=seed)[2]] += 1
    assert (abs(hits - 180) < 5 * np.sqrt(600 * 0.3 * 0.7)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation": 0.5, "test": 0.5}, "nothing is left"),
        ({"validation": 10, "test": 0}, "nothing is left"),
        ({"validation": 1.0, "test": 0}, "validation: got 1.0"),
        ({"validation": 0, "test": -1}, "test: got -1"),
        ({"validation": 0.01, "test": 0}, "less than one of 10"),
        ({"validation": True, "test": 0}, "validation: got True"),
        ({"validation": 0, "test": float("nan")}, "test: got nan"),
        ({"validation": 2, "test": 2, "stratify": np.arange(9)}, r"stratify: got shape \(9,\)"),
        (
            {"validation": 2, "test": 2, "stratify": [0] * 8 + [5, 5]},
            "class 5 has 2 examples, fewer than the 3",
        ),
        ({"validation": 0, "test": 8, "stratify": [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]}, "training part of 2"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        split_indices(10, seed=0, **options)
