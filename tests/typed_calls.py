# pyright: reportUnnecessaryTypeIgnoreComment=true
"""Read by pyright, not run: it must know every public name, and refuse a call that is wrong.

A line that pyright no longer refuses makes its ignore comment unnecessary, which is an error in this file.
"""

from typing import assert_type

import dlnotes
from dlnotes import data, layers, models, training
from dlnotes.data import Dataset, Examples
from dlnotes.models import Model
from dlnotes.training import Fit, Recipe
from dlnotes.typing import Array


def known(recipe: Recipe, examples: Examples, x: Array, params: layers.Dense) -> None:
    """Types through every kind of facade."""
    assert_type(dlnotes.models.mlp(4, (8,), 2), Model)
    assert_type(models.seq2seq(4, 8, 3), Model)
    assert_type(models.seq2seq(vocabulary=4, hidden=8, outputs=3), Model)
    assert_type(models.forward_mode(models.mlp(4, (8,), 2)), Model)
    assert_type(layers.forward_mode(layers.dense)(params, x), Array)
    assert_type(layers.dense(params, x), Array)
    assert_type(dlnotes.data.digits(), Dataset)
    assert_type(data.load("xor"), Dataset)
    assert_type(training.fit(recipe, examples, steps=3), Fit)
    assert_type(dlnotes.run({}), dlnotes.Result)


def refused(params: layers.Dense, x: Array) -> None:
    """Misspelled options, wrong types, names that do not exist."""
    models.mlp(4, (8,), 2, widht=3)  # pyright: ignore[reportCallIssue]
    models.mlp("nonsense", (8,), 2)  # pyright: ignore[reportArgumentType]
    layers.dense(params, x, bias=False)  # pyright: ignore[reportCallIssue]
    dlnotes.models.mpl(4, (8,), 2)  # pyright: ignore[reportAttributeAccessIssue]
    data.digitz()  # pyright: ignore[reportAttributeAccessIssue]
    dlnotes.run("c.toml", modle=None)  # pyright: ignore[reportCallIssue]
