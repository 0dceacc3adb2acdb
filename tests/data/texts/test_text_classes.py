"""Texts with a class each: tables and folders as people have them, and what is refused."""

import gzip

import numpy as np
import pytest

from dlnotes.data import evaluate_inputs, read_inputs, text_classes
from dlnotes.data.texts.labeled_texts import read_labeled_texts

WORDS = ("good", "fine", "bad", "poor")


def rows(n=40):
    rng = np.random.default_rng(0)
    found = []
    for i in range(n):
        k = i % 2
        found.append((f"a {WORDS[2 * k + rng.integers(2)]} film number {i}", ("pos", "neg")[k]))
    return found


def write_csv(path, n=40, mark=",", end="\n", start="", names=True):
    lines = [f'"{text}"{mark}{label}' for text, label in rows(n)]
    path.write_bytes((start + end.join(([f"text{mark}label"] if names else []) + lines) + end).encode())
    return path


def symbols_of(made):
    part = made.train
    return [[made.symbols[c] for c, real in zip(x, m) if real] for x, m in zip(part.x, part.mask)]


def test_a_table(tmp_path):
    made = text_classes(write_csv(tmp_path / "films.csv"), validation=6, test=8)
    assert (made.name, made.input, made.task) == ("films", "tokens", "classification")
    assert made.classes == ("neg", "pos")
    assert made.symbols[:2] == ("<pad>", "<unk>")
    assert (made.train.size, made.validation.size, made.test.size) == (26, 6, 8)
    assert {"film", "number", "a"} <= set(made.symbols)
    assert "39" not in made.symbols
    for words, y in zip(symbols_of(made), made.train.y):
        kind = next(w for w in words if w in WORDS)
        assert made.classes[y] == ("pos" if kind in WORDS[:2] else "neg")
        assert words[-1] == "<unk>"
    assert made.records["vocabulary.txt"].split("\n")[1] == "<unk>"
    assert "of them unknown" in made.records["coverage.txt"]
    assert list(made.sources) == [str(tmp_path / "films.csv")]


def same(a, b):
    assert (a.classes, a.symbols) == (b.classes, b.symbols)
    for part in ("train", "validation", "test"):
        for x, y in zip(a.split(part), b.split(part)):
            np.testing.assert_array_equal(x, y)


def test_the_same_texts_in_other_forms(tmp_path):
    plain = text_classes(write_csv(tmp_path / "a.csv"))
    same(plain, text_classes(write_csv(tmp_path / "b.csv", start="\ufeff", end="\r\n")))
    same(plain, text_classes(write_csv(tmp_path / "c.tsv", mark="\t")))
    same(plain, text_classes(write_csv(tmp_path / "d.csv", mark=";"), delimiter=";"))
    same(plain, text_classes(write_csv(tmp_path / "e.csv", names=False), text=1, label=2))
    (tmp_path / "f.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    same(plain, text_classes(tmp_path / "f.csv.gz"))
    other = [f"{label}\t{text}" for text, label in rows()]
    (tmp_path / "g.txt").write_text("\n".join(other))
    same(plain, text_classes(tmp_path / "g.txt", text=2, label=1))


def test_a_folder(tmp_path):
    for i, (text, label) in enumerate(rows()):
        folder = tmp_path / "films" / label / ("deep" if i % 4 else ".")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i:03}.txt").write_text(text + "\n", encoding="utf-8")
    (tmp_path / "films" / ".DS_Store").write_bytes(b"\0")
    made = text_classes(tmp_path / "films")
    assert made.classes == ("neg", "pos")
    assert made.train.size == 28
    assert len(made.sources) == 40
    (tmp_path / "films" / "pos" / "notes.pdf").write_bytes(b"%PDF")
    with pytest.warns(UserWarning, match=r"notes\.pdf: left out"):
        text_classes(tmp_path / "films")
    (tmp_path / "films" / "pos" / "notes.pdf").unlink()
    read = read_inputs(tmp_path / "films" / "pos", made)
    assert read.rows[0].endswith(".txt")
    assert len(read.rows) == 20
    assert evaluate_inputs(tmp_path / "films", made).size == 40


def test_quotes_in_tabs_that_quote_nothing(tmp_path):
    """As in the SMS Spam Collection: a mark that opens no cell must not swallow the lines behind it."""
    lines = ['ham\t"he said no', 'ham\tand "she" left', "spam\twin now", 'spam\t"call" us', "ham\tok"]
    path = tmp_path / "sms.tsv"
    path.write_text("\n".join(lines) + "\n")
    read = read_labeled_texts(path, text=2, label=1)
    assert read.texts == [line.partition("\t")[2] for line in lines]
    path.write_text('text\tlabel\n"two\nlines"\tham\n')  # but real quotes hold lines together
    assert read_labeled_texts(path).texts == ["two\nlines"]


