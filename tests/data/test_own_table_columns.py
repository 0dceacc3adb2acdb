"""What a table's columns can be: dates in the calendar, many texts, weights, several targets."""

import datetime

import numpy as np
import pytest

from dlnotes import data
from dlnotes.data.own_files import OwnDataset

RNG = np.random.default_rng(3)
N = 60
DAYS = [datetime.date(2020, 1, 1) + datetime.timedelta(days=int(d)) for d in RNG.integers(900, size=N)]
CITIES = [f"town {i}" for i in RNG.integers(150, size=N)]
A = RNG.normal(size=N)
W = RNG.integers(0, 4, size=N)
COUNT = RNG.poisson(3, size=N)
LABELS = RNG.random((N, 3)) < 0.4
TAGS = [";".join(np.array(["x", "y", "z"])[row]) for row in LABELS]


def table(path, mark=",", date="%Y-%m-%d", **changed):
    columns = {
        "key": [f"r{i:03d}" for i in range(N)],
        "day": [d.strftime(date) for d in DAYS],
        "town": CITIES,
        "a": [f"{a:.4f}" for a in A],
        "w": W,
        "n": COUNT,
        "x": LABELS[:, 0].astype(int),
        "y": LABELS[:, 1].astype(int),
        "z": np.where(LABELS[:, 2], "yes", "no"),
        "tags": TAGS,
        "target": [f"{2 * a + 0.5:.4f}" for a in A],
    } | changed
    lines = [mark.join(columns), *(mark.join(map(str, row)) for row in zip(*columns.values()))]
    path.write_text("\ufeff" + "\r\n".join(lines) + "\r\n", encoding="utf-8", newline="")
    return path


def own(path, **options):
    known = {"target": "target", "hashed": {"town": 8}, "drop": ["tags", "z", "key", "day"]}
    return data.csv(path, **(known | options))


def test_a_date_has_its_place_in_the_year_and_the_week(tmp_path):
    path = table(tmp_path / "own.csv", mark="|", date="%d.%m.%Y")
    d = own(path, delimiter="|", date_format="%d.%m.%Y", calendar=["day"], drop=["tags", "z", "key"])
    own_inputs = [f for f in d.features if f.startswith("day")]
    assert own_inputs == ["day", "day:year_sin", "day:year_cos", "day:week_sin", "day:week_cos"]
    rows = np.concatenate([part.x for part in (d.train, d.validation, d.test)])
    rows = d.standardize.inverse(rows.astype(np.float64))
    days = np.rint(rows[:, d.features.index("day")]).astype(int)
    weekday = np.array(
        [(datetime.date(1970, 1, 1) + datetime.timedelta(days=int(n))).weekday() for n in days]
    )
    angle = np.arctan2(*(rows[:, d.features.index(f"day:week_{w}")] for w in ("sin", "cos")))
    assert len({(w, round(a, 3)) for w, a in zip(weekday, angle)}) == len(set(weekday))
    assert data.read_inputs(path, d).x.shape == (N, len(d.features))


def test_many_texts_share_inputs(tmp_path):
    path = table(tmp_path / "own.csv")
    d = own(path)
    assert [f for f in d.features if f.startswith("town")] == [f"town#{i}" for i in range(8)]
    new = table(tmp_path / "new.csv", town=["never seen", "", *CITIES[2:]])
    x = data.read_inputs(new, d).x
    assert np.isfinite(x).all()


def test_very_many_texts_are_refused_with_what_helps(tmp_path):
    path = tmp_path / "many.csv"
    path.write_text("t,y\n" + "".join(f"t{i},{i % 2}\n" for i in range(120)))
    with pytest.raises(ValueError, match="hashed = { 't' = 32 } takes them in 32 inputs, drop leaves"):
        data.csv(path, target="y")


def test_weights_have_mean_one_and_belong_to_their_rows(tmp_path):
    d = own(table(tmp_path / "own.csv"), weight="w", seed=1)
    assert isinstance(d, OwnDataset)
    assert d.weights is not None
    assert d.weights.mean() == pytest.approx(1)
    assert "w" not in d.features
    a = d.standardize.inverse(np.asarray(d.train.x, np.float64))[:, d.features.index("a")]
    place = np.abs(a[:, None] - np.round(A, 4)).argmin(axis=1)
    np.testing.assert_allclose(d.weights / d.weights.max(), W[place] / W[place].max(), rtol=1e-5)


