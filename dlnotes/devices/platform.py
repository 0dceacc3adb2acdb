"""For which platform a program is written that is being traced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax

_ASKED: ContextVar[str | None] = ContextVar("platform", default=None)


def platform() -> str:
    """jax's name of it, "cpu", "gpu" or "tpu": that of `written_for`, else of the devices that jax found."""
    return _ASKED.get() or jax.default_backend()


@contextmanager
def written_for(platform: str) -> Iterator[None]:
    """Within, programs are traced for another platform than that of the devices that jax found.

    >>> with written_for("tpu"):
    ...     platform()
    'tpu'
    """
    token = _ASKED.set("gpu" if platform == "cuda" else platform)
    try:
        yield
    finally:
        _ASKED.reset(token)