def test_long_cells_and_strange_signs(tmp_path):
    path = tmp_path / "long.csv"
    text = "word\u2028 " * 60_000  # more than the csv module takes by itself
    path.write_text(f'text,label\n"{text}",a\n"x ""y"" z",b\n', encoding="utf-8")
    read = read_labeled_texts(path)
    assert len(read.texts[0]) == len(text)
    assert read.texts[1] == 'x "y" z'


def test_equal_texts_are_in_one_part(tmp_path):
    path = tmp_path / "twice.csv"
    lines = [f"{'a ' * (i % 20 + 1)},{'ab'[i % 2]}" for i in range(80)]
    path.write_text("text,label\n" + "\n".join(lines))
    made = text_classes(path, min_count=1, validation=4, test=4)
    seen = [{tuple(row) for row in made.split(part).x} for part in ("train", "validation", "test")]
    assert not (seen[1] & seen[2])
    assert [made.split(part).size for part in ("train", "validation", "test")] == [48, 16, 16]


def test_long_texts_are_cut_and_said(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text("text,label\n" + "\n".join(f"{'w ' * (i + 1)},{'ab'[i % 2]}" for i in range(20)))
    with pytest.warns(UserWarning, match=r"8 of 20 texts have more than 12 words \(up to 20\)"):
        made = text_classes(path, max_length=12)
    assert made.train.x.shape[1] == 12


def test_much_that_is_unknown_is_said(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text(
        "text,label\n" + "\n".join(f"w{i} v{i},{'ab'[i % 2]}" for i in range(20)) + "\nw w,a\nw w w,b"
    )
    with pytest.warns(UserWarning, match=r"of the words of the validation part are unknown"):
        text_classes(path)


def test_numbers_as_labels_keep_their_order(tmp_path):
    path = tmp_path / "stars.csv"
    path.write_text("text,label\n" + "\n".join(f"one more text with {i},{i % 11 - 1}" for i in range(220)))
    assert text_classes(path).classes == tuple(str(i) for i in range(-1, 10))


def test_characters(tmp_path):
    made = text_classes(write_csv(tmp_path / "films.csv"), tokens="characters", lower=False)
    assert {"a", " ", "m"} <= set(made.symbols)
    assert "".join(symbols_of(made)[0]).startswith("a ")


def test_parts_of_their_own(tmp_path):
    train, test = write_csv(tmp_path / "train.csv"), write_csv(tmp_path / "test.csv", n=10)
    made = text_classes(train, test_path=test, validation=0.2)
    assert (made.train.size, made.validation.size, made.test.size) == (32, 8, 10)
    made = text_classes(train, validation_path=test, test=0)
    assert (made.train.size, made.validation.size, made.test) == (40, 10, None)


def table(*lines):
    return "\n".join(lines)


GOOD = ["text,label", *(f"one more text with {i},{'ab'[i % 2]}" for i in range(20))]

FAULTS = {
    "empty file": ("", {}, r"f\.csv: the file is empty"),
    "header alone": ("text,label\n", {}, "there are no rows under the header"),
    "column": (table("review,label", "a,b"), {}, "text: got 'text', the columns of .* are 'review', 'label'"),
    "label column": (table("text,y", "a,b"), {}, r"label: got 'label', the columns"),
    "delimiter": (table("text;label", "a;b"), {}, r'is it divided by another mark\? delimiter = ";"'),
    "number": (table("a,b", "c,d"), {"text": 1, "label": 3}, "label: got column 3, .* has 2"),
    "number 0": (table("a,b"), {"text": 0, "label": 1}, "text: got 0, allowed is a column's number from 1"),
    "same column": (table("a,b"), {"text": 1, "label": 1}, "text, label: got the column 1 for both"),
    "names twice": (table("text,label,text", "a,b,c"), {}, "column 'text' appears 2 times"),
    "comma": (table(*GOOD[:3], "so, what,a"), {}, r"line 4: 3 cells where the header has 2 \(a text that"),
    "short row": (table(*GOOD[:3], "alone"), {}, "line 4: 1 cells where the header has 2"),
    "open quote": (table(*GOOD[:3], '"open,a'), {}, r"line 4: not readable as CSV"),
    "empty text": (table(*GOOD, ",a", " ,b"), {}, r"line 22 \(and 1 other\): the text .*'text'\) is empty"),
    "empty label": (table(*GOOD, "x,"), {}, r"line 22: the label \(column 'label'\) is empty; drop_empty"),
    "one class": (table("text,label", *(f"t{i},a" for i in range(9))), {}, "every text has the label 'a'"),
    "rare class": (table(*GOOD, "x,c"), {}, "class c has 1 example, fewer than the 3 parts .* see line 22"),
    "no classes": (
        table("text,label", *(f"t {i},{i / 7}" for i in range(50))), {}, "'label' holds 50 different texts",
    ),
    "nothing known": (table(*GOOD), {"min_count": 1000}, "min_count: got 1000, none of the words"),
    "tokens": (table(*GOOD), {"tokens": "bytes"}, "tokens: got 'bytes', allowed are words, characters"),
    "length": (table(*GOOD), {"max_length": 0}, "max_length: got 0, allowed is at least 1"),
    "all held out": (table(*GOOD), {"test": 20}, "nothing is left for training"),
    "utf-16": (table(*GOOD).encode("utf-16"), {}, "not UTF-8 text but UTF-16"),
    "latin-1": (table(*GOOD, "caf\u00e9,a").encode("latin-1"), {}, "line 22: not UTF-8 text .*, save it as"),
    "both": (table(*GOOD), {"test": 0.1, "test_path": "f.csv"}, "test: got 0.1, but that part is test_path"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "options", "told"), FAULTS.values(), ids=FAULTS)
def test_faults(tmp_path, content, options, told):
    path = tmp_path / "f.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=told):
        text_classes(path, **options)


def test_empty_rows_are_left_out_where_asked(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text(table(*GOOD, ",a", "x,", ""))
    with pytest.warns(UserWarning, match=r"line 22 \(and 1 other\).* is empty: left out"):
        made = text_classes(path, drop_empty=True)
    assert made.train.size + made.validation.size + made.test.size == 20


def test_labels_of_the_test_part_only(tmp_path):
    (tmp_path / "a.csv").write_text(table(*GOOD))
    (tmp_path / "b.csv").write_text(table("text,label", "x,a", "y,c"))
    with pytest.raises(ValueError, match=r"b\.csv: line 3: label 'c' is in the test part only, .* has a, b"):
        text_classes(tmp_path / "a.csv", test_path=tmp_path / "b.csv")
    with pytest.raises(ValueError, match="test_path: got one without a path"):
        text_classes(test_path=tmp_path / "b.csv")
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        text_classes(tmp_path / "gone.csv")


def test_faults_of_folders(tmp_path):
    with pytest.raises(ValueError, match="there are no sub-folders"):
        text_classes(tmp_path)
    (tmp_path / "pos").mkdir()
    with pytest.raises(ValueError, match=r"pos: holds no texts, files that end in \.txt"):
        text_classes(tmp_path)
    (tmp_path / "pos" / "1.txt").write_text("fine")
    (tmp_path / "pos" / "2.txt").write_text(" \n")
    with pytest.raises(ValueError, match=r"pos/2\.txt: the file is empty"):
        text_classes(tmp_path)


def test_new_texts(tmp_path):
    made = text_classes(write_csv(tmp_path / "films.csv"))
    new = tmp_path / "new.txt"
    new.write_text("A GOOD film\na poor\tfilm number\n\n")
    read = read_inputs(new, made)
    assert read.rows == ("line 1", "line 2")
    assert [[made.symbols[c] for c in row[m]] for row, m in zip(read.x, read.mask)] == [
        ["a", "good", "film"], ["a", "poor", "film", "number"]]  # fmt: skip
    new.write_text("a good film\tpos\na bad film\tneg\n")
    assert [made.classes[y] for y in evaluate_inputs(new, made).y] == ["pos", "neg"]
    (tmp_path / "new.csv").write_text("id,text\n7,a good film\n")
    assert read_inputs(tmp_path / "new.csv", made).rows == ("line 2",)
    (tmp_path / "new.tsv").write_text("text\tlabel\na good film\tpos\n")
    assert evaluate_inputs(tmp_path / "new.tsv", made).y.tolist() == [1]


@pytest.mark.parametrize(
    ("name", "content", "with_targets", "told"),
    [
        ("new.txt", "", False, "the file is empty"),
        ("new.txt", "a\n\nb\n", False, "line 2 is empty"),
        ("new.txt", "a good film\n", True, "line 1: the class after a tab is missing"),
        ("new.txt", "a good film\tgreat\n", True, "line 1: class 'great' is unknown, films has neg, pos"),
        ("new.csv", "review\na\n", False, "text: got 'text', the columns of"),
        ("new.csv", "text\n,\n", False, "there are no rows|cells where"),
        ("new.csv", "text,label\na,great\n", True, "line 2: class 'great' is unknown"),
    ],
)
def test_faults_of_new_texts(tmp_path, name, content, with_targets, told):
    made = text_classes(write_csv(tmp_path / "films.csv"))
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=told):
        (evaluate_inputs if with_targets else read_inputs)(tmp_path / name, made)


def test_the_documentation_of_installed_libraries():
    made = text_classes(limit=60)
    assert made.classes == ("jax", "matplotlib", "numpy", "scipy", "sklearn")
    assert made.train.size + made.validation.size + made.test.size > 250
    words = {w for text in symbols_of(made) for w in text}
    assert not words & {"numpy", "scipy", "sklearn", "jax", "matplotlib"}  # no sentence names its class
