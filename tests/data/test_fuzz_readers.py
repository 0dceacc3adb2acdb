"""Files of all kinds that hypothesis makes up: the numbers that were written, or a clear refusal.

Each example writes a whole file and compares what is read with what was written, then damages some of its
bytes: then it may be refused, by a ValueError that names the file. No other error, no warning of
numpy's, and no file that takes long.
"""

import csv
import io
import tarfile
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import wavfile

import dlnotes.data as data
from dlnotes.data.arrays import read_npy
from dlnotes.data.images.image_masks import read_mask
from dlnotes.data.pictures import read_image
from dlnotes.data.texts.text_pairs import read_pairs
from dlnotes.data.time_series.sound import read_wav
from dlnotes.data.time_series.ts_files import read_ts

ALL = dict(validation=0, test=0, standardize=False)
COUNTS = {"files": 0, "read": 0, "refused": 0}
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]))


def attempt(path, read):
    """What a reader makes of a file: its answer, or ``None`` for a refusal that names the file."""
    COUNTS["files"] += 1
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what the readers say
        refused, found = "", None
        try:
            found = read(path)
        except ValueError as error:
            refused = str(error)
    assert found is not None or (str(path) in refused and "BytesIO" not in refused), refused
    assert time.perf_counter() - start < 20
    COUNTS["refused" if found is None else "read"] += 1
    return found


def damaged(draw, path, read):
    """The same file with some bytes changed, lost or added."""
    content = bytearray(path.read_bytes())
    plan = st.tuples(
        st.integers(0, 999), st.integers(0, 255), st.sampled_from(["change", "cut", "lose", "add"])
    )
    for share, byte, how in draw(st.lists(plan, min_size=1, max_size=4)):
        place = len(content) * share // 1000
        if how == "change" and content:
            content[place] = byte
        elif how == "cut":
            del content[place:]
        elif how == "lose":
            del content[place : place + byte]
        else:
            content[place:place] = bytes([byte]) * (byte % 5)
    path.write_bytes(content)
    attempt(path, read)


def grouped(value, decimals, decimal, thousands):
    text = f"{value:,.{decimals}f}"
    return text.replace(",", "\0").replace(".", decimal).replace("\0", thousands)


def tables(draw, folder):
    path = folder / "own.csv"
    n = draw(st.integers(2, 12))
    decimal, thousands = draw(
        st.sampled_from([(".", ""), (",", ""), (".", ","), (",", "."), (".", " "), (".", "'")])
    )
    delimiter = draw(st.sampled_from([",", ";", "\t", "|"]))
    decimals = draw(st.integers(0, 4))
    size = draw(st.sampled_from([1.0, 1e3, 1e7]))
    numbers = st.floats(-size, size).map(lambda x: round(x, decimals))
    x = [draw(st.lists(numbers, min_size=n, max_size=n)) for _ in range(draw(st.integers(1, 3)))]
    y = [round(i + 0.125, 3) for i in range(n)]
    texts = draw(st.lists(WORDS.map(str.strip).filter(bool), min_size=n, max_size=n))
    gaps = draw(st.sets(st.integers(0, n - 1), max_size=n - 1)) if draw(st.booleans()) else set()

    def cells(i):
        for j, column in enumerate(x):
            yield "" if j == 0 and i in gaps else grouped(column[i], decimals, decimal, thousands)
        yield texts[i]
        yield grouped(y[i], 3, decimal, thousands)

    file = io.StringIO()
    end = draw(st.sampled_from(["\n", "\r\n"]))
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end)
    writer.writerow([*(f"x{j}" for j in range(len(x))), "text", "y"])
    for i in range(n):
        writer.writerow(list(cells(i)))
        file.write(end * draw(st.sampled_from([0, 0, 0, 1, 2])))
    path.write_bytes(file.getvalue().encode(draw(st.sampled_from(["utf-8", "utf-8-sig"]))))

    def check(found, filled):
        if found is None:
            return
        assert set(found.features) >= {f"x{j}" for j in range(len(x))}  # numbers stay numbers
        for j, column in enumerate(x):
            got = found.train.x[:, found.features.index(f"x{j}")]
            want = np.array(column)
            if j == 0 and gaps:
                assert filled
                kept = [i for i in range(n) if i not in gaps]
                want[list(gaps)] = np.median(want[kept])
                mark = found.train.x[:, found.features.index("x0=")]
                np.testing.assert_array_equal(mark, [i in gaps for i in range(n)])
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
        for i, text in enumerate(texts):
            if f"text={text}" in found.features:
                assert found.train.x[i, found.features.index(f"text={text}")] == 1
        np.testing.assert_allclose(found.train.y[:, 0], y, rtol=1e-6)

    options = dict(target="y", task="regression", categorical=["text"], delimiter=delimiter, **ALL)
    right = dict(options, decimal=decimal, thousands=thousands, impute="median")
    found = attempt(path, lambda p: data.csv(p, **right))
    assert found is not None
    check(found, True)
    again = attempt(path, lambda p: data.evaluate_inputs(p, found))
    np.testing.assert_array_equal(again.x, found.train.x)
    check(attempt(path, lambda p: data.csv(p, **options)), False)  # other marks: the same numbers, or none
    damaged(draw, path, lambda p: data.csv(p, **right))


