"""Several tasks from a config: trained, resumed, measured, used, drawn; one task is a plain run."""

import csv

import jax
import numpy as np
import pytest

from dlnotes import data, models
from dlnotes.config import ConfigError, parse
from dlnotes.experiment.evaluate import evaluate_run
from dlnotes.experiment.export import export_run
from dlnotes.experiment.one_task import one_task
from dlnotes.experiment.predict import predict_run
from dlnotes.experiment.run import Interrupted, open_run, resume, run

DIGITS = {
    "data": {"kind": "digits", "validation": 100, "test": 100},
    "model": {"kind": "mlp", "widths": [6], "dropout": 0.1},
    "representation": {"features": 8, "dropout": 0.1},
    "training": {"duration": "12 steps", "batch_size": 64, "seeds": 2, "log_every": 4},
    "tasks": {
        "digit": {"labels": 30, "repeat": 3},
        "image": {"target": "inputs", "corruption": "mask", "widths": [7], "weight": 0.5},
    },
}


def config(directory, **sections):
    """A config mapping of a short run; a section of ``None`` is left out."""
    raw = {
        "optimizer": {"kind": "adam", "learning_rate": 0.02},
        "devices": {"strategy": "single"},
        "output": {"figures": False, "directory": str(directory)},
    }
    raw |= DIGITS | sections
    for name in ("output", "training"):
        raw[name] = (DIGITS | {"output": {"figures": False, "directory": str(directory)}})[name] | raw[name]
    return {name: section for name, section in raw.items() if section is not None}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    raw = config(tmp_path_factory.mktemp("tasks"), output={"figures": True})
    return run(parse(raw))


@pytest.mark.slow
def test_metrics_of_every_task_are_kept(trained):
    test = trained.metrics["test"]
    assert list(test)[:4] == ["loss", "digit.loss", "digit.accuracy", "image.loss"]
    for seed in range(2):
        digit, image = (test[f"{name}.loss"]["values"][seed] for name in ("digit", "image"))
        assert test["loss"]["values"][seed] == pytest.approx(digit + 0.5 * image, rel=1e-5)
    assert 0 <= test["digit.accuracy"]["low"] <= test["digit.accuracy"]["high"] <= 1
    dataset, params = trained.dataset, trained.params(member=1)
    h = np.maximum(np.maximum(flat(dataset.test.x) @ params.trunk.hidden[0].W + params.trunk.hidden[0].b, 0)
                   @ params.trunk.output.W + params.trunk.output.b, 0)  # fmt: skip
    (head,) = params.heads["digit"]
    right = (h @ head.W + head.b).argmax(1) == dataset.test.y["digit"]
    assert test["digit.accuracy"]["values"][1] == pytest.approx(right.mean())


def flat(x):
    return x.reshape(len(x), -1)


def test_figures_of_every_task_are_drawn(trained):
    figures = trained.folder / "figures"
    assert {str(p.relative_to(figures)) for p in figures.rglob("*.png")} == {
        "baselines.png",
        "learning_curve.png",
        "digit/class_report.png",
        "digit/confusion_matrix.png",
        "digit/worst_mistakes.png",
        "image/reconstruction.png",
    }


def test_it_is_evaluated_again(trained):
    again = evaluate_run(trained.folder, split="test")
    for name, measured in trained.metrics["test"].items():
        assert again[name]["values"] == pytest.approx(measured["values"], rel=1e-6)
    together = evaluate_run(trained.folder, split="test", ensemble=True)
    quality = ("macro_f1", "balanced_accuracy", "auc", "log_loss", "calibration_error")
    assert set(together) == {f"digit.{name}" for name in ("loss", "accuracy", *quality)}
    assert together["digit.loss"]["mean"] <= again["digit.loss"]["mean"]


