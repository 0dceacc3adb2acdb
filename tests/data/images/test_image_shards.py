"""Pictures in shards: the values of the same pictures in folders, and shards that are odd or damaged."""

import gzip
import io
import json
import pickle
import tarfile

import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordWriter
from PIL import Image

from dlnotes import data
from dlnotes.data import in_file
from dlnotes.data.images.image_shards import find_pictures, shards_of
from dlnotes.data.images.tf_example import features_of
from dlnotes.data.inputs import evaluate_inputs, read_inputs

CLASSES = ("dark", "light")
OPTIONS = {"size": (6, 5), "validation": 0.25, "test": 0.25}


def picture(i):
    """The bytes of a small image file, PNG or JPEG."""
    rng = np.random.default_rng(i)
    levels = rng.integers(0, 120, (7, 9, 3)) + 120 * (i % 2)
    file = io.BytesIO()
    Image.fromarray(levels.astype(np.uint8)).save(file, "png" if i % 3 else "jpeg")
    return file.getvalue()


def ending(i):
    return "png" if i % 3 else "jpg"


def label(i):
    return CLASSES[i % 2]


def write_tar(path, members, mode="w"):
    with tarfile.open(path, mode) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def members_of(numbers, label_of=lambda i: label(i).encode(), kind="cls"):
    for i in numbers:
        yield f"part/{i:04}.{kind}", label_of(i)
        yield f"part/{i:04}.txt", b"a caption"
        yield f"part/{i:04}.{ending(i)}", picture(i)


def varint(n):
    found = bytearray()
    while True:
        n, low = n >> 7, n & 127
        found.append(low | (128 if n else 0))
        if not n:
            return bytes(found)


def field(number, content):
    """A protobuf field of bytes, by the encoding's description."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def example(**features):
    """A tf.train.Example, written by hand."""
    entries = b""
    for name, value in features.items():
        if isinstance(value, bytes):
            kind = field(1, field(1, value))
        elif isinstance(value, float):
            kind = field(2, field(1, np.float32(value).tobytes()))
        else:
            kind = field(3, field(1, varint(value % 2**64)))
        entries += field(1, field(1, name.encode()) + field(2, kind))
    return field(1, entries)


def write_records(path, records, options="group_size:1"):
    writer = ArrayRecordWriter(str(path), options)
    for record in records:
        writer.write(record)
    writer.close()
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The pictures as they are known: a folder a class."""
    path = tmp_path_factory.mktemp("pictures")
    for i in range(20):
        (path / label(i)).mkdir(exist_ok=True)
        (path / label(i) / f"{i:04}.{ending(i)}").write_bytes(picture(i))
    return path


@pytest.fixture(scope="module")
def tars(tmp_path_factory):
    path = tmp_path_factory.mktemp("tars")
    write_tar(path / "train-000.tar", members_of(range(12)))
    write_tar(path / "train-001.tar", members_of(range(12, 20)))
    return path


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    path = tmp_path_factory.mktemp("records")
    for shard, numbers in enumerate((range(12), range(12, 20))):
        write_records(
            path / f"own-train.array_record-{shard:05}-of-00002",
            (example(label=i % 2, image=picture(i), weight=0.5) for i in numbers),
        )
    return path


def in_order(dataset):
    """Pictures and classes of all parts, sorted by what they show."""
    parts = [p for p in (dataset.train, dataset.validation, dataset.test) if p is not None]
    x, y = (np.concatenate([np.asarray(getattr(p, name)) for p in parts]) for name in "xy")
    order = np.lexsort(x.reshape(len(x), -1).T)
    return x[order], y[order]


@pytest.mark.parametrize("standing", ["memory", "files"])
def test_the_values_are_those_of_the_pictures_in_folders(folder, tars, records, standing, monkeypatch):
    known = data.image_folder(folder, standardize=False, **OPTIONS)
    if standing == "files":
        monkeypatch.setattr(in_file, "MOST", 1000)
    for path, classes in ((tars, CLASSES), (records, ("0", "1"))):
        found = data.load("image_shards", path=path, standardize=False, **OPTIONS)
        assert isinstance(found.train.x, in_file.InFile) == (standing == "files")
        assert (found.classes, found.inputs, found.outputs) == (classes, (6, 5, 3), 2)
        assert [p.size for p in (found.train, found.validation, found.test)] == [10, 5, 5]
        for got, want in zip(in_order(found), in_order(known)):
            np.testing.assert_array_equal(got, want)
        assert {str(p) for p in path.iterdir()} == set(found.sources)


