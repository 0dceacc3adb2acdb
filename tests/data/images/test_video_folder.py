"""Folders of short videos: clips of frames and of arrays, and what is wrong with them."""

import numpy as np
import pytest
from PIL import Image

import dlnotes.data as data
from dlnotes.data import in_file
from dlnotes.data.images.clips import clips_in, read_clip, taken
from dlnotes.data.in_file import InFile

OPTIONS = {"frames": 4, "size": (5, 6), "channels": 1}


def movie(seed, frames=4, shape=(5, 6)):
    return np.random.default_rng(seed).integers(0, 256, (frames, *shape)).astype(np.uint8)


def as_frames(folder, clip, name="f{}.png"):
    folder.mkdir(parents=True)
    for i, frame in enumerate(clip):
        Image.fromarray(frame).save(folder / name.format(i))


@pytest.fixture
def videos(tmp_path):
    """Two classes of six clips, half of them frames and half arrays, of 3 to 8 frames."""
    for k, name in enumerate(("falls", "rises")):
        (tmp_path / name).mkdir()
        for i in range(6):
            clip = movie(10 * k + i, 3 + i)
            if i % 2:
                as_frames(tmp_path / name / f"clip {i}", clip)
            else:
                np.savez(tmp_path / name / f"clip {i}.npz", frames=clip, rate=25)
    return tmp_path


def test_frames_and_arrays_are_the_same_clip(tmp_path):
    clip = movie(0, 12, (7, 9))
    as_frames(tmp_path / "frames", clip)  # f10 comes after f9
    np.savez(tmp_path / "bytes.npz", clip)
    np.save(tmp_path / "floats.npy", (clip / 255).astype(np.float64)[..., None])
    options = {"frames": 12, "size": (7, 9), "channels": 1}
    read = [read_clip(tmp_path / n, **options) for n in ("frames", "bytes.npz", "floats.npy")]
    for x in read:
        np.testing.assert_allclose(x[..., 0], clip / 255, atol=1e-6)
    small = [read_clip(tmp_path / n, frames=5, size=(4, 4), channels=3) for n in ("frames", "bytes.npz")]
    np.testing.assert_array_equal(*small)
    assert (small[0][..., 0] == small[0][..., 2]).all()
    color = np.random.default_rng(1).integers(0, 256, (2, 5, 5, 3)).astype(np.uint8)
    np.save(tmp_path / "color.npy", color)
    gray = read_clip(tmp_path / "color.npy", frames=2, size=(5, 5), channels=1)
    known = [np.asarray(Image.fromarray(frame).convert("L")) / 255 for frame in color]
    np.testing.assert_allclose(gray[..., 0], known, atol=1e-6)


@pytest.mark.parametrize(("there", "wanted"), [(1, 4), (3, 4), (4, 4), (9, 4), (100, 7)])
def test_frames_are_taken_at_even_distances(there, wanted):
    places = taken(there, wanted)
    assert len(places) == wanted
    assert (places[0], places[-1]) == (0, there - 1)
    assert np.abs(np.array(places) - np.linspace(0, there - 1, wanted)).max() <= 0.5


