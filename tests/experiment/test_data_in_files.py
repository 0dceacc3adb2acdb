"""Training on inputs that stay in their file, against the same in memory: bit for bit."""

import chex
import numpy as np
import pytest
from PIL import Image

from dlnotes import data
from dlnotes.config import parse
from dlnotes.data import in_file
from dlnotes.data.in_file import InFile
from dlnotes.experiment.run import resume, run


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(300, 6)) * 5 + 2).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", (x[:, 0] > 2).astype(np.int64) + (x[:, 1] > 2))
    return tmp_path / "x.npy", tmp_path / "y.npy"


@pytest.fixture
def much(monkeypatch):
    """Whatever has more than a kilobyte is too large for the memory."""
    monkeypatch.setattr(in_file, "MOST", 1000)
    monkeypatch.setattr("dlnotes.experiment.setup.fits_on_device", lambda *_: False)
    monkeypatch.setattr("dlnotes.experiment.evaluator.LARGE", 500)


def config(files, directory, **training):
    return parse(
        {
            "data": {"kind": "npy", "x_path": str(files[0]), "y_path": str(files[1])},
            "model": {"kind": "mlp", "widths": [5]},
            "training": {"duration": "30 steps", "batch_size": 16, "seeds": 2} | training,
            "checkpoint": {"every": "10 steps"},
            "output": {"directory": str(directory)},
        }
    )


def test_rows_are_those_of_the_array(files, monkeypatch):
    whole = data.npy(*files).train.x
    monkeypatch.setattr(in_file, "MOST", 1000)
    own = data.npy(*files).train.x
    assert isinstance(own, InFile)
    assert (own.shape, own.dtype, own.ndim, own.size, own.nbytes, len(own)) == (
        whole.shape, whole.dtype, whole.ndim, whole.size, whole.nbytes, len(whole)
    )  # fmt: skip
    rng = np.random.default_rng(1)
    for index in (
        3, -1, np.int64(5), slice(2, 9), slice(None, None, -2), rng.integers(0, 200, 7),
        rng.integers(0, 200, (2, 3, 4)), (slice(1, 5), 2), (slice(None, 4), slice(1, 3)), np.arange(0),
    ):  # fmt: skip
        np.testing.assert_array_equal(own[index], whole[index], err_msg=str(index))
    np.testing.assert_array_equal(np.asarray(own), whole)


def test_a_run_is_the_same_bit_for_bit(files, tmp_path, much, monkeypatch):
    streamed = run(config(files, tmp_path / "a"))
    assert isinstance(streamed.dataset.test.x, InFile)
    monkeypatch.setattr(in_file, "MOST", 2**31)
    held = run(config(files, tmp_path / "b"))
    assert isinstance(held.dataset.test.x, np.ndarray)
    chex.assert_trees_all_equal(streamed.states, held.states)
    for split in ("validation", "test"):
        for name, found in held.metrics[split].items():
            np.testing.assert_allclose(
                streamed.metrics[split][name]["values"], found["values"], rtol=1e-6, err_msg=name
            )
    assert sorted(p.name for p in (streamed.folder / "figures").iterdir()) == sorted(
        p.name for p in (held.folder / "figures").iterdir()
    )


def test_it_resumes_bit_for_bit(files, tmp_path, much):
    whole = run(config(files, tmp_path / "a"))
    short = run(config(files, tmp_path / "b", duration="20 steps"))
    chex.assert_trees_all_equal(resume(short.folder, ["training.duration='30 steps'"]).states, whole.states)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, bool])
def test_bytes_are_made_floats_where_they_are_used(dtype, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2 if dtype is bool else 100, (90, 4, 5, 1)).astype(dtype)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.arange(90) % 3)
    np.savez(tmp_path / "both.npz", x=x, y=np.arange(90) % 3)
    whole = data.npz(tmp_path / "both.npz")
    small = data.npy(tmp_path / "x.npy", tmp_path / "y.npy")
    monkeypatch.setattr(in_file, "MOST", 1000)
    large = data.npy(tmp_path / "x.npy", tmp_path / "y.npy")
    assert isinstance(large.train.x, InFile)
    for made in (small, large):
        np.testing.assert_array_equal(np.asarray(made.train.x), whole.train.x)
        np.testing.assert_array_equal(made.standardize.scale, whole.standardize.scale)


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(0)
    for label, folder in enumerate(("dark", "light")):
        (tmp_path / "pictures" / folder).mkdir(parents=True)
        for i in range(24):
            levels = rng.integers(0, 120, (7, 9, 3)) + 120 * label
            name = f"{i}.{'png' if i % 2 else 'jpg'}"
            Image.fromarray(levels.astype(np.uint8)).save(tmp_path / "pictures" / folder / name)
    return tmp_path / "pictures"


def test_pictures_are_decoded_where_they_are_used(pictures, tmp_path, monkeypatch):
    def trained(directory):
        return run(
            parse(
                {
                    "data": {"kind": "image_folder", "path": str(pictures), "size": [6, 5]},
                    "model": {"kind": "cnn", "channels": [3], "dense": []},
                    "training": {
                        "duration": "9 steps",
                        "batch_size": 8,
                        "seeds": 2,
                        "evaluate_every": "3 steps",
                    },
                    "output": {"directory": str(tmp_path / directory), "figures": False},
                    "devices": {"strategy": "single", "resident": "no"},
                }
            )
        )

    whole = trained("whole")
    monkeypatch.setattr(in_file, "MOST", 1000)
    own = trained("own")
    assert isinstance(own.dataset.train.x, InFile)
    assert not isinstance(whole.dataset.train.x, InFile)
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(own.dataset, part).x, getattr(whole.dataset, part).x)
    chex.assert_trees_all_equal(own.states, whole.states)
    assert own.history() == whole.history()


def test_a_damaged_picture_is_named_when_it_is_read(pictures, monkeypatch):
    monkeypatch.setattr(in_file, "MOST", 1000)
    dataset = data.image_folder(pictures, size=(6, 5))
    for file in pictures.rglob("*.png"):
        file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(ValueError, match=r"\.png: not readable as an image"):
        np.asarray(dataset.train.x)


@pytest.mark.parametrize("resident", ["auto", pytest.param("yes", marks=pytest.mark.slow)])
def test_inputs_in_a_file_that_would_fit_on_the_device(resident, files, tmp_path, monkeypatch):
    def trained(directory):
        raw = config(files, tmp_path / directory).model_dump()
        return run(parse(raw | {"devices": {"strategy": "single", "resident": resident}}))

    whole = trained("a")
    monkeypatch.setattr(in_file, "MOST", 1000)
    own = trained("b")
    assert isinstance(own.dataset.train.x, InFile)
    chex.assert_trees_all_equal(own.states, whole.states)