def test_a_trained_model_reads_shards_as_it_reads_folders(folder, tars, records):
    for path in (tars, records):
        trained = data.load("image_shards", path=path, **OPTIONS)
        got, found = evaluate_inputs(path, trained), find_pictures(path)
        want = evaluate_inputs(folder, trained) if path == tars else None
        assert got.size == 20
        np.testing.assert_array_equal(read_inputs(path, trained).x, got.x)
        if want is not None:
            for a, b in zip(in_rows(got), in_rows(want)):
                np.testing.assert_array_equal(a, b)
        assert read_inputs(path, trained).rows == tuple(found.names)


def in_rows(examples):
    order = np.lexsort(examples.x.reshape(examples.size, -1).T)
    return examples.x[order], examples.y[order]


def test_only_the_wanted_pictures_are_read(tars, records, monkeypatch):
    monkeypatch.setattr(in_file, "MOST", 1000)
    for path in (tars, records):
        x = data.load("image_shards", path=path, **OPTIONS).train.x
        reader = x._raw._function
        asked, contents = [], reader._contents
        monkeypatch.setattr(
            reader, "_contents", lambda where, c=contents, a=asked: a.append(len(where)) or c(where)
        )
        _ = x[np.array([[3, 1], [2, 2]])]
        assert asked == [4]


def test_they_are_sent_to_another_process_by_name(tars, records, monkeypatch):
    monkeypatch.setattr(in_file, "MOST", 1000)
    for path in (tars, records):
        x = data.load("image_shards", path=path, **OPTIONS).train.x
        sent = pickle.dumps(x)
        np.testing.assert_array_equal(np.asarray(pickle.loads(sent)), np.asarray(x))
        assert len(sent) < 6000


def test_patterns_name_shards(tars, records):
    names = [tars / "train-000.tar", tars / "train-001.tar"]
    for pattern in ("train-{000..001}.tar", "train-*.tar", "train-00{0,1}.tar", "{train-000,train-001}.tar"):
        assert shards_of(tars / pattern) == names
    assert shards_of(tars / "train-001.tar") == names[1:]
    assert len(shards_of(records)) == 2
    with pytest.raises(FileNotFoundError, match=r"train-002\.tar: there is no such"):
        shards_of(tars / "train-{000..002}.tar")
    with pytest.raises(FileNotFoundError, match="there are no shards"):
        shards_of(tars / "test-*.tar")
    with pytest.raises(ValueError, match="more than 100000"):
        shards_of(tars / "train-{0..999999999}.tar")


def test_labels_are_numbers_texts_or_fields(tmp_path):
    number = write_tar(tmp_path / "n.tar", members_of(range(12), lambda i: f"{9 + i % 3}\n".encode()))
    assert data.load("image_shards", path=number, size=(2, 2), test=0).classes == ("9", "10", "11")
    fields = members_of(range(9), lambda i: json.dumps({"color": f"c{i % 2}", "n": i}).encode(), "json")
    path = write_tar(tmp_path / "j.tar", fields)
    made = data.load("image_shards", path=path, size=(2, 2), label="json:color", validation=0, test=0)
    assert made.classes == ("c0", "c1")
    np.testing.assert_array_equal(made.train.y, np.arange(9) % 2)
    records = write_records(
        tmp_path / "r.array_record", (example(kind=label(i).encode(), png=picture(i)) for i in range(6))
    )
    options = {"label": "kind", "image": "png", "validation": 0, "test": 0}
    assert data.load("image_shards", path=records, size=(2, 2), **options).classes == CLASSES


def test_a_record_is_read_as_it_was_written():
    found = features_of(example(a=b"\x00\xff", b=-5, c=1.5, d=2**62))
    assert found == {"a": [b"\x00\xff"], "b": [-5], "c": [1.5], "d": [2**62]}
    assert features_of(b"") == {}
    with pytest.raises(ValueError, match=r"is no tf\.train\.Example"):
        features_of(b"\xff\xff\xff")


