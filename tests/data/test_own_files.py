"""What was trained on can be measured and predicted: every file is read again as training read it."""

# pyright: reportOptionalMemberAccess=false, reportOptionalCall=false

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

import dlnotes.data as data
from dlnotes.data.lines import read_lines, split_lines
from dlnotes.data.metadata import dataset_of, metadata_of

RNG = np.random.default_rng(0)
INSIDE = "\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e"
"""What str.splitlines takes for the end of a line and no editor does."""


def again(dataset):
    """The data set, and as it is opened when its files are gone."""
    facts = json.loads(json.dumps(metadata_of(dataset)))
    return [dataset, dataset_of(facts, missing="gone")]


def everything(dataset):
    """All examples of a data set, one row each, in sorted order."""
    parts = [p for p in (dataset.train, dataset.validation, dataset.test) if p is not None]
    return ordered(*(np.concatenate([np.asarray(getattr(p, f)) for p in parts]) for f in ("x", "y")))


def ordered(x, y):
    rows = np.concatenate([x.reshape(len(x), -1), y.reshape(len(y), -1)], 1).astype(np.float64)
    return rows[np.lexsort(rows.T.round(5))]


def test_array_names_hold(tmp_path):
    path = tmp_path / "own.bin"  # training reads any ending
    x, y, lengths = RNG.normal(5, 2, (12, 4, 2)), np.arange(12) % 2, RNG.integers(1, 5, 12)
    with path.open("wb") as file:
        np.savez(file, series=x, label=y, n=lengths, lengths=lengths * 0 + 1)
    made = data.npz(path, x="series", y="label", lengths="n")
    for dataset in again(made):
        got = data.evaluate_inputs(path, dataset)
        assert got.mask.sum(1).tolist() == lengths.tolist()
        np.testing.assert_allclose(ordered(got.x, got.y), everything(made), atol=1e-5)
        np.savez(tmp_path / "plain.npz", x=x, y=y, lengths=lengths)  # a file with the usual names
        np.testing.assert_array_equal(data.evaluate_inputs(tmp_path / "plain.npz", dataset).x, got.x)
        np.savez(tmp_path / "other.npz", inputs=x)
        with pytest.raises(ValueError, match="holds no array 'series', it has inputs"):
            data.read_inputs(tmp_path / "other.npz", dataset)
        np.save(tmp_path / "x.npy", x[:1])
        assert data.read_inputs(tmp_path / "x.npy", dataset).x.shape == (1, 4, 2)


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_delimiter_and_ending_of_a_table_hold(delimiter, tmp_path):
    path = tmp_path / "own.dat"
    header, *rows = [("a", "b", "y"), *((i, i * i, "no" if i % 3 else "yes") for i in range(12))]
    path.write_text("\n".join(delimiter.join(map(str, row)) for row in (header, *rows)))
    made = data.csv(path, target="y", delimiter=delimiter)
    for dataset in again(made):
        got = data.evaluate_inputs(path, dataset)
        np.testing.assert_allclose(ordered(got.x, got.y), everything(made), atol=1e-6)
        new = (
            tmp_path / "new.csv"
        )  # other order, an extra column, a byte order mark, Windows' lines, no target
        cells = [("note", "b", "a"), ("x", 4, 2), ("x", 9, 3)]
        new.write_bytes("\r\n".join(delimiter.join(map(str, c)) for c in cells).encode("utf-8-sig"))
        np.testing.assert_array_equal(data.read_inputs(new, dataset).x, got.x[2:4])
        with pytest.raises(ValueError, match=r"target: got 'y', the columns of .* are note, b, a"):
            data.evaluate_inputs(new, dataset)
    assert "is a folder, own is read from a file" in refused(tmp_path, made)


def refused(path, dataset, read=data.read_inputs):
    with pytest.raises(ValueError, match=re.escape(str(path))) as error:
        read(path, dataset)
    return str(error.value)


def test_delimiter_of_a_series_holds(tmp_path):
    path = tmp_path / "own.tsv"
    path.write_text("a\tb\n" + "".join(f"{i}\t{i * i}\n" for i in range(40)))
    made = data.csv_series(path, window=3, delimiter="\t")
    for dataset in again(made):
        got = data.evaluate_inputs(path, dataset)
        assert got.x.shape == (37, 3, 2)
        np.testing.assert_allclose(made.standardize.inverse(got.x[5])[:, 1], [25, 36, 49], rtol=1e-5)
        np.testing.assert_allclose(made.standardize_y.inverse(got.y[5]), [8, 64], rtol=1e-5)


