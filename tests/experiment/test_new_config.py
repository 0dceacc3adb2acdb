"""`dlnotes new`: every kind of own files, what it is taken for, and that the written config runs as it is."""

import json
import tomllib
import warnings
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile
from sklearn import datasets
from typer.testing import CliRunner

from dlnotes.cli import main as cli
from dlnotes.config import ConfigError, load, to_toml
from dlnotes.experiment.new_config import new_config

RNG = np.random.default_rng(3)


def rows(path, header, lines, mark=",", end="\n"):
    path.write_bytes(
        end.join([mark.join(header), *(mark.join(map(str, line)) for line in lines), ""]).encode()
    )
    return path


def iris(folder):
    bunch: Any = datasets.load_iris()
    lines = [[*x, bunch.target_names[y]] for x, y in zip(bunch.data, bunch.target)]
    return rows(folder / "iris.csv", ["a", "b", "c", "d", "species"], lines)


def people(folder, n=240):
    """An id, German dates and numbers, cities, empty cells, a byte order mark, CRLF."""
    cities = [f"city {i}" for i in range(60)]
    lines = []
    for i in range(n):
        day = f"{RNG.integers(1, 29):02d}.{RNG.integers(1, 13):02d}.{RNG.integers(2015, 2024)}"
        age = "" if i % 9 == 0 else f"{RNG.uniform(20, 80):.1f}".replace(".", ",")
        lines.append(
            [
                f"k{i}",
                day,
                cities[RNG.integers(60)],
                age,
                "same",
                f"note {i}",
                f"{RNG.normal():.3f}".replace(".", ","),
            ]
        )
    path = rows(
        folder / "people.csv", ["key", "born", "city", "age", "country", "note", "income"], lines, ";", "\r\n"
    )
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    return path


def visits(folder):
    x = RNG.normal(size=120)
    return rows(folder / "visits.csv", ["x", "number of visits"], zip(x, RNG.poisson(np.exp(1 + x))))


def series(folder, n=160):
    days = np.datetime64("2021-01-01") + np.arange(n)
    keep = np.delete(np.arange(n), [50, 51])
    values = np.sin(np.arange(n) / 5) + 0.1 * RNG.normal(size=n)
    return rows(
        folder / "load.csv", ["day", "load"], [(days[i], "" if i == 9 else round(values[i], 3)) for i in keep]
    )


def shops(folder, n=60):
    lines = [
        (f"{2000 + i // 12}-{i % 12 + 1:02d}", shop, RNG.integers(50)) for shop in "AB" for i in range(n)
    ]
    return rows(folder / "shops.csv", ["month", "shop", "sold"], lines)


def reviews(folder, n=90):
    lines = []
    for i in range(n):
        words = [f"w{RNG.integers(12)}" for _ in range(6)]
        lines.append([f'"{" ".join(words)}, {("great", "dull")[i % 2]}"', ("good", "bad")[i % 2]])
    return rows(folder / "reviews.csv", ["review", "sentiment"], lines)


def reviews_by_class(folder, n=20):
    for name, word in (("good", "great"), ("bad", "dull")):
        (folder / "reviews" / name).mkdir(parents=True)
        for i in range(n):
            (folder / "reviews" / name / f"{i}.txt").write_text(f"it was {word} w{RNG.integers(5)} w{i}")
    return folder / "reviews"


def labeled_lines(folder, n=60):
    lines = [
        f"w{RNG.integers(9)} w{RNG.integers(9)} {('great', 'dull')[i % 2]}\t{'+-'[i % 2]}" for i in range(n)
    ]
    (folder / "lines.tsv").write_text("\n".join(lines))
    return folder / "lines.tsv"


def words(folder, n=60):
    blocks = []
    for _ in range(n):
        block = [(f"w{RNG.integers(9)}", "O") for _ in range(RNG.integers(2, 5))]
        block.append(("Anna", "B-PER") if RNG.integers(2) else ("Lima", "B-LOC"))
        blocks.append("\n".join(f"{w} X {c}" for w, c in block))
    (folder / "words.conll").write_text("-DOCSTART- -X- O\n\n" + "\n\n".join(blocks) + "\n")
    return folder / "words.conll"


