"""A person's own files: what is read, and what is refused with file and row."""

import hashlib
import re

import numpy as np
import pytest
from PIL import Image

import dlnotes.data as data

RNG = np.random.default_rng(0)
X = RNG.normal(3, 2, (20, 3))
Y = np.arange(20) % 2


def save(tmp_path, **arrays):
    path = tmp_path / "own.npz"
    np.savez(path, **arrays)
    return path


def everything(dataset, read):
    return np.concatenate([read(p) for p in (dataset.train, dataset.validation, dataset.test)])


def rows_of(a):
    return sorted(map(tuple, np.round(np.asarray(a, float).reshape(len(a), -1), 4).tolist()))


def test_npz_vectors(tmp_path):
    path = save(tmp_path, x=X, y=Y)
    d = data.npz(path, seed=3)
    assert (d.name, d.input, d.task, d.inputs, d.outputs) == ("own", "vector", "classification", (3,), 2)
    assert (d.train.size, d.validation.size, d.test.size) == (14, 2, 4)
    assert rows_of(d.standardize.inverse(everything(d, lambda p: p.x))) == rows_of(X)
    np.testing.assert_allclose(d.train.x.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(d.train.x.std(0), 1, atol=1e-6)
    assert d.sources == {str(path): hashlib.sha256(path.read_bytes()).hexdigest()}
    assert data.npz(path, validation=0, test=0).test is None


def test_npz_other_kinds(tmp_path):
    d = data.npz(save(tmp_path, a=X.astype(np.float32), b=X[:, :2]), x="a", y="b")
    assert (d.task, d.outputs) == ("regression", 2)
    np.testing.assert_allclose(d.train.y.mean(0), 0, atol=1e-6)
    assert rows_of(d.standardize_y.inverse(everything(d, lambda p: p.y))) == rows_of(X[:, :2])
    d = data.npz(save(tmp_path, x=X, y=np.array(["b", "a"] * 10)))
    assert d.classes == ("a", "b")
    images = RNG.integers(0, 256, (20, 4, 5), dtype=np.uint8)
    d = data.npz(save(tmp_path, x=images, y=Y), input="image", standardize=False)
    assert d.inputs == (4, 5, 1)
    assert rows_of(everything(d, lambda p: p.x) * 255) == rows_of(images)
    tokens = RNG.integers(0, 5, (20, 6))
    d = data.npz(save(tmp_path, x=tokens, y=np.where(tokens > 3, -1, tokens)), input="tokens", task="tokens")
    assert (d.inputs, d.outputs, d.symbols) == ((5,), 4, ("0", "1", "2", "3", "4"))


def test_npz_volumes(tmp_path):
    rng = np.random.default_rng(4)
    x, y = rng.integers(0, 256, (12, 3, 4, 5, 2)).astype(np.uint8), np.arange(12) % 2
    d = data.npz(save(tmp_path, x=x, y=y), standardize=False)
    assert (d.input, d.inputs) == ("volume", (3, 4, 5, 2))
    np.testing.assert_array_equal(rows_of(everything(d, lambda p: p.x)), rows_of(x / np.float32(255)))
    path = save(tmp_path, x=x[..., 0], y=y)
    one = data.npz(path, input="volume")
    assert one.inputs == (3, 4, 5, 1)
    np.testing.assert_allclose(one.train.x.mean(), 0, atol=1e-6)
    np.save(tmp_path / "new.npy", x[3, ..., 0])
    found = data.read_inputs(tmp_path / "new.npy", one)
    expected = (x[3:4, ..., :1] / np.float32(255) - one.standardize.mean) / one.standardize.scale
    np.testing.assert_allclose(found.x, expected, atol=1e-6)
    np.save(tmp_path / "new.npy", x[..., 0, 0])
    with pytest.raises(ValueError, match="'volume' inputs are .examples, depth"):
        data.read_inputs(tmp_path / "new.npy", one)


def test_npz_sequences_with_lengths_or_mask(tmp_path):
    lengths = RNG.integers(1, 7, 20)
    mask = np.arange(6)[None] < lengths[:, None]
    x = np.where(mask[..., None], RNG.normal(2, 1, (20, 6, 2)), np.nan)  # padding may hold anything
    a = data.npz(save(tmp_path, x=x, y=Y, lengths=lengths))
    b = data.npz(save(tmp_path, x=x, y=Y, mask=mask))
    for d in (a, b):
        assert d.input == "sequence"
        assert d.inputs == (6, 2)
        np.testing.assert_allclose(d.train.x[d.train.mask].mean(0), 0, atol=1e-6)
        assert (d.train.x[~d.train.mask] == 0).all()
    assert (a.train.mask == b.train.mask).all()


def with_value(array, row, value):
    array = np.array(array, float)
    array[row, ...] = value
    return array


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"x": X}, {}, "holds no array 'y', it has x"),
        ({"x": with_value(X, 7, np.nan), "y": Y}, {}, "x: row 7 holds NaN"),
        ({"x": with_value(X, 5, -np.inf), "y": Y}, {}, "x: row 5 holds infinity"),
        ({"x": X, "y": with_value(Y, 4, np.nan)}, {}, "y: row 4 holds NaN"),
        ({"x": X, "y": Y[:-1]}, {}, r"y has shape \(19,\), x has \(20, 3\)"),
        ({"x": X[:0], "y": Y[:0]}, {}, "x is empty"),
        ({"x": X, "y": with_value(Y, 6, -1).astype(int)}, {}, "class -1 has 1 example.*see row 6"),
        (
            {"x": X, "y": with_value(Y, 6, 0.5)},
            {"task": "classification"},
            "class 0.5 has 1 example.*row 6",
        ),
        ({"x": X, "y": Y * 0}, {}, "every row has the label '0'"),
        ({"x": X, "y": np.array(["a"] * 20)}, {}, "every row has the label 'a'"),
        ({"x": X, "y": with_value(Y, 6, 10**9).astype(int)}, {}, "class 1000000000 has 1 example.*row 6"),
        ({"x": X[:, 0], "y": Y}, {}, r"x has shape \(20,\)"),
        ({"x": X.astype(str), "y": Y}, {}, "x has type <U"),
        (
            {"x": X[:, :, None], "y": Y, "lengths": with_value(Y + 1, 3, 9).astype(int)},
            {},
            "lengths: row 3 is 9",
        ),
        ({"x": X[:, :, None], "y": Y, "mask": with_value(X > -99, 2, 0)}, {}, "mask: row 2 has no real"),
        ({"x": X[:, :, None], "y": Y, "mask": with_value(X > -99, 2, 3)}, {}, "mask: row 2 holds something"),
        ({"x": X, "y": Y, "lengths": Y + 1}, {}, "makes sense for sequences"),
        ({"x": Y[:, None] - 1, "y": Y}, {"input": "tokens"}, "x: row 0 holds the negative token -1"),
    ],
)
def test_npz_refuses(tmp_path, arrays, options, message):
    path = save(tmp_path, **arrays)
    with pytest.raises(ValueError, match=re.escape(str(path)) + ".*" + message):
        data.npz(path, **options)


