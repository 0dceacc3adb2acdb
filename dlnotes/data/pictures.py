"""Reading a person's pictures: any mode and depth as levels in [0, 1], and masks as class numbers.

Pillow brings a file's levels to 8 bits in some modes (16-bit color) and leaves them as they are in others
(16-bit gray, floats). Here each mode either becomes the levels that the file holds or is refused by name.
"""

from __future__ import annotations

import io
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from dlnotes import bounded
from dlnotes.data.folders import some
from dlnotes.data.in_file import Converted
from dlnotes.devices.prepare import cpu_count

_DEEP = {"RGB;16": "RGB", "RGBA;16": "RGBA", "LA;16": "RGBA"}
"""Modes of 16 bits a channel whose low bytes can be had too: the file's mode, and Pillow's."""

_LOSSY = ("JPEG", "MPO", "JPEG2000", "WEBP", "AVIF", "GIF")  # GIF: it may order the colors anew
_AT_ONCE = 256
"""Files that are in memory together, before they are decoded."""

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_SMALL = 10_000
"""Bytes of a file that one thread decodes as fast as several: little of that time is the decoder's own."""

_COMMON = ("PNG", "JPEG")
"""Formats that know their number of frames when they are opened, and can be turned in their place."""

_PAGES = ("MPO", "PSD", "ICO", "ICNS")  # several pictures, of which the first is the whole one
_GRAY = np.array([299, 587, 114], np.float32) / 1000  # ITU-R 601, as Pillow's


_ALONE = Lock()
"""Held while Pillow's settings are ours."""


class _Opened(NamedTuple):
    """A picture as Pillow reads it, turned as its EXIF data say.

    Attributes:
      image: loaded.
      low: of 16 bits a channel, the picture of the low bytes.
      raw: how the file holds a pixel, Pillow's name for it ("RGB;16B").
      format: of the file.
      frames: pictures in the file.
      white_is_zero: of TIFF files.
      lossy: whether numbers in it are only nearly what was saved.
    """

    image: Any
    low: Any
    raw: str
    format: str
    frames: int
    white_is_zero: bool
    lossy: bool


def read_image(
    path: str | Path, *, size: tuple[int, int] | None, channels: int, max_size: int | None = None
) -> np.ndarray:
    """An image file as ``(height, width, channels)`` float32 in [0, 1], resized bilinearly.

    Levels are divided by the greatest of their depth (1 to 16 bits); floats must be in [0, 1]. What is
    transparent lies on white. The picture is turned as its EXIF data say. Of several frames the first is
    read, which is said.

    Args:
      path: the file.
      size: ``(height, width)``, or ``None`` for its own.
      channels: 1 (gray) or 3 (color).
      max_size: without ``size``, a longer side is brought down to this, the other in proportion.

    Raises:
      ValueError: naming the file, when it is not a complete image, or its mode has no white level or is
        not known.
    """
    return read_images([path], size=size, channels=channels, max_size=max_size)[0]


def read_images(
    paths: Sequence[str | Path], *, size: tuple[int, int] | None, channels: int, max_size: int | None = None
) -> list[np.ndarray]:
    """Image files, each as by `read_image`; several frames in some of them are said in one line."""
    if channels not in (1, 3):
        raise ValueError(f"channels: got {channels}, allowed are 1 (gray) and 3 (color)")
    found, frames = [], []
    for path in paths:
        opened = _open(path)
        frames.append(opened.frames)
        found.append(_resized(_levels(path, opened, channels), size, max_size))
    _say_moving(paths, frames)
    return found


def _say_moving(paths: Sequence[str | Path], frames: Sequence[int]) -> None:
    moving = [path for path, n in zip(paths, frames) if n > 1]
    if moving:
        warnings.warn(f"{some(moving)}: of several pictures in a file the first one is used", stacklevel=3)


def pictures_in_files(paths: Sequence[str | Path], *, size: tuple[int, int], channels: int) -> Converted:
    """Image files as an array ``(files, height, width, channels)``, each read where it is indexed.

    The values are those of `read_images`. Several files are read at once, in threads. Files of several frames
    are said once.

    Args:
      paths: the files.
      size: ``(height, width)`` of each image in the array.
      channels: 1 (gray) or 3 (color).
    """
    return pictures_of(np.array([str(p) for p in paths]), _all_bytes, size=size, channels=channels)


