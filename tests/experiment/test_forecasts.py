"""Forecasts of the rows after the last one: at once, step by step, with quantiles, over seeds."""

# pyright: reportOptionalMemberAccess=false, reportArgumentType=false, reportOptionalOperand=false, reportAttributeAccessIssue=false

import csv
from datetime import date, timedelta

import numpy as np
import pytest
from tiny_run import tiny

from dlnotes.config import ConfigError, parse
from dlnotes.experiment.evaluate import evaluate_run
from dlnotes.experiment.evaluate_ahead import rolling_origin, told_ahead
from dlnotes.experiment.opening import open_run
from dlnotes.experiment.predict import predict_run
from dlnotes.experiment.run import run
from dlnotes.outputs.quantiles import quantile_loss, quantiles_of

SHORT = {"duration": "4 steps", "batch_size": 8, "seeds": 2, "ema": None}
MODEL = {"kind": "sequence_classifier", "cell": "rnn", "hidden": 3}


def trained(path, data, output=False, **training):
    config = tiny(
        path / "runs",
        data={"kind": "csv_series", "path": str(path / "own.csv"), "validation": 5, "test": 6} | data,
        model=MODEL,
        training=SHORT | training,
        output={"figures": output},
    )
    del config["data"]["n"], config["model"]["widths"], config["model"]["dropout"]
    return run(parse(config)).folder


def table(path, values, header):
    path.write_text(header + "\n" + "\n".join(",".join(map(str, row)) for row in values) + "\n")
    return path


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def numbers(rows, name):
    return np.array([float(row[name]) for row in rows])


def dated(n, first=date(2024, 1, 1)):
    rng = np.random.default_rng(2)
    return [(first + timedelta(days=i), round(3 + np.sin(i) + rng.normal() / 9, 3)) for i in range(n)]


def test_the_rows_after_the_last_one_are_forecast(tmp_path):
    table(tmp_path / "own.csv", dated(60), "day,load")
    data = {"time": "day", "calendar": ["weekday"], "window": 5, "horizon": [1, 2, 7]}
    folder = trained(tmp_path, data, loss="quantiles", quantiles=[0.1, 0.5, 0.9])
    (tmp_path / "own.csv").unlink()  # the columns, the scales and the step are the run's own
    new = table(tmp_path / "new.csv", dated(8), "day,load")
    rows = read(predict_run(folder, new, output=tmp_path / "out.csv"))
    assert list(rows[0]) == ["row", "day", "ahead", "from", "load", "load_q0.1", "load_q0.9"]
    assert [r["row"] for r in rows[-3:]] == ["1 after line 9", "2 after line 9", "7 after line 9"]
    assert [r["day"] for r in rows[-3:]] == ["2024-01-09", "2024-01-10", "2024-01-15"]
    assert (rows[0]["row"], rows[0]["from"], rows[0]["ahead"], len(rows)) == ("line 7", "line 6", "1", 12)
    assert (numbers(rows, "load_q0.1") <= numbers(rows, "load")).all()
    assert (numbers(rows, "load") <= numbers(rows, "load_q0.9")).all()
    last = read(predict_run(folder, new, output=tmp_path / "out.csv", future=True))
    assert [r["row"] for r in last] == [r["row"] for r in rows[-3:]]
    np.testing.assert_allclose(numbers(last, "load"), numbers(rows[-3:], "load"), rtol=1e-5)
    arrays = np.load(predict_run(folder, new, output=tmp_path / "out.npz", future=True))
    np.testing.assert_array_equal(arrays["load"], numbers(last, "load"))