def arrays(draw, folder):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(
        st.sampled_from(
            [
                "f2",
                "f4",
                "f8",
                ">f4",
                ">f8",
                "longdouble",
                "i1",
                "u1",
                "i2",
                ">u2",
                "i4",
                "u4",
                "i8",
                "u8",
                "?",
                "O",
                "c8",
                "M8[D]",
                "U3",
            ]
        )
    )
    shape = draw(
        st.sampled_from([(), (6,), (6, 3), (6, 4, 2), (6, 3, 4, 1), (6, 2, 3, 4, 1), (0, 3), (6, 0)])
    )
    x = rng.integers(0, 100, shape) if kind != "O" else rng.integers(0, 100, shape).astype(object)
    x = np.asarray(x).astype(kind)
    if draw(st.booleans()):
        x = np.asfortranarray(x)
    y = np.arange(6) % 2
    y = draw(
        st.sampled_from(
            [y, y + 0.5, np.array(["b", "a"] * 3), np.array(["b", "a"] * 3, object), y.astype(bool)]
        )
    )
    path, single = folder / "own.npz", folder / "own.npy"
    np.savez(path, x=x, y=y) if draw(st.booleans()) else np.savez_compressed(path, x=x, y=y)
    options = dict(input=draw(st.sampled_from(["auto", "tokens"])), **ALL)
    found = attempt(path, lambda p: data.npz(p, **options))
    if found is not None:
        scale = 255 if found.input in ("image", "volume") and x.dtype == np.uint8 else 1
        np.testing.assert_allclose(np.asarray(found.train.x, float) * scale, x.astype(float), rtol=1e-6)
        if found.task == "regression":
            np.testing.assert_allclose(found.train.y[:, 0], y.astype(float))
        else:
            np.testing.assert_array_equal(found.train.y, np.unique(y, return_inverse=True)[1])
    damaged(draw, path, lambda p: data.npz(p, **options))
    np.save(single, x)
    again = attempt(single, read_npy)
    if again is not None:
        np.testing.assert_array_equal(again, x if kind != "O" else x.astype(np.int64))
    damaged(draw, single, read_npy)


MODES = ["1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"]
ENDS = ["png", "tif", "jpg", "bmp", "gif", "webp", "ppm", "tga", "jp2", "pcx"]


