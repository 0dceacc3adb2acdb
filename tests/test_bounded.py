"""Files of strangers: ordinary ones only, and no more unpacked than is allowed."""

import gzip
import io
import os
import pickle
import struct
import zipfile
import zlib

import numpy as np
import pytest

import dlnotes.data as data
from dlnotes import bounded
from dlnotes.config import ConfigError, load, parse
from dlnotes.data.arrays import read_npy, read_npz
from dlnotes.data.csv_table import read_table
from dlnotes.data.images.idx import read_idx
from dlnotes.data.lines import read_lines
from dlnotes.data.pictures import read_image
from dlnotes.data.texts.text_pairs import read_pairs
from dlnotes.data.time_series.sound import read_wav
from dlnotes.data.time_series.ts_files import read_ts
from dlnotes.data.trees.tree_files import tree_file

READERS = {
    "npz": read_npz,
    "npy": read_npy,
    "csv": read_table,
    "png": lambda path: read_image(path, size=None, channels=3),
    "wav": lambda path: read_wav(path, rate=8000),
    "ts": read_ts,
    "txt": lambda path: data.text(path),
    "tsv": read_pairs,
    "trees": lambda path: tree_file(path=path),
    "gz": read_lines,
    "toml": load,
    "idx": lambda path: read_idx(path, dimensions=1),
}


@pytest.fixture
def small(monkeypatch):
    """A limit of a megabyte."""
    monkeypatch.setenv(bounded.VARIABLE, "0.001")


@pytest.mark.parametrize("end", READERS)
def test_a_pipe_is_refused_and_not_waited_for(end, tmp_path):
    path = tmp_path / f"pipe.{end}"
    os.mkfifo(path)
    with pytest.raises(ValueError, match="is a named pipe, an ordinary file is needed"):
        READERS[end](path)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="a system without devices")
@pytest.mark.parametrize("end", READERS)
def test_a_device_without_an_end_is_refused(end):
    with pytest.raises(ValueError, match="is a device, an ordinary file is needed"):
        READERS[end]("/dev/zero")


def header(dtype, shape):
    file = io.BytesIO()
    described = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, described)
    return file.getvalue()


def test_what_unpacks_to_too_much_is_refused_until_it_is_allowed(tmp_path, small, monkeypatch):
    x, y = np.zeros((300, 2000), np.float32), np.arange(300) % 2
    np.savez_compressed(tmp_path / "zeros.npz", x=x, y=y)
    with pytest.raises(
        bounded.TooLarge, match=r"zeros\.npz: a file of .* kB that holds 2\.4 MB.*allowed are 1 MB"
    ):
        data.npz(tmp_path / "zeros.npz")
    (tmp_path / "zeros.txt.gz").write_bytes(gzip.compress(bytes(3_000_000)))
    with pytest.raises(bounded.TooLarge, match=r"zeros\.txt\.gz: .* holds"):
        read_lines(tmp_path / "zeros.txt.gz")
    numbers = bytes([0, 0, 8, 1]) + struct.pack(">I", 3_000_000) + bytes(3_000_000)
    (tmp_path / "zeros.idx").write_bytes(gzip.compress(numbers))
    with pytest.raises(bounded.TooLarge, match=r"zeros\.idx: .* holds"):
        read_idx(tmp_path / "zeros.idx", dimensions=1)
    monkeypatch.setenv(bounded.VARIABLE, "0.01")
    assert len(read_idx(tmp_path / "zeros.idx", dimensions=1)) == 3_000_000
    assert data.npz(tmp_path / "zeros.npz").inputs == (2000,)
    assert len(read_lines(tmp_path / "zeros.txt.gz")[0]) == 3_000_000


def test_a_file_that_is_not_packed_may_be_of_any_size(tmp_path, small):
    x = np.random.default_rng(0).normal(size=(1000, 500)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(1000) % 3)
    assert data.npz(tmp_path / "x.npz", standardize=False).inputs == (500,)


@pytest.mark.parametrize("told", ["much", "-1", "0", "inf", "nan"])
def test_a_limit_that_is_no_number_is_refused(told, monkeypatch):
    monkeypatch.setenv(bounded.VARIABLE, told)
    with pytest.raises(ValueError, match=rf"DLNOTES_MAX_GB: got '{told}', allowed is a positive number"):
        bounded.most_bytes(1)


