"""Baselines beside a run: in its summary, its text and its figure; measured by the metrics of the net."""

import csv
import json

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, mean_absolute_error, r2_score
from tiny_run import tiny

from dlnotes.cli.progress import results_text
from dlnotes.config import ConfigError, parse
from dlnotes.experiment import baselines
from dlnotes.experiment.baselines import compare, evaluate_baselines
from dlnotes.experiment.comparison import comparison_in_words, table_in_words
from dlnotes.experiment.run import open_run, run

SHORT = {"duration": "60 steps", "batch_size": 16, "seeds": 2, "log_every": 30}


def of(record, name):
    return next(row for row in record["baselines"] if row["name"] == name)


@pytest.fixture(scope="module")
def moons(tmp_path_factory):
    where = {"directory": str(tmp_path_factory.mktemp("runs")), "figures": True}
    return run(parse(tiny(where["directory"], data={"n": 200}, output=where, training=SHORT)))


def test_a_run_has_baselines_in_its_summary_text_and_figure(moons):
    kept = json.loads((moons.folder / "summary.json").read_text())["baselines"]
    assert kept == moons.summary["baselines"]
    assert (kept["split"], kept["metric"]) == ("test", "accuracy")
    assert kept["net"] == moons.metrics["test"]["accuracy"]["mean"]
    assert kept["ahead"] == all(kept["net"] > row["metrics"]["accuracy"] for row in kept["baselines"])
    assert (kept["fitted_on"], kept["training_examples"]) == (140, 140)
    told = results_text(moons.summary)
    assert "baselines, test accuracy: " in told
    assert ("not ahead of its baselines: " in told) == (not kept["ahead"])
    with open(moons.folder / "figures/baselines.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["method"] for row in rows} == {"the net", *(row["name"] for row in kept["baselines"])}
    values = [float(row["value"]) for row in rows]
    assert values == sorted(values, reverse=True)
    assert (moons.folder / "figures/baselines.png").stat().st_size > 5000


def test_they_are_those_of_scikit_learn_on_the_same_split(moons):
    train, test = moons.dataset.train, moons.dataset.test
    measured = {
        c: LogisticRegression(C=c, max_iter=1000).fit(train.x, train.y) for c in (0.01, 0.1, 1.0, 10.0)
    }
    held, rows = moons.dataset.validation, np.arange(moons.dataset.validation.size)
    best = max(measured.values(), key=lambda m: m.predict_log_proba(held.x)[rows, held.y].mean())
    linear = of(moons.summary["baselines"], "linear")["metrics"]
    assert linear["accuracy"] == pytest.approx(accuracy_score(test.y, best.predict(test.x)))
    p = best.predict_proba(test.x)[np.arange(test.size), test.y]
    assert linear["loss"] == pytest.approx(-np.log(p).mean(), rel=1e-3)


def test_evaluate_measures_them_again_on_any_part(moons):
    record = evaluate_baselines(moons.folder)
    for before, now in zip(moons.summary["baselines"]["baselines"], record["baselines"]):
        assert before["metrics"] == pytest.approx(now["metrics"])
    train = evaluate_baselines(open_run(moons.folder), split="train")
    assert of(train, "extra trees")["metrics"]["accuracy"] == 1
    told = table_in_words(train)
    assert told.splitlines()[0].split()[:3] == ["baseline", "accuracy", "loss"]
    assert told.splitlines()[-1].startswith("not ahead of its baselines: ")


def test_evaluate_measures_them_on_a_file(tmp_path):
    rng = np.random.default_rng(0)
    table = rng.normal(size=(120, 3))
    table[:, 2] = 50 + 10 * (table[:, 0] - 2 * table[:, 1]) + rng.normal(size=120)
    for name, rows in (("all.csv", table), ("new.csv", table[:30] + 0.1)):
        np.savetxt(tmp_path / name, rows, delimiter=",", header="a,b,c", comments="")
    raw = tiny(tmp_path / "runs", data={"kind": "csv", "path": str(tmp_path / "all.csv"), "target": "c"})
    raw["data"].pop("n")
    done = run(parse(raw | {"training": SHORT}))
    record = evaluate_baselines(done.folder, data_path=tmp_path / "new.csv")
    assert (record["split"], record["examples"], record["metric"]) == ("new.csv", 30, "absolute_error")
    linear = of(record, "linear")["metrics"]
    part, new = done.dataset.train, np.loadtxt(tmp_path / "new.csv", delimiter=",", skiprows=1)
    scale = done.dataset.standardize
    model = LinearRegression().fit(
        scale.inverse(part.x), done.dataset.standardize_y.inverse(part.y)
    )  # the penalty is next to nothing here
    predicted = model.predict(new[:, :2])
    assert linear["absolute_error"] == pytest.approx(mean_absolute_error(new[:, 2:], predicted), rel=0.02)
    assert linear["r2"] == pytest.approx(r2_score(new[:, 2:], predicted), rel=0.01)
    assert "not ahead of its baselines: linear" in table_in_words(record)


@pytest.mark.parametrize(
    ("output", "there"),
    [
        ({"figures": False}, False),
        ({"figures": False, "baselines": "yes"}, True),
        ({"figures": True, "baselines": "no"}, False),
    ],
)
def test_when_a_run_is_compared(output, there, tmp_path):
    done = run(parse(tiny(tmp_path, output={"directory": str(tmp_path)} | output, training=SHORT)))
    assert ("baselines" in done.summary) == there
    assert (done.folder / "figures/baselines.png").exists() is False


def test_a_run_that_has_finished_is_not_lost_by_them(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no room")

    monkeypatch.setattr(baselines, "answers", fail)
    output = {"directory": str(tmp_path), "figures": False, "baselines": "yes"}
    done = run(parse(tiny(tmp_path, output=output, training=SHORT)))
    assert done.summary["baselines"] == {"baselines": [], "why": "RuntimeError: no room"}
    assert "no baselines: RuntimeError: no room" in results_text(done.summary)


def test_several_tasks_are_compared_each_by_its_metric(tmp_path):
    raw = tiny(
        tmp_path,
        data={"kind": "tabular", "name": "diabetes"},
        output={"directory": str(tmp_path), "figures": False, "baselines": "yes"},
        training=SHORT,
        representation={"features": 4},
        tasks={"disease": {"labels": 60}, "pressure": {"target": "bp"}},
    )
    raw["data"].pop("n")
    raw["training"] = SHORT
    record = run(parse(raw)).summary["baselines"]
    assert record["metric"] == "disease.absolute_error"
    assert record["fitted_on"] == 60
    assert {"disease.absolute_error", "pressure.r2"} <= set(of(record, "linear")["metrics"])


def test_an_autoencoder_is_compared_with_principal_components(tmp_path):
    raw = tiny(
        tmp_path,
        data={"kind": "tabular", "name": "iris"},
        output={"directory": str(tmp_path), "figures": False, "baselines": "yes"},
        training=SHORT,
    )
    raw |= {"model": {"kind": "deep_autoencoder", "widths": [3, 2]}, "training": SHORT}
    raw["data"].pop("n")
    done = run(parse(raw))
    found = of(done.summary["baselines"], "principal components")["metrics"]
    x, mean = done.dataset.test.x, done.dataset.train.x.mean(0)
    _, _, rows = np.linalg.svd(done.dataset.train.x - mean)
    error = (x - mean) - (x - mean) @ rows[:2].T @ rows[:2]
    assert found["absolute_error"] == pytest.approx(np.abs(error).mean(), rel=1e-4)


def test_where_there_are_none_it_is_said(moons):
    record = compare(moons.config, moons.dataset, "test", moons.dataset.test, {"other": {"mean": 1.0}})
    assert record["ahead"] is None
    assert comparison_in_words({"baselines": [], "why": "there are none"}) == ["no baselines: there are none"]


def test_the_part_that_is_asked_for_must_be_there(moons):
    with pytest.raises(ConfigError, match="split: got 'tset'"):
        evaluate_baselines(moons.folder, split="tset")


def test_lines_name_what_was_drawn_and_what_was_not_computed():
    record = {
        "split": "test", "metric": "absolute_error", "net": 2.0, "best": "linear", "ahead": False,
        "fitted_on": 1000, "training_examples": 50000, "measured_on": 9, "examples": 10,
        "baselines": [
            {"name": "mean", "about": "", "metrics": {"absolute_error": 3.0}, "seconds": 0.0},
            {"name": "linear", "about": "", "metrics": {"absolute_error": 1.5}, "seconds": 0.0},
            {"name": "boosted trees", "about": "", "metrics": {}, "seconds": 0.0, "why": "9 outputs"},
        ],
    }  # fmt: skip
    assert comparison_in_words(record) == [
        "baselines, test absolute error: linear 1.5, mean 3 (fitted on 1,000 of 50,000 examples, measured on "
        "9 of 10)",
        "baselines not computed: boosted trees (9 outputs)",
        "not ahead of its baselines: linear 1.5, the net 2 (9 examples)",
    ]