def picture(draw):
    """A picture of some mode, and its gray levels in [0, 1] as `read_image` should see them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    mode, shape = draw(st.sampled_from(MODES)), (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    if mode in ("I;16", "I", "F"):
        dtype, most = {"I;16": (np.uint16, 65535), "I": (np.int32, 65535), "F": (np.float32, 1)}[mode]
        limit = draw(st.sampled_from([1, 200, most]))
        values = rng.random(shape) * min(limit, most)
        made = Image.fromarray((values if mode == "F" else np.floor(values)).astype(dtype))
        return made, np.asarray(made, float) / most
    made = Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)).convert(mode)
    if mode in ("LA", "RGBA"):
        made.putalpha(Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)))
        white = Image.new("RGBA", made.size, (255,) * 4)
        shown = Image.alpha_composite(white, made.convert("RGBA"))
    else:
        shown = made
    return made, np.asarray(shown.convert("RGB").convert("L"), float) / 255


def pictures(draw, folder):
    made, levels = picture(draw)
    end, turn = draw(st.sampled_from(ENDS)), draw(st.integers(1, 8))
    path, exif = folder / f"own.{end}", Image.Exif()
    exif[0x0112] = turn
    turned = draw(st.booleans()) and end in ("png", "tif", "jpg", "webp")
    options = {"exif": exif} if turned else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made.save(path, **options, **({"lossless": True} if end == "webp" else {}))
    except (OSError, ValueError, KeyError, SystemError):
        return  # a mode that the format has not
    read = lambda p: read_image(p, size=None, channels=1)  # noqa: E731
    found = attempt(path, read)
    if end in ("png", "tif") and made.mode not in ("I",) and made.mode not in ("LA", "RGBA"):
        assert found is not None
    if found is not None and end not in ("jpg", "gif") and made.mode != "YCbCr":
        want = levels
        if turned:
            ways = [lambda a: a, np.fliplr, lambda a: np.rot90(a, 2), np.flipud, np.transpose]
            ways += [lambda a: np.rot90(a, -1), lambda a: np.rot90(a, 2).T, np.rot90]
            want = ways[turn - 1](levels)
        if made.mode in ("I;16", "I", "F") and end not in ("png", "tif", "jp2", "ppm"):
            return
        assert found.shape == (*want.shape, 1)
        hidden = made.mode in ("LA", "RGBA") and end not in ("png", "tif", "webp", "tga")
        if not hidden:
            np.testing.assert_allclose(found[..., 0], want, atol=0.012 if made.mode != "I;16" else 1e-6)
        if made.mode in ("I;16", "F") and np.ptp(want) > 0:
            assert np.ptp(found) > 0  # never of one level
    damaged(draw, path, read)


def masks(draw, folder):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    classes = draw(st.sampled_from([2, 3, 20, 256, 300]))
    numbers = rng.integers(0, classes, shape)
    mode = draw(st.sampled_from(["1", "L", "P", "LA", "RGB", "RGBA", "I;16", "I", "F"]))
    if mode == "1":
        numbers = numbers % 2
        made = Image.fromarray(numbers.astype(bool))
    elif mode in ("I;16", "I", "F"):
        made = Image.fromarray(numbers.astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]))
    else:
        numbers = numbers % 256
        made = Image.fromarray(numbers.astype(np.uint8))
        if mode == "P":
            made.putpalette(rng.integers(0, 256, 768).tolist())
        else:
            made = made.convert(mode)
    image = folder / "images" / "own.png"
    path = (
        folder / "masks" / f"own.{draw(st.sampled_from(['png', 'tif', 'bmp', 'jpg', 'webp', 'gif', 'ppm']))}"
    )
    for file in (image, path):
        file.parent.mkdir(exist_ok=True)
    Image.fromarray(np.zeros(shape, np.uint8)).save(image)
    try:
        made.save(path)
    except (OSError, ValueError, KeyError, SystemError):
        return
    read = lambda p: read_mask(p, image=image)  # noqa: E731
    found = attempt(path, read)
    if found is not None:
        np.testing.assert_array_equal(found, numbers)
    damaged(draw, path, read)


def sounds(draw, folder):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind, channels = draw(st.sampled_from(["u1", "i2", "i4", "f4", "f8"])), draw(st.integers(1, 3))
    x = rng.uniform(-1, 1, (draw(st.integers(1, 200)), channels))
    steps = {"u1": 127, "i2": 32767, "i4": 2**31 - 1}.get(kind)
    stored = x if steps is None else np.rint(x * steps) + (128 if kind == "u1" else 0)
    path, rate = folder / "own.wav", draw(st.sampled_from([100, 8000, 44100]))
    wavfile.write(path, rate, stored.astype(kind))
    read = lambda p: read_wav(p, rate=rate)  # noqa: E731
    found = attempt(path, read)
    np.testing.assert_allclose(found, x.mean(1), atol={"u1": 0.02, "i2": 1e-4}.get(kind, 1e-6))
    damaged(draw, path, read)


def pairs(draw, folder):
    cell = WORDS.map(lambda t: t.replace("\t", "").strip()).filter(bool)
    written = draw(st.lists(st.tuples(cell, cell), min_size=1, max_size=8))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    path = folder / "own.txt"
    text = end.join(f"{a}\t{b}" + end * draw(st.integers(0, 1)) for a, b in written)
    path.write_bytes(text.encode(draw(st.sampled_from(["utf-8", "utf-8-sig"]))))
    found = attempt(path, read_pairs)
    assert found == written
    damaged(draw, path, read_pairs)


def series(draw, folder):
    channels, n = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    number = st.floats(-1e6, 1e6, allow_nan=False)
    lengths = draw(st.lists(st.integers(1, 6), min_size=n, max_size=n))
    values = [[draw(st.lists(number, min_size=m, max_size=m)) for _ in range(channels)] for m in lengths]
    labels = draw(st.lists(st.sampled_from(["left", "right"]), min_size=n, max_size=n))
    lines = [":".join(",".join(map(repr, c)) for c in v) + f":{label}" for v, label in zip(values, labels)]
    end = draw(st.sampled_from(["\n", "\r\n"]))
    head = ["# made up", f"@dimensions {channels}", "@classLabel true left right", "@data"]
    path = folder / "own.ts"
    path.write_bytes(end.join([*head, *lines, ""]).encode())
    found = attempt(path, read_ts)
    assert found.labels == labels
    for got, want in zip(found.values, values):
        np.testing.assert_array_equal(got, np.array(want).T)
    damaged(draw, path, read_ts)


def parquet_tables(draw, folder):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, n = folder / "own.parquet", draw(st.integers(2, 12))
    kinds = {
        "double": (pa.float64(), st.floats(-1e9, 1e9)),
        "float": (pa.float32(), st.floats(-1e6, 1e6, width=32)),
        "long": (pa.int64(), st.integers(-(2**40), 2**40)),
        "byte": (pa.uint8(), st.integers(0, 255)),
        "truth": (pa.bool_(), st.booleans()),
        "decimal": (pa.decimal128(12, 3), st.decimals(-1e6, 1e6, places=3)),
    }
    names = draw(st.lists(st.sampled_from(sorted(kinds)), min_size=1, max_size=4, unique=True))
    values = {k: draw(st.lists(kinds[k][1], min_size=n, max_size=n)) for k in names}
    gaps = draw(st.sets(st.integers(0, n - 1), max_size=n - 1)) if draw(st.booleans()) else set()
    first = [None if i in gaps else v for i, v in enumerate(values[names[0]])]
    columns = {k: pa.array(first if k == names[0] else values[k], kinds[k][0]) for k in names}
    texts = draw(st.lists(WORDS.map(str.strip).filter(bool), min_size=n, max_size=n))
    columns |= {"text": pa.array(texts), "y": pa.array([i + 0.125 for i in range(n)])}
    packed = draw(st.sampled_from(["snappy", "none", "zstd", "gzip"]))
    pq.write_table(
        pa.table(columns), path, compression=packed, row_group_size=draw(st.integers(1, n)),
        write_page_checksum=True,
    )  # fmt: skip
    options = dict(target="y", task="regression", categorical=["text"], impute="median", **ALL)
    found = attempt(path, lambda p: data.csv(p, **options))
    kept = [i for i in range(n) if i not in gaps]
    for k in names:
        want = np.array([float(v) for v in values[k]])
        if k == names[0] and gaps:
            want[list(gaps)] = np.median(want[kept])
        got = found.train.x[:, found.features.index(k)]
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-30 + 1e-6 * np.abs(want).max())
    np.testing.assert_allclose(found.train.y[:, 0], np.arange(n) + 0.125)
    damaged(draw, path, lambda p: data.csv(p, **options))


def shards(draw, folder):
    path, n = folder / "own.tar", draw(st.integers(2, 6))
    levels = [np.full((3, 2, 3), draw(st.integers(0, 255)), np.uint8) for _ in range(n)]
    labels = [str(i % 2) for i in range(n)]
    with tarfile.open(path, "w", format=draw(st.sampled_from([0, 1, 2]))) as tar:
        for i, (image, label) in enumerate(zip(levels, labels)):
            file = io.BytesIO()
            Image.fromarray(image).save(file, draw(st.sampled_from(["png", "bmp"])))
            prefix = draw(st.sampled_from(["", "a/"]))
            for ending, content in (("png", file.getvalue()), ("cls", label.encode())):
                info = tarfile.TarInfo(f"{prefix}{i}.{ending}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    read = lambda p: data.image_shards(p, size=(3, 2), **ALL)  # noqa: E731
    found = attempt(path, read)
    np.testing.assert_allclose(found.train.x, np.stack(levels) / np.float32(255), rtol=1e-6)
    assert [found.classes[c] for c in found.train.y] == labels
    damaged(draw, path, read)


KINDS = [tables, arrays, pictures, masks, sounds, pairs, series, parquet_tables, shards]


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def fuzz(kind, folder, examples):
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def one(drawn):
        kind(drawn.draw, folder)

    one()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_files_that_are_made_up(kind, folder):
    fuzz(kind, folder, 25)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_thousands_of_files_that_are_made_up(kind, folder):
    before = dict(COUNTS)
    fuzz(kind, folder, 600)
    print(kind.__name__, {name: COUNTS[name] - before[name] for name in COUNTS})
