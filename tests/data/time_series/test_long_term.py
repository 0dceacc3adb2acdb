"""The tasks of long-term dependencies: each drawn example against the definition, written as plain loops."""

# pyright: reportOptionalMemberAccess=false, reportArgumentType=false, reportOptionalOperand=false, reportAttributeAccessIssue=false

import numpy as np
import pytest

import dlnotes.data as data
from dlnotes.data.time_series.long_term import (
    TEMPORAL_SYMBOLS,
    draw_adding,
    draw_copy_memory,
    draw_latch,
    draw_parity,
    draw_temporal_order,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def real(drawn):
    """Each example without its padding; behind it all is zero."""
    for x, y, mask in zip(drawn.x, drawn.y, drawn.mask):
        length = int(mask.sum())
        assert mask[:length].all()
        assert (x[length:] == 0).all()
        yield x[:length], y


def test_adding_as_in_the_original():
    drawn = draw_adding(rng(), 3000, min_length=20, max_length=25)
    firsts, seen_lengths = [], set()
    for x, y in real(drawn):
        marked = [t for t in range(len(x)) if x[t, 1] == 1]
        assert x[0, 1] == x[-1, 1] == -1
        assert set(x[:, 1].tolist()) <= {-1.0, 0.0, 1.0}
        assert all(t < len(x) // 2 for t in marked)
        assert len(marked) in (1, 2)  # one only where the first position was marked too: it counts as 0
        assert (np.abs(x[:, 0]) <= 1).all()
        total = sum(float(x[t, 0]) for t in marked)
        assert y[0] == pytest.approx(0.5 + total / 4, abs=1e-6)
        firsts.append(len(marked))
        seen_lengths.add(len(x))
    assert seen_lengths == set(range(20, 26))
    # the first position is drawn with 1/10, or (else) with 1/9 to 1/11 as the second one
    assert np.mean(np.array(firsts) == 1) == pytest.approx(0.19, abs=0.03)


def test_adding_in_halves_and_the_error_of_a_constant_answer():
    drawn = draw_adding(rng(1), 20_000, min_length=6, max_length=9, form="halves")
    for x, y in list(real(drawn))[:300]:
        marked = np.flatnonzero(x[:, 1])
        assert len(marked) == 2
        assert marked[0] < len(x) // 2 <= marked[1]
        assert y[0] == pytest.approx(x[marked, 0].sum(), abs=1e-6)
    assert np.mean((drawn.y - 1) ** 2) == pytest.approx(1 / 6, abs=0.004)


def test_copy_memory():
    drawn = draw_copy_memory(rng(), 50, min_delay=1, max_delay=7, items=3, symbols=4)
    delays = set()
    for x, y in real(drawn):
        delay = len(x) - 6
        expected = [*x[:3], *[0] * (delay - 1), 5, 0, 0, 0]
        assert x.tolist() == expected
        assert set(x[:3].tolist()) <= {1, 2, 3, 4}
        assert y[: len(x)].tolist() == [0] * (delay + 3) + x[:3].tolist()
        assert (y[len(x) :] == -1).all()
        delays.add(delay)
    assert delays == set(range(1, 8))
    counts = np.bincount(draw_copy_memory(rng(), 2000, min_delay=1, max_delay=1).x[:, :10].ravel())
    assert counts[1:] == pytest.approx(2500, abs=200)


@pytest.mark.parametrize("relevant", [2, 3])
def test_temporal_order(relevant):
    ranges = {2: [(10, 20), (50, 60)], 3: [(10, 20), (33, 43), (66, 76)]}[relevant]
    drawn = draw_temporal_order(rng(), 400, min_length=100, max_length=100, relevant=relevant)
    classes = data.temporal_order(relevant=relevant, n_train=1, n_validation=0, n_test=0).classes
    places = []
    for x, y in real(drawn):
        letters = "".join(TEMPORAL_SYMBOLS[i] for i in x)
        assert letters[0] == "E"
        assert letters[-1] == "B"
        assert not set(letters[1:-1]) & {"E", "B"}
        found = [t for t, c in enumerate(letters) if c in "XY"]
        assert classes[y] == "".join(letters[t] for t in found)
        assert all(low <= t <= high for t, (low, high) in zip(found, ranges))
        places.append(found)
    assert [set(p) for p in np.array(places).T] == [set(range(low, high + 1)) for low, high in ranges]
    assert len(set(drawn.y.tolist())) == 2**relevant == len(classes)
    for x, _ in real(draw_temporal_order(rng(), 200, min_length=10, max_length=14, relevant=relevant)):
        assert (x >= 6).sum() == relevant


def test_latch_and_parity():
    drawn = draw_latch(rng(), 4000, min_length=3, max_length=12, informative=2, noise=0.2)
    assert drawn.y.sum() == 2000
    first = drawn.x[:, :2, 0] - (2 * drawn.y[:, None] - 1)
    rest = drawn.x[:, 2:, 0][drawn.mask[:, 2:]]
    assert [first.mean(), rest.mean()] == pytest.approx([0, 0], abs=0.01)
    assert [first.std(), rest.std()] == pytest.approx([0.2, 0.2], abs=0.01)
    bits = draw_parity(rng(), 500, min_length=1, max_length=9)
    for x, y in real(bits):
        odd = False
        for bit in x:
            odd ^= bool(bit)
        assert odd == bool(y)
    assert set(bits.x.ravel().tolist()) == {0, 1}


@pytest.mark.parametrize("kind", ["adding", "copy_memory", "temporal_order", "latch", "parity"])
def test_sources_are_functions_of_their_seed(kind):
    sizes = {"n_train": 5, "n_validation": 0, "n_test": 3}
    one, again, other = (data.load(kind, seed=s, **sizes) for s in (1, 1, 2))
    assert one.validation is None
    assert one.train.size == 5
    assert one.test.size == 3
    np.testing.assert_array_equal(one.train.x, again.train.x)
    assert not np.array_equal(one.train.x, other.train.x)
    assert one.train.x.dtype == (np.float32 if one.input == "sequence" else np.int32)


@pytest.mark.parametrize(
    ("draw", "options", "message"),
    [
        (draw_adding, {"min_length": 3, "max_length": 9}, "min_length, max_length: got 3, 9"),
        (draw_adding, {"min_length": 9, "max_length": 9, "form": "third"}, "form: got 'third'"),
        (draw_copy_memory, {"min_delay": 0, "max_delay": 2}, "min_delay, max_delay: got 0, 2"),
        (draw_copy_memory, {"min_delay": 1, "max_delay": 2, "items": 0}, "items: got 0"),
        (draw_copy_memory, {"min_delay": 1, "max_delay": 2, "symbols": 1}, "symbols: got 1"),
        (draw_temporal_order, {"min_length": 12, "max_length": 11}, "got 12, 11"),
        (draw_temporal_order, {"min_length": 12, "max_length": 12, "relevant": 4}, "relevant: got 4"),
        (draw_latch, {"min_length": 2, "max_length": 9}, "allowed is 3 <= min_length"),
        (draw_latch, {"min_length": 4, "max_length": 9, "noise": -1}, "noise: got -1"),
        (draw_parity, {"min_length": 0, "max_length": 9}, "min_length, max_length: got 0, 9"),
    ],
)
def test_bad_options_are_named(draw, options, message):
    with pytest.raises(ValueError, match=message):
        draw(rng(), 4, **options)
    with pytest.raises(ValueError, match="n_train"):
        data.parity(n_train=0)
