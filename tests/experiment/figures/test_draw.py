import csv
from types import SimpleNamespace

import numpy as np
import pytest

from dlnotes.config import parse, points
from dlnotes.data.dataset import Dataset, Examples, Standardize, Trees
from dlnotes.experiment.figures import draw as figures
from dlnotes.experiment.figures import predictions as predicted_figures
from dlnotes.experiment.figures.common import shown_point
from dlnotes.experiment.intervals import mean_interval
from dlnotes.experiment.metrics_log import MetricsLog
from dlnotes.experiment.run_folder import RunFolder

SIZE = 12


class FakeEvaluator:
    """Predicts what it is told to, so that the pictures' numbers are known."""

    setup = SimpleNamespace(metric_names=("loss", "accuracy"))

    def __init__(self, outputs):
        self.outputs = np.asarray(outputs, np.float32)

    def predict(self, members, examples):
        chosen = np.arange(len(examples.y)) % self.outputs.shape[1]  # other examples: the same again
        return self.outputs[np.asarray(members)][:, chosen]


def scaled(mean, scale):
    return Standardize(np.float32([mean]), np.float32([scale]))


def dataset(kind, task="classification", y=None):
    rng = np.random.default_rng(0)
    mask, symbols = None, ()
    if kind == "image":
        x = rng.normal(size=(SIZE, 4, 4, 1)).astype(np.float32)
    elif kind == "vector":
        x = rng.normal(size=(SIZE, 2)).astype(np.float32)
    elif kind == "tokens":
        x, symbols = np.tile(np.array([[1, 2, 1, 0]], np.int32), (SIZE, 1)), ("<pad>", "a", "b")
        mask = x > 0
    else:
        x = Trees(
            label=np.tile(np.array([[1, 2, 1, -1, -1]], np.int32), (SIZE, 1)),
            children=np.tile(
                np.array([[[-1, -1], [-1, -1], [-1, -1], [0, 1], [3, 2]]], np.int32), (SIZE, 1, 1)
            ),
            order=np.tile(np.array([[0, 0, 0, 1, 2]], np.int32), (SIZE, 1)),
        )
        symbols, mask = ("<pad>", "a", "b"), np.ones((SIZE, 5), bool)
    y = np.arange(SIZE, dtype=np.int32) % 3 if y is None else y
    part = Examples(x, y, mask)
    return Dataset(
        name="made",
        train=part,
        validation=part,
        test=part,
        input=kind,
        task=task,
        inputs=(4, 4, 1) if kind == "image" else (2,),
        outputs=3 if task == "classification" else 1,
        classes=("zero", "one", "two") if task == "classification" else (),
        symbols=symbols,
        standardize=scaled(1, 2) if kind in ("image", "vector") else None,
        standardize_y=scaled(100, 10) if task == "regression" else None,
    )


def logits_for(answers):
    return 4.0 * np.eye(3, dtype=np.float32)[np.asarray(answers)]


def finished(tmp_path, data, outputs, sweep=None, values=None):
    """A run's result as the engine hands it on, without any training."""
    raw = {
        "name": "made",
        "data": {"kind": "digits"},
        "model": {"kind": "mlp"},
        "training": {"seeds": 2},
    } | ({"sweep": {"kind": "grid", "parameters": sweep}} if sweep else {})
    config = parse(raw)
    chosen = points(config)
    metric = "accuracy" if data.task == "classification" else "absolute_error"
    values = values or [[0.9, 0.8]] * len(chosen)
    records = [
        {
            "point": i,
            "values": p.values,
            "metrics": {
                s: {"loss": mean_interval(np.array([0.5, 0.7])), metric: mean_interval(np.array(v))}
                for s in ("validation", "test")
            },
            "seeds": [0, 1],
            "stopped": [],
        }
        for i, (p, v) in enumerate(zip(chosen, values))
    ]
    members = 2 * len(chosen)
    group = SimpleNamespace(
        config=config, points=chosen, indices=tuple(range(len(chosen))), seeds=np.tile([0, 1], len(chosen))
    )
    result = SimpleNamespace(
        config=config,
        summary={"points": records},
        dataset=data,
        groups=(group,),
        states=(SimpleNamespace(members=np.arange(members)),),
        pretrained=((),),
    )
    kept = RunFolder(tmp_path)
    kept.figures.mkdir()
    log = MetricsLog(tmp_path / "metrics.jsonl", ("loss", metric), every=2, per_epoch=2)
    log.steps(0, np.linspace(3, 0.1, 6)[:, None, None] * np.ones((6, 2, members), np.float32), last=6)
    log.evaluation(6, "validation", {"loss": np.full(members, np.nan), metric: np.full(members, 0.5)})
    log.flush()
    evaluator = FakeEvaluator(outputs)
    evaluator.setup = SimpleNamespace(metric_names=("loss", metric))
    return kept, result, [evaluator]


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


RIGHT = np.arange(SIZE) % 3
ONE_WRONG = np.where(np.arange(SIZE) == 4, 2, RIGHT)


@pytest.mark.parametrize("kind", ["image", "vector", "tokens", "tree"])
def test_every_figure_of_a_classification_is_drawn(tmp_path, kind):
    run = finished(tmp_path, dataset(kind), [logits_for(RIGHT), logits_for(ONE_WRONG)])
    names = {p.name for p in figures.draw(*run)}
    assert {"learning_curve.png", "learning_curve.csv", "confusion_matrix.png", "worst_mistakes.csv"} <= names
    assert ("worst_mistakes.png" in names) == (kind == "image")
    assert all((tmp_path / "figures" / name).stat().st_size > 0 for name in names)


