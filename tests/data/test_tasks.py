"""Targets of several tasks: drawn labels, repeated examples, columns of tables, files that miss some."""

import csv
import json

import numpy as np
import pytest

from dlnotes import data
from dlnotes.data.metadata import changes, dataset_of, metadata_of
from dlnotes.data.task_table import csv_tasks, evaluated_table
from dlnotes.data.tasks import Wanted, labeled, of_one, of_tasks
from dlnotes.outputs.targets import known

SPLIT = {"validation": 0.2, "test": 0.2, "seed": 3}


def digits(**wanted):
    return of_tasks(
        data.load("digits", **SPLIT), {name: Wanted(**options) for name, options in wanted.items()}
    )


@pytest.mark.parametrize("labels", [20, 137, 0.25])
def test_labels_are_kept_for_as_many_of_each_class_as_it_has(labels):
    plain = data.load("digits", **SPLIT).train.y
    made = digits(digit={"labels": labels}, image={"target": "inputs"})
    y = made.train.y["digit"]
    size = labels if labels > 1 else round(labels * len(plain))
    assert (y >= 0).sum() == size
    np.testing.assert_array_equal(y[y >= 0], plain[y >= 0])
    share = np.bincount(plain) * size / len(plain)
    assert (np.abs(np.bincount(y[y >= 0], minlength=10) - share) < 1).all()
    np.testing.assert_array_equal(made.train.y["image"], 0)
    np.testing.assert_array_equal(made.test.y["digit"], data.load("digits", **SPLIT).test.y)
    again = digits(digit={"labels": labels})
    np.testing.assert_array_equal(again.train.y["digit"], y)
    other = of_tasks(data.load("digits", **SPLIT), {"digit": Wanted(labels=labels)}, seed=1)
    assert (other.train.y["digit"] != y).any()


def test_examples_with_a_label_are_repeated():
    plain, made = data.load("digits", **SPLIT), digits(digit={"labels": 30, "repeat": 4})
    y, x = made.train.y["digit"], made.train.x
    assert len(y) == len(x) == plain.train.size + 3 * 30
    assert (y >= 0).sum() == 4 * 30
    rows = [np.flatnonzero((plain.train.x == image).all(axis=(1, 2, 3)))[0] for image in x[y >= 0][::4]]
    np.testing.assert_array_equal(plain.train.y[rows], y[y >= 0][::4])


def test_a_column_of_numbers_becomes_a_target():
    plain = data.load("tabular", name="wine", **SPLIT)
    made = of_tasks(
        plain,
        {"kind": Wanted(), "proline": Wanted("proline"), "table": Wanted("inputs"), "ash": Wanted("ash")},
    )
    j, k = plain.features.index("proline"), plain.features.index("ash")
    np.testing.assert_array_equal(made.train.y["proline"], plain.train.x[:, [j]])
    np.testing.assert_array_equal(made.test.x, np.delete(plain.test.x, [j, k], axis=1))
    facts = made.facts("proline")
    assert made.inputs == (11,)
    assert made.facts("table").outputs == 11
    assert len(made.features) == 11
    raw = facts.standardize_y.inverse(made.train.y["proline"])
    np.testing.assert_allclose(raw, plain.standardize.inverse(plain.train.x)[:, [j]], rtol=1e-6)
    alone = of_one(made, "kind")
    assert (alone.task, alone.outputs, alone.classes) == ("classification", 3, plain.classes)


ROWS = [("a", "b", "c", "number", "color", "grade")]
RNG = np.random.default_rng(0)
for _i in range(60):
    ROWS.append((
        *(f"{v:.4f}" for v in RNG.normal(size=3)),
        "" if _i % 5 == 0 else f"{RNG.normal():.4f}",
        "NA" if _i % 4 == 1 else ("red", "green", "blue")[_i % 3],
        str(_i % 2),
    ))  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return written(tmp_path / "own.csv", ROWS)


