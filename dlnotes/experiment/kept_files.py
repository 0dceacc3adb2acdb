"""The small files of a run folder: written at once, with a checksum, and read back only if they are whole."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

from dlnotes import bounded
from dlnotes.config import ConfigError

SEAL = "sha256"
"""The key of the checksum in a JSON file: the SHA-256 of all else in it."""


class DamagedFile(ConfigError):
    """A file of a run folder is not as it was written."""


def write_text(path: Path, text: str) -> None:
    """Replace a file at once, so that a reader sees the old text or the new, never a part.

    Raises:
      DamagedFile: when a folder has its name.
    """
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    if path.is_dir():
        partial.unlink()
        raise DamagedFile(str(path), ["is damaged: a folder is in its place; move it away"])
    os.replace(partial, path)


def write_json(path: Path, value: Any) -> None:
    """`write_text` of JSON; what is not finite becomes null, which every reader takes.

    A mapping gets its checksum as a last key, ``"sha256"``, which `read_json` takes out again.
    """
    plain = finite(value)
    if isinstance(plain, dict):
        plain = json.loads(json.dumps(plain))  # with the keys that a reader will have
        plain |= {SEAL: digest(plain)}
    write_text(path, json.dumps(plain, indent=1) + "\n")


def digest(value: Any) -> str:
    """The SHA-256 of what JSON can hold, in hex; spaces and the order of keys do not count.

    >>> digest({"a": 1, "b": [0.5]}) == digest({"b": [0.5], "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(finite(value), sort_keys=True).encode()).hexdigest()


def read_json(path: Path) -> Any:
    """The JSON in a file, ``None`` where there is no file.

    Raises:
      DamagedFile: when it cannot be read, is no JSON, or its checksum is another; files of older versions
        have none.
    """
    try:
        value = json.loads(bounded.read_bytes(path, bounded.most_bytes(0)).decode("utf-8"))
    except FileNotFoundError:
        return None
    except RecursionError:
        raise DamagedFile(str(path), ["is damaged: it is no JSON that was written here (nested)"]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).removeprefix(f"{path}: ")
        raise DamagedFile(str(path), [f"is damaged: it cannot be read ({reason})"]) from None
    if isinstance(value, dict) and SEAL in value:
        seal = value.pop(SEAL)
        if seal != digest(value):
            raise DamagedFile(str(path), ["is damaged: it is not what was written, its checksum is another"])
    return value


def finite(value: Any) -> Any:
    """The value with every non-finite number replaced by ``None``."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return value