def test_the_confusion_table_counts_over_seeds(tmp_path):
    run = finished(tmp_path, dataset("vector"), [logits_for(RIGHT), logits_for(ONE_WRONG)])
    predicted_figures.confusion_matrix(*run)
    rows = read(tmp_path / "figures" / "confusion_matrix.csv")
    assert [[int(r[c]) for c in ("zero", "one", "two")] for r in rows] == [[8, 0, 0], [0, 7, 1], [0, 0, 8]]


def test_of_very_many_classes_the_pairs_are_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(predicted_figures, "MOST_SHOWN", 2)
    run = finished(tmp_path, dataset("vector"), [logits_for(RIGHT), logits_for(ONE_WRONG)])
    picture, table = predicted_figures.confusion_matrix(*run)
    rows = [(r["true"], r["predicted"], int(r["count"])) for r in read(table)]
    assert rows == [("zero", "zero", 8), ("two", "two", 8), ("one", "one", 7), ("one", "two", 1)]
    assert picture.stat().st_size > 0


def test_the_worst_mistake_is_named_with_its_input_in_raw_units(tmp_path):
    data = dataset("vector")
    run = finished(tmp_path, data, [logits_for(RIGHT), logits_for(ONE_WRONG)])
    predicted_figures.worst_mistakes(*run)
    (row,) = read(tmp_path / "figures" / "worst_mistakes.csv")
    assert (row["test_example"], row["true"], row["taken_for"]) == ("4", "one", "two")
    assert (row["seeds_wrong"], row["seeds"]) == ("1", "2")
    assert float(row["x0"]) == pytest.approx(float(data.test.x[4, 0]) * 2 + 1, rel=1e-5)


@pytest.mark.parametrize(("kind", "shown"), [("tokens", "aba"), ("tree", "((a b) a)")])
def test_symbols_and_trees_are_written_as_text(tmp_path, kind, shown):
    run = finished(tmp_path, dataset(kind), [logits_for(ONE_WRONG)] * 2)
    predicted_figures.worst_mistakes(*run)
    assert read(tmp_path / "figures" / "worst_mistakes.csv")[0]["input"] == shown


def test_a_run_without_mistakes_and_one_with_a_failed_seed_have_their_pictures(tmp_path):
    run = finished(tmp_path, dataset("image"), [logits_for(RIGHT), np.full((SIZE, 3), np.nan)])
    names = {p.name for p in figures.draw(*run)}
    assert "worst_mistakes.png" in names
    rows = read(tmp_path / "figures" / "confusion_matrix.csv")
    assert sum(int(r[c]) for r in rows for c in ("zero", "one", "two")) == SIZE


def test_regression_is_shown_in_the_targets_units(tmp_path):
    y = np.linspace(-1, 1, SIZE, dtype=np.float32)[:, None]
    run = finished(tmp_path, dataset("vector", "regression", y), [y, y + 0.2])
    assert {p.name for p in figures.draw(*run)} >= {"regression.png", "regression.csv"}
    rows = read(tmp_path / "figures" / "regression.csv")
    np.testing.assert_allclose([float(r["true"]) for r in rows], 100 + 10 * y[:, 0], rtol=1e-5)
    np.testing.assert_allclose([float(r["predicted"]) for r in rows], 101 + 10 * y[:, 0], rtol=1e-5)


@pytest.mark.parametrize(
    "swept",
    [
        {"optimizer.learning_rate": [1e-4, 1e-3, 1e-1]},
        {"model.activation": ["relu", "tanh", "gelu"]},
        {"model.widths": [[8], [16, 16]]},
        {"optimizer.learning_rate": [1e-3, 1e-1], "model.dropout": [0.0, 0.5]},
        {"optimizer.learning_rate": [1e-3, 1e-1], "model.dropout": [0.0, 0.5], "model.widths": [[8], [9]]},
    ],
)
def test_a_sweep_of_any_number_of_parameters_is_drawn_with_its_numbers(tmp_path, swept):
    count = int(np.prod([len(v) for v in swept.values()]))
    values = [[0.5 + i / 100, 0.6 + i / 100] for i in range(count)]
    run = finished(tmp_path, dataset("vector"), np.zeros((2 * count, SIZE, 3)), swept, values)
    assert "sweep.png" in {p.name for p in figures.draw(*run)}
    rows = read(tmp_path / "figures" / "sweep.csv")
    assert [float(r["mean"]) for r in rows] == pytest.approx([0.55 + i / 100 for i in range(count)])


def test_figures_of_a_sweep_show_the_best_points_members(tmp_path):
    outputs = [logits_for(ONE_WRONG)] * 2 + [logits_for(RIGHT)] * 2
    run = finished(
        tmp_path, dataset("vector"), outputs, {"model.dropout": [0.0, 0.5]}, [[0.1, 0.2], [0.8, 0.9]]
    )
    position, group, members, title = shown_point(run[1])
    assert (position, group, members) == (1, 0, slice(2, 4))
    assert "model.dropout = 0.5" in title
    figures.draw(*run)
    assert read(tmp_path / "figures" / "worst_mistakes.csv") == []


def test_a_figure_that_cannot_be_drawn_is_warned_of_and_the_others_are_drawn(tmp_path):
    run = finished(tmp_path, dataset("image"), np.full((2, SIZE, 3), np.nan))
    with pytest.warns(RuntimeWarning, match="could not be drawn") as told:
        names = {p.name for p in figures.draw(*run)}
    assert "learning_curve.png" in names
    assert [str(w.message).split()[1] for w in told] == ["confusion_matrix", "class_report", "worst_mistakes"]


def test_drawing_leaves_matplotlibs_settings_alone(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    figures.draw(*finished(tmp_path, dataset("vector"), [logits_for(RIGHT)] * 2))
    assert dict(matplotlib.rcParams) == before
