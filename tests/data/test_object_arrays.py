"""Arrays of Python objects are read without running code, or refused with what to save instead."""

import datetime
import os
import re

import numpy as np
import pytest

import dlnotes.data as data
from dlnotes.data.arrays import read_npy, read_npz

X = np.random.default_rng(0).normal(3, 2, (20, 3))
Y = np.arange(20) % 2
TEXTS = ["no", "yes"] * 10


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_texts_and_numbers_are_read(tmp_path, save):
    path = tmp_path / "own.npz"
    save(path, x=X.astype(object), y=np.array(TEXTS, object))
    d = data.npz(path, validation=0, test=0, standardize=False)
    assert d.classes == ("no", "yes")
    np.testing.assert_array_equal(d.train.y, Y)
    np.testing.assert_allclose(d.train.x, X, rtol=1e-6)
    np.testing.assert_array_equal(data.evaluate_inputs(path, d).y, Y)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, -3, 2**62], "i"),
        ([True, False], "i"),
        ([1, 2.5, float("nan")], "f"),
        (["a", "ü", "猫\n"], "U"),
        ([np.int8(3), np.uint64(2**40)], "i"),
        ([np.float32(1.5), 2], "f"),
        ([np.str_("a"), "bc"], "U"),
    ],
)
def test_values_are_those_that_were_saved(tmp_path, values, kind):
    for order in "CF":
        np.save(tmp_path / "a.npy", np.array([values, values], object, order=order))
        found = read_npy(tmp_path / "a.npy")
        assert found.dtype.kind == kind
        np.testing.assert_array_equal(found, np.array([values, values]))


class Runs:
    def __init__(self, code):
        self.code = code

    def __reduce__(self):
        return os.system, (self.code,)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, "a"], r"texts and numbers \(row 0 is a int, row 1 a str\)"),
        (["a", None], r"Python objects \(NoneType in row 1\)"),
        ([[1], [1, 2]], r"Python objects \(list in row 0\)"),
        ([datetime.date(2020, 1, 1)], r"Python objects \(datetime.date\)"),
        ([2**70], "whole numbers of more than 64 bits"),
        ([np.datetime64("2020-01-01")], r"Python objects \(numpy scalar in row 0\)"),
    ],
)
def test_others_are_refused(tmp_path, values, message):
    array = np.empty(len(values), object)
    array[:] = values
    np.savez(tmp_path / "a.npz", x=X, y=array)
    with pytest.raises(ValueError, match=rf"a\.npz: y holds {message}, which are not read; save np\.array"):
        data.npz(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", x=X, y=Y, unused=array)
    assert data.npz(tmp_path / "a.npz").train.size == 14


def test_nothing_is_run(tmp_path):
    marker = tmp_path / "ran"
    np.save(tmp_path / "a.npy", np.array([Runs(f"touch {marker}")], object))
    with pytest.raises(ValueError, match=r"a\.npy holds Python objects \(posix\.system\)"):
        read_npy(tmp_path / "a.npy")
    assert not marker.exists()


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "longdouble", ">f4", "i1", "u1", ">i8", "u8", "?"])
def test_every_type_of_number(tmp_path, kind):
    values = np.arange(60).reshape(20, 3).astype(kind)
    np.savez(tmp_path / "a.npz", x=values, y=Y)
    d = data.npz(tmp_path / "a.npz", validation=0, test=0, standardize=False)
    np.testing.assert_array_equal(d.train.x, values.astype(float))
    scaled = data.npz(tmp_path / "a.npz", validation=0, test=0)
    np.testing.assert_allclose(scaled.standardize.inverse(scaled.train.x), values.astype(float), atol=0.05)
    np.savez(tmp_path / "a.npz", x=X, y=values[:, 0])
    d = data.npz(tmp_path / "a.npz", task="regression", validation=0, test=0, standardize=False)
    np.testing.assert_array_equal(d.train.y[:, 0], values[:, 0].astype(float))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X + 1j, "x holds complex numbers"),
        (np.full((20, 3), np.datetime64("2020-01-01")), "x holds dates"),
        (np.full((20, 3), np.timedelta64(1, "s")), "x holds times"),
        (np.zeros(20, [("a", float), ("b", int)]), "x holds records"),
        (np.full((20, 3), 1e200), "x: row 0 holds 1e+200"),
        (np.full((20, 3), np.longdouble("1e4000")), "x: row 0 holds infinity"),
        (X.astype("S"), "x has type <U"),
    ],
)
def test_other_types_are_refused(tmp_path, x, message):
    np.savez(tmp_path / "a.npz", x=x, y=Y)
    with pytest.raises(ValueError, match=re.escape(f"a.npz: {message}")):
        data.npz(tmp_path / "a.npz")


def test_counts_of_symbols_and_classes_are_bounded(tmp_path):
    path = tmp_path / "a.npz"
    tokens = np.full((20, 4), 2**40)
    np.savez(path, x=tokens, y=Y)
    with pytest.raises(ValueError, match=f"x: row 0 holds the token {2**40}, allowed is 0..999999"):
        data.npz(path, input="tokens")
    for largest in (np.uint64(2**64 - 1), 2**40):
        np.savez(path, x=X, y=np.full(20, largest))
        with pytest.raises(ValueError, match=r"a\.npz: y: (row 0 is|every row has the label)"):
            data.npz(path)
    np.savez(path, x=X, y=np.array([t.encode() for t in TEXTS]))
    assert data.npz(path).classes == ("no", "yes")
    np.savez(path, x=X, y=np.array([b"\xff", b"a"] * 10))
    with pytest.raises(ValueError, match=r"a\.npz: y holds bytes that are not UTF-8"):
        data.npz(path)
    assert list(read_npz(path)) == ["x", "y"]