def test_coverage_of_the_test_part_is_told_and_counted_from_predictions(tmp_path):
    rows = dated(60)
    table(tmp_path / "own.csv", rows, "day,load")
    levels = [0.25, 0.5, 0.75]
    data = {"time": "day", "window": 5, "horizon": [1, 2], "validation": 5, "test": 10}
    folder = trained(tmp_path, data, loss="quantiles", quantiles=levels, seeds=1, duration="40 steps")
    measured = evaluate_run(folder)
    assert measured["interval_nominal"]["mean"] == 0.5
    told = read(predict_run(folder, tmp_path / "own.csv"))
    truth = {f"line {i + 2}": y for i, (_, y) in enumerate(rows)}
    tested = [r for r in told if int(r["from"].split()[1]) >= 60 + 1 - 11 and r["row"] in truth]
    tested = [r for r in tested if f"line {int(r['from'].split()[1]) + 2}" in truth]
    assert len(tested) == 20
    y = np.array([truth[r["row"]] for r in tested])
    low, high = numbers(tested, "load_q0.25"), numbers(tested, "load_q0.75")
    np.testing.assert_allclose(((low <= y) & (y <= high)).mean(), measured["interval_coverage"]["mean"])
    np.testing.assert_allclose((high - low).mean(), measured["interval_width"]["mean"], rtol=1e-5)
    error = np.abs(numbers(tested, "load") - y).mean()
    np.testing.assert_allclose(error, measured["absolute_error"]["mean"], rtol=1e-5)


@pytest.mark.parametrize("relative", [pytest.param(False, marks=pytest.mark.slow), True])
def test_step_by_step_is_one_row_ahead_again_and_again(tmp_path, relative):
    rng = np.random.default_rng(0)
    rows = [(*rng.normal(2, 1, 2).round(3), i % 3) for i in range(40)]
    table(tmp_path / "own.csv", rows, "load,heat,price")
    data = {
        "targets": ["heat", "load"],
        "columns": ["load", "heat"],
        "known": ["price"],
        "window": 4,
        "steps": 3,
        "relative": relative,
    }
    folder = trained(tmp_path, data)
    known = [("", "", 7), ("", "", -1), ("", "", 2)]
    file = tmp_path / "new.csv"
    at_once = read(predict_run(folder, table(file, rows[:9] + known, "load,heat,price"), future=True))
    assert [r["row"] for r in at_once] == [f"{k} after line 10" for k in (1, 2, 3)]
    seen = rows[:9]
    for k, row in enumerate(at_once):
        one = read(predict_run(folder, table(file, seen + known[k:], "load,heat,price"), future=True))[0]
        for name in ("heat", "load"):
            np.testing.assert_allclose(float(one[name]), float(row[name]), rtol=1e-5)
        seen = [*seen, (row["load"], row["heat"], known[k][2])]
    every = read(predict_run(folder, table(file, rows[:9] + known[:1], "load,heat,price")))
    assert len(every) == 4 * 3 + 2 + 1  # what is known in advance ends a row after the last one


@pytest.mark.parametrize("relative", [pytest.param(False, marks=pytest.mark.slow), True])
def test_errors_from_every_origin_are_those_of_predictions(tmp_path, relative):
    rows = [(d, 50 + y + i) for i, (d, y) in enumerate(dated(60))]
    table(tmp_path / "own.csv", rows, "day,load")
    data = {"time": "day", "window": 5, "horizon": [1, 3], "relative": relative, "test": 9}
    folder = trained(tmp_path, data, loss="quantiles", quantiles=[0.2, 0.5, 0.8], seeds=1)
    near, far = rolling_origin(folder)
    measured = evaluate_run(folder)
    for name in ("absolute_error", "interval_coverage"):
        mean = (near[name]["mean"] + far[name]["mean"]) / 2
        np.testing.assert_allclose(mean, measured[name]["mean"], rtol=1e-4)
    assert (near["ahead"], far["ahead"], near["origins"], far["origins"]) == (1, 3, 9, 9)
    told = read(predict_run(folder, tmp_path / "own.csv"))
    truth = {f"line {i + 2}": y for i, (_, y) in enumerate(rows)}
    mine = [r for r in told if r["ahead"] == "3" and r["row"] in truth][-9:]
    error = np.abs(numbers(mine, "load") - [truth[r["row"]] for r in mine]).mean()
    np.testing.assert_allclose(error, far["absolute_error"]["mean"], rtol=1e-4)
    whole = rolling_origin(folder, data_path=tmp_path / "own.csv")
    assert [r["origins"] for r in whole] == [55, 53]
    with pytest.raises(ConfigError, match="split: got 'later', allowed are train"):
        rolling_origin(folder, split="later")
    assert "ahead" in told_ahead(whole)[0]


