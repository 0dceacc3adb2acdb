"""The hardware: which devices a training uses, what is divided between them, and how it is compiled there.

Names are loaded on first use, for devices are prepared before jax is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlnotes.lazy import lazy

if TYPE_CHECKING:
    from dlnotes.devices.distributed import detect, start
    from dlnotes.devices.mesh import MeshPlacement, place_on_mesh
    from dlnotes.devices.model_parallel import bubble, column_then_row, pipeline
    from dlnotes.devices.placement import Division, Placement, place
    from dlnotes.devices.roofline import Roofline, measure_roofline, product, rates, timed, triad

if not TYPE_CHECKING:  # a name that is not imported above is an error for pyright too
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "place": "placement",
            "Placement": "placement",
            "Division": "placement",
            "detect": "distributed",
            "start": "distributed",
            "MeshPlacement": "mesh",
            "place_on_mesh": "mesh",
            "bubble": "model_parallel",
            "column_then_row": "model_parallel",
            "pipeline": "model_parallel",
            "Roofline": "roofline",
            "measure_roofline": "roofline",
            "product": "roofline",
            "rates": "roofline",
            "timed": "roofline",
            "triad": "roofline",
        },
    )

__all__ = [
    "Division",
    "MeshPlacement",
    "Placement",
    "Roofline",
    "bubble",
    "column_then_row",
    "detect",
    "measure_roofline",
    "pipeline",
    "place",
    "place_on_mesh",
    "product",
    "rates",
    "start",
    "timed",
    "triad",
]