def test_damaged_arrays_are_refused(tmp_path):
    path = save(tmp_path, x=X, y=Y)
    whole = path.read_bytes()
    broken = [whole[: len(whole) // 2], whole[:-30], b"", b"PK garbage", whole[:200] + b"!" + whole[201:]]
    for content in broken:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{path}: not readable as .npz"):
            data.npz(path)
    x_path, y_path = tmp_path / "x.npy", tmp_path / "y.npy"
    np.save(x_path, X)
    np.save(y_path, Y)
    assert data.npy(x_path, y_path).train.size == 14
    whole = x_path.read_bytes()
    for content, message in [
        (whole[:-8], "not readable"),
        (whole + b"12", ".*2 bytes follow"),
        (b"", "not readable"),
    ]:
        x_path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{x_path}: {message}"):
            data.npy(x_path, y_path)
    with pytest.raises(FileNotFoundError):
        data.npz(tmp_path / "none.npz")


CSV = "age,color,size,label\n" + "".join(
    f"{20 + i},{['red', 'green', 'blue'][i % 3]},{i / 7:.4f},{['yes', 'no'][i % 2]}\n" for i in range(24)
)


def csv_file(tmp_path, text=CSV):
    path = tmp_path / "own.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_csv(tmp_path):
    path = csv_file(tmp_path)
    d = data.csv(path, target="label")
    assert d.features == ("age", "color=blue", "color=green", "color=red", "size")
    assert (d.classes, d.task, d.inputs) == (("no", "yes"), "classification", (5,))
    raw = d.standardize.inverse(d.train.x)
    np.testing.assert_allclose(raw[:, 1:4].sum(1), 1, atol=1e-5)
    number = np.rint(raw[:, 0]).astype(int) - 20
    assert (np.argmax(raw[:, [3, 2, 1]], 1) == number % 3).all()
    assert (np.array(d.classes)[d.train.y] == np.array(["yes", "no"])[number % 2]).all()
    r = data.csv(path, target="size", drop=["label"])
    assert r.task == "regression"
    y = r.standardize_y.inverse(r.train.y)[:, 0]
    np.testing.assert_allclose(y, np.rint(r.standardize.inverse(r.train.x)[:, 0] - 20) / 7, atol=1e-3)
    c = data.csv(path, target="label", categorical=["age"])
    assert c.inputs == (24 + 3 + 1,)
    numbered = data.csv(csv_file(tmp_path, CSV.replace("yes", "1.0").replace("no", "2")), target="label")
    assert numbered.classes == ("1", "2")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("24,green,0.5714,yes", "24,green,0.5714", "line 6: 3 cells where the header has 4"),
        ("24,green", "24,green,x", "line 6: 5 cells"),
        ("24,green", "nan,green", "line 6: column 'age' holds 'nan'"),
        ("24,green", "inf,green", "line 6: column 'age' holds 'inf'"),
        ("24,green", "2x,green", "line 6: column 'age' holds '2x' among numbers"),
        ("24,green", "24,", "line 6: column 'color' is empty"),
        ("age,color", "age,age", "line 1: column 'age' appears 2 times"),
        ("age,color", "age,a=b", "line 1: column name 'a=b'"),
        (
            "0.5714,yes",
            "0.5714,yse",
            "class yse has 1 example, fewer than the 3 parts of the split, see line 6",
        ),
        ("no\n", "yes\n", "target 'label' is 'yes' in every row"),
        (CSV, "", "the file is empty"),
        (CSV, "age,color,size,label\n", "no rows under the header"),
        ("24,green", '24,"green', "not readable as CSV"),
    ],
)
def test_csv_refuses(tmp_path, old, new, message):
    path = csv_file(tmp_path, CSV.replace(old, new))
    with pytest.raises(ValueError, match=f"{path}: .*{message}"):
        data.csv(path, target="label")