def test_the_figures_hold_history_forecast_and_interval(tmp_path):
    rows = [(d, n, y) for d, y in dated(40) for n in "ab"]
    table(tmp_path / "own.csv", rows, "day,who,load")
    data = {"time": "day", "series": "who", "window": 4, "steps": 3, "relative": True}
    figures = trained(tmp_path, data, output=True) / "figures"
    drawn = read(figures / "forecast.csv")
    assert {r["series"] for r in drawn} == {"a", "b"}
    ahead = [r for r in drawn if r["what"] == "forecast" and r["series"] == "a"]
    assert [r["time"] for r in ahead] == ["2024-02-10", "2024-02-11", "2024-02-12"]
    assert (numbers(ahead, "low") <= numbers(ahead, "value")).all()
    known = [r for r in drawn if r["what"] == "known" and r["series"] == "b"]
    assert [float(r["value"]) for r in known][-30:] == [y for _, y in dated(40)][-30:]
    assert any(r["what"] == "forecast from line 74" for r in drawn)
    errors = read(figures / "forecast_errors.csv")
    assert [r["ahead"] for r in errors] == ["1", "2", "3"]
    assert [int(r["origins"]) for r in errors] == [12, 10, 8]
    assert (figures / "forecast.png").stat().st_size > 5000


def test_an_interval_by_the_errors_of_validation(tmp_path):
    rows = dated(70)
    table(tmp_path / "own.csv", rows, "day,load")
    data = {"time": "day", "window": 5, "steps": 2, "validation": 12, "test": 9}
    folder, said = trained(tmp_path, data, seeds=1), []
    told = read(predict_run(folder, tmp_path / "own.csv", interval=0.75, tell=said.append))
    truth = {f"line {i + 2}": y for i, (_, y) in enumerate(rows)}
    value, low, high = (numbers(told, f"load{end}") for end in ("", "_low_75%", "_high_75%"))
    np.testing.assert_allclose(high - value, value - low, rtol=1e-6)
    from_line = np.array([int(r["from"].split()[1]) for r in told])
    first = numbers(told, "ahead") == 1
    error = np.abs([v - truth.get(r["row"], np.nan) for v, r in zip(value, told)])
    validated = error[first & (from_line >= 46) & (from_line < 58)]  # its targets are lines 47 to 58
    assert len(validated) == 12
    tested = first & (from_line >= 62) & (from_line < 71)
    assert tested.sum() == 9
    np.testing.assert_allclose(np.sort(validated)[9], (high - value)[first][0], rtol=1e-5)
    assert (
        "75% by the errors on the validation part (11 of each distance); of the test part it held" in said[0]
    )
    for share, message in ((0.99, "11 errors .* too few|12 errors .* too few"), (1.5, "got 1.5, allowed")):
        with pytest.raises(ConfigError, match=message):
            predict_run(folder, tmp_path / "own.csv", interval=share)


