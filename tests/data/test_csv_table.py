"""Numbers of every spelling are read as what they are, or refused with the option that helps."""

import json
import re

import numpy as np
import pytest

import dlnotes.data as data
from dlnotes.data.metadata import changes, dataset_of, metadata_of
from dlnotes.data.spelled_numbers import number, spelling


def table(tmp_path, text):
    path = tmp_path / "own.csv"
    path.write_bytes(text.encode())
    return path


def raw(dataset):
    """Inputs and targets as written, in the order of the file (all rows are for training)."""
    x = dataset.train.x if dataset.standardize is None else dataset.standardize.inverse(dataset.train.x)
    return np.asarray(x)


def rows(cells, header="a,y", target="{i}.5"):
    lines = [header, *(f"{cell},{target.format(i=i)}" for i, cell in enumerate(cells))]
    return "\n".join(lines) + "\n"


ALL = dict(validation=0, test=0, standardize=False)


@pytest.mark.parametrize(
    ("cell", "decimal", "thousands", "value"),
    [
        ("20,5", ",", "", 20.5),
        ("-1.234.567,25", ",", ".", -1234567.25),
        ("1,234,567.5", ".", ",", 1234567.5),
        ("1 234", ".", " ", 1234),
        ("1\u202f234\u202f567", ".", " ", 1234567),
        ("1'234.5", ".", "'", 1234.5),
        ("1’234", ".", "'", 1234),
        ("1_234", ".", "_", 1234),
        ("1,5e3", ",", "", 1500),
        ("1,5", ".", ",", None),
        ("1,23,456", ".", ",", None),
        ("1234,567", ".", ",", None),
        ("1.5", ",", "", None),
        ("1,234", ".", "", None),
        ("1_234", ".", "", None),
        (".5", ".", "", 0.5),
        ("1e5", ".", ",", 1e5),
        ("123", ".", ",", 123),
    ],
)
def test_number(cell, decimal, thousands, value):
    assert number(cell, decimal, thousands) == value


@pytest.mark.parametrize(
    ("cell", "help"),
    [
        ("20,5", 'set decimal = ","'),
        ("1,234", 'set thousands = ",", or decimal = ","'),
        ("1,234,567", 'set thousands = ","'),
        ("1,234.5", 'set thousands = ","'),
        ("1.234.567", 'set thousands = ".", decimal = ","'),
        ("1.234,5", 'set decimal = ",", thousands = "."'),
        ("1 234", 'set thousands = " "'),
        ("1\u00a0234,5", 'set thousands = " ", decimal = ","'),
        ("1'234", 'set thousands = "\'"'),
        ("12%", "a percent sign"),
        ("12,5 %", "a percent sign"),
        ("$5", "a currency"),
        ("5 €", "a currency"),
        ("EUR 1.000", "a currency"),
        ("−5", "a minus sign"),
        ("(5.00)", "brackets"),
        ("1.5D+03", "the exponent D"),
        *((text, "") for text in ("red", "18-25", "1.2.3", "5 kg", "", "a,5", "1,2,3", "B12")),
    ],
)
def test_spelling_says_what_helps(cell, help):
    found = spelling(cell)
    assert help in found
    assert bool(found) == bool(help)


def test_options_read_what_the_message_asks_for(tmp_path):
    text = "m;p\n20,5;1.000,5\n-3,25;2.000,5\n1.234,0;12,5\n"
    path = table(tmp_path, text)
    with pytest.raises(
        ValueError, match=r"line 2: column 'm' holds '20,5', in 3 of 3 rows a number with a d"
    ):
        data.csv(path, target="p", delimiter=";", **ALL)
    d = data.csv(path, target="p", delimiter=";", decimal=",", thousands=".", **ALL)
    np.testing.assert_allclose(d.train.x[:, 0], [20.5, -3.25, 1234])
    np.testing.assert_allclose(d.train.y[:, 0], [1000.5, 2000.5, 12.5])
    again = data.evaluate_inputs(path, d)
    np.testing.assert_allclose(again.x, d.train.x)
    np.testing.assert_allclose(again.y, d.train.y)
    with pytest.raises(ValueError, match="line 2: column 'p' holds '1.000,5'"):
        data.csv(path, target="p", delimiter=";", categorical=["m"], **ALL)
    series = data.csv_series(path, window=1, delimiter=";", decimal=",", thousands=".", **ALL)
    np.testing.assert_allclose(series.train.x[:, 0], [[20.5, 1000.5], [-3.25, 2000.5]])


@pytest.mark.parametrize(
    "cells", [["12%"] * 4, ["$1"] * 4, ["1 234", "5", "6", "1 000"], ["−1", "2", "3", "4"]]
)
def test_other_spellings_are_refused_as_input_and_as_target(tmp_path, cells):
    path = table(tmp_path, rows(cells))
    with pytest.raises(ValueError, match=r"column 'a' holds .* a number with"):
        data.csv(path, target="y", **ALL)
    with pytest.raises(ValueError, match=r"column 'a' holds .* a number with"):
        data.csv(path, target="a", **ALL)
    assert data.csv(path, target="y", categorical=["a"], **ALL).features[0].startswith("a=")