def test_csv_refuses_labels_and_options(tmp_path):
    path = csv_file(tmp_path)
    with pytest.raises(ValueError, match=f"{path}: line 3: label .0.1429., 24 different numbers"):
        data.csv(path, target="size", task="classification")
    with pytest.raises(ValueError, match=f"{path}: line 2: target 'label' holds 'yes'"):
        data.csv(path, target="label", task="regression")
    with pytest.raises(ValueError, match=r"target: got .lable., the columns of .* are age, color"):
        data.csv(path, target="lable")
    path.write_bytes(b"a,b\n1,\xff\n")
    with pytest.raises(ValueError, match="not UTF-8 text"):
        data.csv(path, target="b")


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    for name, color in (("dark", 20), ("light", 200)):
        (folder / name).mkdir(parents=True)
        for i in range(8):
            pixels = np.full((6 + i, 9, 3), (color, color + i, 0), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    (folder / ".hidden").write_text("x")
    return folder


def test_image_folder(pictures):
    d = data.image_folder(pictures, size=(4, 5), standardize=False)
    assert (d.classes, d.inputs) == (("dark", "light"), (4, 5, 3))
    assert len(d.sources) == 16
    for x, y in zip(d.train.x * 255, d.train.y):
        np.testing.assert_allclose(x[..., 0], (20, 200)[y], atol=1e-3)
        assert np.ptp(x[..., 1]) < 1e-3
        assert (x[..., 2] == 0).all()
    assert data.image_folder(pictures, size=(4, 4), channels=1).inputs == (4, 4, 1)


def test_image_folder_refuses(pictures, tmp_path):
    file = pictures / "dark" / "3.png"
    whole = file.read_bytes()
    for content in (b"", b"text", whole[:60], whole[:-25]):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=f"{file}: not readable as an image"):
            data.image_folder(pictures, size=(4, 4))
    file.write_bytes(whole)
    (pictures / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: the folder holds no images"):
        data.image_folder(pictures, size=(4, 4))
    (pictures / "empty").rmdir()
    stray = pictures / "3.png"
    stray.write_bytes(whole)
    with pytest.raises(ValueError, match=r"3\.png: a file where only sub-folders.*begin its name with a dot"):
        data.image_folder(pictures, size=(4, 4))
    stray.unlink()
    only = tmp_path / "only"
    (only / "a").mkdir(parents=True)
    with pytest.raises(ValueError, match="the only class is 'a'"):
        data.image_folder(only, size=(4, 4))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.int64])