def pairs(folder, n=60):
    lines = ["".join(RNG.choice(list("abcd"), RNG.integers(3, 6))) for _ in range(n)]
    (folder / "pairs.txt").write_text("\n".join(f"{line}\t{line[::-1]}" for line in dict.fromkeys(lines)))
    return folder / "pairs.txt"


def prose(folder):
    (folder / "prose.txt").write_text("Once upon a time there was a net. " * 60)
    return folder / "prose.txt"


def formulas(folder, n=60):
    lines = [
        f"(and {a} (not {b}))\t{int(a == 'true' and b == 'false')}"
        for a, b in RNG.choice(["true", "false"], (n, 2))
    ]
    (folder / "formulas.txt").write_text("\n".join(lines))
    return folder / "formulas.txt"


def sentiments(folder, n=40):
    lines = [f"({k} (2 w{RNG.integers(5)}) ({k} {('bad', 'good')[k]}))" for k in RNG.integers(0, 2, n)]
    (folder / "trees.txt").write_text("\n".join(lines))
    return folder / "trees.txt"


def molecules(folder, n=60):
    lines = [
        f"{'C' * RNG.integers(1, 5)}({c})={'CO'[RNG.integers(2)]}\t{int(c == 'N')}"
        for c in RNG.choice(["N", "O"], n)
    ]
    (folder / "molecules.smi").write_text("\n".join(lines))
    return folder / "molecules.smi"


