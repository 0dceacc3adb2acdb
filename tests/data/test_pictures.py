"""A picture of any mode becomes the levels that were saved, or is refused by name."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

import dlnotes.data as data
from dlnotes.data.pictures import read_class_numbers, read_image, read_images

RNG = np.random.default_rng(0)
SHAPE = (5, 7)


def png(path, values, depth, color):
    """Writes a PNG file as its standard says, of depths that Pillow does not write."""
    height, width = values.shape[:2]
    rows = b""
    for row in values.reshape(height, -1):
        bits = "".join(format(int(v), f"0{depth}b") for v in row)
        bits += "0" * (-len(bits) % 8)
        rows += b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")

    def chunk(name, content):
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def check(path, levels, channels=1, atol=1e-6):
    got = read_image(path, size=None, channels=channels)
    want = np.broadcast_to(np.asarray(levels).reshape(*got.shape[:2], -1), got.shape)
    np.testing.assert_allclose(got, want, atol=atol)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_gray_of_every_depth(tmp_path, depth):
    values = RNG.integers(0, 2**depth, SHAPE)
    png(tmp_path / "a.png", values, depth, 0)
    for channels in (1, 3):
        check(tmp_path / "a.png", values / (2**depth - 1), channels)
    np.testing.assert_array_equal(read_class_numbers(tmp_path / "a.png"), values)


@pytest.mark.parametrize("limit", [200, 65536])  # of the first, the upper bytes are all 0
@pytest.mark.parametrize(("color", "bands"), [(2, 3), (4, 2), (6, 4)])
def test_16_bits_of_color_and_of_transparency(tmp_path, color, bands, limit):
    values = RNG.integers(0, limit, (*SHAPE, bands))
    if bands % 2 == 0:
        values[..., -1] = 65535 - values[..., -1]
    png(tmp_path / "a.png", values, 16, color)
    levels, opacity = values[..., : bands - (bands % 2 == 0)] / 65535, 1.0
    if bands % 2 == 0:
        opacity = values[..., -1:] / 65535
    shown = levels * opacity + (1 - opacity)
    check(tmp_path / "a.png", shown, 3)
    gray = shown if bands == 2 else shown @ [0.299, 0.587, 0.114]
    check(tmp_path / "a.png", gray, 1)
    with pytest.raises(ValueError, match=r"a\.png: (has transparent|is a RGB;16B image with colors)"):
        read_class_numbers(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["png", "tif", "tif lzw", "tif big-endian", "jp2", "pgm"])
def test_16_bits_of_gray(tmp_path, kind):
    values = RNG.integers(0, 3000, SHAPE).astype(np.uint16)
    path = tmp_path / f"a.{kind[:3]}"
    if kind == "tif big-endian":
        Image.frombytes("I;16B", SHAPE[::-1], values.astype(">u2").tobytes()).save(path)
    else:
        Image.fromarray(values).save(path, **({"compression": "tiff_lzw"} if kind == "tif lzw" else {}))
    check(path, values / 65535)
    check(path, values / 65535, 3)
    small = read_image(path, size=(2, 3), channels=1)
    assert small.shape == (2, 3, 1)
    assert 0 < small.min() < small.max() < 3000 / 65535
    if kind != "jp2":
        np.testing.assert_array_equal(read_class_numbers(path), values)


def test_palette_transparency_and_cmyk(tmp_path):
    colors = RNG.integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
    path = tmp_path / "a.png"
    picture = Image.fromarray(colors).quantize(8)
    shown = np.asarray(picture.convert("RGB"))
    picture.save(path)
    check(path, shown / 255, 3)
    np.testing.assert_array_equal(read_class_numbers(path), np.asarray(picture))
    picture.save(path, transparency=0)
    check(path, np.where(np.asarray(picture)[..., None] == 0, 255, shown) / 255, 3)
    gray = RNG.integers(0, 256, SHAPE, dtype=np.uint8)
    Image.fromarray(gray).convert("LA").save(path)
    check(path, gray / 255)
    Image.fromarray(colors).convert("CMYK").save(tmp_path / "a.tif")
    check(tmp_path / "a.tif", colors / 255, 3)
    glyph = np.zeros((*SHAPE, 4), np.uint8)
    glyph[..., 3] = gray
    Image.fromarray(glyph).save(path)  # black, seen by its opacity alone
    check(path, 1 - gray / 255)
    glyph[..., :3] = 255
    Image.fromarray(glyph).save(path)
    with pytest.raises(ValueError, match=r"a\.png: is transparent, and on white nothing"):
        read_image(path, size=None, channels=1)


def test_floats_and_32_bits(tmp_path):
    path = tmp_path / "a.tif"
    values = RNG.random(SHAPE, np.float32)
    Image.fromarray(values).save(path)
    check(path, values)
    with pytest.raises(ValueError, match=r"a\.tif: holds numbers that are not whole"):
        read_class_numbers(path)
    for wrong in (values * 255, values - 1, np.full(SHAPE, np.nan, np.float32)):
        Image.fromarray(wrong).save(path)
        with pytest.raises(ValueError, match=r"a\.tif: a float image of"):
            read_image(path, size=None, channels=1)
    Image.fromarray(np.rint(values * 9)).save(path)
    np.testing.assert_array_equal(read_class_numbers(path), np.rint(values * 9))
    Image.fromarray(np.arange(35, dtype=np.int32).reshape(SHAPE)).save(path)
    with pytest.raises(ValueError, match=r"a\.tif: a TIFF image of signed or 32-bit numbers"):
        read_image(path, size=None, channels=1)
    np.testing.assert_array_equal(read_class_numbers(path), np.arange(35).reshape(SHAPE))


TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.T,
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].T,
    8: np.rot90,
}


@pytest.mark.parametrize("turn", TURNED)
@pytest.mark.parametrize("end", ["png", "tif", "jpg", "webp"])
def test_orientation(tmp_path, turn, end):
    exif = Image.Exif()
    exif[0x0112] = turn
    gray = np.kron(RNG.integers(0, 256, SHAPE, dtype=np.uint8), np.ones((8, 8), np.uint8))
    for values in (gray, gray.astype(np.uint16) * 100):
        if values.dtype == np.uint16 and end in ("jpg", "webp"):
            continue
        most = {np.dtype("u1"): 255, np.dtype("u2"): 65535}[values.dtype]
        options = {"jpg": {"quality": 100}, "webp": {"lossless": True}}.get(end, {})
        Image.fromarray(values).save(tmp_path / f"a.{end}", exif=exif, **options)
        check(tmp_path / f"a.{end}", TURNED[turn](values) / most, atol=0.03 if end == "jpg" else 1e-6)
        if end in ("png", "tif"):
            np.testing.assert_array_equal(read_class_numbers(tmp_path / f"a.{end}"), TURNED[turn](values))


def test_several_frames_are_said(tmp_path):
    first, second = RNG.integers(0, 256, (2, *SHAPE), dtype=np.uint8)
    paths = [tmp_path / "a.gif", tmp_path / "b.tif", tmp_path / "c.png", tmp_path / "d.webp"]
    for path in paths:
        options = {"lossless": True} if path.suffix == ".webp" else {}
        picture = Image.fromarray(first)
        picture.save(path, save_all=True, append_images=[Image.fromarray(second)], **options)
    with pytest.warns(UserWarning, match=r"a\.gif and 3 other files: of several pictures"):
        found = read_images(paths, size=None, channels=1)
    for got in found:
        np.testing.assert_allclose(got[..., 0], first / 255, atol=1e-6)
    with pytest.raises(ValueError, match=r"b\.tif: holds 2 pictures, a mask is one"):
        read_class_numbers(paths[1])


def test_masks_saved_as_color_and_with_loss(tmp_path):
    values = RNG.integers(0, 4, SHAPE, dtype=np.uint8)
    for mode in ("RGB", "RGBA", "LA"):
        Image.fromarray(values).convert(mode).save(tmp_path / "a.png")
        np.testing.assert_array_equal(read_class_numbers(tmp_path / "a.png"), values)
    for end in ("jpg", "webp", "gif"):
        Image.fromarray(values).save(tmp_path / f"a.{end}")
        with pytest.raises(ValueError, match=rf"a\.{end}: its compression changes class numbers"):
            read_class_numbers(tmp_path / f"a.{end}")
    holes = np.stack([values, values * 9], -1)
    Image.fromarray(holes).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png: has transparent pixels"):
        read_class_numbers(tmp_path / "a.png")


def test_palettes_of_grays(tmp_path):
    path, places = tmp_path / "a.png", RNG.integers(0, 2, SHAPE, dtype=np.uint8)

    def save(*grays):
        picture = Image.fromarray(places).convert("P")
        picture.putpalette([level for level in grays for _ in range(3)])
        picture.save(path)
        return path

    np.testing.assert_array_equal(read_class_numbers(save(0, 1)), places)
    for first, second in ((0, 255), (255, 0)):  # whichever comes first, white is the object
        want = np.where(places == 0, first, second)
        np.testing.assert_array_equal(read_class_numbers(save(first, second)), want)
    with pytest.raises(ValueError, match=r"a\.png: the place \d of its palette is the gray"):
        read_class_numbers(save(2, 1))


def pairs(folder, masks):
    for name in ("images", "masks"):
        (folder / name).mkdir(exist_ok=True)
    for i, mask in enumerate(masks):
        picture = RNG.integers(0, 256, (*np.shape(mask), 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / f"images/{i}.png")
        Image.fromarray(np.asarray(mask, np.uint8)).save(folder / f"masks/{i}.png")
    return folder


@pytest.mark.parametrize("classes", [(), ("sky", "sea")])
def test_masks_of_0_and_255_have_two_classes(tmp_path, classes):
    masks = RNG.integers(0, 2, (6, *SHAPE))
    masks[2] = 0
    d = data.image_masks(pairs(tmp_path, masks * 255), size=SHAPE, classes=classes, validation=0, test=0)
    assert (d.outputs, d.classes) == (2, classes or ("0", "1"))
    np.testing.assert_array_equal(d.train.y, masks)
    np.testing.assert_array_equal(data.evaluate_inputs(tmp_path, d).y, masks)
    np.testing.assert_array_equal(data.evaluate_inputs(pairs(tmp_path, masks), d).y, masks)  # of 0 and 1
    mixed = masks.copy()
    mixed[0, :2, 0] = 1, 255
    with pytest.raises(ValueError, match=r"holds 1, the masks that were trained on hold 0 and 255 alone"):
        data.evaluate_inputs(pairs(tmp_path, mixed), d)


def test_masks_with_255_for_no_target(tmp_path):
    masks = RNG.integers(0, 2, (6, *SHAPE))
    masks[0, 0, 0] = 255
    d = data.image_masks(pairs(tmp_path, masks), size=SHAPE, validation=0, test=0)
    np.testing.assert_array_equal(d.train.y, np.where(masks == 255, -1, masks))
    with pytest.raises(ValueError, match="no class but 0 is there; 255 is no target"):
        data.evaluate_inputs(pairs(tmp_path, masks * 0 + [[0] * 6 + [255]]), d)


@pytest.mark.parametrize(
    ("values", "classes", "message"),
    [
        ((0, 128, 255), (), "the masks hold the numbers 0, 128; class numbers from 0 on"),
        ((0, 0), (), "the masks hold class '0' alone"),
        ((0, 0), ("sky", "sea"), "the masks hold class 'sky' alone.*; 'sea' without a pixel"),
        ((0, 255), ("sky", "sea", "land"), "class 'sky' alone.*; 'sea', 'land' without a pixel"),
        ((0, 2), ("sky", "sea"), r"masks/\d\.png: holds class 2, allowed is 0\.\.1"),
    ],
)
def test_masks_that_are_refused(tmp_path, values, classes, message):
    masks = np.resize(values, (4, *SHAPE))
    with pytest.raises(ValueError, match=message):
        data.image_masks(pairs(tmp_path, masks), size=SHAPE, classes=classes)
