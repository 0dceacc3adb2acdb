"""Files of series against a reading of their raw text that shares no code with ours."""

import re
from pathlib import Path

import numpy as np
import pytest

import dlnotes.data as data
from dlnotes.data import catalog
from dlnotes.data import download as store
from dlnotes.data.download import DataNotFound
from dlnotes.data.time_series import ts_files

HEADER = "# made here\n@problemName own\n@missing false\n@dimensions 2\n@classLabel true left right\n@data\n"
LINES = ["1.5,2.0,0.1:0.3,0.2,0.9:left", "4.0,1.0:2.2,2.1:right", "-1e-2:3:left"]


def ts(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def drawn(rng, n, label_of):
    """Lines of ``n`` random series, and their values and labels."""
    values = [rng.normal(1, 3, (int(rng.integers(1, 6)), 2)).round(3) for _ in range(n)]
    labels = [label_of(i) for i in range(n)]
    lines = [
        ":".join([*(",".join(map(str, channel)) for channel in v.T.tolist()), label])
        for v, label in zip(values, labels)
    ]
    return lines, values, labels


def test_values_lines_and_labels(tmp_path):
    path = ts(tmp_path / "own.ts", HEADER + LINES[0] + "\n\n# between\n" + "\n".join(LINES[1:]) + "\n")
    found = ts_files.read_ts(path)
    assert [v.tolist() for v in found.values] == [
        [[1.5, 0.3], [2.0, 0.2], [0.1, 0.9]],
        [[4.0, 2.2], [1.0, 2.1]],
        [[-0.01, 3.0]],
    ]
    assert (found.labels, found.lines) == (["left", "right", "left"], [7, 10, 11])
    assert found.classes == ("left", "right")


def test_one_channel_without_labels(tmp_path):
    path = ts(tmp_path / "own.ts", "@univariate true\r\n@classLabel false\r\n@Data\r\n1,2,3\r\n4\r\n")
    found = ts_files.read_ts(path)
    assert [v.ravel().tolist() for v in found.values] == [[1, 2, 3], [4]]
    assert found.classes == ()
    with pytest.raises(ValueError, match="own.ts: has no labels"):
        data.series(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no line '@data'"),
        (HEADER, "no example follows"),
        ("1,2:left\n" + HEADER, "line 1: an example before the line '@data'"),
        (HEADER + "1,2:3:left\n", "line 7: channel 2 has 1 values, channel 1 has 2"),
        (HEADER + LINES[0] + "\n1,?:3,4:left\n", "line 8: channel 1 holds '?', a finite number"),
        (HEADER + "1,2:3,inf:left\n", "line 7: channel 2 holds 'inf'"),
        (HEADER + "1,:3,4:left\n", "line 7: channel 1 holds ''"),
        (HEADER + "1,2:3,4:5,6:left\n", "line 7: 3 channels, 2 are needed"),
        (HEADER + "1,2:3,4:up\n", "line 7: label 'up', declared are left, right"),
        ("@timeStamps true\n" + HEADER, "time stamps"),
        ("@targetLabel true\n" + HEADER, "numbers"),
        (HEADER.replace("left right", "left"), "declares left, two classes are needed"),
        (HEADER.replace("true left", "left"), "@classLabel is followed by 'left'"),
        (HEADER.replace("dimensions 2", "dimensions two"), "@dimensions is 'two'"),
    ],
)
def test_wrong_files_are_refused_with_their_line(tmp_path, text, message):
    path = ts(tmp_path / "own.ts", text)
    with pytest.raises(ValueError, match=re.escape(str(path)) + ".*" + re.escape(message)):
        ts_files.read_ts(path)


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "own.ts"
    path.write_bytes(b"@data\n\xff\xfe")
    with pytest.raises(ValueError, match="not UTF-8"):
        ts_files.read_ts(path)