def test_blank_lines_hold_no_row(tmp_path):
    for text in (
        "a,y\n1,2.5\n3,4.5\n\n",
        "\n\na,y\n1,2.5\n\n  \n3,4.5",
        "a,y\r\n1,2.5\r\n\r\n3,4.5\r\n,\r\n\r\n",
    ):
        d = data.csv(table(tmp_path, text), target="y", **ALL)
        np.testing.assert_array_equal(d.train.x, [[1], [3]])
    inputs = data.read_inputs(table(tmp_path, "a,y\n\n1,2\n\n3,4\n"), d)
    assert inputs.rows == ("line 3", "line 5")
    path = table(tmp_path, "a\n1\n\n3\n4\n")  # of one column, a blank line may be a missing value
    with pytest.raises(ValueError, match="line 3: column 'a' is empty"):
        data.csv_series(path, window=1, **ALL)
    assert data.csv_series(table(tmp_path, "a\n1\n3\n4\n\n\n"), window=1, **ALL).train.size == 2


def test_unnamed_and_odd_columns(tmp_path):
    text = ",a,x=1,a2,y\n" + "".join(f"{i},{i * 2},{i},{i},{i}.5\n" for i in range(5))
    path = table(tmp_path, text)
    with pytest.raises(
        ValueError, match=re.escape('column 1 has no name (an index? drop = [""] leaves it out)')
    ):
        data.csv(path, target="y", **ALL)
    with pytest.raises(ValueError, match=r"column name 'x=1', a name without '='.*drop"):
        data.csv(path, target="y", drop=[""], **ALL)
    d = data.csv(path, target="y", drop=["", "x=1"], **ALL)
    np.testing.assert_array_equal(d.train.x, [[2 * i, i] for i in range(5)])
    np.testing.assert_array_equal(data.evaluate_inputs(path, d).x, d.train.x)
    path = table(tmp_path, text.replace(",a,", "Unnamed: 0,a,", 1))
    with pytest.raises(ValueError, match="column 'Unnamed: 0' is the index of another table; drop"):
        data.csv(path, target="y", **ALL)
    path = table(tmp_path, "a,y,\n1,2.5,\n3,4.5,\n")  # a delimiter at each line's end
    np.testing.assert_array_equal(data.csv(path, target="y", **ALL).train.x, [[1], [3]])
    path = table(tmp_path, "a,a,y\n1,2,3.5\n4,5,6.5\n")
    with pytest.raises(ValueError, match="column 'a' appears 2 times"):
        data.csv(path, target="y", **ALL)


def test_quoted_line_breaks_and_other_delimiters(tmp_path):
    path = table(tmp_path, 'note,a,y\n"x\ny",1,2.5\nz,"2",3.5\n"x\ny",3,4.5\n')
    d = data.csv(path, target="y", **ALL)
    assert d.features == ("note=x\ny", "note=z", "a")
    np.testing.assert_array_equal(d.train.x, [[1, 0, 1], [0, 1, 2], [1, 0, 3]])
    assert data.read_inputs(path, d).rows == ("line 3", "line 4", "line 6")
    for text in ("a;y\n1;2\n", "a;y\n1,5;2\n", "a\ty\n1\t2\n"):
        with pytest.raises(ValueError, match=r"is it divided by another mark\? delimiter = "):
            data.csv(table(tmp_path, text), target="y", **ALL)


def test_many_categories_are_said(tmp_path):
    cells = [f"id{i}" for i in range(25)]
    with pytest.warns(
        UserWarning, match="column 'a' holds 25 different texts, each of which becomes an input"
    ):
        data.csv(table(tmp_path, rows(cells)), target="y", **ALL)


GAPS = ["1", "", "5", "NA", "3", "4", "100", "nan"]


def test_missing_cells_are_refused_with_the_option(tmp_path):
    path = table(tmp_path, rows(GAPS))
    with pytest.raises(ValueError, match=r"line 3: column 'a' is empty \(impute = \"median\" in \[data\]"):
        data.csv(path, target="y", **ALL)
    mostly = table(tmp_path, rows(["NA"] * 7 + ["5"]))
    with pytest.raises(ValueError, match=r"line 2: column 'a' holds 'NA', a number is needed \(impute"):
        data.csv(mostly, target="y", **ALL)
    with pytest.raises(ValueError, match="column 'a' is empty in every row"):
        data.csv(table(tmp_path, rows([""] * 8)), target="y", **ALL)
    with pytest.raises(ValueError, match="line 4: column 'y' is empty, every row needs a target"):
        data.csv(table(tmp_path, "a,y\n1,1\n2,2\n3,\n"), target="y", impute="mean", **ALL)