def pictures_of(
    where: np.ndarray,
    contents: Callable[[np.ndarray], list[tuple[str, bytes]]],
    *,
    size: tuple[int, int],
    channels: int,
) -> Converted:
    """Pictures as an array ``(pictures, height, width, channels)``, each read where it is indexed.

    Args:
      where: ``(pictures,)`` what each is found by.
      contents: gives for some of ``where`` a name for messages and the file's bytes.
      size, channels: as of `pictures_in_files`.
    """
    return Converted(where, _Pictures(contents, size, channels), np.float32, row=(*size, channels))


class _Pictures:
    """Reads pictures, several at once."""

    def __init__(
        self,
        contents: Callable[[np.ndarray], list[tuple[str, bytes]]],
        size: tuple[int, int],
        channels: int,
    ):
        self._contents, self._size, self._channels = contents, size, channels
        self._said = False

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_pool"}

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max(min(cpu_count(), 8), 1), thread_name_prefix="pictures")

    def _read(self, named: tuple[str, bytes]) -> tuple[np.ndarray, int]:
        opened = _decoded(*named)
        return _resized(_levels(named[0], opened, self._channels), self._size, None), opened.frames

    def _each(self, some: Sequence[tuple[str, bytes]]) -> Iterator[tuple[np.ndarray, int]]:
        """Small pictures one after another: threads would wait for one another more than for the decoder."""
        if sum(len(content) for _, content in some) < _SMALL * len(some):
            return map(self._read, some)
        return self._pool.map(self._read, some)

    def __call__(self, where: np.ndarray) -> np.ndarray:
        flat = np.ravel(where)
        x = np.empty((len(flat), *self._size, self._channels), np.float32)
        names, counts = [], []
        for start in range(0, len(flat), _AT_ONCE):
            some = self._contents(flat[start : start + _AT_ONCE])
            names += [name for name, _ in some]
            with _pillow(max(len(content) for _, content in some)):
                for i, (image, frames) in enumerate(self._each(some), start):
                    x[i] = image
                    counts.append(frames)
        if not self._said and max(counts, default=1) > 1:
            _say_moving(names, counts)
            self._said = True
        return x.reshape(*np.shape(where), *self._size, self._channels)


def _all_bytes(paths: np.ndarray) -> list[tuple[str, bytes]]:
    """Of some files the name and the content."""
    return [(str(path), _bytes_of(path)) for path in paths]


def _bytes_of(path: str | Path) -> bytes:
    try:
        bounded.ordinary(path)
        with open(path, "rb", buffering=0) as file:
            return file.readall()
    except OSError as error:
        raise ValueError(f"{path}: not readable as an image, is it complete? ({error})") from None


def _open(path: str | Path) -> _Opened:
    data = _bytes_of(path)
    with _pillow(len(data)):
        return _decoded(path, data)


