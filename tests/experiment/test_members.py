"""Which of a run's members is used: the best point's by default, any by name, a failed one never."""

# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportOptionalSubscript=false, reportArgumentType=false
import csv
import json

import jax
import numpy as np
import pytest
from tiny_run import tiny

from dlnotes import data, models
from dlnotes.config import ConfigError, parse
from dlnotes.experiment.evaluate import evaluate_run
from dlnotes.experiment.export import export_run
from dlnotes.experiment.groups import groups
from dlnotes.experiment.kept_files import read_json
from dlnotes.experiment.members import choose
from dlnotes.experiment.predict import predict_run
from dlnotes.experiment.run import open_run, run

RATE, WIDTHS = "optimizer.learning_rate", "model.widths"
SWEEP = {"kind": "grid", "parameters": {WIDTHS: [[1], [6]], RATE: [1e-6, 0.05, 1e30]}}
"""Two programs of three rates each; the last rate fails."""


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    raw = tiny(
        tmp_path_factory.mktemp("swept"),
        model={"kind": "mlp", "dropout": 0.0},
        optimizer={"kind": "sgd"},
        training={"duration": "60 steps", "seeds": 2, "ema": None, "evaluate_every": "20 steps"},
        sweep=SWEEP,
    )
    return run(parse(raw))


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """Four seeds of which the first and the third fail, by a network whose start is not finite for them."""
    whole = models.mlp((2,), (3,), 2)

    def init(key):
        params = whole.init(key)
        bad = jax.random.uniform(jax.random.fold_in(key, 1)) < 0.5
        return jax.tree.map(lambda a: jax.numpy.where(bad, a * jax.numpy.inf, a), params)

    model = models.Model(init, whole.apply)
    raw = tiny(tmp_path_factory.mktemp("failing"), training={"duration": "5 steps", "seeds": 6, "ema": None})
    result = run(parse(raw), model=model)
    return result, open_run(result.folder, model=model)


def best_by_hand(result):
    """Highest validation accuracy, then lowest loss, of points with a finite mean."""
    found = [
        (-m["accuracy"]["mean"], m["loss"]["mean"], p["point"])
        for p in result.summary["points"]
        if (m := p["metrics"]["validation"])["loss"]["mean"] is not None
    ]
    return min(found)[2]


def test_by_default_the_best_point_is_used(swept, tmp_path):
    best = best_by_hand(swept)
    assert swept.summary["points"][best]["values"][RATE] == 0.05
    record = swept.summary["points"][best]
    assert swept.metrics == record["metrics"]
    trained = open_run(swept.folder)
    assert trained.chosen.point == best
    assert trained.chosen.in_words().endswith("the best of 6 on validation")
    assert trained.config.model.widths == tuple(record["values"][WIDTHS])
    got = evaluate_run(swept.folder)
    for name, measured in record["metrics"]["test"].items():
        np.testing.assert_allclose(got[name]["values"], measured["values"], rtol=1e-5)
    np.save(tmp_path / "x.npy", swept.dataset.standardize.inverse(swept.dataset.test.x))
    out = predict_run(swept.folder, tmp_path / "x.npy", output=tmp_path / "out.csv")
    model = models.mlp((2,), record["values"][WIDTHS], 2)
    logits = np.asarray(model.apply(swept.params(), swept.dataset.test.x))
    with open(out, newline="") as file:
        _, *rows = csv.reader(file)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(np.array([r[2:] for r in rows], float), p, atol=1e-5)
    accuracy = np.mean(logits.argmax(1) == swept.dataset.test.y)
    np.testing.assert_allclose(accuracy, record["metrics"]["test"]["accuracy"]["values"][0], rtol=1e-5)


def test_the_test_part_has_no_say(swept):
    """Were the test numbers turned round, the same point would be used."""
    path = swept.folder / "summary.json"
    before = path.read_text()
    summary = read_json(path)
    for p in summary["points"]:
        for name, measured in p["metrics"]["test"].items():
            if measured["mean"] is not None:
                measured["mean"] = -measured["mean"] if name == "loss" else 1 - measured["mean"]
    try:
        path.write_text(json.dumps(summary))
        assert open_run(swept.folder).chosen.point == best_by_hand(swept)
    finally:
        path.write_text(before)


