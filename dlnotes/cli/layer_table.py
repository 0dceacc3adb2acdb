"""The table of a config's network: what each layer gives, holds, computes and sees."""

from __future__ import annotations

import jax

from dlnotes.analysis.counting import LayerCounts, by_layer
from dlnotes.config import Config, ConfigError
from dlnotes.experiment.groups import groups
from dlnotes.experiment.kept_data import load_data
from dlnotes.experiment.recipe import recipe_of

_HEAD = ("layer", "output", "parameters", "multiply-adds", "receptive field")


def layer_table(config: Config) -> str:
    """The layers of a config's network for one example, as lines of text; nothing is trained.

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
    except (ConfigError, ValueError) as error:
        return f"no table of layers: {error}"
    cells = [_HEAD, *map(_cells, rows)]
    total = (f"{sum(counts):,}" for counts in zip(*((r.parameters, r.multiply_adds) for r in rows)))
    cells.append(("total for one example", "", *total, ""))
    widths = [max(map(len, column)) for column in zip(*cells)]
    # Names and shapes begin at the left, numbers end at the right.
    lines = [
        "  ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths)))
        for row in cells
    ]
    swept = "" if config.sweep is None else "the first point of the sweep\n"
    return swept + "\n".join(line.rstrip() for line in lines)


def _cells(row: LayerCounts) -> tuple[str, ...]:
    shape = list(row.output)
    if 1 in shape[:-1]:
        shape.remove(1)  # the batch, which comes first or after the steps of time
    return (
        row.name or "(between activations)",
        " × ".join(map(str, shape)),
        f"{row.parameters:,}",
        f"{row.multiply_adds:,}" if row.multiply_adds else "",
        " × ".join(map(str, row.sees or ())),
    )