def _decoded(path: str | Path, data: bytes) -> _Opened:
    """The picture of a file; to be called with `_pillow`."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        if data.startswith(_PNG):
            _require_whole_png(data)
        elif not data.startswith(_JPEG):
            with _reader(data) as opened:
                opened.verify()  # checksums and the end, where the format has them; then it must be reopened
        with _reader(data) as opened:
            raw, form = _raw(opened), opened.format or ""
            inverted = form == "TIFF" and _tag(opened, 262, 1) == 0
            lossy = form in _LOSSY or str(opened.info.get("compression")) in ("jpeg", "webp")
            maximum = _maximum(opened)
            frames = _frames(opened) if form in _COMMON else None
            opened.load()
            image = ImageOps.exif_transpose(opened, in_place=form in _COMMON) or opened
        low = None
        if _DEEP.get(raw[:-1]) == image.mode and form in ("PNG", "TIFF"):
            with _reader(data) as opened:
                low = ImageOps.exif_transpose(_low_bytes(opened, raw))
        if frames is None:
            with _reader(data) as opened:
                frames = _frames(opened)
    except UnidentifiedImageError:
        raise ValueError(f"{path}: not readable as an image, is it complete? (no known format)") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise bounded.TooLarge(
            f"{path}: a picture of more than {_pixels(len(data))} pixels (the environment variable "
            f"{bounded.VARIABLE} allows more, in gigabytes of four bytes a pixel)"
        ) from None
    except Exception as error:  # readers of some fifty formats raise what they like on damaged files
        raise ValueError(f"{path}: not readable as an image, is it complete? ({error})") from None
    deep = maximum > 255 or any(depth in raw for depth in (";16", ";12", ";32"))
    if deep and low is None and image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        raise ValueError(
            f"{path}: a {form} image of more than 8 bits a channel in the mode {raw or image.mode}, which is "
            "not read; save it with 8 bits a channel, or as a PNG file"
        )
    return _Opened(image, low, raw, form, frames, inverted, lossy)


def _require_whole_png(data: bytes) -> None:
    """Pillow's own check closes the file, so that it would have to be opened twice.

    Raises:
      ValueError: when a chunk's checksum is not that of its content, or the end is missing.
    """
    at, kind = len(_PNG), b""
    while kind != b"IEND":
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 8 + length
        told = data[end : end + 4]
        if len(told) < 4 or zlib.crc32(data[at + 4 : end]) != int.from_bytes(told, "big"):
            raise ValueError(f"its chunk {kind!r} is damaged")
        at = end + 4


def _pixels(packed: int) -> int:
    return bounded.most_bytes(packed) // 4


@contextmanager
def _pillow(packed: int) -> Iterator[None]:
    """Pillow as it is needed here, for a while: its limit of pixels is ours, its warnings are not heard.

    Both are settings of the whole process, so that one thread at a time has them.
    """
    from PIL import Image

    with _ALONE, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        # Palettes with transparency, odd metadata.
        warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, _pixels(packed)
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _reader(data: bytes) -> Any:
    """A picture in memory: Pillow maps a file that it opens itself, and mistakes the rows of turned ones."""
    from PIL import Image

    return Image.open(io.BytesIO(data))


def shown_size(path: str | Path) -> tuple[int, int]:
    """``(height, width)`` of a picture as its EXIF data turn it.

    Raises:
      ValueError: naming the file, when it is not a complete image.
    """
    width, height = _open(path).image.size
    return height, width


def _raw(opened: Any) -> str:
    """How the file holds a pixel, in Pillow's names, as "L;4"; "" where Pillow does not say."""
    modes = set()
    for tile in opened.tile:
        arguments = tile[3]
        first = arguments[0] if isinstance(arguments, (tuple, list)) and arguments else arguments
        modes.add(first if isinstance(first, str) else "")
    return modes.pop() if len(modes) == 1 else ""


def _maximum(opened: Any) -> int:
    """The greatest level that a portable pixmap of color declares, else 0."""
    if opened.format != "PPM" or opened.mode == "I":
        return 0
    numbers = [a for tile in opened.tile if isinstance(tile[3], tuple) for a in tile[3] if isinstance(a, int)]
    return max(numbers, default=0)


def _tag(opened: Any, number: int, default: int) -> int:
    value = opened.tag_v2.get(number, default)
    return int(value[0] if isinstance(value, tuple) else value)


def _low_bytes(opened: Any, raw: str) -> Any:
    """The picture of the low bytes of 16-bit channels: Pillow takes the high ones of the other byte order."""
    big = raw.endswith("B") or (raw.endswith("N") and sys.byteorder == "big")
    mode = "RGBA" if raw.startswith("LA") else f"{raw[:-1]}{'L' if big else 'B'}"
    if opened.format == "TIFF" and _tag(opened, 284, 1) == 2:
        raise ValueError("16 bits a channel, one channel after the other")

    def other(tile: Any) -> Any:
        arguments = tile[3]
        changed = (mode, *arguments[1:]) if isinstance(arguments, tuple) else mode
        return type(tile)(*tile[:3], changed) if hasattr(tile, "_fields") else (*tile[:3], changed)

    opened.tile = [other(tile) for tile in opened.tile]
    opened.load()
    return opened


