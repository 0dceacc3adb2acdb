"""The hardware: which devices a training uses, what is divided between them, and how it is compiled there.

Names are loaded on first use, for devices are prepared before jax is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlnotes.lazy import lazy

if TYPE_CHECKING:
    from dlnotes.devices.distributed import detect, start
    from dlnotes.devices.placement import Division, Placement, place

if not TYPE_CHECKING:  # a name that is not imported above is an error for pyright too
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "place": "placement",
            "Placement": "placement",
            "Division": "placement",
            "detect": "distributed",
            "start": "distributed",
        },
    )

__all__ = ["Division", "Placement", "detect", "place", "start"]
