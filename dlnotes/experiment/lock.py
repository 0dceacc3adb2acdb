"""One process trains in a run folder at a time."""

from __future__ import annotations

import datetime
import errno
import json
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dlnotes.config import ConfigError

_log = logging.getLogger(__name__)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder, which ends with the process, however that ends.

    Args:
      folder: of the run.

    Raises:
      ConfigError: when another process holds it, with its number, machine and time; or when nothing can be
        written in the folder.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        told = f"is in use: {_holder(folder)} is training in it; wait for its end, or stop it"
        raise ConfigError(str(folder), [told]) from None
    except NotImplementedError:
        _log.warning("%s: its file system has no locks; let no other process train in it", folder)
        yield
        return
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ConfigError(str(folder), [f"cannot be written: {error.strerror} (.lock)"]) from None
    try:
        me = {"process": os.getpid(), "machine": platform.node()}
        since = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        (folder / ".lock.json").write_text(json.dumps(me | {"since": since}), encoding="utf-8")
        yield
    finally:
        (folder / ".lock.json").unlink(missing_ok=True)
        lock.release()


def _holder(folder: Path) -> str:
    """The process that holds a lock, as it says itself."""
    try:
        told = json.loads((folder / ".lock.json").read_text(encoding="utf-8"))
        return f"process {int(told['process'])} on {told['machine']} (since {told['since']})"
    except (OSError, ValueError, LookupError, TypeError):
        return "another process"