@pytest.mark.parametrize("point", [0, 1, 3, 4, {WIDTHS: [6], RATE: 0.05}, {WIDTHS: (1,), RATE: 1e-6}])
def test_any_point_can_be_named_across_programs(point, swept, tmp_path):
    number = point if isinstance(point, int) else {0.05: 4, 1e-6: 0}[point[RATE]]
    record = swept.summary["points"][number]
    trained = open_run(swept.folder, point=point)
    assert (trained.chosen.point, dict(trained.chosen.values)) == (number, record["values"])
    assert swept.metrics_of(point) == record["metrics"]
    measured = evaluate_run(swept.folder, point=point)["loss"]["values"]
    np.testing.assert_allclose(measured, record["metrics"]["test"]["loss"]["values"], rtol=1e-5)
    for seed in range(2):
        whole = swept.params(2 * number + seed)  # counted over the whole run
        jax.tree.map(np.testing.assert_array_equal, whole, swept.params(seed, point=point))
        output = models.mlp((2,), record["values"][WIDTHS], 2).apply(whole, swept.dataset.test.x)
        right = np.mean(np.asarray(output).argmax(1) == swept.dataset.test.y)
        expected = record["metrics"]["test"]["accuracy"]["values"][seed]
        np.testing.assert_allclose(right, expected, rtol=1e-5)
    path = export_run(swept.folder, output=tmp_path / "model.jax", point=point, member=1)
    exported = jax.export.deserialize(bytearray(path.read_bytes()))
    raw = swept.dataset.standardize.inverse(swept.dataset.test.x).astype(np.float32)
    right = np.mean(np.asarray(exported.call(raw)).argmax(1) == swept.dataset.test.y)
    np.testing.assert_allclose(right, record["metrics"]["test"]["accuracy"]["values"][1], rtol=1e-5)
    assert f"point {number} (" in (tmp_path / "README.md").read_text()