def test_predictions_have_the_columns_of_every_task(trained, tmp_path):
    x = trained.dataset.test.x[:5]
    raw = trained.dataset.standardize.inverse(x)
    np.savez(tmp_path / "new.npz", x=raw)
    with open(predict_run(trained.folder, tmp_path / "new.npz", output=tmp_path / "p.csv")) as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:3] == ["row", "digit.class", "digit.p(0)"]
    assert len(rows[0]) == 12
    found = np.load(predict_run(trained.folder, tmp_path / "new.npz", output=tmp_path / "p.npz"))
    assert found["image.value"].shape == (5, 8, 8, 1)
    opened = open_run(trained.folder)
    output = opened.evaluator.setup.recipe_of({}).model.apply(trained.params(), x)
    np.testing.assert_allclose(
        found["image.value"],
        trained.dataset.standardize.inverse(np.asarray(output["image"].output).reshape(5, 8, 8, 1)),
        rtol=1e-4,
        atol=1e-4,
    )
    p = jax.nn.softmax(output["digit"])
    np.testing.assert_allclose([float(r["digit.p(3)"]) for r in rows], p[:, 3], rtol=1e-5)


def test_one_of_the_tasks_is_exported(trained, tmp_path):
    with pytest.raises(ConfigError, match="task: an exported file is of one task; name one of digit, image"):
        export_run(trained.folder)
    with pytest.raises(ConfigError, match="task: got 'image', which reconstructs its inputs; allowed: digit"):
        export_run(trained.folder, task="image")
    with pytest.raises(ConfigError, match="task: got 'digits'; did you mean 'digit'"):
        one_task(open_run(trained.folder), "digits")
    path = export_run(trained.folder, output=tmp_path / "model.jax", task="digit")
    call = jax.export.deserialize(bytearray(path.read_bytes())).call
    x = trained.dataset.test.x[:4]
    want = open_run(trained.folder).evaluator.setup.recipe_of({}).model.apply(trained.params(), x)["digit"]
    got = call(trained.dataset.standardize.inverse(x))
    np.testing.assert_allclose(got, jax.nn.softmax(want), rtol=1e-4, atol=1e-5)


def test_a_plain_run_is_that_of_one_task(tmp_path):
    """The network, its data, its numbers: with the parameters of the one, the other measures the same."""
    plain = run(
        parse(
            config(
                tmp_path,
                tasks=None,
                representation=None,
                model={"kind": "mlp", "widths": [6, 8], "dropout": 0.0},
            )
        )
    )
    one = run(
        parse(
            config(
                tmp_path,
                tasks={"digit": {}},
                representation={"features": 8},
                model={"kind": "mlp", "widths": [6], "dropout": 0.0},
            )
        )
    )
    p = plain.params()
    moved = models.Shared(type(p)(p.hidden[:1], p.slopes[:1], p.hidden[1]), {"digit": (p.output,)})
    opened = open_run(one.folder)
    members = jax.tree.map(lambda a: np.asarray(a)[:1], opened.state.members)._replace(
        params=jax.tree.map(lambda a: np.asarray(a)[None], moved)
    )
    found = opened.evaluator.evaluate(members, "test")
    want = plain.metrics["test"]
    assert found["digit.loss"][0] == pytest.approx(want["loss"]["values"][0], rel=1e-6)
    assert found["digit.accuracy"][0] == want["accuracy"]["values"][0]


def test_weights_are_swept_in_one_program(tmp_path):
    grid = {
        "kind": "grid",
        "parameters": {"tasks.image.weight": [0.0, 2.0], "tasks.image.amount": [0.1, 0.5]},
    }
    result = run(parse(config(tmp_path, sweep=grid)))
    assert len(result.groups) == 1
    points = result.summary["points"]
    assert [p["values"]["tasks.image.weight"] for p in points] == [0.0, 0.0, 2.0, 2.0]
    first, second, third, _ = (p["metrics"]["validation"]["image.loss"]["mean"] for p in points)
    assert first == pytest.approx(second)  # nothing is learned of it, whatever the noise
    assert third < first
    alone = run(
        parse(
            config(
                tmp_path,
                tasks={
                    "digit": DIGITS["tasks"]["digit"],
                    "image": {
                        "target": "inputs",
                        "corruption": "mask",
                        "widths": [7],
                        "weight": 2.0,
                        "amount": 0.5,
                    },
                },
            )
        )
    )
    assert points[3]["metrics"]["test"]["digit.loss"]["values"] == pytest.approx(
        alone.metrics["test"]["digit.loss"]["values"], rel=1e-4
    )


