"""Tables from file to prediction: labels, counts, weights, names of rows, a test file, mixed tasks."""

import csv

import jax
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, PoissonRegressor
from tiny_run import tiny

from dlnotes.config import ConfigError, parse
from dlnotes.experiment.evaluate import evaluate_run
from dlnotes.experiment.export import export_run
from dlnotes.experiment.predict import predict_run
from dlnotes.experiment.run import open_run, resume, run

RNG = np.random.default_rng(5)
N = 160
A, B = RNG.normal(size=N), RNG.normal(size=N)
LABELS = np.stack([A + B > 0, A - B > 0.5, B > 0.3], 1)
COUNT = RNG.negative_binomial(4, 4 / (4 + np.exp(1.5 + 0.8 * A)))
RARE = np.where(A + 0.5 * RNG.normal(size=N) > 1.2, "rare", "usual")
W = np.where(RARE == "rare", 4, 1) * (np.arange(N) % 3 > 0)


def table(path, rows=slice(None)):
    columns = {"key": [f"k{i}" for i in range(N)], "a": A.round(4), "b": B.round(4), "n": COUNT, "w": W}
    columns |= {name: LABELS[:, j].astype(int) for j, name in enumerate("xyz")} | {"kind": RARE}
    whole = [list(row) for row in zip(*columns.values())]
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in whole[rows])]) + "\n")
    return path


def config(folder, data, **sections):
    base = tiny(folder / "runs") | {
        "data": {"kind": "csv", "path": str(folder / "own.csv"), "id": "key"} | data,
        "model": {"kind": "mlp", "widths": [8]},
        "optimizer": {"kind": "adam", "learning_rate": 0.03},
        "training": {"duration": "80 steps", "batch_size": 32, "seeds": 2},
    }
    return parse(base | sections)


def rows_of(written):
    with open(written, newline="") as file:
        return list(csv.DictReader(file))


def test_labels_from_file_to_export(tmp_path):
    path = table(tmp_path / "own.csv")
    data = {"target": ["x", "y", "z"], "task": "labels", "drop": ["n", "w", "kind"]}
    result = run(config(tmp_path, data, output={"directory": str(tmp_path / "runs")}))
    assert result.metrics["test"]["macro_f1"]["mean"] > 0.8
    trained = open_run(result.folder)
    measured = evaluate_run(trained, data_path=path)
    rows = rows_of(predict_run(trained, path))
    assert [row["key"] for row in rows] == [f"k{i}" for i in range(N)]
    p = np.array([[float(row[f"p({name})"]) for name in "xyz"] for row in rows])
    right = (p >= 0.5) == LABELS
    assert measured["label_accuracy"]["values"][0] == pytest.approx(right.mean(), abs=1e-6)
    assert measured["exact_match"]["values"][0] == pytest.approx(right.all(1).mean(), abs=1e-6)
    assert rows[3]["labels"] == ";".join(n for n, q in zip("xyz", p[3]) if q >= 0.5)
    called = jax.export.deserialize(bytearray(export_run(trained).read_bytes())).call
    raw = np.stack([A.round(4), B.round(4)], 1).astype(np.float32)
    np.testing.assert_allclose(called(raw), p, atol=1e-4)
    assert (result.folder / "figures" / "label_report.csv").is_file()


@pytest.mark.parametrize("loss", ["auto", "negative_binomial_nll"])
def test_counts_from_file_to_prediction(tmp_path, loss):
    """A linear model of logarithms is scikit-learn's Poisson regression, whatever its spread is."""
    path = table(tmp_path / "own.csv")
    data = {"target": "n", "task": "counts", "drop": ["x", "y", "z", "w", "kind"]}
    training = {"duration": "400 steps", "batch_size": 128, "seeds": 2, "loss": loss}
    result = run(config(tmp_path, data, training=training, model={"kind": "linear"}))
    assert "r2" in result.metrics["test"]
    trained = open_run(result.folder)
    rows = rows_of(predict_run(trained, path))
    value = np.array([float(row["value"]) for row in rows])
    deviation = np.array([float(row["deviation"]) for row in rows])
    train = result.dataset.train
    known = PoissonRegressor(alpha=0).fit(train.x, train.y[:, 0])
    x = result.dataset.standardize(np.stack([A, B], 1).round(4).astype(np.float32))
    np.testing.assert_allclose(value, known.predict(x), rtol=0.1 if loss == "auto" else 0.5)
    if loss == "auto":
        np.testing.assert_allclose(deviation, np.sqrt(value), rtol=1e-4)
    else:
        assert (deviation > np.sqrt(value)).all()
    measured = evaluate_run(trained, data_path=path)
    assert measured["absolute_error"]["values"][0] == pytest.approx(np.abs(value - COUNT).mean(), rel=1e-4)


