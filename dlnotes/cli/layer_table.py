"""The table of a config's network: what each layer gives, holds, computes, moves and sees."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.analysis.counting import LayerCounts, by_layer
from dlnotes.analysis.traffic import LayerTraffic, traffic
from dlnotes.config import Config, ConfigError
from dlnotes.experiment.durations import batch_size_of
from dlnotes.experiment.groups import groups
from dlnotes.experiment.kept_data import load_data
from dlnotes.experiment.recipe import recipe_of

_HEAD = ("layer", "output", "parameters", "multiply-adds", "operations/byte", "receptive field")


def layer_table(config: Config) -> str:
    """The layers of a config's network, as lines of text; nothing is trained.

    All numbers are for one example, but the operations for each byte moved: those are of a forward pass over
    a whole batch, in the dtype in which the config computes.

    Of a sweep the first point is shown. The data are read, for their sizes, but never downloaded; where
    that or the network is not possible, the text says why.
    """
    first = groups(config)[0].config
    if "download" in type(first.data).model_fields:
        first = first.model_copy(update={"data": first.data.model_copy(update={"download": False})})
    try:
        dataset = load_data(first)
        model = recipe_of(first, dataset)({}).model
        one = dataset.train
        x, mask = (jax.tree.map(lambda a: a[:1], part) for part in (one.x, one.mask))
        rows = by_layer(model, x, mask=mask)
        size = batch_size_of(first, dataset)
        x, mask = (_rows(part, size) for part in (one.x, one.mask))
        moved = traffic(model, x, mask=mask, itemsize=jnp.dtype(first.training.compute_dtype).itemsize)
    except (ConfigError, ValueError) as error:
        return f"no table of layers: {error}"
    intensity = {row.name: row for row in moved}
    cells = [_HEAD, *(_cells(row, intensity.get(row.name)) for row in rows)]
    total = (f"{sum(counts):,}" for counts in zip(*((r.parameters, r.multiply_adds) for r in rows)))
    whole = LayerTraffic("", sum(row.operations for row in moved), sum(row.bytes for row in moved))
    cells.append(("total for one example", "", *total, _intensity(whole), ""))
    widths = [max(map(len, column)) for column in zip(*cells)]
    # Names and shapes begin at the left, numbers end at the right.
    lines = [
        "  ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths)))
        for row in cells
    ]
    swept = "" if config.sweep is None else "the first point of the sweep\n"
    note = f"operations/byte: forward, in batches of {size}"
    return swept + "\n".join([*(line.rstrip() for line in lines), note])


def _rows(part: Any, size: int) -> Any:
    """The shapes of a batch."""

    def of(a: Any) -> Any:
        return jax.ShapeDtypeStruct((size, *np.shape(a)[1:]), jax.dtypes.canonicalize_dtype(a.dtype))

    return jax.tree.map(of, part)


def _intensity(row: LayerTraffic | None) -> str:
    return f"{row.intensity:.3g}" if row is not None and row.operations else ""


def _cells(row: LayerCounts, moved: LayerTraffic | None) -> tuple[str, ...]:
    shape = list(row.output)
    if 1 in shape[:-1]:
        shape.remove(1)  # the batch, which comes first or after the steps of time
    return (
        row.name or "(between activations)",
        " × ".join(map(str, shape)),
        f"{row.parameters:,}",
        f"{row.multiply_adds:,}" if row.multiply_adds else "",
        _intensity(moved),
        " × ".join(map(str, row.sees or ())),
    )
