"""Published image sets: strict idx files, search order, downloads from a server of our own."""

import gzip
import hashlib
import os
import struct
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from dlnotes.data import SOURCES, catalog
from dlnotes.data import download as store
from dlnotes.data.download import DataNotFound
from dlnotes.data.images import mnist as mnist_sets
from dlnotes.data.images.idx import read_idx, read_labeled_images


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("DLNOTES_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DLNOTES_DATA", raising=False)
    monkeypatch.setattr(store, "SYSTEM", tmp_path / "system")


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A tiny Fashion-MNIST with its own checksums, its files in ``published``, and no mirror that answers."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "published"
    folder.mkdir()
    files, raw = [], []
    for old, shape, top in zip(
        mnist_sets.FASHION_MNIST.files, [(40, 28, 28), (40,), (20, 28, 28), (20,)], [256, 10, 256, 10]
    ):
        array = rng.integers(0, top, shape).astype(np.uint8) if len(shape) > 1 else np.arange(shape[0]) % 10
        data = idx(array.astype(np.uint8))
        packed = gzip.compress(data, 1)
        (folder / old.name).write_bytes(packed)
        raw.append(array)
        files.append(
            old._replace(sha256=hashlib.sha256(packed).hexdigest(), md5=hashlib.md5(data).hexdigest())
        )
    made = mnist_sets.FASHION_MNIST._replace(files=tuple(files), mirrors=("http://127.0.0.1:9/",))
    monkeypatch.setattr(mnist_sets, "FASHION_MNIST", made)
    monkeypatch.setattr("dlnotes.data.images.mnist.FASHION_MNIST", made)
    return folder, raw


def serve(folder):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}/"


def copy_to(folder, target, *, unpack=False):
    target.mkdir(parents=True)
    for file in folder.iterdir():
        if unpack:
            (target / file.name.removesuffix(".gz")).write_bytes(gzip.decompress(file.read_bytes()))
        else:
            (target / file.name).write_bytes(gzip.compress(gzip.decompress(file.read_bytes()), 9))


@pytest.mark.parametrize("place", ["data_dir", "below data_dir", "variable", "cache", "debian"])
@pytest.mark.parametrize("unpack", [False, True])
def test_found_in_each_place_recompressed_or_not(small, tmp_path, monkeypatch, place, unpack):
    folder, (x, _, x_test, y_test) = small
    options = {}
    if place == "variable":
        monkeypatch.setenv("DLNOTES_DATA", str(tmp_path / "v"))
    elif "data_dir" in place:
        options = {"data_dir": tmp_path / "d"}
    target = {
        "data_dir": tmp_path / "d",
        "below data_dir": tmp_path / "d" / "fashion_mnist",
        "variable": tmp_path / "v" / "fashion_mnist",
        "cache": tmp_path / "cache" / "data" / "fashion_mnist",
        "debian": tmp_path / "system" / "fashion-mnist",
    }[place]
    copy_to(folder, target, unpack=unpack)
    d = mnist_sets.fashion_mnist(validation=10, seed=1, standardize=False, download=False, **options)
    assert d.classes[9] == "Ankle boot"
    assert d.inputs == (28, 28, 1)
    assert d.train.x.dtype == np.float32
    assert (d.validation.size, d.test.size) == (10, 20)
    assert (np.bincount(d.validation.y) == 1).all()  # stratified
    np.testing.assert_allclose(d.test.x[..., 0], x_test / 255, atol=1e-7)
    assert (d.test.y == y_test).all()
    joined = np.concatenate([d.train.x, d.validation.x])[..., 0]
    assert {i.tobytes() for i in np.rint(joined * 255).astype(np.uint8)} == {i.tobytes() for i in x}
    assert set(map(os.path.dirname, d.sources)) == {str(target)}
    options = {k: v for k, v in options.items() if k == "data_dir"}
    assert catalog.check("fashion_mnist", **options) == []


def test_downloaded_once_checked_and_cached(small, tmp_path, monkeypatch):
    folder, _ = small
    server, url = serve(folder)
    try:
        wrong = tmp_path / "wrong"
        copy_to(folder, wrong)
        other, bad_url = serve(wrong)  # right names, wrong bytes
        made = mnist_sets.FASHION_MNIST._replace(mirrors=("http://127.0.0.1:9/", bad_url, url))
        monkeypatch.setattr("dlnotes.data.images.mnist.FASHION_MNIST", made)
        place = catalog.fetch("fashion_mnist")
        other.shutdown()
        other.server_close()
    finally:
        server.shutdown()
        server.server_close()
    assert place == tmp_path / "cache" / "data" / "fashion_mnist"
    assert sorted(p.name for p in place.iterdir()) == sorted(p.name for p in folder.iterdir())
    assert catalog.check("fashion_mnist") == []
    assert mnist_sets.fashion_mnist(validation=0).validation is None  # no server any more
    entry = next(e for e in catalog.available() if e["name"] == "fashion_mnist")
    assert entry["found"] == str(place)