def test_seeds_spread_and_one_is_not_enough(tmp_path):
    table(tmp_path / "own.csv", dated(50), "day,load")
    folder = trained(tmp_path, {"time": "day", "window": 4, "horizon": 2})
    each = [read(predict_run(folder, tmp_path / "own.csv", member=m, future=True))[0] for m in (0, 1)]
    row = read(predict_run(folder, tmp_path / "own.csv", future=True, over_seeds=True))[0]
    values = [float(one["load"]) for one in each]
    np.testing.assert_allclose(float(row["load"]), np.mean(values), rtol=1e-6)
    ends = float(row["load_least_of_2_seeds"]), float(row["load_greatest_of_2_seeds"])
    np.testing.assert_allclose(ends, sorted(values), rtol=1e-6)
    assert set(evaluate_run(folder, ensemble=True)) == {"loss", "absolute_error"}
    alone = trained(tmp_path, {"time": "day", "window": 4}, seeds=1)
    with pytest.raises(ConfigError, match="over_seeds: got a run with 1 good seed"):
        predict_run(alone, tmp_path / "own.csv", over_seeds=True)
    for options in ({"future": True}, {"over_seeds": True}):
        np.save(tmp_path / "x.npy", np.zeros((2, 4, 1)))
        with pytest.raises(ConfigError, match=f"{next(iter(options))}: is for the tables"):
            predict_run(alone, tmp_path / "x.npy", **options)


def test_a_new_file_with_faults_is_named(tmp_path):
    table(tmp_path / "own.csv", dated(50), "day,load")
    folder = open_run(trained(tmp_path, {"time": "day", "window": 4}, seeds=1))
    for rows, message in (
        (dated(3), "3 rows are too few, own needs 4"),
        ([r for i, r in enumerate(dated(9)) if i != 5], "follows 2024-01-05, 1 row missing"),
        ([(f"{2000 + i}", 1) for i in range(9)], "holds times of the form 'number'"),
    ):
        with pytest.raises(ConfigError, match=message):
            predict_run(folder, table(tmp_path / "new.csv", rows, "day,load"))
    with pytest.raises(ConfigError, match="column load is missing"):
        predict_run(folder, table(tmp_path / "new.csv", dated(9), "day,heat"))


@pytest.mark.parametrize(
    ("data", "training", "message"),
    [
        ({}, {"loss": "quantiles"}, "quantiles: got .* with loss 'quantiles'"),
        ({}, {"quantiles": [0.5]}, "they go with 'quantiles'"),
        ({}, {"loss": "quantiles", "quantiles": [0.1, 0.9]}, "with 0.5, which is the prediction"),
        ({}, {"loss": "quantiles", "quantiles": [0.5, 0.1]}, "in growing order"),
        ({"horizon": []}, {}, "data.horizon"),
        ({"horizon": [0, 1]}, {}, "data.horizon"),
        ({"calendar": ["moon"]}, {}, "data.calendar.*moon"),
        ({"steps": 2}, {"loss": "quantiles", "quantiles": [0.1, 0.5]}, "horizon = \\[1, 2, 3\\]"),
    ],
)
def test_options_that_do_not_fit_are_named(tmp_path, data, training, message):
    with pytest.raises(ConfigError, match=message):
        trained(tmp_path, data, **training)


def test_quantiles_are_put_in_order_and_their_loss_is_pinballs():
    from sklearn.metrics import mean_pinball_loss

    rng = np.random.default_rng(3)
    raw, y, levels = rng.normal(size=(7, 6)).astype(np.float32), rng.normal(size=(7, 2)), (0.2, 0.5, 0.7)
    y = y.astype(np.float32)
    given = quantiles_of(raw, levels)
    np.testing.assert_array_equal(given.values, np.sort(raw.reshape(7, 2, 3), -1))
    np.testing.assert_array_equal(given.mean, np.sort(raw.reshape(7, 2, 3), -1)[..., 1])
    each = [mean_pinball_loss(y, raw.reshape(7, 2, 3)[..., i], alpha=q) for i, q in enumerate(levels)]
    np.testing.assert_allclose(quantile_loss(raw, y, levels=levels).total.mean(), np.mean(each), rtol=1e-5)
    with pytest.raises(ValueError, match="last axis must have 3 numbers"):
        quantiles_of(raw[:, :4], levels)