def test_series_end_at_true_ends_of_lines(tmp_path):
    path = tmp_path / "own.series"
    lines = "".join(f"{i},{i + 1}:{'ab'[i % 2]}\n" for i in range(12))
    path.write_text(f"# a{INSIDE}b\n@timestamps False\n@classLabel true a b\n@data\n{lines}", newline="\r\n")
    made = data.series(path)
    for dataset in again(made):
        got = data.evaluate_inputs(path, dataset)
        np.testing.assert_allclose(ordered(got.x, got.y), everything(made), atol=1e-6)
        assert data.read_inputs(path, dataset).rows[:2] == ("line 5", "line 6")
    path.write_text(f"@timestamps TRUE\n@classLabel true a b\n@data\n{lines}")
    with pytest.raises(ValueError, match="time stamps"):
        data.series(path)


def test_lines_end_at_three_ends_only(tmp_path):
    assert split_lines(f"a{INSIDE}b\nc\r\nd\re\n\nf") == [f"a{INSIDE}b", "c", "d", "e", "", "f"]
    assert split_lines("") == []
    path = tmp_path / "lines.txt"
    for content, message in [
        (b"a\nb\xff\n", "line 2: not UTF-8 text"),
        ("a\n".encode("utf-16"), "UTF-16, save it as UTF-8"),
    ]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read_lines(path)


def test_a_file_of_pairs_is_read_as_in_training(tmp_path):
    path = tmp_path / "own.tsv.gz"
    pairs = [(f"s{c}{'Aab'[i % 3]} x", f"t{c}") for i, c in enumerate(INSIDE * 3)]
    text = "id\tde\ten\n" + "".join(f"{i}\t{b} \t{a}\r\n\n" for i, (a, b) in enumerate(pairs))
    path.write_bytes(gzip.compress(text.encode()))
    made = data.text_pairs(path, source="en", target="de", validation=0, test=0)
    for dataset in again(made):
        got = data.evaluate_inputs(path, dataset)
        assert len(got.y) == len(pairs)
        known = {tuple(map(int, (*x, *y))) for x, y in zip(made.train.x.source, made.train.y)}
        assert {tuple(map(int, (*x, *y))) for x, y in zip(got.x.source, got.y)} == known
        asked = data.read_inputs(path, dataset)
        assert asked.rows[:2] == ("line 2", "line 4")
        (tmp_path / "new.txt").write_text(f"en\nB{INSIDE}a\n\na\n")
        new = data.read_inputs(tmp_path / "new.txt", dataset)
        assert new.rows == ("line 2", "line 4")
        assert new.x.source[0].tolist()[0] == 1  # <unk>, as for a symbol of the test part
        assert new.mask.sum(1).tolist() == [2 + len(INSIDE), 1]
        (tmp_path / "new.txt").write_text("de\nB\n")
        with pytest.raises(ValueError, match=r"source: got 'en', the columns of .* are de"):
            data.read_inputs(tmp_path / "new.txt", dataset)