def test_without_files_and_network_it_says_what_to_do(small, tmp_path):
    with pytest.raises(DataNotFound) as caught:
        mnist_sets.fashion_mnist()
    assert isinstance(caught.value, FileNotFoundError)
    text = str(caught.value)
    for file in mnist_sets.FASHION_MNIST.files:
        assert file.name in text
    for part in ("DLNOTES_DATA", "fashion_mnist/", "127.0.0.1:9", str(tmp_path / "cache")):
        assert part in text
    assert not list((tmp_path / "cache").rglob("*.part"))
    with pytest.raises(DataNotFound, match="downloading is switched off"):
        mnist_sets.mnist(download=False)
    assert "none of" in catalog.check("mnist")[0]


def test_an_altered_file_is_refused(small, tmp_path):
    folder, _ = small
    name = mnist_sets.FASHION_MNIST.files[0].name
    data = bytearray(gzip.decompress((folder / name).read_bytes()))
    data[-1] ^= 1
    (folder / name).write_bytes(gzip.compress(bytes(data)))
    with pytest.raises(ValueError, match=f"{name}: MD5 of the decompressed bytes"):
        mnist_sets.fashion_mnist(data_dir=folder)
    assert len(catalog.check("fashion_mnist", data_dir=folder)) == 1


def test_idx_reader_is_strict(tmp_path):
    images, labels = tmp_path / "images", tmp_path / "labels"
    x = np.arange(24, dtype=np.uint8).reshape(4, 3, 2)
    good = idx(x)
    images.write_bytes(good)
    assert (read_idx(images, dimensions=3) == x).all()
    for data, message in [
        (good[:-1], "truncated, 39 bytes where"),
        (good[:7], "truncated, 7 bytes are fewer"),
        (b"", "truncated, 0 bytes"),
        (good + b"\0", "1 bytes after the 40"),
        (b"\0\0\x0d" + good[3:], "begins with 00000d03"),
        (idx(x[0]), "begins with 00000802"),
        (gzip.compress(good)[:-9], "not readable as gzip"),
        (gzip.compress(good)[:20], "not readable as gzip"),
    ]:
        images.write_bytes(data)
        with pytest.raises(ValueError, match=f"{images}: {message}"):
            read_idx(images, dimensions=3)
    images.write_bytes(good)
    labels.write_bytes(idx(np.array([0, 1, 2], np.uint8)))
    with pytest.raises(ValueError, match=f"{images}: 4 images, but {labels} has 3 labels"):
        read_labeled_images(images, labels, classes=3)
    labels.write_bytes(idx(np.array([0, 1, 3, 1], np.uint8)))
    with pytest.raises(ValueError, match=f"{labels}: row 2: label 3, allowed is 0..2"):
        read_labeled_images(images, labels, classes=3)


def test_cache_folder(monkeypatch, tmp_path):
    assert store.cache_folder("a") == tmp_path / "cache" / "data" / "a"
    monkeypatch.delenv("DLNOTES_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert store.cache_folder("a") == tmp_path / "xdg" / "dlnotes" / "data" / "a"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store.cache_folder("a") == tmp_path / ".cache" / "dlnotes" / "data" / "a"


def test_catalog_lists_and_checks_what_needs_no_files():
    names = [entry["name"] for entry in catalog.available()]
    assert len(names) == len(set(names)) == 38
    for name in ("digits", "iris", "xor"):
        assert catalog.check(name) == []
        assert catalog.fetch(name) is None
    with pytest.raises(ValueError, match="name: got 'cifar'"):
        catalog.fetch("cifar")


REAL = os.environ.get("DLNOTES_DATA")


@pytest.mark.skipif(not REAL, reason="DLNOTES_DATA names no folder with the real files")
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_the_real_files(name, monkeypatch):
    monkeypatch.setenv("DLNOTES_DATA", str(REAL))
    if mnist_sets.locate(catalog.files_of(SOURCES[name])) is None:
        pytest.skip(f"{name} is not in DLNOTES_DATA")
    assert catalog.check(name) == []
    d = getattr(mnist_sets, name)(download=False)
    assert d.train.x.shape == (55000, 28, 28, 1)
    assert (d.validation.size, d.test.size, d.outputs) == (5000, 10000, 10)
    known = {"mnist": (0.1307, 0.3081), "fashion_mnist": (0.2860, 0.3530)}[name]
    np.testing.assert_allclose((d.standardize.mean[0], d.standardize.scale[0]), known, atol=1e-3)