def written(path, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def column(name):
    return [row[ROWS[0].index(name)] for row in ROWS[1:]]


WANTED = {"grade": Wanted(), "number": Wanted("number"), "color": Wanted("color"), "again": Wanted("inputs")}


def test_a_table_has_several_targets_and_empty_cells_are_missing(path):
    made = csv_tasks(path, WANTED, target="grade", **SPLIT)
    assert made.features == ("a", "b", "c")
    assert [(f.kind, f.outputs) for f in made.tasks] == [
        ("classification", 2),
        ("regression", 1),
        ("classification", 3),
        ("reconstruction", 3),
    ]
    found = {name: [] for name in ("number", "color")}
    for part in (made.train, made.validation, made.test):
        raw = made.standardize.inverse(part.x)
        rows = [int(np.abs(np.array([r[:3] for r in ROWS[1:]], float) - x).sum(1).argmin()) for x in raw]
        for i, row in enumerate(rows):
            cell, y = column("number")[row], part.y["number"][i, 0]
            found["number"].append(bool(np.isnan(y)) if cell == "" else None)
            if cell:
                assert abs(made.facts("number").standardize_y.inverse(y)[0] - float(cell)) < 1e-4
            cell, y = column("color")[row], part.y["color"][i]
            assert y == (-1 if cell == "NA" else ("blue", "green", "red").index(cell))
            assert part.y["grade"][i] == int(column("grade")[row])
    assert sum(v is True for v in found["number"]) == 12
    assert False not in found["number"]


def test_a_table_with_one_task_is_the_plain_table(path):
    plain = data.load("csv", path=path, target="grade", drop=("number", "color"), **SPLIT)
    made = csv_tasks(path, {"grade": Wanted()}, target="grade", drop=("number", "color"), **SPLIT)
    for name in ("train", "validation", "test"):
        own, of = getattr(made, name), getattr(plain, name)
        np.testing.assert_array_equal(own.x, of.x)
        np.testing.assert_array_equal(own.y["grade"], of.y)


def test_a_file_is_measured_by_the_targets_that_it_has(path, tmp_path):
    made = csv_tasks(path, WANTED, target="grade", **SPLIT)
    j = ROWS[0].index("color")
    other = written(tmp_path / "new.csv", [[c for i, c in enumerate(row) if i != j] for row in ROWS[:9]])
    inputs = data.read_inputs(other, made)
    y = evaluated_table(other, made, inputs.x).y
    np.testing.assert_array_equal(known(y["color"]), False)
    np.testing.assert_array_equal(known(y["number"]), [cell != "" for cell in column("number")[:8]])
    assert labeled(made, data.Examples(inputs.x, y), "color") is None
    none = written(tmp_path / "none.csv", [row[:3] for row in ROWS[:9]])
    with pytest.raises(ValueError, match=r"none.csv: has no column of a target \(grade, number, color\)"):
        evaluated_table(none, made, inputs.x)
    wrong = written(tmp_path / "wrong.csv", [ROWS[0], (*ROWS[1][:4], "pink", "1")])
    with pytest.raises(ValueError, match="wrong.csv: line 2: column 'color' holds 'pink', known are blue"):
        evaluated_table(wrong, made, inputs.x[:1])


def test_what_is_known_of_the_tasks_is_kept(path):
    made = csv_tasks(path, WANTED, target="grade", **SPLIT)
    kept = json.loads(json.dumps(metadata_of(made)))
    assert changes(kept, made) == []
    back = dataset_of(kept, missing="the file is gone")
    assert back.tasks == made.tasks or str(back.tasks) == str(made.tasks)
    assert back.train.y["number"].shape == made.train.y["number"].shape
    other = csv_tasks(path, {"grade": Wanted()}, target="grade", drop=("number", "color"), **SPLIT)
    assert changes(kept, other)


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (
            {"digit": {"labels": 5}},
            r"tasks.digit.labels: got 5, class '\d' and others would have none; allowed is at least 10",
        ),
        ({"digit": {"labels": 5000}}, "tasks.digit.labels: got 5000, allowed is 1 to 1079"),
        ({"digit": {"target": "color"}}, "tasks.digit.target: got 'color', digits has no named columns"),
    ],
)
def test_what_does_not_fit_is_named(wanted, told):
    with pytest.raises(ValueError, match=told):
        digits(**wanted)


def test_a_class_that_no_label_is_of_is_named():
    few = data.load("digits", **SPLIT)
    rows = np.flatnonzero(few.train.y != 7)
    from dataclasses import replace

    without = replace(few, train=data.Examples(few.train.x[rows], few.train.y[rows]))
    with pytest.raises(
        ValueError, match="tasks.digit.labels: got 40, class '7' has no example with a target"
    ):
        of_tasks(without, {"digit": Wanted(labels=40)})


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (
            {"x": Wanted("numbr")},
            "tasks.x.target: got 'numbr', the columns of .* are a, b, c, number, color, grade",
        ),
        ({"x": Wanted("number", kind="classification")}, "column 'number'|label '"),
        ({"x": Wanted("color", kind="regression")}, "target 'color' holds"),
        ({"x": Wanted(labels=1)}, "tasks.x.labels: got 1, class '[01]' and others would have none"),
    ],
)
def test_what_does_not_fit_a_table_is_named(path, wanted, told):
    used = {task.target for task in wanted.values()}
    with pytest.raises(ValueError, match=told):
        csv_tasks(path, wanted, target="grade", drop={"number", "color"} - used, **SPLIT)


def test_a_column_without_any_cell_is_named(tmp_path):
    rows = [ROWS[0], *((*row[:3], "", *row[4:]) for row in ROWS[1:])]
    with pytest.raises(ValueError, match="column 'number' is empty in every row"):
        csv_tasks(written(tmp_path / "empty.csv", rows), WANTED, target="grade", **SPLIT)