@pytest.mark.parametrize(
    "devices",
    [
        {"strategy": "mesh", "count": 8},
        pytest.param({"strategy": "pmap", "count": 2}, marks=pytest.mark.slow),
        pytest.param({"strategy": "single", "resident": "no"}, marks=pytest.mark.slow),
    ],
    ids=["a batch over eight devices", "a seed on each of two", "streamed"],
)
def test_devices_train_as_one_does(tmp_path, devices):
    """To rounding, with plain descent."""
    raw = config(tmp_path, optimizer={"kind": "sgd", "learning_rate": 0.1})
    one, other = run(parse(raw)), run(parse(raw | {"devices": devices}))
    for a, b in zip(*(jax.tree.leaves(result.states[0].members.params) for result in (one, other))):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_an_interrupted_run_goes_on_bit_for_bit(tmp_path):
    raw = config(tmp_path, checkpoint={"every_seconds": 0})
    whole = run(parse(raw))
    seen = []

    def stop(progress):
        seen.append(progress)
        if len(seen) == 3:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted) as told:
        run(parse(raw), watch=stop)
    again = resume(told.value.folder)
    for a, b in zip(jax.tree.leaves(whole.states[0]), jax.tree.leaves(again.states[0])):
        np.testing.assert_array_equal(a, b)


ROWS = [("a", "b", "size", "color", "noise")]
RNG = np.random.default_rng(1)
for _i in range(90):
    _a, _b = RNG.normal(size=2)
    ROWS.append(
        (
            f"{_a:.4f}",
            f"{_b:.4f}",
            f"{10 * (_a - _b):.3f}" if _i % 3 else "",
            "red" if _a > 0 else "blue",
            f"{RNG.normal():.3f}",
        )
    )
TABLE = {
    "model": {"kind": "mlp", "widths": []},
    "representation": {"features": 6, "activation": "tanh"},
    "tasks": {"color": {}, "size": {"target": "size"}},
    "training": {"duration": "60 steps", "batch_size": 32, "seeds": 2, "log_every": 30},
    "optimizer": {"kind": "adam", "learning_rate": 0.03},
}


def test_a_table_with_missing_targets(tmp_path):
    with open(tmp_path / "own.csv", "w", newline="") as file:
        csv.writer(file).writerows(ROWS)
    own = {"kind": "csv", "path": str(tmp_path / "own.csv"), "target": "color", "drop": []}
    result = run(parse(config(tmp_path, data=own, **TABLE)))
    test = result.metrics["test"]
    assert {"color.accuracy", "size.absolute_error", "size.r2"} <= set(test)
    assert test["size.r2"]["mean"] > 0.5
    measured = evaluate_run(result.folder, data_path=tmp_path / "own.csv")
    assert measured["color.accuracy"]["mean"] > 0.9
    path = predict_run(result.folder, tmp_path / "own.csv", output=tmp_path / "p.csv")
    with open(path) as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["row", "color.class", "color.p(blue)", "color.p(red)", "size.value"]
    known = [i for i, row in enumerate(ROWS[1:]) if row[2]]
    error = np.mean([abs(float(rows[i]["size.value"]) - float(ROWS[1:][i][2])) for i in known])
    value = measured["size.absolute_error"]["values"][0]
    assert error == pytest.approx(value, rel=1e-4)
    (tmp_path / "own.csv").rename(tmp_path / "moved.csv")  # the data are gone, what is known of them is kept
    again = predict_run(result.folder, tmp_path / "moved.csv", output=tmp_path / "q.csv")
    assert again.read_text() == path.read_text()