def test_weights_a_test_file_and_exact_resume(tmp_path):
    """A linear model with weights is scikit-learn's with them; stopped half-way it goes on bit for bit."""
    table(tmp_path / "own.csv", slice(0, 120))
    test = table(tmp_path / "test.csv", slice(120, None))
    data = {"target": "kind", "drop": ["x", "y", "z", "n"], "weight": "w", "test_path": str(test)}
    data |= {"validation": 0}
    training = {"duration": "300 steps", "batch_size": 120, "seeds": 1}
    optimizer = {"kind": "adam", "learning_rate": 0.05}
    asked = config(tmp_path, data, training=training, model={"kind": "linear"}, optimizer=optimizer)
    result = run(asked)
    assert result.dataset.test.size == 40
    assert result.metrics["test"]["accuracy"]["mean"] > 0.7
    rows = rows_of(predict_run(result.folder, test))
    x = np.stack([A, B], 1).round(4)
    known = LogisticRegression(C=1e6).fit(x[:120], RARE[:120], sample_weight=W[:120])
    wanted = known.predict_proba(x[120:])[:, 0]
    np.testing.assert_allclose([float(row["p(rare)"]) for row in rows], wanted, atol=0.08)

    part = config(
        tmp_path,
        data,
        training=training | {"duration": "40 steps"},
        model={"kind": "linear"},
        optimizer=optimizer,
    )
    shorter = run(part)
    longer = resume(shorter.folder, ["training.duration='300 steps'"])
    jax.tree.map(
        np.testing.assert_array_equal, longer.states[0].members.params, result.states[0].members.params
    )


def test_class_weights_find_the_rare_class(tmp_path):
    table(tmp_path / "own.csv")
    data = {"target": "kind", "drop": ["x", "y", "z", "n", "w"]}
    training = {"duration": "80 steps", "batch_size": 32, "seeds": 2}
    plain = run(config(tmp_path, data, training=training))
    weighed = run(config(tmp_path, data, training=training | {"class_weight": {"rare": 8.0}}))
    assert recall_of(weighed) > recall_of(plain)


def recall_of(result):
    rows = rows_of(predict_run(result.folder, result.config.data.path))
    return np.mean([row["class"] == "rare" for row, kind in zip(rows, RARE) if kind == "rare"])


def test_tasks_of_mixed_kinds(tmp_path):
    path = table(tmp_path / "own.csv")
    tasks = {
        "kind": {},
        "n": {"target": "n", "kind": "counts", "loss": "negative_binomial_nll"},
        "w": {"target": "w", "kind": "regression"},
    }
    result = run(config(tmp_path, {"target": "kind", "drop": ["x", "y", "z"]}, tasks=tasks))
    metrics = result.metrics["test"]
    assert {"kind.auc", "kind.macro_f1", "n.r2", "w.root_mean_squared_error"} <= set(metrics)
    trained = open_run(result.folder)
    rows = rows_of(predict_run(trained, path))
    assert {"key", "kind.class", "n.value", "n.deviation", "w.value"} <= set(rows[0])
    measured = evaluate_run(trained, data_path=path)
    value = np.array([float(row["n.value"]) for row in rows])
    assert measured["n.absolute_error"]["values"][0] == pytest.approx(np.abs(value - COUNT).mean(), rel=1e-4)


COUNTS = {"target": "n", "task": "counts", "drop": ["x", "y", "z", "w", "kind"]}
KIND = {"target": "kind", "drop": ["x", "y", "z", "n"]}
STEPS = {"duration": "5 steps", "batch_size": 16}
FAULTS = [
    (COUNTS, {"training": STEPS | {"class_weight": "balanced"}}, "regression targets, which have no classes"),
    (
        KIND,
        {"training": STEPS | {"class_weight": {"Rare": 2.0}}},
        "got 'Rare', the classes of own",
    ),
    (KIND, {"training": STEPS | {"class_weight": {"rare": 0.0, "usual": 0.0}}}, "would have the weight 0"),
    (KIND, {"training": STEPS | {"class_weight": {"rare": -1.0}}}, "class_weight"),
    (KIND | {"weight": "w"}, {"tasks": {"a": {}}}, "data.weight: got 'w', cannot be combined with tasks"),
    (KIND | {"test_path": "nowhere.csv"}, {}, "nowhere.csv: there is no such file"),
    (KIND | {"id": "nokey"}, {}, "id: got 'nokey', the columns of"),
    (
        {"target": ["x", "y"], "task": "labels"},
        {"training": STEPS | {"loss": "squared_error"}},
        "has several l",
    ),
    ({"target": "a"}, {"training": STEPS | {"loss": "poisson_nll"}}, 'data.task = "counts"'),
    (
        {"target": "a", "standardize": False},
        {"training": STEPS | {"loss": "poisson_nll"}},
        "counts are whole",
    ),
    (KIND, {"tasks": {"a": {"loss": "poisson_nll"}}}, "kind: got 'auto' with loss 'poisson_nll'"),
    (KIND, {"tasks": {"c": {"target": "a", "kind": "counts"}}}, "column 'a' holds .*, counts are whole"),
    ({"target": ["x", "y"]}, {"tasks": {"a": {}}}, "data.target is one column"),
]


@pytest.mark.parametrize(("data", "sections", "message"), FAULTS)
def test_faults_are_named_before_anything_is_written(tmp_path, data, sections, message):
    table(tmp_path / "own.csv")
    with pytest.raises(ConfigError, match=message):
        run(config(tmp_path, {"drop": ["kind"], "hashed": {}} | data, **sections))
    assert not (tmp_path / "runs").exists()


def test_predictions_need_the_names_of_the_rows(tmp_path):
    table(tmp_path / "own.csv")
    result = run(config(tmp_path, KIND, training=STEPS | {"seeds": 1}))
    new = tmp_path / "new.csv"
    new.write_text("a,b,w\n1,2,3\n")
    with pytest.raises(ConfigError, match="has no column 'key', by which .data. id names the rows"):
        predict_run(result.folder, new)
    other = table(tmp_path / "other.csv")
    other.write_text(other.read_text().replace("usual", "common"))
    with pytest.raises(ConfigError, match="line 2: class 'common' is unknown"):
        evaluate_run(result.folder, data_path=other)