def picture(path, bright, size=(12, 10), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = RNG.integers(0, 60, (*size, 3) if mode == "RGB" else size) + 150 * bright
    Image.fromarray(array.astype(np.uint8), mode).save(path)


def pictures(folder, n=16):
    for i in range(n):
        picture(folder / "pictures" / ("dark", "light")[i % 2] / f"{i}.png", i % 2)
    return folder / "pictures"


def pictures_in_parts(folder):
    for part, n in (("train", 12), ("val", 6), ("test", 6)):
        for i in range(n):
            picture(folder / "parts" / part / ("dark", "light")[i % 2] / f"{part}{i}.png", i % 2, mode="RGB")
    return folder / "parts"


def picture_table(folder, n=20):
    for i in range(n):
        picture(folder / "shots" / "all" / f"{i}.png", i % 2)
    return rows(
        folder / "shots" / "shots.csv",
        ["file", "brightness"],
        [(f"{i}.png", i % 2 + i / 100) for i in range(n)],
    ).parent


def videos(folder, n=12):
    for i in range(n):
        for j in range(4):
            picture(folder / "videos" / ("dark", "light")[i % 2] / f"clip{i}" / f"{j:03d}.png", i % 2)
    return folder / "videos"


def masks(folder, n=12):
    for i in range(n):
        picture(folder / "scenes" / "images" / f"{i}.png", i % 2)
        (folder / "scenes" / "masks").mkdir(exist_ok=True)
        Image.fromarray((RNG.random((12, 10)) > 0.5).astype(np.uint8)).save(
            folder / "scenes" / "masks" / f"{i}.png"
        )
    return folder / "scenes"


def shards(folder, n=20):
    import io
    import tarfile

    with tarfile.open(folder / "shard-000.tar", "w") as tar:
        for i in range(n):
            picture(folder / "one.png", i % 2)
            for name, content in (
                (f"{i:03d}.png", (folder / "one.png").read_bytes()),
                (f"{i:03d}.cls", b"%d" % (i % 2)),
            ):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return folder / "shard-000.tar"


def sounds(folder, n=16):
    for i in range(n):
        wave = np.sin(np.arange(1600) * (0.1, 0.4)[i % 2]) + 0.1 * RNG.normal(size=1600)
        path = folder / "sounds" / ("low", "high")[i % 2] / f"{i}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        wavfile.write(path, 8000, (10_000 * wave).astype(np.int16))
    return folder / "sounds"


def ts(folder, n=20):
    for part in ("TRAIN", "TEST"):
        lines = ["@problemName a", "@dimensions 2", "@classLabel true up down", "@data"]
        for i in range(n):
            values = np.arange(8) * (1, -1)[i % 2] + 0.1 * RNG.normal(size=(2, 8))
            lines.append(
                ":".join([*(",".join(map(str, channel)) for channel in values), ("up", "down")[i % 2]])
            )
        (folder / f"Slopes_{part}.ts").write_text("\n".join(lines))
    return folder / "Slopes_TRAIN.ts"


def npz(folder, n=40):
    x = RNG.normal(size=(n, 5))
    np.savez(
        folder / "arrays.npz", features=x, labels=(x[:, 0] > 0).astype(float), names=np.arange(n).astype(str)
    )
    return folder / "arrays.npz"


def npy(folder, n=40):
    x = RNG.normal(size=(n, 5))
    np.save(folder / "X_train.npy", x)
    np.save(folder / "y_train.npy", x @ RNG.normal(size=5))
    return folder / "X_train.npy"


def parquet(folder):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    x = RNG.normal(size=(80, 2))
    pq.write_table(pa.table({"a": x[:, 0], "b": x[:, 1], "price": x.sum(1)}), folder / "houses.parquet")
    return folder / "houses.parquet"


KINDS = {
    iris: ("csv", {"target": "species", "task": "classification"}),
    people: (
        "csv",
        {
            "target": "income",
            "task": "regression",
            "id": "key",
            "delimiter": ";",
            "decimal": ",",
            "impute": "median",
        }
        | {
            "calendar": ["born"],
            "date_format": "%d.%m.%Y",
            "drop": ["country", "note"],
            "hashed": {"city": 16},
        },
    ),
    visits: ("csv", {"target": "number of visits", "task": "counts"}),
    parquet: ("csv", {"target": "price", "task": "regression"}),
    series: (
        "csv_series",
        {"time": "day", "missing": "interpolate", "gaps": "interpolate", "calendar": ["weekday"]},
    ),
    shops: ("csv_series", {"time": "month", "series": "shop", "calendar": ["month"]}),
    reviews: ("text_classes", {"text": "review", "label": "sentiment"}),
    reviews_by_class: ("text_classes", {"tokens": "words"}),
    labeled_lines: ("text_classes", {"text": 1, "label": 2}),
    words: ("token_labels", {"word": 1, "label": -1}),
    pairs: ("text_pairs", {"source": 1, "target": 2, "tokens": "characters"}),
    prose: ("text", {"window": 64}),
    formulas: ("tree_file", {"form": "names"}),
    sentiments: ("tree_file", {"form": "classes"}),
    molecules: ("tree_file", {"form": "smiles"}),
    pictures: ("image_folder", {"size": [12, 10], "channels": 1}),
    pictures_in_parts: ("image_folder", {"channels": 3}),
    picture_table: ("image_table", {"image": "file", "target": "brightness"}),
    videos: ("video_folder", {"frames": 4}),
    masks: ("image_masks", {"size": [12, 10]}),
    shards: ("image_shards", {}),
    sounds: ("sound_folder", {"rate": 8000, "seconds": 0.2}),
    ts: ("series", {"test_path": "Slopes_TEST.ts"}),
    npz: ("npz", {"x": "features", "y": "labels", "task": "classification"}),
    npy: ("npy", {"y_path": "y_train.npy"}),
}
QUICK = (people, series)
RUNS = [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments):
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_a_kind_is_told_and_its_config_loads_again(here, make):
    kind, options = KINDS[make]
    written = new_config(make(here).relative_to(here), "my.toml")
    text = written.path.read_text(encoding="utf-8")
    raw = tomllib.loads(text)["data"]
    assert raw["kind"] == kind
    assert {name: raw.get(name) for name in options} == options
    assert not any(str(here) in str(value) for value in raw.values())  # paths from the config's folder
    resolved = load("my.toml")
    (here / "again.toml").write_text(to_toml(resolved), encoding="utf-8")
    assert load("again.toml").data == resolved.data
    assert text.count("# Taken for: ") == 1
    assert "# Read:" in text
    assert "dlnotes run my.toml" in text


def predicted(folder, path):
    done = call("predict", folder, path)
    assert done.exit_code == 0, done.output
    return done.stdout.split()[-1]


@pytest.mark.parametrize("make", RUNS, ids=lambda make: make.__name__)
def test_a_config_runs_as_it_is_and_predicts(here, make):
    path = make(here).relative_to(here)
    done = call("new", path, "-o", "my.toml")
    assert done.exit_code == 0, done.output
    assert done.stdout == "my.toml\n"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        done = call("run", "my.toml", "training.duration=3 steps", "training.seeds=1", "output.figures=false")
        assert done.exit_code == 0, done.output
        folder = done.stdout.split()[-1]
        measured = json.loads((here / folder / "summary.json").read_text())["points"][0]["metrics"]["test"]
        assert measured
        new = path / "all" / "1.png" if make is picture_table else path
        if make is masks:
            new = path / "images" / "1.png"
        if make in (pictures_in_parts, reviews_by_class):
            new = next(p for p in sorted(path.rglob("*")) if p.is_file())
        if make is shards:
            new = here / "one.png"
        if make in (videos, sounds):
            new = next(p for p in sorted((path).rglob("*")) if p.is_file()).parent
        if make is prose:
            return
        assert (here / predicted(folder, new)).stat().st_size


def text(name, content):
    def make(folder):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder / name

    return make


def table(lines, header="a,b,y"):
    return text("t.csv", "\n".join([header, *lines]))


NUMBERS = [f"{i},{i * i % 7},{i / 3}" for i in range(40)]


def empty_folder(folder):
    (folder / "nothing").mkdir()
    return folder / "nothing"


def unknown_folder(folder):
    return text("stuff/a.psd", "x")(folder).parent


def one_class(folder):
    picture(folder / "only" / "cats" / "1.png", 1)
    return folder / "only"


def loose_pictures(folder):
    picture(folder / "loose" / "1.png", 1)
    return folder / "loose"


def damaged_picture(folder):
    made = pictures(folder)
    (made / "dark" / "0.png").write_bytes(b"no picture")
    return made


def lonely_npy(folder):
    np.save(folder / "values.npy", np.zeros(3))
    return folder / "values.npy"


def nameless_npz(folder):
    np.savez(folder / "a.npz", a=np.zeros((3, 2)), b=np.zeros(3))
    return folder / "a.npz"


def two_tables(folder):
    text("many/a.csv", "a,y\n1,2\n")(folder)
    return text("many/b.csv", "a,y\n1,2\n")(folder).parent


FAULTS = {
    "missing": (lambda folder: folder / "iri.csv", {}, "no such file or folder"),
    "empty file": (text("t.csv", ""), {}, "the file is empty"),
    "blank text": (text("t.txt", " \n\n"), {}, "the file is empty"),
    "header alone": (text("t.csv", "a,b\n"), {}, "no rows under the header"),
    "one column": (text("t.csv", "a\n1\n2\n"), {}, "the only column is 'a'"),
    "no names": (table(["1,2,3"] * 9, "1,2,3"), {}, "a line with the names of the columns is needed"),
    "no names, a class": (
        table(["1,2,cat"] * 9 + ["2,1,dog"], "1,2,cat"),
        {},
        "'cat' stands among the cells",
    ),
    "ragged": (table(["1,2"]), {}, "line 2: 2 cells where the header has 3"),
    "not UTF-8": (text("t.csv", b"a,b\nM\xfcller,1\n"), {}, "not UTF-8 text"),
    "zero bytes": (text("t.csv", b"a,b\n\x00\x00,1\n"), {}, "t.csv"),
    "one row": (table(["1,2,3"]), {}, "'y'"),
    "one class": (table(["1,2,cat"] * 9), {"target": ["y"]}, "the same in every row"),
    "nothing to predict": (
        text("t.csv", "name,note\na,b\nc,d\n" + "e,f\ng,h\ni,j\nk,l\n"),
        {},
        "can be predicted",
    ),
    "nothing to predict from": (table([f"x,,{i / 3}" for i in range(30)]), {}, "no column is left"),
    "no such target": (table(NUMBERS), {"target": ["z"]}, "--target: got 'z', the columns are a, b, y"),
    "empty target": (table([*NUMBERS, "1,2,"]), {"target": ["y"]}, "empty in 1 row of 41, first in line 42"),
    "mixed target": (table([*NUMBERS, "1,2,x"]), {"target": ["y"]}, "numbers and 'x' in line 42"),
    "rare class": (
        table([*(f"{i},2,cat" for i in range(20)), *(f"{i},1,dog" for i in range(20)), "3,2,cow"]),
        {},
        "cow",
    ),
    "texts that do not come again": (
        table([f"{i},1,n{i}" for i in range(30)]),
        {"target": ["y"]},
        "30 different",
    ),
    "no such kind": (table(NUMBERS), {"kind": "cvs"}, "got 'cvs'; did you mean 'csv'"),
    "other kind": (table(NUMBERS), {"kind": "npz"}, "--kind: got 'npz', of .csv files allowed are csv"),
    "no texts": (table(NUMBERS), {"kind": "text_classes"}, "holds texts of several words"),
    "no pictures": (table(NUMBERS), {"kind": "image_table"}, "holds names of pictures"),
    "no dates": (table(["x,y,z"] * 20), {"kind": "csv_series"}, "no column of numbers"),
    "short series": (table(NUMBERS[:6]), {"kind": "csv_series"}, "6 rows are too few"),
    "pictures that are not there": (
        text("t.csv", "file,y\n" + "".join(f"{i}.png,{i % 2}\n" for i in range(9))),
        {},
        "there is no picture '0.png'",
    ),
    "no trees": (
        text("t.txt", "once upon a time\n"),
        {"kind": "tree_file"},
        "--kind: got 'tree_file', which needs",
    ),
    "no pairs": (text("t.txt", "once upon a time\n"), {"kind": "text_pairs"}, "two texts in each line"),
    "short text": (text("t.txt", "abc"), {}, "too few"),
    "unknown ending": (text("t.mat", "x"), {}, ".mat: unknown"),
    "no ending": (text("t", "x"), {}, "no ending: unknown"),
    "spreadsheet": (text("t.xlsx", "x"), {}, "save it as CSV"),
    "packed": (text("t.csv.gz", "x"), {}, "unpack it"),
    "one picture": (text("t.png", "x"), {}, "a folder with a sub-folder of them"),
    "damaged npz": (text("t.npz", "x"), {}, "not readable as .npz"),
    "npz without names": (nameless_npz, {}, "none is called like targets; --target names it"),
    "npz without that name": (nameless_npz, {"target": ["c"]}, "got 'c', it holds a (3, 2), b (3,)"),
    "npy alone": (lonely_npy, {}, "two .npy files are needed"),
    "damaged ts": (text("t.ts", "1,2:a"), {}, "@data"),
    "empty folder": (empty_folder, {}, "holds no files"),
    "unknown folder": (unknown_folder, {}, "nothing that is known here"),
    "one class of pictures": (one_class, {}, "the only class is 'cats'"),
    "loose pictures": (loose_pictures, {}, "no sub-folder for each class"),
    "damaged picture": (damaged_picture, {}, "0.png"),
    "target of a folder": (pictures, {"target": ["cats"]}, "image_folder has no columns or arrays by name"),
    "two tables": (two_tables, {}, "name one of them"),
    "folder as csv": (empty_folder, {"kind": "csv"}, "of a folder allowed are"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_used_is_told_in_one_message_and_nothing_is_written(here, fault):
    make, options, told = FAULTS[fault]
    path = make(here).relative_to(here)
    arguments = [word for name in options.get("target", ()) for word in ("--target", name)]
    arguments += ["--kind", options["kind"]] if "kind" in options else []
    done = call("new", path, "-o", "my.toml", *arguments)
    assert done.exit_code == 2, done.output
    assert told in done.output
    assert str(path) in done.output
    assert "Traceback" not in done.output
    assert len(done.output.strip().splitlines()) == 2
    assert not (here / "my.toml").exists()


def test_a_file_that_is_there_stays_unless_it_is_forced(here):
    path = iris(here)
    (here / "iris.toml").write_text("mine")
    done = call("new", path)
    assert done.exit_code == 2
    assert "is there already; -o gives another name, --force writes over it" in done.output
    assert (here / "iris.toml").read_text() == "mine"
    assert call("new", path, "--force").exit_code == 0
    assert load("iris.toml").name == "iris"
    for output, told in (("my.txt", "ends in .toml"), ("gone/my.toml", "there is no folder gone")):
        done = call("new", path, "-o", output)
        assert done.exit_code == 2
        assert told in done.output


def test_a_config_in_another_folder_finds_the_data(here):
    iris(here)
    (here / "configs").mkdir()
    done = call("new", "iris.csv", "-o", "configs")
    assert done.stdout.strip() == "configs/iris.toml"
    assert load("configs/iris.toml").data.model_dump()["path"] == str(here / "iris.csv")


def data_of(*arguments, **options):
    written = new_config(*arguments, force=True, **options)
    return tomllib.loads(written.path.read_text())["data"], " ".join(written.told)


def test_the_kind_and_the_target_can_be_overruled_and_it_is_said_how(here):
    path = series(here)
    taken, told = data_of(path, "a.toml")
    assert taken["kind"] == "csv_series"
    assert "--kind csv." in told
    with pytest.raises(ConfigError, match="target 'load' is empty in 1 row of 158, first in line 11"):
        data_of(path, "a.toml", kind="csv")
    days = [f"2021-{i // 28 + 1:02d}-{i % 28 + 1:02d}" for i in range(120)]
    lines = [(day, i % 7, i % 5, "wet" if i % 3 else "dry") for i, day in enumerate(days)]
    path = rows(here / "weather.csv", ["day", "wind", "sun", "weather"], lines)
    taken, told = data_of(path, "b.toml")
    assert (taken["kind"], taken["target"]) == ("csv", "weather")
    assert "--kind csv_series" in told
    taken, told = data_of(path, "b.toml", target=["wind"], kind="csv_series")
    assert (taken["targets"], taken["columns"]) == (["wind"], ["wind", "sun"])
    assert "Not seen: 'weather'" in told
    taken, _ = data_of(path, "b.toml", target=["wind", "sun"], kind="csv")
    assert (taken["target"], taken["task"]) == (["wind", "sun"], "regression")


def test_names_and_cells_as_strangers_write_them(here):
    """Quotes, marks, signs of other scripts and control characters, in the file's name as in its cells."""
    header = ['"a ""b"", c"', "größe\x0b#1", "label = [x]"]
    lines = [(i, i * 7 % 5, '"a\x0b, b"' if i % 2 else "猫 # é") for i in range(60)]
    path = rows(here / "my 'odd' $file #1.csv", header, lines)
    for name in (path.name, str(path)):
        written = new_config(name, force=True)
        assert written.path.name == "my-odd-file-1.toml"
        config = load(written.path)
        assert config.data.model_dump()["target"] == "label = [x]" or config.data.model_dump()["drop"]


@pytest.mark.parametrize("words", [["new", "--help"], ["--help"]])
def test_help_loads_no_jax(words):
    import subprocess
    import sys

    code = (
        "import sys\nfrom dlnotes.cli.main import app\n"
        f"try:\n    app({words!r})\nexcept SystemExit:\n    pass\n"
        "print('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "False"