def test_several_targets(tmp_path):
    path = table(tmp_path / "own.csv")
    labels = own(path, target=["x", "y", "z"], task="labels", drop=["tags", "key", "day"])
    assert (labels.task, labels.outputs, labels.classes) == ("regression", 3, ("x", "y", "z"))
    assert labels.standardize_y is None
    np.testing.assert_array_equal(data.evaluate_inputs(path, labels).y, LABELS)
    listed = own(path, target="tags", task="labels", drop=["x", "y", "z", "key", "day"])
    assert listed.classes == ("x", "y", "z")
    np.testing.assert_array_equal(data.evaluate_inputs(path, listed).y, LABELS)
    counts = own(path, target="n", task="counts")
    np.testing.assert_array_equal(data.evaluate_inputs(path, counts).y[:, 0], COUNT)
    assert counts.reading["level"][0] == pytest.approx(counts.train.y.mean())
    both = own(path, target=["target", "a"])
    assert both.outputs == 2
    np.testing.assert_allclose(
        both.standardize_y.inverse(data.evaluate_inputs(path, both).y)[:, 1], np.round(A, 4), atol=1e-5
    )


BAD_WEIGHT = np.where(np.arange(N) == 4, -1, W)
FAULTS = [
    ({}, {"weight": "wt"}, "weight: got 'wt'.* did you mean 'w'|weight: got 'wt'"),
    ({"w": BAD_WEIGHT}, {"weight": "w"}, "line 6: weight 'w' holds -1, allowed is a number from 0"),
    ({"w": np.zeros(N, int)}, {"weight": "w"}, "every row of the training part has the weight 0"),
    ({"w": ["", *W[1:]]}, {"weight": "w"}, "line 2: column 'w' is empty"),
    ({}, {"weight": "a", "id": "a"}, "weight: got 'a', which is also id"),
    ({}, {"hashed": {"town": 1}}, "hashed: got 1 inputs for 'town', allowed is 2 to 4096"),
    (
        {},
        {"hashed": {"town": 4}, "categorical": ["town"]},
        "hashed: got 'town', which is also in categorical",
    ),
    ({}, {"date_format": "%d"}, "date_format: got '%d', dates and calendar name no column"),
    ({}, {"calendar": ["a"]}, "line 2: column 'a' holds .*, a date such as 2020-12-31"),
    (
        {"day": ["31.12.2020"] * N},
        {"calendar": ["day"], "drop": ["tags", "z", "key"]},
        'date_format = "%d.%m.%Y" reads others',
    ),
    ({}, {"target": []}, "target: got no column"),
    ({}, {"target": ["x", "x"], "task": "labels"}, "target: got 'x', twice"),
    ({}, {"target": ["x", "n"], "task": "labels"}, "column 'n' holds .*, a label is 1 or 0"),
    ({"x": ["", *[1, 0] * 29, 1]}, {"target": ["x", "y"], "task": "labels"}, "line 2: column 'x' is empty"),
    ({"x": [0] * N}, {"target": ["x", "y"], "task": "labels"}, "no row has the label 'x'"),
    ({"tags": ["x"] * N}, {"target": "tags", "task": "labels", "drop": ["z", "key", "day"]}, "only 'x' as"),
    (
        {"n": [0.5, *COUNT[1:]]},
        {"target": "n", "task": "counts"},
        "line 2: column 'n' holds '0.5', counts are",
    ),
    ({"n": [-1, *COUNT[1:]]}, {"target": "n", "task": "counts"}, "line 2: column 'n' holds '-1', c"),
    ({}, {"target": ["x", "a"], "task": "classification"}, "got 2 columns with task = 'classification'"),
    ({}, {"target": ["a", "town"], "hashed": {}}, "target 'town' holds 'town .*', a number is needed"),
]


@pytest.mark.parametrize(("changed", "options", "message"), FAULTS)
def test_faults_of_columns_are_named(tmp_path, changed, options, message):
    path = table(tmp_path / "own.csv", **changed)
    with pytest.raises(ValueError, match=message):
        own(path, **options)
