"""Runs on trees with a class at every node: trained, drawn, evaluated, asked about trees without classes."""

import csv

import numpy as np
import pytest
from tiny_run import tiny

from dlnotes.config import ConfigError, parse
from dlnotes.data.trees.brackets import parse_brackets
from dlnotes.experiment.evaluate import evaluate_run
from dlnotes.experiment.export import export_run
from dlnotes.experiment.predict import predict_run
from dlnotes.experiment.run import run


@pytest.mark.slow
def test_classes_at_every_node(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "own.txt"

    def line(depth=0):
        if depth == 3 or rng.random() < 0.3:
            name = "ab"[rng.integers(2)]
            return f"({'yes' if name == 'a' else 'no'} {name})"
        left, right = line(depth + 1), line(depth + 1)
        return f"({'yes' if 'yes' in (left[1:4], right[1:4]) else 'no'} {left} {right})"

    path.write_text("\n".join(line() for _ in range(200)))
    config = tiny(tmp_path / "runs") | {
        "data": {"kind": "tree_file", "path": str(path), "targets": "nodes"},
        "model": {"kind": "tree_net", "hidden": 8},
        "optimizer": {"kind": "adam", "learning_rate": 0.02},
        "training": {"duration": "150 steps", "batch_size": 16, "buckets": 2, "seeds": 1, "ema": None},
        "output": {"directory": str(tmp_path / "runs")},
    }
    result = run(parse(config))
    assert result.metrics["test"]["accuracy"]["mean"] > 0.95  # the class is whether there is an a
    figures = {p.name for p in (result.folder / "figures").iterdir()}
    assert {"predicted_trees.png", "predicted_trees.csv", "accuracy_by_nodes.png"} <= figures
    measured = evaluate_run(result.folder, data_path=path)
    assert measured["accuracy"]["mean"] > 0.95
    new = tmp_path / "new.txt"
    new.write_text("((a b) b)\n(b b)\na\n")
    with open(predict_run(result.folder, new), encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = [parse_brackets(row["classes"], "target") for row in rows]
    assert [tree.target for tree in found] == [
        ("yes", "yes", "yes", "no", "no"),
        ("no", "no", "no"),
        ("yes",),
    ]
    assert [tree.leaves for tree in found] == [("a", "b", "b"), ("b", "b"), ("a",)]
    assert [row["root"] for row in rows] == ["yes", "no", "yes"]
    new.write_text("(a b c)\n")
    with pytest.raises(ConfigError, match="line 1: a node has 3 children"):
        predict_run(result.folder, new)
    assert export_run(result.folder).stat().st_size > 1000
