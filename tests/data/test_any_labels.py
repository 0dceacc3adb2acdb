"""Labels of any values: -1 and 1, 1…k, with gaps, booleans, decimals; the same name at every door."""

import numpy as np
import pytest

from dlnotes import data

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2)).astype(np.float32)
PLACE = np.arange(40) % 3
KINDS = {
    "signs": (np.array([-1, 1])[PLACE % 2], ("-1", "1")),
    "from one": (np.array([1, 2, 3])[PLACE], ("1", "2", "3")),
    "with gaps": (np.array([5, -7, 100])[PLACE], ("-7", "5", "100")),
    "booleans": (np.array([True, False])[PLACE % 2], ("0", "1")),
    "floats": (np.array([2.0, -1.0, 0.5])[PLACE], ("-1", "0.5", "2")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_labels_of_arrays(tmp_path, kind):
    y, names = KINDS[kind]
    path = tmp_path / "own.npz"
    np.savez(path, x=X, y=y)
    d = data.npz(path, task="classification")
    assert d.classes == names
    again = data.evaluate_inputs(path, d)
    values = np.array([float(name) for name in names])
    np.testing.assert_allclose(values[again.y], y.astype(float))


@pytest.mark.parametrize("kind", KINDS)
def test_any_labels_of_tables(tmp_path, kind):
    y, names = KINDS[kind]
    path = tmp_path / "own.csv"
    rows = [f"{a},{b},{float(label):.2f}" for (a, b), label in zip(X, y)]
    path.write_text("\n".join(["a,b,y", *rows, ""]))
    d = data.csv(path, target="y", task="classification")
    assert d.classes == names
    again = data.evaluate_inputs(path, d)
    np.testing.assert_allclose(np.array([float(name) for name in names])[again.y], y.astype(float))


def test_an_unknown_label_is_named(tmp_path):
    path, other = tmp_path / "own.npz", tmp_path / "other.npz"
    np.savez(path, x=X, y=np.array([-1, 1])[PLACE % 2])
    np.savez(other, x=X, y=np.array([0, 1])[PLACE % 2])
    with pytest.raises(ValueError, match="row 0: class '0' is unknown, own has -1, 1"):
        data.evaluate_inputs(other, data.npz(path))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.where(np.arange(40) == 7, np.nan, PLACE), "row 7 is nan, labels are texts, or finite numbers"),
        (np.full(40, -1), "every row has the label '-1', two classes"),
        (PLACE + 2.0**53, "row 0 is 9007199254740992"),
        (PLACE.astype("datetime64[D]"), "y"),
    ],
)
def test_faults_of_labels(tmp_path, y, message):
    path = tmp_path / "own.npz"
    np.savez(path, x=X, y=y)
    with pytest.raises(ValueError, match=message):
        data.npz(path, task="classification")
