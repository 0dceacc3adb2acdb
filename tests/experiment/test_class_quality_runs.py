"""What a run reports of its classes is the same in summary, evaluation and predictions; its threshold too."""

import csv

import numpy as np
import pytest
from sklearn import metrics
from tiny_run import tiny

from dlnotes.config import ConfigError, parse
from dlnotes.experiment.evaluate import evaluate_classes, evaluate_run
from dlnotes.experiment.predict import predict_run
from dlnotes.experiment.run import open_run, run

RNG = np.random.default_rng(1)
X = RNG.normal(size=(150, 3))
Y = np.where(X[:, 0] + 0.8 * RNG.normal(size=150) > 0.9, "yes", "no")


def _written(path, rows=slice(None)):
    lines = [f"{a:.4f},{b:.4f},{c:.4f},{y}" for (a, b, c), y in zip(X[rows], Y[rows])]
    path.write_text("\n".join(["a,b,c,y", *lines, ""]))
    return path


@pytest.fixture(scope="module")
def decided(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decided")
    path = _written(folder / "own.csv")
    config = tiny(folder / "runs", output={"figures": True}) | {
        "data": {"kind": "csv", "path": str(path), "target": "y", "validation": 0.3},
        "model": {"kind": "mlp", "widths": [4]},
        "training": {"duration": "60 steps", "batch_size": 32, "seeds": 2},
        "optimizer": {"kind": "adam", "learning_rate": 0.05},
        "decision": {"threshold": "f1", "positive": "yes"},
    }
    return run(parse(config)), path


def test_a_threshold_is_chosen_on_validation_and_used(decided, tmp_path):
    result, path = decided
    summary = result.metrics
    at = summary["validation"]["threshold"]["values"]
    assert summary["test"]["threshold"]["values"] == at
    assert (
        summary["validation"]["f1_at_threshold"]["mean"] > summary["validation"]["macro_f1"]["low"]
    )  # it is a share, of the class that is asked for
    trained = open_run(result.folder)
    again = evaluate_run(trained, split="test")
    for name in ("auc", "macro_f1", "f1_at_threshold", "threshold", "log_loss"):
        np.testing.assert_allclose(again[name]["values"], summary["test"][name]["values"], rtol=1e-5)
    measured = evaluate_run(trained, data_path=path)
    with open(predict_run(trained, path, output=tmp_path / "out.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    p, taken = np.array([float(row["p(yes)"]) for row in rows]), np.array([row["class"] for row in rows])
    np.testing.assert_array_equal(taken, np.where(p >= at[0], "yes", "no"))
    assert measured["f1_at_threshold"]["values"][0] == pytest.approx(
        metrics.f1_score(Y, taken, pos_label="yes")
    )
    assert measured["auc"]["values"][0] == pytest.approx(metrics.roc_auc_score(Y == "yes", p), abs=1e-6)
    header, table = evaluate_classes(trained, data_path=path)
    assert header[:3] == ["class", "examples", "precision"]
    assert [row[:2] for row in table] == [("no", int((Y == "no").sum())), ("yes", int((Y == "yes").sum()))]
    assert (result.folder / "figures" / "class_report.csv").is_file()
    assert (result.folder / "figures" / "class_report.png").is_file()


FAULTS = [
    ({"data": {"kind": "tabular", "name": "wine"}}, "decision: is for two classes, wine has 3 classes"),
    ({"data": {"kind": "tabular", "name": "diabetes"}}, "decision: is for two classes, diabetes has regr"),
    ({"decision": {"positive": "2"}}, "decision.positive: got '2'"),
    (
        {"data": {"kind": "two_moons", "n": 60, "validation": 0}},
        "decision.threshold: got 'f1', two_moons has no validation part",
    ),
    ({"decision": {"threshold": 1.0}}, "decision.threshold"),
    ({"tasks": {"a": {}}, "model": {"kind": "mlp"}}, "decision: cannot be combined with"),
]


@pytest.mark.parametrize(("changed", "message"), FAULTS)
def test_faults_of_a_decision_are_named(tmp_path, changed, message):
    config = tiny(tmp_path) | changed
    with pytest.raises(ConfigError, match=message):
        run(parse(config | {"decision": changed.get("decision", {})}))
    assert not list(tmp_path.iterdir())
