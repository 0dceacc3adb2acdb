"""Files that lie beside the data: a system's own are passed over, notes are said, damage is refused."""

import numpy as np
import pytest
from PIL import Image

import dlnotes.data as data


@pytest.fixture
def pictures(tmp_path):
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        for i in range(6):
            Image.fromarray(np.full((4, 4), i, np.uint8)).save(tmp_path / name / f"{i}.png")
    return tmp_path


def test_what_a_system_leaves_is_passed_over(pictures):
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._0.png"):
        (pictures / name).write_bytes(b"x")
        (pictures / "left" / name).write_bytes(b"x")
    for folder in (pictures, pictures / "left"):
        for name in ("__MACOSX", "@eaDir", ".ipynb_checkpoints"):
            (folder / name).mkdir()
            (folder / name / "0.png").write_bytes(b"x")
    d = data.image_folder(pictures, size=(4, 4))
    assert (d.classes, len(d.sources)) == (("left", "right"), 12)
    assert data.read_inputs(pictures / "left", d).rows == tuple(f"{i}.png" for i in range(6))


@pytest.mark.parametrize("name", ["readme.txt", "README", "labels.csv", "SHA256SUMS", "a.md5", "all.zip"])
def test_notes_are_left_out_and_said(pictures, name):
    (pictures / name).write_text("x")
    (pictures / "left" / name).write_text("x")
    with pytest.warns(UserWarning, match=f"{name} and 1 other file: left out") as said:
        d = data.image_folder(pictures, size=(4, 4))
    assert len(said) == 1
    assert len(d.sources) == 12
    with pytest.warns(UserWarning, match=f"{name}: left out"):
        assert len(data.read_inputs(pictures / "left", d).rows) == 6


@pytest.mark.parametrize("name", ["9.png", "9.JPG", "9.heic", "9", "9.png.part"])
def test_what_may_be_a_damaged_picture_is_refused(pictures, name):
    (pictures / "left" / name).write_bytes(b"\x89PNG")
    with pytest.raises(ValueError, match=f"{name}: not readable as an image"):
        data.image_folder(pictures, size=(4, 4))