def test_a_network_of_ones_own_answers_every_task(tmp_path):
    raw = config(tmp_path, model={"kind": "given"}, representation=None, tasks={"digit": {}})
    own = models.shared(models.mlp(64, (), 5), {"digit": models.head(5, (), 10)})
    assert "digit.accuracy" in run(parse(raw), model=own).metrics["test"]
    with pytest.raises(ConfigError, match="output, y: got .*, allowed are a dict by task and Targets"):
        run(parse(raw), model=models.mlp(64, (), 10))


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"tasks": {}}, "tasks: got .*at least 1"),
        ({"tasks": None}, "representation: is shared by the"),
        (
            {"tasks": {"digit": {"weight": -1}}},
            r"tasks.digit.weight: got -1, must be greater than or equal to 0",
        ),
        (
            {"tasks": {"digit": {"weight": 0}, "image": {"target": "inputs", "weight": 0.0}}},
            "tasks: got a weight of 0 for every task",
        ),
        (
            {"tasks": {"digit": {"weigth": 1}}},
            "tasks.digit.weigth: got 1, unknown option; did you mean 'weight'",
        ),
        ({"tasks": {"my task": {}}}, r"tasks.my task"),
        ({"tasks": {"digit": {"labels": 0}}}, "labels: got 0, allowed is above 0"),
        (
            {"tasks": {"digit": {"target": "class"}}},
            "tasks.digit.target: got 'class', columns are for data.kind 'csv'",
        ),
        ({"tasks": {"image": {"target": "inputs", "labels": 3}}}, "labels: got 3 for a reconstruction"),
        (
            {"tasks": {"image": {"target": "inputs", "loss": "hinge"}}},
            "loss: got 'hinge' for a reconstruction",
        ),
        (
            {"tasks": {"image": {"target": "inputs", "corruption": "mask", "amount": 2}}},
            "amount: got 2.0, allowed is 0 to 1",
        ),
        ({"training": {"loss": "brier"}}, "training.loss: got 'brier' with .tasks."),
        ({"training": {"label_smoothing": 0.1}}, "training.label_smoothing: got 0.1 with .tasks."),
        ({"teacher": {"runs": ["r"]}}, "teacher: cannot be combined with .tasks."),
        (
            {"model": {"kind": "gated_mlp", "widths": [16]}},
            "model.kind: got 'gated_mlp' with .tasks., allowed",
        ),
        (
            {"sweep": {"kind": "grid", "parameters": {"tasks.image.weight": [-1.0]}}},
            "sweep.parameters.tasks.image.weight",
        ),
        (
            {"sweep": {"kind": "grid", "parameters": {"tasks.imag.weight": [1.0]}}},
            "sweep.parameters.tasks.imag.weight: the config has no task 'imag'; did you mean 'image'",
        ),
    ],
)
def test_a_config_that_does_not_fit_is_named(tmp_path, sections, told):
    with pytest.raises(ConfigError, match=told):
        parse(config(tmp_path, **sections))


@pytest.mark.parametrize(
    ("tasks", "told"),
    [
        ({"digit": {"labels": 4}}, r"tasks.digit.labels: got 4, class '\d' and others would have none"),
        ({"digit": {"loss": "squared_error"}}, "tasks.digit.loss: got 'squared_error', which does not fit"),
    ],
)
def test_data_that_do_not_fit_are_named_before_anything_is_written(tmp_path, tasks, told):
    with pytest.raises(ConfigError, match=told):
        run(parse(config(tmp_path) | {"tasks": tasks}))
    assert not list(tmp_path.iterdir())


def test_a_data_set_of_ones_own_gets_the_targets(tmp_path):
    own = data.load("two_moons", n=60)
    two = {"moon": {}, "point": {"target": "inputs"}}
    raw = config(tmp_path, data={"kind": "two_moons", "n": 60}, tasks=two)
    assert "point.loss" in run(parse(raw), dataset=own).metrics["test"]
