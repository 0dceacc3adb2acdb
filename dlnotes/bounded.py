"""Files of strangers, read within bounds: ordinary files only, of no more than a limit once unpacked.

A named pipe would wait for ever, a device has no end, and a few kilobytes can unpack to more than a machine
holds. The limit belongs to the person who reads, so it is an environment variable and not in any config.
"""

from __future__ import annotations

import gzip
import io
import os
import stat
import zlib
from pathlib import Path

VARIABLE = "DLNOTES_MAX_GB"
"""The environment variable that raises the limit: gigabytes (10^9 bytes) that a file may hold."""

MOST_GB = 1.0
"""Its default."""

TIMES = 10
"""However small the limit, a file may unpack to so many times its size."""

_MOST_RATIO = 1032
"""Deflate makes nothing smaller than by this factor."""
_CHUNK = 1_000_000

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


class TooLarge(ValueError):
    """A file would take more memory than is allowed."""


def most_bytes(packed: int) -> int:
    """Bytes that a file of ``packed`` bytes may hold once it is unpacked.

    The limit in ``$DLNOTES_MAX_GB`` (1 GB without it), or ten times the size of the file if that is more.

    Raises:
      ValueError: when the variable is no positive number.

    Example:
      >>> most_bytes(1_000), most_bytes(10**9)
      (1000000000, 10000000000)
    """
    told = os.environ.get(VARIABLE, "")
    try:
        gigabytes = float(told) if told else MOST_GB
    except ValueError:
        gigabytes = 0.0
    if not 0 < gigabytes < 1e9:
        raise ValueError(f"{VARIABLE}: got {told!r}, allowed is a positive number of gigabytes")
    return max(int(gigabytes * 1e9), TIMES * packed)


def check_unpacked(where: object, unpacked: int, packed: int) -> None:
    """Refuses what would hold more than `most_bytes`.

    Args:
      where: the file, for the message.
      unpacked: bytes that it would take in memory, by what its header says.
      packed: bytes that it takes on disk.

    Raises:
      TooLarge: naming the file, both sizes, the limit and what raises it.
    """
    most = most_bytes(packed)
    if unpacked > most:
        raise TooLarge(
            f"{where}: a file of {_size(packed)} that holds {_size(unpacked)} or more, allowed are "
            f"{_size(most)} (the environment variable {VARIABLE} raises that, in gigabytes)"
        )


def check_memory(what: str, needed: int) -> None:
    """Refuses what would take more memory than `most_bytes` allows anything.

    Args:
      what: would take it, for the message.
      needed: bytes.

    Raises:
      TooLarge: naming both sizes and what raises the limit.
    """
    if needed > (most := most_bytes(0)):
        raise TooLarge(
            f"{what} take {_size(needed)}, allowed are {_size(most)} (the environment variable {VARIABLE} "
            "raises that, in gigabytes)"
        )


def ordinary(path: str | Path) -> int:
    """The size of an ordinary file in bytes.

    Raises:
      OSError: when there is no such file (`FileNotFoundError`), or it is a folder (`IsADirectoryError`).
      ValueError: naming the file, when it is a named pipe, a device or a socket.
    """
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(21, "Is a directory", str(path))
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise ValueError(f"{path}: is {kind}, an ordinary file is needed")
    return status.st_size


def read_bytes(path: str | Path, most: int | None = None) -> bytes:
    """What an ordinary file holds.

    Args:
      path: the file.
      most: bytes that are allowed; by default any number.

    Raises:
      OSError, ValueError: as `ordinary`; `ValueError` also for a longer file.
    """
    size = ordinary(path)
    if most is not None and size > most:
        raise ValueError(f"{path}: has {_size(size)}, allowed are {_size(most)}")
    return Path(path).read_bytes()


def gunzip(path: str | Path, data: bytes) -> bytes:
    """The content of a gzip file, of one member or of several.

    Args:
      path: the file, for messages.
      data: its bytes.

    Raises:
      TooLarge: when it would hold too much.
      ValueError: naming the file, when it is no whole gzip file.
    """
    if not data:
        raise ValueError(f"{path}: not readable as gzip, is it complete? (it is empty)")
    try:
        if len(data) * _MOST_RATIO > most_bytes(len(data)):  # counted before it is kept
            total = 0
            with gzip.open(io.BytesIO(data)) as file:
                while chunk := file.read(_CHUNK):
                    total += len(chunk)
                    check_unpacked(path, total, len(data))
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: not readable as gzip, is it complete? ({error})") from None


def _size(count: int) -> str:
    """A number of bytes in words, such as "5.8 MB"."""
    for unit, one in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= one:
            return f"{count / one:.3g} {unit}"
    return f"{count} bytes"