@pytest.mark.parametrize("kind", ["vector", "image"])
def test_numbers_stay_in_their_file_and_give_the_same_data_set(kind, dtype, tmp_path, monkeypatch):
    monkeypatch.setattr("dlnotes.data.by_rows._ROWS", 7)
    monkeypatch.setattr("dlnotes.data.standardize._ROWS", 7)
    monkeypatch.setattr("dlnotes.data.arrays.CHUNK_BYTES", 100)
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(50, 6) if kind == "vector" else (50, 3, 2, 1)) * 40 + 100).astype(dtype)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.arange(50) % 3)
    np.savez(tmp_path / "both.npz", x=x, y=np.arange(50) % 3)
    mapped = data.npy(tmp_path / "x.npy", tmp_path / "y.npy", input=kind)
    whole = data.npz(tmp_path / "both.npz", input=kind)
    for name in ("train", "validation", "test"):
        for a, b in zip(mapped.split(name), whole.split(name)):
            np.testing.assert_array_equal(a, b)
        own = mapped.split(name).x
        assert type(own) is np.ndarray
        assert own.ctypes.data % 64 == 0
    np.testing.assert_array_equal(mapped.standardize.mean, whole.standardize.mean)
    np.testing.assert_array_equal(mapped.standardize.scale, whole.standardize.scale)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2e30])
def test_the_row_of_a_bad_number_is_named_wherever_it_lies(bad, tmp_path, monkeypatch):
    monkeypatch.setattr("dlnotes.data.arrays.CHUNK_BYTES", 100)
    x = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    x[43, 2] = bad
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.arange(60) % 2)
    with pytest.raises(ValueError, match=r"x\.npy: x: row 43 holds (NaN|infinity|2e\+30)"):
        data.npy(tmp_path / "x.npy", tmp_path / "y.npy")


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool, np.float32])
@pytest.mark.parametrize("shape", [(40, 5), (40, 4, 3, 1), (40, 7, 3)])
def test_new_inputs_in_one_file_or_the_other_are_the_same(shape, dtype, standardize, tmp_path):
    x = np.random.default_rng(0).integers(0, 2 if dtype is bool else 90, shape).astype(dtype)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "both.npz", x=x, y=np.arange(40) % 3)
    made = data.npz(tmp_path / "both.npz", standardize=standardize)
    one, other = (data.read_inputs(tmp_path / name, made).x for name in ("x.npy", "both.npz"))
    assert one.dtype == np.float32
    np.testing.assert_array_equal(one, other)
