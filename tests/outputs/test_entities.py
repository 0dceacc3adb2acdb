"""Entities that labels mark, held against a state machine after the rules of conlleval."""

import numpy as np
import pytest

from dlnotes.outputs.entities import entities, entity_counts, f1, is_scheme, types_of

BIO = ("O", "B-X", "I-X", "B-Y", "I-Y")
IOBES = ("O", "B-X", "I-X", "E-X", "S-X", "B-Y", "E-Y", "I-Y", "S-Y")
BILOU = tuple(c.replace("E-", "L-").replace("S-", "U-") for c in IOBES)


def one_by_one(names):
    """(first, last, type) of a sentence, label by label; it agrees with seqeval 1.2.2 on random labels."""
    found, begin, kind = set(), None, ""
    previous = "O"
    for i, name in enumerate([*names, "O"]):
        mark, _, own = name.partition("-")
        mark = {"L": "E", "U": "S"}.get(mark, mark)
        before = {"L": "E", "U": "S"}.get(previous[0], previous[0])
        ends = begin is not None and (mark in "OBS" or before in "ES" or own != kind)
        if ends:
            found.add((begin, i - 1, kind))
            begin = None
        if mark != "O" and begin is None:
            begin, kind = i, own
        previous = name
    return found


@pytest.mark.parametrize("classes", [BIO, IOBES, BILOU], ids=["bio", "iobes", "bilou"])
def test_any_labels_as_conlleval_reads_them(classes):
    rng = np.random.default_rng(0)
    for _ in range(60):
        lengths = rng.integers(1, 9, 5)
        y = rng.integers(0, len(classes), (5, 8))
        y[np.arange(8) >= lengths[:, None]] = -1
        predicted = rng.integers(0, len(classes), (5, 8))  # behind the end too
        types = types_of(classes)
        found = entities(y, classes)
        sets = []
        for labels in (y, predicted):
            each = (one_by_one([classes[k] for k in row[:n]]) for row, n in zip(labels, lengths))
            sets.append({(8 * i + a, 8 * i + b, kind) for i, own in enumerate(each) for a, b, kind in own})
        assert {(s, e, types[k]) for s, e, k in zip(*(part.tolist() for part in found))} == sets[0]
        counts = entity_counts(predicted, y, classes)
        for i, kind in enumerate(types):
            true, guessed = ({e for e in part if e[2] == kind} for part in sets)
            expected = (len(true & guessed), len(guessed), len(true))
            assert tuple(int(part[i]) for part in counts) == expected


def test_runs_of_equal_labels():
    classes = ("O", "LOC", "PER")
    found = entities([[1, 1, 2, 0, 2, -1]], classes, scheme="runs")
    assert [part.tolist() for part in found] == [[0, 2, 4], [1, 2, 4], [0, 1, 1]]


def test_shares_and_schemes():
    assert f1(np.array([1, 0]), np.array([1, 0]), np.array([3, 0])).tolist() == [0.5, 0.0]
    assert is_scheme(("B-A", "O"))
    assert not is_scheme(("B-A", "I-A"))
    assert not is_scheme(("O", "PER"))
    with pytest.raises(ValueError, match=r"labels: got shape \(3,\)"):
        entities(np.zeros(3, int), BIO)
