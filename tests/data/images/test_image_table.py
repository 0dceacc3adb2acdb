"""Pictures in a table: paths with labels or numbers; what is wrong is said with its line."""

import csv
import warnings

import numpy as np
import pytest
from PIL import Image

import dlnotes.data as data
from dlnotes.data import in_file
from dlnotes.data.in_file import InFile

N = 40
OPTIONS = {"image": "file", "size": (4, 5), "channels": 1}


def rows_of(n: int = N) -> list[dict[str, str]]:
    rng = np.random.default_rng(0)
    names = [f"é {i}.{'jpg' if i % 3 == 0 else 'png'}" for i in range(n)]
    angles, ink = rng.normal(3, 20, n), rng.integers(0, 1000, n)
    return [
        {
            "file": f"pictures/{names[i]}",
            "kind": ("cat", "dog")[i % 2],
            "angle": repr(float(angles[i])),
            "ink": str(ink[i]),
            "part": ("train", "Training", "val", "test")[i // 2 % 4],
        }
        for i in range(n)
    ]


def write(path, rows, *, delimiter=",", encoding="utf-8", newline="\n"):
    with open(path, "w", newline="", encoding=encoding) as file:
        table = csv.DictWriter(file, list(rows[0]), delimiter=delimiter, lineterminator=newline)
        table.writeheader()
        table.writerows(rows)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures of several sizes and modes."""
    folder = tmp_path_factory.mktemp("listed")
    (folder / "pictures").mkdir()
    rng = np.random.default_rng(1)
    for i, row in enumerate(rows_of()):
        levels = rng.integers(0, 256, (6 + i % 4, 7 + i % 3)).astype(np.uint8)
        picture = Image.fromarray(levels).convert(("L", "RGB", "P", "RGBA", "1", "LA")[i % 6 if i % 3 else 0])
        picture.save(folder / row["file"])
    write(folder / "labels.csv", rows_of())
    return folder


def test_labels(folder):
    d = data.image_table(folder / "labels.csv", target="kind", **OPTIONS)
    assert (d.task, d.classes, d.inputs, d.outputs) == ("classification", ("cat", "dog"), (4, 5, 1), 2)
    assert [len(part.y) for part in (d.train, d.validation, d.test)] == [28, 4, 8]
    assert len(d.sources) == N + 1
    # Each picture keeps its label: the same numbers as of a folder for each class.
    raw = data.image_table(
        folder / "labels.csv", target="kind", standardize=False, validation=0, test=0, **OPTIONS
    )
    for x, y, row in zip(raw.train.x, raw.train.y, rows_of()):
        assert raw.classes[y] == row["kind"]
        with Image.open(folder / row["file"]) as own:
            if own.mode == "L":
                small = np.asarray(own.resize((5, 4), Image.Resampling.BILINEAR)) / 255
                np.testing.assert_allclose(x[..., 0], small, atol=1e-6)


def test_numbers_of_one_column_and_of_several(folder):
    one = data.image_table(folder / "labels.csv", target="angle", **OPTIONS)
    assert (one.task, one.outputs, one.train.y.shape) == ("regression", 1, (28, 1))
    both = data.image_table(folder / "labels.csv", target=("angle", "ink"), validation=0, test=0, **OPTIONS)
    assert (both.task, both.outputs) == ("regression", 2)
    known = np.array([[float(row["angle"]), float(row["ink"])] for row in rows_of()])
    np.testing.assert_allclose(both.standardize_y.mean, known.mean(0))
    np.testing.assert_allclose(both.standardize_y.scale, known.std(0))
    np.testing.assert_allclose(both.standardize_y.inverse(both.train.y), known, rtol=1e-5)


def test_a_column_says_the_part_and_a_part_without_rows_is_drawn(folder, tmp_path):
    d = data.image_table(folder / "labels.csv", target="kind", split_column="part", **OPTIONS)
    parts = [row["part"].lower()[:3] for row in rows_of()]
    assert [len(p.y) for p in (d.train, d.validation, d.test)] == [
        parts.count(p) for p in ("tra", "val", "tes")
    ]
    rows = [row | {"part": "test" if row["part"] == "test" else "train"} for row in rows_of()]
    path = write(tmp_path / "two.csv", rows)
    options = OPTIONS | {"image_dir": folder, "validation": 6}
    d = data.image_table(path, target="kind", split_column="part", **options)
    assert [len(p.y) for p in (d.train, d.validation, d.test)] == [24, 6, 10]


def test_the_same_picture_in_two_parts_is_said(folder, tmp_path):
    rows = rows_of()
    (tmp_path / "pictures").mkdir()
    for row in rows:
        (tmp_path / row["file"]).write_bytes((folder / row["file"]).read_bytes())
    train, test = (next(r for r in rows if r["part"] == part) for part in ("train", "test"))
    (tmp_path / test["file"]).write_bytes((tmp_path / train["file"]).read_bytes())
    path = write(tmp_path / "labels.csv", rows)
    with pytest.warns(UserWarning, match="in the test part and in the training part"):
        data.image_table(path, target="kind", split_column="part", **OPTIONS)


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ({"encoding": "utf-8-sig", "newline": "\r\n"}, {}),
        ({"delimiter": ";"}, {"delimiter": ";"}),
        ({"delimiter": "\t"}, {"delimiter": "\t"}),
    ],
    ids=["windows", "semicolons", "tabs"],
)
def test_tables_as_they_come(folder, tmp_path, form, options):
    rows = [row | {"kind": f'a "{row["kind"]}", of; two\tlines'} for row in rows_of()]
    rows = [row | {"file": row["file"].replace("/", "\\")} for row in rows]
    path = write(tmp_path / "t.csv", rows, **form)
    d = data.image_table(path, target="kind", image_dir=folder, **OPTIONS, **options)
    assert d.classes == ('a "cat", of; two\tlines', 'a "dog", of; two\tlines')


def test_names_without_ending(folder, tmp_path):
    rows = [row | {"file": row["file"].removesuffix(".png")} for row in rows_of() if "png" in row["file"]]
    path = write(tmp_path / "ids.csv", rows)
    with pytest.raises(ValueError, match=r"no such file in .*line 2 'pictures/é 1'.*ending = \"\.png\""):
        data.image_table(path, target="kind", image_dir=folder, **OPTIONS)
    d = data.image_table(path, target="kind", image_dir=folder, ending=".png", **OPTIONS)
    assert d.train.size + d.validation.size + d.test.size == len(rows)


def test_own_sizes(folder):
    d = data.image_table(folder / "labels.csv", image="file", target="angle", size="own", channels=1)
    assert d.train.mask.shape[0] == 28
    assert len({tuple(m.any(1).sum(keepdims=True)) for m in d.train.mask}) > 1


def test_many_pictures_are_decoded_where_they_are_used(folder, monkeypatch):
    whole = data.image_table(folder / "labels.csv", target="angle", **OPTIONS)
    monkeypatch.setattr(in_file, "MOST", 1000)
    some = data.image_table(folder / "labels.csv", target="angle", **OPTIONS)
    assert isinstance(some.train.x, InFile)
    np.testing.assert_array_equal(np.asarray(some.train.x), whole.train.x)


def changed(i: int, **cells: str):
    """Rows of which one has other cells."""
    return [row | (cells if j == i else {}) for j, row in enumerate(rows_of())]


FAULTS = {
    "no column of paths": (
        rows_of(),
        {"image": "files"},
        r"image: got 'files', the columns of",
    ),
    "no target": (rows_of(), {"target": "label"}, r"target: got 'label', the columns of"),
    "no column of parts": (rows_of(), {"split_column": "split"}, r"split_column: got 'split'"),
    "target is path": (rows_of(), {"target": "file"}, r"target: got 'file', which is the column of paths"),
    "twice the target": (rows_of(), {"target": ("ink", "ink")}, r"target: got ink, ink, each column"),
    "labels and numbers": (
        rows_of(),
        {"target": ("ink", "kind")},
        r"target: got ink, kind, .*\[tasks\.ink\]",
    ),
    "missing": (
        changed(3, file="pictures/no.png"),
        {},
        r"column 'file': .* line 5 'pictures/no.png'",
    ),
    "many missing": ([r | {"file": "x" + r["file"]} for r in rows_of()], {}, r"line 4 .* and 37 more"),
    "empty path": (changed(2, file=""), {}, r"line 4: column 'file' is empty, every row needs a picture"),
    "a folder": (
        changed(2, file="pictures"),
        {},
        r"line 4: column 'file' holds .*, which is a folder",
    ),
    "address": (changed(0, file="https://a.b/c.png"), {}, r"line 2: column 'file' holds 'https.*download it"),
    "twice": (changed(5, file=rows_of()[1]["file"]), {}, r"line 7: .*which is in line 3 too"),
    "empty label": (changed(4, kind=""), {}, r"line 6: column 'kind' is empty, every row needs a target"),
    "one class": ([r | {"kind": "cat"} for r in rows_of()], {}, r"target 'kind' is 'cat' in every row"),
    "one of a class": (changed(4, kind="bird"), {}, r"class bird has 1 example.*, see line 6"),
    "text as number": (changed(4, ink="many"), {"target": "ink"}, r"line 6: column 'ink' holds 'many' among"),
    "text as one of two numbers": (changed(4, ink="x"), {"target": ("ink", "angle")}, r"line 6: .*'x' among"),
    "nan": (changed(4, ink="nan"), {"target": ("ink", "angle")}, r"line 6: column 'ink'"),
    "no part": (
        changed(1, part="tset"),
        {"split_column": "part"},
        r"line 3: column 'part' holds 'tset'",
    ),
    "no training": (
        [r | {"part": "test"} for r in rows_of()],
        {"split_column": "part"},
        r"no example is of the part 'train'",
    ),
    "class of the test alone": (
        changed(6, kind="bird", part="test"),
        {"split_column": "part"},
        r"line 8: class 'bird' is in the test part, and no training example has it",
    ),
    "image_dir": (
        rows_of(),
        {"image_dir": "/no/such"},
        r"image_dir: got '/no/such', there is no",
    ),
    "size": (rows_of(), {"size": (0, 4)}, r"size: got \(0, 4\)"),
    "no text": (changed(3, file="notes.txt"), {}, r"notes\.txt: not readable as an image, is it complete\?"),
    "not whole": (changed(3, file="half.png"), {}, r"half\.png: not readable as an image, is it complete\?"),
    "one row": (rows_of(1), {}, r"validation: got 0\.1|target 'kind' is 'cat' in every row"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(folder, fault, tmp_path):
    rows, options, message = FAULTS[fault]
    (folder / "notes.txt").write_text("no picture")
    (folder / "half.png").write_bytes((folder / rows_of()[1]["file"]).read_bytes()[:50])
    path = write(folder / "labels_of_fault.csv", rows)
    path = path.rename(tmp_path / "labels.csv")
    with pytest.raises(ValueError, match=message) as said:
        data.image_table(path, **(OPTIONS | {"target": "kind", "image_dir": folder} | options))
    assert "\n" not in str(said.value)


def test_new_tables(folder, tmp_path):
    d = data.image_table(
        folder / "labels.csv", image="file", target="kind", image_dir=folder / "pictures" / "..", size=(4, 5)
    )
    rows = rows_of()[5:9]
    new = write(folder / "new.csv", [{"file": row["file"], "other": "1"} for row in rows])
    inputs = data.read_inputs(new, d)
    assert inputs.rows == tuple(row["file"] for row in rows)
    alone = data.read_inputs(folder / rows[0]["file"], d)
    np.testing.assert_array_equal(inputs.x[:1], alone.x)
    examples = data.evaluate_inputs(write(folder / "new.csv", rows), d)
    assert [d.classes[y] for y in examples.y] == [row["kind"] for row in rows]
    with pytest.raises(ValueError, match="line 3: class 'bird' is unknown, labels has cat, dog"):
        data.evaluate_inputs(write(folder / "new.csv", [rows[0], rows[1] | {"kind": "bird"}]), d)
    with pytest.raises(ValueError, match="column 'kind' is missing, which holds the targets"):
        data.evaluate_inputs(write(folder / "new.csv", [{"file": rows[0]["file"]}]), d)
    with pytest.raises(ValueError, match="column 'file' is missing, it has kind"):
        data.read_inputs(write(folder / "new.csv", [{"kind": "cat"}]), d)


def test_new_tables_of_numbers(folder):
    d = data.image_table(folder / "labels.csv", target=("angle", "ink"), **OPTIONS)
    found = data.evaluate_inputs(folder / "labels.csv", d)
    known = np.array([[float(row["angle"]), float(row["ink"])] for row in rows_of()])
    np.testing.assert_allclose(d.standardize_y.inverse(found.y), known, rtol=1e-5)
    with pytest.raises(ValueError, match="holds no numbers, which labels needs to be evaluated: a table"):
        data.evaluate_inputs(folder / "pictures", d)


def test_paths_may_start_from_a_folder_beside_the_table(folder):
    rows = [row | {"file": row["file"].removeprefix("pictures/")} for row in rows_of()]
    path = write(folder / "short.csv", rows)
    with pytest.raises(ValueError, match=r"image_dir = \".*pictures\" in \[data\] is where paths start"):
        data.image_table(path, target="kind", **OPTIONS)
    d = data.image_table(path, target="kind", image_dir=folder / "pictures", **OPTIONS)
    assert len(data.read_inputs(path, d).rows) == N
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert data.read_inputs(folder / "labels.csv", d).rows[0] == rows_of()[0]["file"]
