"""Where data files lie on this machine, how they are fetched, and their checksums."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dlnotes import bounded

SYSTEM = Path("/usr/share/datasets")  # where Debian's dataset-* packages put their files
TIMEOUT = 30.0  # seconds without an answer or a byte


class FileSet(NamedTuple):
    """Published files, which are downloaded only where they have an address.

    Attributes:
      name: of the data set and of its folder.
      files: their names with the SHA-256 of what they hold, of ``.gz`` files that of the content.
      where: where they can be had, in words.
      license: in words.
      source: who made it.
      address: of the one file, else empty.
    """

    name: str
    files: dict[str, str]
    where: str
    license: str
    source: str
    address: str = ""


class DataNotFound(FileNotFoundError):
    """A data set is not on this machine and could not be fetched; the message says what to do."""


def sha256(path: str | Path) -> str:
    """Hex SHA-256 of a file."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def cache_folder(name: str) -> Path:
    """Where downloads of data set ``name`` are kept.

    ``$DLNOTES_CACHE/data/<name>``, else ``$XDG_CACHE_HOME/dlnotes/data/<name>``, else
    ``~/.cache/dlnotes/data/<name>``.
    """
    own = os.environ.get("DLNOTES_CACHE")
    if own:
        base = Path(own)
    else:
        xdg = os.environ.get("XDG_CACHE_HOME")
        base = (Path(xdg) if xdg else Path.home() / ".cache") / "dlnotes"
    return base / "data" / name


def folders(name: str, *, data_dir: str | Path | None = None) -> list[Path]:
    """Folders in which the files of data set ``name`` are looked for, first one first.

    A ``data_dir`` is searched alone (itself, and its sub-folder ``name``). Without it:
    ``$DLNOTES_DATA/<name>``, the cache, and the system's data sets.
    """
    if data_dir is not None:
        base = Path(data_dir).expanduser()
        return [base, base / name]
    found = []
    own = os.environ.get("DLNOTES_DATA")
    if own:
        found.append(Path(own).expanduser() / name)
    found += [cache_folder(name), SYSTEM / name, SYSTEM / name.replace("_", "-")]
    return found


def find(names: Sequence[str], where: Sequence[Path]) -> list[Path] | None:
    """The paths of all of ``names`` in the first folder that holds every one, else ``None``.

    A name that ends in ``.gz`` may also be there without it (decompressed).
    """
    for folder in where:
        paths = []
        for name in names:
            for candidate in (folder / name, folder / name.removesuffix(".gz")):
                if candidate.is_file():
                    paths.append(candidate)
                    break
        if len(paths) == len(names):
            return paths
    return None


def download(urls: Sequence[str], path: Path, *, digest: str, timeout: float | None = None) -> Path:
    """Fetches a file from the first address that gives the right bytes.

    The bytes go to a temporary file beside ``path``, which is renamed when their SHA-256 is right: a
    broken download or a killed process never leaves a wrong file under the final name.

    Args:
      urls: addresses of the same file, tried in order.
      path: where it is to lie.
      digest: hex SHA-256 that it must have.
      timeout: seconds without an answer after which an address is given up, `TIMEOUT` if not given.

    Raises:
      DataNotFound: when no address gave the file; the message has the reason for each.
    """
    import http.client
    import urllib.request

    reasons = []
    path.parent.mkdir(parents=True, exist_ok=True)
    for url in urls:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        temporary = Path(name)
        try:
            seen = hashlib.sha256()
            with (
                os.fdopen(handle, "wb") as out,
                urllib.request.urlopen(url, timeout=TIMEOUT if timeout is None else timeout) as answer,
            ):
                while block := answer.read(1 << 16):
                    seen.update(block)
                    out.write(block)
            if seen.hexdigest() != digest:
                reasons.append(f"{url}: SHA-256 is {seen.hexdigest()}, expected {digest}")
                continue
            temporary.chmod(0o644)
            os.replace(temporary, path)
            return path
        except (OSError, http.client.HTTPException) as error:
            reasons.append(f"{url}: {error}")
        finally:
            temporary.unlink(missing_ok=True)
    raise DataNotFound(f"{path.name} could not be downloaded:\n  " + "\n  ".join(reasons))


def read_bytes(path: str | Path) -> bytes:
    """What a file holds, decompressed where its name ends in ``.gz``.

    Raises:
      ValueError: naming the file, when it is no whole gzip file or holds more than is allowed.
    """
    data = bounded.read_bytes(path)
    return bounded.gunzip(path, data) if Path(path).suffix == ".gz" else data


def locate(published: FileSet, *, data_dir: str | Path | None = None) -> list[Path] | None:
    """The files where they all lie in one folder of this machine, else ``None``."""
    return find(list(published.files), folders(published.name, data_dir=data_dir))


def obtain(published: FileSet, *, data_dir: str | Path | None = None, fetch: bool = True) -> list[Path]:
    """The files; one with an address is fetched into ``data_dir`` or the user's cache where it is missing.

    Raises:
      DataNotFound: with the names of the files and the folders that were searched.
    """
    paths = locate(published, data_dir=data_dir)
    reason = ""
    if paths is None and published.address and fetch:
        (name, digest), *_ = published.files.items()
        try:
            folder = cache_folder(published.name) if data_dir is None else Path(data_dir).expanduser()
            paths = [download([published.address], folder / name, digest=digest)]
        except OSError as error:
            reason = f" ({error})"
    if paths is None:
        name, searched = published.name, ", ".join(map(str, folders(published.name, data_dir=data_dir)))
        several = "files" if len(published.files) > 1 else "file"
        raise DataNotFound(
            f"{name}: not found on this machine{reason}.\nPut the {several} {' and '.join(published.files)}\n"
            f"into the folder {name}/ of a folder of your choice, and name that folder in the "
            f"environment variable DLNOTES_DATA (DLNOTES_DATA=/my/data for /my/data/{name}/).\n"
            f"{'They' if len(published.files) > 1 else 'It'} can be had from {published.where}.\n"
            f"Searched: {searched}"
        )
    return paths


def damage(published: FileSet, paths: Sequence[Path]) -> list[str]:
    """One line for each file that is not the published one."""
    found = [hashlib.sha256(read_bytes(path)).hexdigest() for path in paths]
    return [
        f"{path}: SHA-256 is {digest}, that of the published file is {expected}"
        for path, digest, expected in zip(paths, found, published.files.values())
        if digest != expected
    ]