@pytest.mark.parametrize("parts", [1, 3])
def test_gzip_members_and_zeros_behind_them(parts, small):
    rng = np.random.default_rng(parts)
    texts = [rng.bytes(50_000) for _ in range(parts)]
    packed = b"".join(map(gzip.compress, texts)) + bytes(100)
    assert bounded.gunzip("a", packed) == b"".join(texts)
    for bad in (packed[: len(packed) // 2], b"", b"no gzip"):
        with pytest.raises(ValueError, match="a: not readable as gzip"):
            bounded.gunzip("a", bad)


def test_headers_that_claim_more_than_there_is(tmp_path):
    claim = header("<f8", (10**12,)) + bytes(100)
    (tmp_path / "a.npy").write_bytes(claim)
    with pytest.raises(ValueError, match=r"its header says \(1000000000000,\) of float64.*100 follow"):
        read_npy(tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", claim)
    with pytest.raises(ValueError, match="its header says"):
        read_npz(tmp_path / "a.npz")
    sound = b"RIFF" + struct.pack("<I", 2**32 - 20) + b"WAVEfmt "
    sound += struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    (tmp_path / "a.wav").write_bytes(sound + b"data" + struct.pack("<I", 2**32 - 60) + bytes(100))
    with pytest.raises(ValueError, match=r"a\.wav: not readable"):
        read_wav(tmp_path / "a.wav", rate=8000)


def test_an_odd_rate_is_resampled_in_short_time(tmp_path):
    from scipy.io import wavfile

    t = np.arange(99_991) / 999_907  # both prime
    wavfile.write(tmp_path / "a.wav", 999_907, np.sin(2 * np.pi * 300 * t).astype(np.float32))
    found = read_wav(tmp_path / "a.wav", rate=8000)
    assert len(found) == pytest.approx(800, abs=1)
    inner = slice(50, -50)
    np.testing.assert_allclose(
        found[inner], np.sin(2 * np.pi * 300 * np.arange(len(found)) / 8000)[inner], atol=0.01
    )


def picture(width, height):
    def chunk(name, content):
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


def test_pictures_of_very_many_pixels(tmp_path, small, monkeypatch):
    from PIL import Image

    before = Image.MAX_IMAGE_PIXELS
    (tmp_path / "a.png").write_bytes(picture(100_000, 100_000))
    with pytest.raises(bounded.TooLarge, match="a picture of more than 250000 pixels.*DLNOTES_MAX_GB"):
        read_image(tmp_path / "a.png", size=None, channels=3)
    Image.new("L", (600, 500), 51).save(tmp_path / "b.png")
    with pytest.raises(bounded.TooLarge):
        read_image(tmp_path / "b.png", size=None, channels=1)
    monkeypatch.setenv(bounded.VARIABLE, "0.01")
    np.testing.assert_allclose(read_image(tmp_path / "b.png", size=None, channels=1), 0.2)
    assert before == Image.MAX_IMAGE_PIXELS


def test_objects_that_would_take_much_memory(tmp_path, small):
    np.save(tmp_path / "long.npy", np.array(["a"] * 1000 + ["b" * 1000], object), allow_pickle=True)
    with pytest.raises(ValueError, match="1001 texts of up to 1000 characters take 4 MB, allowed are 1 MB"):
        read_npy(tmp_path / "long.npy")
    place = header("|O", (1,)) + b"\x80\x04]r" + struct.pack("<I", 2**31) + b"."
    (tmp_path / "place.npy").write_bytes(place)
    with pytest.raises(ValueError, match="an object is kept at place 2147483648"):
        read_npy(tmp_path / "place.npy")
    for protocol in range(3, pickle.HIGHEST_PROTOCOL + 1):  # numpy writes 3 or 4
        words = np.array(["x", "y", "x"], object)
        (tmp_path / "a.npy").write_bytes(header("|O", (3,)) + pickle.dumps(words, protocol=protocol))
        assert read_npy(tmp_path / "a.npy").tolist() == ["x", "y", "x"]


DEEP = {
    "classes": ("(1 " * 20_000 + "a" + ")" * 20_000, "(2 a)"),
    "names": ("(A " * 20_000 + "a" + ")" * 20_000 + "\t1", "(A a)\t2"),
    "leaves": ("(" * 20_000 + "a" + ")" * 20_000 + "\t1", "(a b)\t2"),
    "smiles": ("C" * 20_000 + "\t1", "CC\t2"),
    "python": ("-" * 20_000 + "1\t1", "x\t2"),
}


@pytest.mark.parametrize("form", DEEP)
def test_trees_that_are_very_deep(form, tmp_path):
    deep, shallow = DEEP[form]
    (tmp_path / "a.txt").write_text("\n".join([*[shallow] * 10, deep]))
    with pytest.raises(ValueError, match=r"line 11: .*(allowed are 10000 \(max_nodes\)|more deeply)"):
        tree_file(path=tmp_path / "a.txt", form=form)


def test_more_nodes_are_an_option(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(["(1 a)", "(2 b)"] * 10 + ["(1 " + "(2 a) " * 20 + ")"]))
    with pytest.raises(ValueError, match=r"line 21: the tree has 21 nodes, allowed are 20 \(max_nodes\)"):
        tree_file(path=tmp_path / "a.txt", max_nodes=20)
    assert tree_file(path=tmp_path / "a.txt", max_nodes=21).train.size > 0


def test_a_node_of_very_many_children(tmp_path, small):
    (tmp_path / "a.txt").write_text("\n".join(["(1 a)", "(2 b)"] * 10 + ["(1 " + "(2 a) " * 999 + ")"]))
    with pytest.raises(
        bounded.TooLarge, match="21 trees of up to 1000 nodes with up to 999 children take 83.9 MB"
    ):
        tree_file(path=tmp_path / "a.txt")


NESTED = {
    "lists": "a = " + "[" * 20_000 + "]" * 20_000,
    "tables": "a = " + "{a = " * 20_000 + "1" + "}" * 20_000,
    "key": "a" + ".a" * 20_000 + " = 1",
    "quoted key": "a" + '."a"' * 20_000 + " = 1",
    "header": "[a" + " . a" * 20_000 + "]",
    "thirty and one": "a = " + "[" * 31 + "1" + "]" * 31,
}


@pytest.mark.parametrize("name", NESTED)
def test_configs_that_are_very_deep(name, tmp_path):
    (tmp_path / "a.toml").write_text(NESTED[name])
    with pytest.raises(ConfigError, match="more than 30 deep inside one another"):
        load(tmp_path / "a.toml")


def test_overrides_that_are_very_deep(tmp_path):
    (tmp_path / "a.toml").write_text('[data]\nkind = "xor"\n[model]\nkind = "mlp"\n')
    with pytest.raises(ConfigError, match="more than 30 deep inside one another"):
        load(tmp_path / "a.toml", [".".join("a" * 5000) + "=1"])
    with pytest.raises(ConfigError, match=r"model\.widths: got .*… \(\d+ characters\)"):
        load(tmp_path / "a.toml", ["model.widths=" + "[" * 5000 + "]" * 5000])


def test_decimals_and_dotted_words_are_no_deep_keys(tmp_path):
    rates = ", ".join(["0.001"] * 200)
    (tmp_path / "a.toml").write_text(
        f'[data]\nkind = "xor"\n[model]\nkind = "mlp"\n[sweep]\nkind = "grid"\n[sweep.parameters]\n'
        f'"optimizer.learning_rate" = [{rates}]\n"optimizer.weight_decay" = [0.1, 0.2]\n'
    )
    assert load(tmp_path / "a.toml").sweep is not None


def test_configs_of_many_problems_and_of_many_bytes(tmp_path, monkeypatch):
    head = '[data]\nkind = "xor"\n[model]\nkind = "mlp"\n'
    (tmp_path / "a.toml").write_text(head + "".join(f"x{i} = 1\n" for i in range(500)))
    with pytest.raises(ConfigError, match="and 400 more problems"):
        load(tmp_path / "a.toml")
    (tmp_path / "b.toml").write_text(head + "#" * 10_000_000)
    with pytest.raises(ConfigError, match="cannot be read: has 10 MB, allowed are 10 MB"):
        load(tmp_path / "b.toml")


def test_sweeps_of_very_many_points(tmp_path):
    def sweep(**more):
        rates = {"optimizer.learning_rate": [0.1 / (i + 1) for i in range(200)]}
        parameters = rates | {"optimizer.weight_decay": [0.001 * i for i in range(200)]}
        return {
            "data": {"kind": "xor"},
            "model": {"kind": "mlp"},
            "sweep": {"kind": "grid", "parameters": parameters} | more,
        }

    with pytest.raises(
        ConfigError, match=r"200 × 200 values are 40000 points, allowed are 10000 \(max_points\)"
    ):
        parse(sweep())
    assert parse(sweep(max_points=40_000)).sweep is not None