def _frames(opened: Any) -> int:
    """Pictures in a file; small copies of a TIFF file's picture do not count."""
    count = getattr(opened, "n_frames", 1)
    if count == 1 or opened.format in _PAGES:
        return 1
    if opened.format == "TIFF":
        small = 0
        for page in range(1, count):
            opened.seek(page)
            small += _tag(opened, 254, 0) & 1
        return count - small
    return count


def _levels(path: str | Path, opened: _Opened, channels: int) -> Any:
    """An 8-bit image (L or RGB), or ``(height, width, channels)`` float32 in [0, 1] for more bits."""
    image = opened.image
    if opened.low is not None:
        return _deep(path, opened, channels)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return np.repeat(_one_channel(path, opened)[..., None], channels, axis=-1)
    if image.mode == "LAB":
        raise ValueError(f"{path}: is a LAB image, which is not read; save it as RGB")
    mode = "L" if channels == 1 else "RGB"
    if image.has_transparency_data:
        from PIL import Image

        image = image.convert("RGBA")
        if image.getextrema()[3][0] < 255:
            white = Image.new("RGBA", image.size, (255, 255, 255, 255))
            flat = Image.alpha_composite(white, image)
            _visible(path, np.asarray(image), np.asarray(flat)[..., :3])
            return flat.convert(mode)
    return image if image.mode == mode else image.convert(mode)


def _visible(path: str | Path, before: np.ndarray, flat: np.ndarray) -> None:
    """Refuses a picture of which nothing is left on white, though it is not of one color and transparency."""
    if np.ptp(flat, axis=(0, 1)).max() == 0 and np.ptp(before, axis=(0, 1)).max() > 0:
        raise ValueError(
            f"{path}: is transparent, and on white nothing of it can be seen; put it on a background and "
            "save it without transparency"
        )


def _deep(path: str | Path, opened: _Opened, channels: int) -> np.ndarray:
    """16 bits a channel of color, gray or color with transparency."""
    if "transparency" in opened.image.info:
        raise ValueError(f"{path}: 16 bits a channel with a transparent color, which is not read")
    high, low = np.asarray(opened.image, np.float32), np.asarray(opened.low, np.float32)
    if opened.raw.startswith("LA"):  # the low picture holds level, its low byte, opacity, its low byte
        levels = (low[..., (0, 0, 0, 2)] * 256 + low[..., (1, 1, 1, 3)]) / 65535
    else:
        levels = (high * 256 + low) / 65535
    x = levels[..., :3]
    if levels.shape[-1] == 4:
        opacity = levels[..., 3:]
        x = x * opacity + (1 - opacity)
        if opacity.min() < 1:
            _visible(path, levels, x)
    return x if channels == 3 else (x @ _GRAY)[..., None]


def _one_channel(path: str | Path, opened: _Opened) -> np.ndarray:
    """Gray levels of 12 or 16 bits, or floats, as ``(height, width)`` float32 in [0, 1]."""
    image, values = opened.image, np.asarray(opened.image)
    if "transparency" in image.info:
        raise ValueError(f"{path}: 16 bits with a transparent level, which is not read")
    if image.mode == "F":
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1 or opened.white_is_zero:
            raise ValueError(
                f"{path}: a float image of {values.min():g} to {values.max():g}, levels from 0, black, to "
                "1, white, are needed; other numbers can be put into an .npz file"
            )
        return values.astype(np.float32)
    if image.mode == "I" and opened.format not in ("PNG", "PPM"):
        raise ValueError(
            f"{path}: a {opened.format} image of signed or 32-bit numbers, whose white level is not known; "
            "save it with 8 or 16 bits, or put the numbers into an .npz file"
        )
    levels = values.astype(np.float32) / (4095 if "12" in opened.raw else 65535)
    return 1 - levels if opened.white_is_zero else levels