@pytest.mark.parametrize(("impute", "fill"), [("median", 4), ("mean", 113 / 5), ("most_frequent", 1)])
def test_missing_cells_are_filled_and_marked(tmp_path, impute, fill):
    path = table(tmp_path, rows(GAPS))
    d = data.csv(path, target="y", impute=impute, **ALL)
    assert d.features == ("a", "a=")
    want = [[float(c), 0] if c.isdecimal() else [fill, 1] for c in GAPS]
    np.testing.assert_allclose(d.train.x, want, rtol=1e-6)
    np.testing.assert_allclose(data.evaluate_inputs(path, d).x, want, rtol=1e-6)
    known = json.loads(json.dumps(metadata_of(d)))  # what a run keeps says the same
    kept = dataset_of(known, missing="gone")
    np.testing.assert_allclose(data.read_inputs(path, kept).x, want, rtol=1e-6)
    assert not changes(known, d)


def test_fills_are_those_of_the_training_part(tmp_path):
    cells = [str(i * i) if i % 4 else "" for i in range(40)]
    path = table(
        tmp_path, rows([f"{c},{'rgb'[i % 3] if i % 5 else ''}" for i, c in enumerate(cells)], "a,c,y")
    )
    d = data.csv(path, target="y", impute="median", seed=3, standardize=False)
    numbers = d.train.y[:, 0] - 0.5
    seen = np.array([i for i in numbers if i % 4])
    lost = numbers % 4 == 0
    assert d.features == ("a", "c=b", "c=g", "c=r", "a=", "c=")
    np.testing.assert_array_equal(d.train.x[:, 4], lost)
    np.testing.assert_allclose(d.train.x[:, 0], np.where(lost, np.median(seen**2), numbers**2), rtol=1e-6)
    np.testing.assert_array_equal(d.train.x[:, 5], numbers % 5 == 0)
    np.testing.assert_array_equal(d.train.x[:, 1:4].sum(1), 1)
    new = table(tmp_path, "a,c\n,\n7,r\n")
    np.testing.assert_allclose(
        data.read_inputs(new, d).x[:, [0, 4, 5]], [[np.median(seen**2), 1, 1], [7, 0, 0]]
    )


def test_dates(tmp_path):
    cells = ["1970-01-02", "1970-01-01T12:00", "1969-12-31", "2020-12-31"]
    path = table(tmp_path, rows(cells))
    with pytest.raises(
        ValueError, match=r"line 2: column 'a' holds '1970-01-02', a date: dates = \['a'\] takes"
    ):
        data.csv(path, target="y", **ALL)
    d = data.csv(path, target="y", dates=["a"], **ALL)
    np.testing.assert_allclose(d.train.x[:, 0], [1, 0.5, -1, 18627])
    np.testing.assert_allclose(data.evaluate_inputs(path, d).x, d.train.x)
    gaps = data.csv(table(tmp_path, rows([*cells, ""])), target="y", dates=["a"], impute="mean", **ALL)
    np.testing.assert_allclose(gaps.train.x[4], [np.mean([1, 0.5, -1, 18627]), 1])
    for wrong, message in [
        ("31.12.2020", "holds '31.12.2020', a date such as 2020-12-31"),
        ("", "is empty"),
        (
            "1970-01-01T12:00+01:00",
            "line 2 names a zone, line 3 does not|line 5 names a zone, line 2 does not",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            data.csv(table(tmp_path, rows([*cells[:3], wrong])), target="y", dates=["a"], **ALL)
    with pytest.raises(ValueError, match="column 'a' holds '31.12.20', a date"):
        data.csv(table(tmp_path, rows(["31.12.20"] * 3)), target="y", **ALL)


def test_a_text_that_is_cut_is_said(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("the sea " * 100)
    with pytest.warns(
        UserWarning, match=r"the first 500 of 800 characters are used \(limit = 800 takes all\)"
    ):
        data.text(path, window=8, limit=500)
    data.text(path, window=8, limit=800)


def test_columns_of_a_series_name_its_own_option(tmp_path):
    for text, message in [
        (
            "day,a\n2020-01-01,1\n2020-01-02,2\n",
            "line 2: column 'day' holds .*, a date: time = 'day' takes it",
        ),
        ("a\n20;5\n", r"one column|holds '20;5'"),
        ('b,a\n1,"2,5"\n2,3\n', "column 'a' holds '2,5', a number with a decimal comma: set decimal"),
        (",a\n0,1\n1,2\n", r"column 1 has no name \(an index\? columns leaves it out\)"),
        ("b,a\n1,2\n,3\n", "line 3: column 'b' is empty .missing = "),
    ]:
        with pytest.raises(ValueError, match=message):
            data.csv_series(table(tmp_path, text), window=1, **ALL)