def test_the_history_is_that_of_the_chosen_points_seeds(swept):
    for point in (0, 4):
        last = [r for r in swept.history(point) if r["split"] == "validation"][-1]
        expected = swept.summary["points"][point]["metrics"]["validation"]["loss"]["values"]
        np.testing.assert_allclose(last["loss"], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"point": 6}, "point: got 6, the run has 6, from 0"),
        ({"point": {RATE: 0.05}}, "which 2 points have: point 1"),
        ({"point": {RATE: 0.3}}, "which no point has: point 0"),
        ({"point": {"model.width": 3}}, "point: got 'model.width', swept are model.widths, optimizer"),
        ({"point": "1"}, "point: got '1', allowed are a number from 0 and a mapping"),
        ({"member": 12}, "member: got 12, the run has 12, from 0"),
        ({"point": 1, "member": 2}, "member: got 2, point 1"),
        ({"point": 2}, "every seed of point 2 (model.widths = 1, optimizer.learning_rate = 1e+30) failed"),
        ({"member": 5}, "member: 5 (seed 1) failed, non-finite"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(asked, told, swept, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((1, 2), np.float32))
    with pytest.raises(ConfigError) as error:
        predict_run(swept.folder, tmp_path / "x.npy", **asked)
    assert told in str(error.value)
    if "member" not in asked:
        with pytest.raises(ConfigError) as error:
            evaluate_run(swept.folder, **asked)
        assert told in str(error.value)


def test_an_opened_run_can_be_asked_for_another_point_of_its_program(swept, tmp_path):
    trained = open_run(swept.folder, point=4)
    np.testing.assert_allclose(
        evaluate_run(trained, point=3)["loss"]["values"],
        swept.metrics_of(3)["test"]["loss"]["values"],
        rtol=1e-5,
    )
    with pytest.raises(ConfigError, match=r"is of another program: open_run\(folder, point=0\)"):
        evaluate_run(trained, point=0)


def test_a_run_that_has_not_ended_has_no_best_point_yet(swept):
    path = swept.folder / "summary.json"
    hidden = path.rename(path.with_suffix(".hidden"))
    try:
        with pytest.raises(
            ConfigError, match=r"has not ended .there is no summary.json.*name a point of the sweep, 0 to 5"
        ):
            open_run(swept.folder)
        assert open_run(swept.folder, point=4).chosen.point == 4
    finally:
        hidden.rename(path)


def test_failed_seeds_are_left_out_and_counted(failing, tmp_path):
    result, trained = failing
    bad = {s["member"] for s in result.summary["points"][0]["stopped"]}
    assert 0 < len(bad) < 6
    measured = evaluate_run(trained)
    for name, expected in result.metrics["test"].items():
        np.testing.assert_allclose(measured[name]["mean"], expected["mean"], rtol=1e-5)
        assert {i for i, v in enumerate(measured[name]["values"]) if not np.isfinite(v)} == bad
    first = min(set(range(6)) - bad)
    jax.tree.map(np.testing.assert_array_equal, result.params(), result.params(first))
    np.save(tmp_path / "x.npy", np.zeros((1, 2), np.float32))
    one = predict_run(trained, tmp_path / "x.npy", output=tmp_path / "a.csv").read_text()
    assert (
        one == predict_run(trained, tmp_path / "x.npy", output=tmp_path / "b.csv", member=first).read_text()
    )
    assert "nan" not in one
    with pytest.raises(ValueError, match=rf"member: {min(bad)} \(seed {min(bad)}\) failed, non-finite"):
        result.params(min(bad))


def test_without_a_validation_part_the_training_part_decides(tmp_path):
    sweep = {"kind": "grid", "parameters": {RATE: [1e-6, 0.05]}}
    training = {"duration": "40 steps", "seeds": 1, "ema": None}
    raw = tiny(tmp_path, data={"validation": 0}, training=training, sweep=sweep)
    result = run(parse(raw), keep=False)
    assert [set(p["metrics"]) for p in result.summary["points"]] == [{"train", "test"}] * 2
    assert result.chosen().why == "the best of 2 on train"
    assert result.chosen().point == 1


def test_members_are_counted_over_points_of_any_number_of_seeds():
    raw = {
        "data": {"kind": "xor"},
        "model": {"kind": "mlp"},
        "sweep": {"kind": "grid", "parameters": {"training.seeds": [2, 3], RATE: [0.1, 0.2]}},
    }
    plan = groups(parse(raw))
    numbers = [choose(plan, None, p).numbers for p in range(4)]
    assert numbers == [range(0, 2), range(2, 4), range(4, 7), range(7, 10)]
    chosen = choose(plan, None, member=8)
    assert (chosen.point, chosen.seeds[1], chosen.member) == (3, 1, 4)


def test_a_value_may_be_named_as_the_table_shows_it():
    raw = {
        "data": {"kind": "xor"},
        "model": {"kind": "mlp"},
        "sweep": {
            "kind": "random",
            "samples": 5,
            "parameters": {RATE: {"low": 1e-3, "high": 0.1, "scale": "log"}},
        },
    }
    plan = groups(parse(raw))
    for point in range(5):
        value = choose(plan, None, point).values[RATE]
        assert choose(plan, None, {RATE: float(f"{value:.4g}")}).point == point


@pytest.mark.slow
def test_a_dataset_of_ones_own_can_be_used_with_a_sweep(tmp_path):
    dataset = data.two_moons(n=60, noise=0.05, seed=3)
    sweep = {"kind": "grid", "parameters": {WIDTHS: [[2], [3]]}}
    raw = tiny(tmp_path, training={"duration": "3 steps", "seeds": 1}, sweep=sweep)
    result = run(parse(raw), dataset=dataset)
    point = 1 - result.chosen().point
    trained = open_run(result.folder, point=point, dataset=dataset)
    assert trained.config.model.widths == ((2,), (3,))[point]
