"""Errors by length: every example in one group, and the whole's error rates as their mean."""

import csv
from itertools import pairwise

import numpy as np
import pytest
from tiny_run import tiny

from dlnotes.config import parse
from dlnotes.experiment.figures.lengths import compare_runs, length_groups
from dlnotes.experiment.run import run


def test_groups_hold_every_length_once():
    rng = np.random.default_rng(0)
    for _ in range(50):
        lengths = rng.integers(1, 15, rng.integers(1, 60))
        groups = length_groups(lengths, 7)
        held = [int(((first <= lengths) & (lengths <= last)).sum()) for first, last in groups]
        assert sum(held) == len(lengths)
        assert all(a[1] < b[0] for a, b in pairwise(groups))
        assert min(held) >= min(7, len(lengths))


@pytest.mark.slow
def test_a_run_has_them_and_runs_are_compared(tmp_path):
    config = tiny(tmp_path / "runs") | {
        "data": {"kind": "number_words", "maximum": 99, "n_train": 20, "n_validation": 2, "n_test": 70},
        "model": {"kind": "seq2seq", "hidden": 3, "embedding": 2, "cell": "rnn", "attention": "none"},
        "training": {"duration": "3 steps", "batch_size": 8, "seeds": 1, "ema": None},
        "output": {"directory": str(tmp_path / "runs")},
    }
    result = run(parse(config))
    assert result.folder is not None
    with open(result.folder / "figures" / "errors_by_length.csv") as f:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(f)]
    assert sum(row["examples"] for row in rows) == 70
    whole = result.metrics["test"]["sequence_error"]["mean"]
    assert sum(row["examples"] * row["sequence_error"] for row in rows) / 70 == pytest.approx(whole)
    picture = compare_runs([result.folder, result.folder], tmp_path / "both.png")
    assert picture.stat().st_size > 5000
    with open(tmp_path / "both.csv") as f:
        assert len({row["run"] for row in csv.DictReader(f)}) == 2
    (result.folder / "figures" / "errors_by_length.csv").unlink()
    with pytest.raises(ValueError, match="has no errors_by_length"):
        compare_runs([result.folder], tmp_path / "both.png")