def refused(path, match, **options):
    with pytest.raises(ValueError, match=match):
        data.load("image_shards", path=path, **{"size": (2, 2), "validation": 0, "test": 0} | options)


def test_odd_tars_are_refused_by_name(tmp_path, tars):
    whole = (tars / "train-000.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // 2 + 100])
    refused(tmp_path / "cut.tar", r"cut\.tar: not readable as a tar file, is it complete")
    (tmp_path / "text.tar").write_bytes(b"no tar" * 200)
    refused(tmp_path / "text.tar", r"text\.tar: not readable as a tar file")
    (tmp_path / "inner.tar").write_bytes(gzip.compress(whole))
    refused(tmp_path / "inner.tar", r"inner\.tar: not readable as a tar file")
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(whole))
    refused(tmp_path / "a.tar.gz", "is compressed")
    refused(tmp_path / "a.zip" if (tmp_path / "a.zip").write_bytes(whole) else None, "is no shard")
    alone = write_tar(tmp_path / "alone.tar", [("1.png", picture(1)), ("1.txt", b"x")])
    refused(alone, r"alone\.tar: 1: has no label \.cls beside its picture, only txt \(option label\)")
    two = write_tar(tmp_path / "two.tar", [("1.png", picture(1)), ("1.jpg", picture(3)), ("1.cls", b"0")])
    refused(two, r"1: has several pictures \(png, jpg\)")
    refused(write_tar(tmp_path / "none.tar", [("1.cls", b"0")]), "there is no picture in it")
    refused(
        write_tar(tmp_path / "one.tar", members_of(range(4), lambda i: b"same")), "the only class is 'same'"
    )
    odd = write_tar(tmp_path / "odd.tar", members_of(range(4), lambda i: b"\xff\xfe\xfd"))
    refused(odd, r"part/0000: its label \.cls is no UTF-8 text")
    deep = write_tar(tmp_path / "deep.tar", members_of(range(4), lambda i: b"[" * 100_000, "json"))
    refused(deep, "is no JSON with the field 'a'", label="json:a")
    refused(
        write_tar(tmp_path / "void.tar", members_of(range(4), lambda i: b" \n")), "is '', a number or text"
    )
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    (mixed / "a.tar").write_bytes(whole)
    write_records(mixed / "b.array_record", [example(label=1, image=picture(1))])
    refused(mixed, "needed is one kind")
    refused(tars, "size: got", size=(0, 2))


def test_odd_records_are_refused_by_name(tmp_path, records):
    whole = next(records.iterdir()).read_bytes()
    for name, content in (("cut", whole[: len(whole) // 2]), ("text", b"no records" * 9000), ("empty", b"")):
        (tmp_path / f"{name}.array_record").write_bytes(content)
        refused(
            tmp_path / f"{name}.array_record", rf"{name}\.array_record: (not readable|there is no record)"
        )
    for name, record, said in (
        ("other", b"\xff\xff\xff\xff", r"record 0: is no tf\.train\.Example"),
        ("bare", example(image=picture(1)), r"record 0: needs one value of 'label' .* has 1 of 'image'"),
        ("float", example(label=0.5, image=picture(1)), "'label' is the number 0.5"),
        ("bytes", example(label=b"\xff", image=picture(1)), "'label' is no UTF-8 text"),
    ):
        refused(write_records(tmp_path / f"{name}.array_record", [record, record]), said)
    pairs = [example(label=i % 2, image=7) for i in range(4)]
    refused(write_records(tmp_path / "n.array_record", pairs), "'image' is not the bytes of one image file")


def test_a_picture_that_is_damaged_later_is_named(tars, tmp_path, monkeypatch):
    monkeypatch.setattr(in_file, "MOST", 1000)
    content = bytearray((tars / "train-000.tar").read_bytes())
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    x = data.load("image_shards", path=path, size=(6, 5), validation=0, test=0).train.x
    place = x._raw._raw["start"][5]
    content[place : place + 20] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.tar: the picture at byte {place}: not readable as an image"):
        np.asarray(x)
