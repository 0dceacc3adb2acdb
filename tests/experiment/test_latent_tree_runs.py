"""Runs of nets that find the tree themselves: trained, drawn, exported."""

# pyright: reportOptionalMemberAccess=false

import csv

import jax
import numpy as np
import pytest
from scipy import special
from tiny_run import tiny

from dlnotes.config import parse
from dlnotes.experiment.export import export_run
from dlnotes.experiment.run import open_run, run
from dlnotes.outputs.bracket_f1 import bracket_f1


@pytest.mark.parametrize("kind", ["gumbel_tree", pytest.param("chart_tree", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_a_run(kind, tmp_path):
    data = {"kind": "list_ops", "n_train": 20, "n_validation": 4, "n_test": 6, "max_length": 10}
    raw = tiny(tmp_path) | {"data": data, "model": {"kind": kind, "hidden": 3, "cell": "affine"}}
    raw |= {
        "training": {"duration": "4 steps", "batch_size": 8, "seeds": 2},
        "output": {"directory": str(tmp_path)},
    }
    result = run(parse(raw))
    trained, test = open_run(result.folder), result.dataset.test
    with open(result.folder / "figures" / "found_trees.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert (result.folder / "figures" / "found_trees.png").stat().st_size > 5_000
    assert len(rows) == 6
    from dlnotes.models import chart_parse, gumbel_parse

    parse_trees = chart_parse if kind == "chart_tree" else gumbel_parse
    found = np.asarray(parse_trees(result.params(0), test.x, test.mask))
    f1 = [row["bracket_f1"] for row in rows]
    want = bracket_f1(found, test.x.children)
    np.testing.assert_allclose([float(v or "nan") for v in f1], want, atol=1e-6)

    exported = jax.export.deserialize(bytearray(export_run(result.folder, member=1).read_bytes()))
    model = trained.evaluator.setup.recipe_of({}).model
    logits = np.asarray(model.apply(result.params(1), test.x, mask=test.mask), np.float64)
    got = exported.call(test.x.label, test.mask, test.x.children, test.x.order)
    np.testing.assert_allclose(got, special.softmax(logits, -1), rtol=1e-4, atol=1e-5)