def test_words_stay_words(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("".join(f"{'abc'[i % 3]} {'de'[i % 2]}\tx{i % 2}\n" for i in range(12)))
    made = data.text_pairs(path, tokens="words", validation=0, test=0)
    new = tmp_path / "new"
    new.write_text("ab d\n")  # one unknown word, not two known characters
    assert data.read_inputs(new, made).x.source.tolist() == [[1, made.symbols.index("d")]]


def test_own_trees_and_texts_have_any_ending_and_empty_lines(tmp_path):
    path = tmp_path / "own.trees"
    path.write_text("".join(f"(1 (0 a\u00a0) (1 {w}))\n\n" for w in "abcdefgh") + "(0 (0 b) (0 a))\n" * 3)
    made = data.tree_file(path=path, validation=0, test=0)
    for dataset in again(made):
        assert sorted(data.evaluate_inputs(path, dataset).y) == sorted(made.train.y)
    text = tmp_path / "own.md"
    text.write_text("ab\n\nc\nabba\n" * 20)
    made = data.text(text, window=4)
    for dataset in again(made):
        assert data.evaluate_inputs(text, dataset).mask.sum(1).tolist() == [1, 3] * 20


def test_labels_of_another_spelling(tmp_path):
    x, path = RNG.normal(size=(12, 2)), tmp_path / "own.npz"
    np.savez(path, x=x, y=np.array(["1", "2", "10"] * 4))
    made = data.npz(path)
    for y in (np.array([1, 2, 10] * 4, ">i2"), np.array([b"1", b"2", b"10"] * 4), np.array([1.0, 2, 10] * 4)):
        np.savez(path, x=x, y=y)
        assert data.evaluate_inputs(path, made).y.tolist() == [0, 2, 1] * 4
    np.savez(path, x=x, y=np.array([0, 1, 2] * 4))
    with pytest.raises(ValueError, match="row 0: class '0' is unknown, own has 1, 10, 2"):
        data.evaluate_inputs(path, made)
    np.savez(path, x=x, y=np.array([b"\xff"] * 12))
    with pytest.raises(ValueError, match="y holds bytes that are not UTF-8"):
        data.evaluate_inputs(path, made)
    np.savez(path, x=x, y=np.array(["no", "yes"] * 6))
    made = data.npz(path)
    np.savez(path, x=x, y=np.array([0, 1] * 6))  # numbers of classes that have names
    assert data.evaluate_inputs(path, made).y.tolist() == [0, 1] * 6


BYTES = RNG.integers(0, 256, (12, 4, 5), np.uint8)
BYTES[0, 0, :2] = 0, 255
GRAY = BYTES / 255
BINARY = (BYTES > 127) * 1.0
WIDE = BYTES.astype(np.int64)
SIGNED = GRAY * 2 - 1
TYPES = ("i8", ">i4", "u2", "i2", "f8", ">f4", "f2", "g")


def images(path: Path, x: np.ndarray):
    np.savez(path, x=x, y=np.arange(len(x)) % 2)
    return data.npz(path, input="image", validation=0, test=0)


@pytest.mark.parametrize(
    ("trained", "same"),
    [
        (BYTES, [*(BYTES.astype(t) for t in TYPES), GRAY, GRAY.astype("f4")]),
        (WIDE, [BYTES, BYTES.astype("f4"), BYTES.astype(">u2")]),
        (BYTES.astype("f4"), [BYTES, WIDE]),
        (GRAY, [BYTES, GRAY.astype("f4")]),
        (BINARY, [BINARY.astype(t) for t in ("u1", "?", "i8", "f4")] + [(BINARY * 255).astype("u1")]),
        (BINARY.astype(bool), [BINARY, BINARY.astype("u1")]),
        (SIGNED, [SIGNED.astype("f4")]),
        (WIDE.astype("u2") * 257, [WIDE * 257, (WIDE * 257).astype("f8")]),
    ],
    ids=["bytes", "ints", "floats of bytes", "gray", "binary", "bool", "signed", "16 bits"],
)  # fmt: skip
def test_the_same_pixels_in_another_type_give_the_same_input(trained, same, tmp_path):
    path = tmp_path / "own.npz"
    made = images(path, trained)
    expected = data.read_inputs(path, made).x
    assert np.ptp(expected) > 1
    for dataset in again(made):
        for other in same:
            np.save(tmp_path / "new.npy", other)
            got = data.read_inputs(tmp_path / "new.npy", dataset).x
            np.testing.assert_allclose(got, expected, atol=4e-3 if other.dtype == np.float16 else 1e-5)
        np.save(tmp_path / "new.npy", np.zeros((1, 4, 5), np.int64))  # black is black
        assert np.ptp(data.read_inputs(tmp_path / "new.npy", dataset).x) == 0


@pytest.mark.parametrize(
    ("trained", "others"),
    [
        (BYTES, [WIDE * 257, WIDE - 1, BINARY, BINARY.astype(bool), SIGNED, WIDE * 1.5]),
        (WIDE, [GRAY, SIGNED, WIDE * 257]),
        (GRAY, [WIDE, WIDE * 1.0, SIGNED, BINARY.astype("u1")]),
        (BINARY, [WIDE, SIGNED]),
        (SIGNED, [BYTES, WIDE]),
    ],
    ids=["bytes", "ints", "gray", "binary", "signed"],
)
def test_pixels_of_another_range_are_refused_with_both(trained, others, tmp_path):
    made = images(tmp_path / "own.npz", trained)
    for dataset in again(made):
        for other in others:
            np.save(tmp_path / "new.npy", other)
            message = refused(tmp_path / "new.npy", dataset)
            for end in (other.min(), other.max(), trained.min(), trained.max()):
                assert f"{float(end):g}" in message


def test_pixels_of_pictures_and_of_the_digits(tmp_path):
    for i, image in enumerate(BYTES):
        folder = tmp_path / "own" / str(i % 2)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{i:02}.png")
    made = data.image_folder(tmp_path / "own", size=(4, 5), channels=1, validation=0, test=0)
    pictures = data.evaluate_inputs(tmp_path / "own", made).x
    order = [*range(0, 12, 2), *range(1, 12, 2)]
    for x in (BYTES, WIDE, GRAY, BYTES.astype("f4")):
        np.save(tmp_path / "x.npy", x[order])
        np.testing.assert_allclose(data.read_inputs(tmp_path / "x.npy", made).x, pictures, atol=1e-5)
    one = tmp_path / "own" / "0" / "00.png"
    ints = images(tmp_path / "own.npz", WIDE)
    assert "image files hold gray levels from 0 to 1" in refused(one, ints)
    same = images(tmp_path / "own.npz", BYTES)
    np.testing.assert_allclose(
        data.read_inputs(one, same).x[0], same.standardize(GRAY[0][..., None]), atol=1e-5
    )
    digits = data.digits()
    np.save(tmp_path / "x.npy", np.rint(digits.standardize.inverse(digits.test.x) * 16))
    assert "numbers from 0 to 16, the model was trained on 0 to 1" in refused(tmp_path / "x.npy", digits)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """A folder of sounds of two pitches; and the same ones at twice the rate, in other forms."""
    folder = tmp_path_factory.mktemp("sounds")
    for i in range(12):
        pitch = 500 + 300 * (i % 2) + 5 * i
        for name, rate, scale in (("own", 8000, 20000), ("fine", 16000, 0.61)):
            wave = scale * np.sin(2 * np.pi * pitch * np.arange(int(0.06 * rate)) / rate)
            stereo = np.stack([wave, wave], axis=1).astype(np.float32)
            path = folder / name / ("low", "high")[i % 2] / "more" / f"{i:02}.WAV"
            path.parent.mkdir(parents=True, exist_ok=True)
            wavfile.write(path, rate, wave.astype(np.int16) if name == "own" else stereo)
    return folder


@pytest.mark.parametrize("form", ["spectrogram", "waveform"])
def test_sounds_are_read_as_in_training(form, sounds, tmp_path):
    made = data.sound_folder(sounds / "own", form=form, seconds=0.05, window=64, hop=32)
    for dataset in again(made):
        got = data.evaluate_inputs(sounds / "own", dataset)
        np.testing.assert_allclose(ordered(got.x, got.y), everything(made), atol=1e-5)
        one = sounds / "own" / "low" / "more" / "00.WAV"
        found = data.read_inputs(one, dataset)
        assert found.rows == ("00.WAV",)
        assert found.mask is None
        row = list(data.read_inputs(sounds / "own", dataset).rows).index("low/more/00.WAV")
        np.testing.assert_array_equal(found.x[0], got.x[row])
        fine = data.read_inputs(sounds / "fine" / "low" / "more" / "00.WAV", dataset)
        assert fine.x.shape == found.x.shape
        assert np.abs(fine.x - found.x)[:, 10:-10].mean() < 0.1  # resampled, but for its ends
        with pytest.raises(ValueError, match="one sound has no target"):
            data.evaluate_inputs(one, dataset)
        Image.new("L", (4, 4)).save(tmp_path / "a.png")
        assert "are read from a .wav file, a folder of them" in refused(tmp_path / "a.png", dataset)
        wavfile.write(tmp_path / "short.wav", 8000, np.zeros(200, np.int16))
        if form == "waveform":
            assert data.read_inputs(tmp_path / "short.wav", dataset).x.shape == (1, 200, 1)
        else:
            message = refused(tmp_path / "short.wav", dataset)
            assert "is 5 frames long, the sounds of own are all 11 frames long" in message


def test_sounds_of_any_length_keep_their_mask(sounds, tmp_path):
    import shutil

    shutil.copytree(sounds / "own", tmp_path / "own")
    wavfile.write(tmp_path / "own" / "low" / "a.wav", 8000, np.full(200, 1000, np.int16))
    made = data.sound_folder(tmp_path / "own", seconds=0.05, window=64, hop=32)
    for dataset in again(made):
        one = data.read_inputs(tmp_path / "own" / "low" / "a.wav", dataset)
        assert one.x.shape == (1, 33, 5, 1)
        assert one.mask.all()
        assert data.evaluate_inputs(tmp_path / "own", dataset).mask.shape == (13, 33, 11)