def _resized(levels: Any, size: tuple[int, int] | None, max_size: int | None) -> np.ndarray:
    from PIL import Image

    own = levels.shape[1::-1] if isinstance(levels, np.ndarray) else levels.size
    if size is None:
        scale = min(1.0, (max_size or max(own)) / max(own))
        width, height = (max(1, round(side * scale)) for side in own)
    else:
        height, width = size
    if isinstance(levels, np.ndarray):
        if own == (width, height):
            return levels.astype(np.float32)
        bands = [Image.fromarray(np.ascontiguousarray(band)) for band in np.moveaxis(levels, -1, 0)]
        small = [np.asarray(band.resize((width, height), Image.Resampling.BILINEAR)) for band in bands]
        return np.stack(small, axis=-1).astype(np.float32)
    if own != (width, height):
        levels = levels.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(levels) / np.float32(255)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def read_class_numbers(path: str | Path) -> np.ndarray:
    """The ``(height, width)`` int32 numbers that a mask's pixels hold, turned as its EXIF data say.

    Gray levels are taken as the file has them (0 to 3 of 2 bits), of a palette the color's place in it, of
    gray saved as color its level.

    Raises:
      ValueError: naming the file, when it is not a complete image, is compressed with loss, has several
        frames, transparent pixels, colors without a palette, or numbers that are not whole.
    """
    opened = _open(path)
    image = opened.image
    if opened.lossy:
        raise ValueError(f"{path}: its compression changes class numbers; save the mask as a PNG file")
    if opened.frames > 1:
        raise ValueError(f"{path}: holds {opened.frames} pictures, a mask is one")
    if opened.white_is_zero and image.mode != "1":
        raise ValueError(f"{path}: its white is 0, its class numbers are upside down; save it as a PNG file")
    if opened.low is not None and not opened.raw.startswith("LA"):
        numbers = np.asarray(image, np.int32) * 256 + np.asarray(opened.low)
        return _gray(path, numbers, opened.raw, opaque=65535)
    if opened.low is not None:
        pairs = np.asarray(opened.low, np.int32)
        return _gray(path, pairs[..., 0::2] * 256 + pairs[..., 1::2], opened.raw, opaque=65535)
    if image.mode in ("RGB", "RGBA", "LA"):
        return _gray(path, np.asarray(image, np.int32), image.mode, opaque=255)
    values = np.asarray(image)
    if image.mode == "P":
        values = _palette_numbers(path, image, values)
    if image.mode == "F":
        if not (np.isfinite(values) & (values == np.floor(values)) & (np.abs(values) < 2**31)).all():
            raise ValueError(f"{path}: holds numbers that are not whole, a mask holds class numbers")
    elif not (image.mode in ("1", "L", "P", "I") or image.mode.startswith("I;16")):
        raise ValueError(f"{path}: is a {image.mode} image, a mask holds class numbers (gray or palette)")
    numbers = values.astype(np.int32)
    if image.mode == "L" and opened.raw.startswith(("L;2", "L;4")):
        numbers //= 85 if opened.raw.startswith("L;2") else 17
    if int(numbers.min()) < 0:
        raise ValueError(f"{path}: holds the negative number {numbers.min()}, a mask holds class numbers")
    return numbers


def _palette_numbers(path: str | Path, image: Any, places: np.ndarray) -> np.ndarray:
    """The places of a palette's colors; of a palette of grays the levels, where they are no other numbers.

    A program that saves gray as a palette orders its levels as it likes, so a place alone says nothing.
    """
    palette = np.array(image.getpalette("RGB"), np.int32).reshape(-1, 3)
    if (palette != palette[:, :1]).any() or int(places.max()) >= len(palette):
        return places
    levels = palette[places, 0]
    if (levels == places).all() or np.isin(levels, (0, 255)).all():
        return levels
    i = int(np.argmax(levels != places))
    raise ValueError(
        f"{path}: the place {places.flat[i]} of its palette is the gray {levels.flat[i]}: which of them is "
        "the class? Save it as gray, or with a palette of colors"
    )


def _gray(path: str | Path, bands: np.ndarray, mode: str, *, opaque: int) -> np.ndarray:
    """The level of gray pixels that are saved as color, or with an opacity that is full everywhere."""
    if bands.shape[-1] in (2, 4):
        if (bands[..., -1] != opaque).any():
            raise ValueError(f"{path}: has transparent pixels, a mask holds one class number for each")
        bands = bands[..., :-1]
    if (bands != bands[..., :1]).any():
        raise ValueError(
            f"{path}: is a {mode} image with colors, a mask holds class numbers (gray or palette)"
        )
    return bands[..., 0]