def test_padding_and_standardizing(tmp_path):
    lines, values, labels = drawn(np.random.default_rng(0), 20, lambda i: "left" if i % 2 else "right")
    path = ts(tmp_path / "own.ts", HEADER + "\n".join(lines))
    d = data.series(path, validation=4, test=6, seed=1)
    assert (d.input, d.task, d.outputs, d.classes) == ("sequence", "classification", 2, ("left", "right"))
    assert d.inputs == (max(map(len, values)), 2)
    assert [p.size for p in (d.train, d.validation, d.test)] == [10, 4, 6]
    real = d.train.x[d.train.mask]
    np.testing.assert_allclose(real.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(real.std(0), 1, atol=1e-6)
    raw = {tuple(v.ravel().tolist()): label for v, label in zip(values, labels)}
    for part in (d.train, d.validation, d.test):
        assert (part.x[~part.mask] == 0).all()
        for x, mask, y in zip(part.x, part.mask, part.y):
            back = np.asarray(d.standardize.inverse(x[mask]), np.float64).round(3)
            assert raw.pop(tuple(back.ravel().tolist())) == d.classes[y]
    assert not raw


def test_own_test_file(tmp_path):
    rng = np.random.default_rng(1)
    lines, _, _ = drawn(rng, 12, lambda i: ["left", "right"][i % 2])
    train = ts(tmp_path / "a.ts", HEADER + "\n".join(lines))
    others, values, _ = drawn(rng, 7, lambda i: ["left", "right"][i % 2])
    test = ts(tmp_path / "b.ts", HEADER.replace("left right", "right left") + "\n".join(others))
    d = data.series(train, test_path=test, validation=2)
    assert (d.train.size, d.validation.size, d.test.size) == (10, 2, 7)
    assert d.test.y.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert d.test.mask.sum(1).tolist() == [len(v) for v in values]
    assert list(d.sources.values()) == [store.sha256(train), store.sha256(test)]
    with pytest.raises(ValueError, match=r"test: got 0\.3"):
        data.series(train, test_path=test, test=0.3)
    with pytest.raises(ValueError, match=r"b\.ts: its classes are left, up"):
        data.series(train, test_path=ts(test, HEADER.replace("right", "up") + LINES[0]))
    with pytest.raises(ValueError, match=r"b\.ts: has 1 channels"):
        data.series(train, test_path=ts(test, HEADER.replace("ions 2", "ions 1") + "1,2:left"))
    with pytest.raises(ValueError, match=r"a\.ts: stratify: class right has 1 example"):
        data.series(ts(train, HEADER + "\n".join(LINES)), validation=1, test=0)


def test_new_series_come_out_as_in_training(tmp_path):
    lines, _, _ = drawn(np.random.default_rng(2), 12, lambda i: ["left", "right"][i % 2])
    path = ts(tmp_path / "own.ts", HEADER + "\n".join(lines))
    d = data.series(path, validation=0, test=0)
    got = data.evaluate_inputs(path, d)
    np.testing.assert_array_equal(got.x, d.train.x)
    np.testing.assert_array_equal(got.mask, d.train.mask)
    assert got.y.tolist() == d.train.y.tolist()
    assert data.read_inputs(path, d).rows[:2] == ("line 7", "line 8")
    with pytest.raises(ValueError, match="has 1 channels, own needs 2"):
        data.read_inputs(ts(path, HEADER.replace("ions 2", "ions 1") + "1,2:left"), d)


@pytest.fixture
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("DLNOTES_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DLNOTES_DATA", raising=False)
    monkeypatch.setattr(store, "SYSTEM", tmp_path / "system")


@pytest.mark.usefixtures("own_folders")
def test_missing_or_damaged_vowels_are_refused(tmp_path):
    with pytest.raises(DataNotFound, match=r"(?s)JapaneseVowels_TRAIN\.ts and .*DLNOTES_DATA"):
        data.japanese_vowels()
    assert "not found" in catalog.check("japanese_vowels")[0]
    for name in ts_files.JAPANESE_VOWELS.files:
        ts(tmp_path / name, HEADER + LINES[0])
    assert catalog.fetch("japanese_vowels", data_dir=tmp_path) == tmp_path
    assert len(catalog.check("japanese_vowels", data_dir=tmp_path)) == 2
    with pytest.raises(ValueError, match="SHA-256"):
        data.japanese_vowels(data_dir=tmp_path)


@pytest.mark.skipif(
    store.locate(ts_files.JAPANESE_VOWELS) is None, reason="the vowels are not on this machine"
)
def test_japanese_vowels_are_the_published_ones():
    d = data.japanese_vowels(validation=27, standardize=False)
    assert (d.train.size, d.validation.size, d.test.size) == (243, 27, 370)
    assert (d.inputs, d.outputs) == ((29, 12), 9)
    assert np.bincount(d.train.y).tolist() == [27] * 9
    assert np.bincount(d.test.y).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]  # UCI's description
    raw = store.locate(ts_files.JAPANESE_VOWELS)[1].read_text().partition("@data\n")[2].split()
    for line, x, mask, y in zip(raw, d.test.x, d.test.mask, d.test.y, strict=True):
        *channels, label = line.split(":")
        expected = np.array([np.fromstring(channel, sep=",") for channel in channels]).T
        np.testing.assert_array_equal(x[mask], expected.astype(np.float32))
        assert d.classes[y] == label
    assert catalog.check("japanese_vowels") == []


def test_a_line_of_an_at_sign_alone_is_a_header_without_a_name(tmp_path):
    path = tmp_path / "own.ts"
    path.write_text("@\n@classLabel true a b\n@data\n1,2:a\n")
    assert ts_files.read_ts(path).labels == ["a"]