def test_a_folder_of_videos(videos):
    (videos / "falls" / ".DS_Store").write_bytes(b"x")
    d = data.video_folder(videos, standardize=False, validation=0, test=0, **OPTIONS)
    assert (d.input, d.task, d.inputs, d.classes) == (
        "volume",
        "classification",
        (4, 5, 6, 1),
        ("falls", "rises"),
    )
    assert d.train.y.tolist() == [0] * 6 + [1] * 6
    for i, x in enumerate(d.train.x):
        clip = movie(10 * (i // 6) + i % 6, 3 + i % 6)
        np.testing.assert_allclose(x[..., 0], clip[taken(len(clip), 4)] / 255, atol=1e-6)
    assert len(d.sources) == 2 * (3 + 4 + 6 + 8)
    found = data.evaluate_inputs(videos, d)
    np.testing.assert_array_equal(found.x, d.train.x)
    np.testing.assert_array_equal(found.y, d.train.y)


def test_new_clips(videos):
    d = data.video_folder(videos, **OPTIONS)
    whole = data.read_inputs(videos / "rises", d)
    assert whole.rows == tuple(f"clip {i}{'' if i % 2 else '.npz'}" for i in range(6))
    for name, row in (("clip 1", 1), ("clip 2.npz", 2)):
        one = data.read_inputs(videos / "rises" / name, d)
        assert one.rows == (name,)
        np.testing.assert_array_equal(one.x, whole.x[row : row + 1])
    several = np.stack([movie(i) for i in range(3)])
    np.savez(videos / "three.npz", x=several[..., None])
    np.testing.assert_array_equal(data.read_inputs(videos / "three.npz", d).x.shape, (3, 4, 5, 6, 1))
    with pytest.raises(ValueError, match="one clip has no target"):
        data.evaluate_inputs(videos / "rises" / "clip 1", d)


def test_parts_and_nested_folders(tmp_path):
    for p, part in enumerate(("train", "test")):
        for k, name in enumerate("ab"):
            for i in range(4):
                as_frames(tmp_path / part / name / f"day{i % 2}" / f"{i}", movie(100 * p + 10 * k + i))
    d = data.video_folder(tmp_path, validation=2, **OPTIONS)
    assert [part.size for part in (d.train, d.validation, d.test)] == [6, 2, 8]
    assert len(clips_in(tmp_path / "train" / "a")) == 4
    deep = data.video_folder(tmp_path / "train", class_of="path", validation=0, test=0, **OPTIONS)
    assert deep.classes == ("a/day0", "a/day1", "b/day0", "b/day1")


def test_the_same_clip_in_two_parts_is_said(tmp_path):
    for p, part in enumerate(("train", "test")):
        for k, name in enumerate("ab"):
            for i in range(3):
                as_frames(tmp_path / part / name / f"{i}", movie(10 * k + i + (100 * p if i else 0)))
    with pytest.warns(UserWarning, match=r"test/a/0 and 1 other file: in the test part and in the training"):
        data.video_folder(tmp_path, validation=0, **OPTIONS)


def test_many_clips_are_read_where_they_are_used(videos, monkeypatch):
    whole = data.video_folder(videos, **OPTIONS)
    monkeypatch.setattr(in_file, "MOST", 100)
    some = data.video_folder(videos, **OPTIONS)
    assert isinstance(some.train.x, InFile)
    np.testing.assert_array_equal(np.asarray(some.train.x), whole.train.x)


def loose_frames(folder):
    as_frames(folder / "loose", movie(0))


def frames_beside_clips(folder):
    Image.fromarray(movie(0)[0]).save(folder / "falls" / "stray.png")


def empty_clip(folder):
    (folder / "falls" / "empty").mkdir()


def empty_class(folder):
    (folder / "nothing").mkdir()


def video_file(folder):
    (folder / "falls" / "a.mp4").write_bytes(b"x")


def moving_picture(folder):
    (folder / "falls" / "more").mkdir()
    (folder / "falls" / "more" / "a.gif").write_bytes(b"x")


def damaged_frame(folder):
    (folder / "falls" / "clip 1" / "f2.png").write_bytes(b"\x89PNG")


def array(**arrays):
    def fault(folder):
        np.savez(folder / "falls" / "clip 0.npz", **arrays)

    return fault


def objects(folder):
    np.save(folder / "falls" / "o.npy", np.array([{}, {}]), allow_pickle=True)


def one_class(folder):
    for clip in (folder / "rises").iterdir():
        clip.rename(folder / "falls" / f"rises {clip.name}")
    (folder / "rises").rmdir()


FAULTS = {
    "loose frames": (loose_frames, r"loose/f0\.png: a frame where clips are expected"),
    "frames beside clips": (frames_beside_clips, r"stray\.png: a frame beside clip"),
    "empty clip": (empty_clip, r"falls/empty: the folder holds no frames and no clips"),
    "empty class": (empty_class, r"nothing: the folder holds no clips"),
    "video file": (video_file, r"a\.mp4: a video file, which is not read; its frames are.*ffmpeg"),
    "moving picture": (moving_picture, r"a\.gif: a video file, which is not read"),
    "damaged": (damaged_frame, r"clip 1/f2\.png: not readable as an image"),
    "two arrays": (array(a=movie(0), b=movie(1)), r"clip 0\.npz: holds no array 'frames' or 'video' or 'x'"),
    "one picture": (array(a=np.zeros((9, 9, 3), np.uint8)), r"clip 0\.npz: .*looks like one picture"),
    "axes": (array(a=np.zeros((9, 9), np.uint8)), r"clip 0\.npz: an array of shape \(9, 9\), allowed"),
    "channels": (array(a=np.zeros((4, 9, 9, 2), np.uint8)), r"clip 0\.npz: an array of shape .*1 or 3"),
    "none": (array(a=np.zeros((0, 9, 9), np.uint8)), r"clip 0\.npz: .*which holds no frame"),
    "floats": (array(a=np.full((4, 9, 9), 200.0)), r"clip 0\.npz: floats from 200 to 200, allowed"),
    "nan": (array(a=np.full((4, 9, 9), np.nan)), r"clip 0\.npz: floats from nan"),
    "integers": (
        array(a=np.zeros((4, 9, 9), np.int64)),
        r"clip 0\.npz: an array of int64, allowed are",
    ),
    "objects": (objects, r"o\.npy"),
    "one class": (one_class, r"the only class is 'falls', two sub-folders are needed"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(videos, fault):
    break_it, message = FAULTS[fault]
    break_it(videos)
    with pytest.raises(ValueError, match=message):
        data.video_folder(videos, validation=0, test=2, **OPTIONS)


def test_options_that_do_not_fit(videos):
    with pytest.raises(ValueError, match="frames: got 0"):
        data.video_folder(videos, frames=0)
    with pytest.raises(ValueError, match=r"size: got 'own', allowed is \(height, width\)"):
        data.video_folder(videos, size="own")
    with pytest.raises(ValueError, match="holds no array 'film', it has frames, rate"):
        data.video_folder(videos, array="film")
