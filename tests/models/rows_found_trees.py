"""Rows of the model contract for recursive networks that find the tree themselves."""

from rows_sequence import pad, row, tokens
from rows_tree import binary
from rows_tree import pad as pad_trees

from dlnotes import models


def gumbel(**options):
    return models.gumbel_tree(5, 5, 3, **{"dropout": 0.3, **options})


def chart(**options):
    return models.chart_tree(5, 5, 3, dropout=0.3, **options)


# A choice has a gradient that is not its derivative: the differences are those of the mixture.
ROWS = [
    row(
        "gumbel tree",
        lambda: gumbel(cell="affine"),
        tokens,
        pad,
        smooth=lambda: gumbel(cell="affine", relaxed=True),
    ),
    row("gumbel tree, of trees' leaves", lambda: gumbel(relaxed=True), binary, pad_trees, slow=True),
    row("gumbel tree on an lstm", lambda: gumbel(leaf="lstm", relaxed=True), tokens, pad, slow=True),
    row("chart tree", lambda: chart(cell="affine"), tokens, pad),
    row("chart tree of an lstm cell", chart, tokens, pad, slow=True),
    row(
        "chart tree of a tensor cell on an lstm",
        lambda: chart(leaf="lstm", cell="tensor"),
        binary,
        pad_trees,
        slow=True,
    ),
]
