"""Words with a label each: files in columns as people have them, and what is refused."""

import numpy as np
import pytest

from dlnotes.data import evaluate_inputs, read_inputs, token_labels
from dlnotes.data.texts.labeled_words import read_labeled_words

NAMES = {"PER": ("Ada", "Alan", "Emmy"), "LOC": ("New York", "Lima", "Oslo")}


def sentences(n=60, seed=0):
    """Somebody flies somewhere; the labels follow from the names."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(n):
        who, where = (NAMES[kind][rng.integers(3)] for kind in ("PER", "LOC"))
        words = [(who, "B-PER"), *((w, "O") for w in ("flies", "to") + ("old",) * (i % 3))]
        words += [(w, "I-LOC" if j else "B-LOC") for j, w in enumerate(where.split())]
        found.append([*words, (f"x{i}", "O"), (".", "O")])
    return found


def columns(path, found=None, between="\t", end="\n", start=""):
    found = sentences() if found is None else found
    blocks = [end.join(f"{w}{between}NN{between}{c}" for w, c in s) for s in found]
    path.write_bytes((start + (end + end).join(blocks) + end).encode())
    return path


def words_of(made, part="train"):
    x, y, mask = made.split(part)
    return [[(made.symbols[a], made.classes[b]) for a, b in zip(u[m], v[m])] for u, v, m in zip(x, y, mask)]


def test_a_file_in_columns(tmp_path):
    made = token_labels(columns(tmp_path / "own.conll"), validation=6, test=12)
    assert (made.name, made.input, made.task) == ("own", "tokens", "tokens")
    assert made.classes == ("O", "B-LOC", "I-LOC", "B-PER")
    assert (made.train.size, made.validation.size, made.test.size) == (42, 6, 12)
    assert made.reading["entities"] == "bio"
    assert "<unk:a0>" in made.symbols  # of x0 … x59, each of which is there once
    for sentence in words_of(made):
        assert sentence[-2:] == [("<unk:a0>", "O"), (".", "O")]
        assert all((label == "B-PER") == (word in NAMES["PER"]) for word, label in sentence)
        assert all((label == "I-LOC") == (word == "York") for word, label in sentence)
    np.testing.assert_array_equal(made.train.mask, made.train.y >= 0)


def same(a, b):
    assert (a.classes, a.symbols) == (b.classes, b.symbols)
    for part in ("train", "validation", "test"):
        for x, y in zip(a.split(part), b.split(part)):
            np.testing.assert_array_equal(x, y)


def test_the_same_sentences_in_other_forms(tmp_path):
    plain = token_labels(columns(tmp_path / "a.txt"))
    same(plain, token_labels(columns(tmp_path / "b.txt", between=" ")))
    same(plain, token_labels(columns(tmp_path / "c.txt", end="\r\n", start="\ufeff", between="   ")))
    same(plain, token_labels(tmp_path / "a.txt", word=-3, label=3))
    text = (tmp_path / "a.txt").read_text()
    (tmp_path / "d.txt").write_text(f"-DOCSTART-\t-X-\tO\n\n\n# id = 1\n{text}\n \t \n\n")
    same(plain, token_labels(tmp_path / "d.txt"))


def test_conll_u(tmp_path):
    line = "{}\t{}\t_\t{}\t_\t_\t0\troot\t_\t_\n"
    whole = "# text = du pain\n" + line.format("1-2", "du", "_") + line.format(1, "de", "ADP")
    whole += line.format(2, "le", "DET") + line.format("2.1", "e", "X") + line.format(3, "# 1", "NOUN") + "\n"
    (tmp_path / "fr.conllu").write_text(whole)
    (found,) = read_labeled_words(tmp_path / "fr.conllu", word=2, label=4)
    assert found == (["de", "le", "# 1"], ["ADP", "DET", "NOUN"], 3)


def test_a_word_may_be_a_sign(tmp_path):
    """As "#" in CoNLL-2003, and hashtags."""
    (tmp_path / "a.txt").write_text("#\tO\n#nlp\tB-T\n\n# NN\n\nBonn\tB-L\n")
    found = read_labeled_words(tmp_path / "a.txt")
    first, second = (["#", "#nlp"], ["O", "B-T"], 1), (["Bonn"], ["B-L"], 6)
    assert [(s.words, s.labels, s.line) for s in found] == [first, second]


def test_equal_sentences_are_in_one_part(tmp_path):
    twice = [s[:-2] for s in sentences()]
    made = token_labels(columns(tmp_path / "a.txt", twice), min_count=1, unknown="one")
    seen = [{str(s) for s in words_of(made, part)} for part in ("train", "validation", "test")]
    assert not (seen[0] & seen[1])
    assert not (seen[0] & seen[2])
    assert not (seen[1] & seen[2])


def test_long_sentences_are_divided_and_said(tmp_path):
    one = [[("a", "O"), ("b", "B-X")] * 20] * 1 + [[("c", "O"), ("d", "B-X")] * k for k in (1, 2, 3, 4)]
    with pytest.warns(UserWarning, match=r"1 sentences have more than 16 words \(up to 40; are blank lines"):
        made = token_labels(columns(tmp_path / "a.txt", one), max_length=16, validation=0, test=0)
    assert made.train.mask.sum(1).tolist()[:3] in ([16, 16, 8], [2, 4, 6])
    assert made.train.mask.sum() == 60


@pytest.mark.parametrize(
    ("labels", "option", "scheme"),
    [
        (("O", "B-X"), "auto", "bio"),
        (("NOUN", "VERB"), "auto", ""),
        (("O", "PER"), "auto", ""),
        (("O", "PER"), "runs", "runs"),
        (("O", "B-X"), "none", ""),
    ],
)
def test_what_entities_are(tmp_path, labels, option, scheme):
    found = [[("a", labels[0]), ("b", labels[1])] * (1 + i % 7) for i in range(20)]
    made = token_labels(columns(tmp_path / "a.txt", found), entities=option)
    assert made.reading["entities"] == scheme


FAULTS = {
    "empty": ("", {}, "holds no words"),
    "blank": ("\n\n \n", {}, "holds no words"),
    "marks alone": ("-DOCSTART- O\n\n", {}, "holds no words"),
    "one column": ("a\nb\n", {}, "word, label: are both column 1 of 1"),
    "same column": ("a\tO\n", {"label": 1}, "word, label: are both column 1 of 2"),
    "column 0": ("a\tO\n", {"word": 0}, "word: got 0, allowed is a column's number from 1, or from the last"),
    "no such column": ("a\tO\n", {"label": 4}, r"label: got column 4, .* has 2"),
    "another width": ("a\tO\nb\tX\tO\n", {}, "line 2: 3 columns where the first line has 2"),
    "text": (
        "This is a text.\nAnd another one is here.\n",
        {},
        "line 2: 5 columns where the first line has 4",
    ),
    "empty word": ("a\tO\n\tO\n", {}, "line 2: the word in column 1 is empty"),
    "empty label": ("a\tO\nb\t\n", {}, "line 2: the label in column 2 is empty"),
    "one label": ("a\tO\nb\tO\n\nc\tO\n", {}, "every word has the label 'O', two or more are needed"),
    "runs": ("a\tX\nb\tY\n", {"entities": "runs"}, "entities: got 'runs', .* no word has the label O"),
    "one sentence": ("a\tX\nb\tY\n", {}, "of 1 sentences: validation: got 0.1, which is less than one"),
    "unknown": ("a\tX\nb\tY\n", {"unknown": "some"}, "unknown: got 'some', allowed are forms, one"),
    "entities": ("a\tX\nb\tY\n", {"entities": "x"}, "entities: got 'x', allowed are auto, runs, none"),
    "min_count": ("a\tX\nb\tY\n", {"min_count": 0}, "min_count: got 0, allowed is at least 1"),
    "utf-16": ("a\tX\n".encode("utf-16"), {}, "not UTF-8 text but UTF-16"),
    "latin-1": ("a\tX\n\u00e9\tY\n".encode("latin-1"), {}, "line 2: not UTF-8 text"),
    "both": ("a\tX\n", {"test": 3, "test_path": "a.txt"}, "test: got 3, but that part is test_path"),
}


@pytest.mark.parametrize(("content", "options", "told"), FAULTS.values(), ids=FAULTS)
def test_faults(tmp_path, content, options, told):
    path = tmp_path / "a.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=told):
        token_labels(path, **options)


def test_labels_of_the_test_part_only(tmp_path):
    train = columns(tmp_path / "train.txt")
    test = columns(tmp_path / "test.txt", [[("Rio", "B-LOC"), ("IBM", "B-ORG")]])
    with pytest.raises(ValueError, match=r"test\.txt: line 2: label 'B-ORG' is in the test part only"):
        token_labels(train, test_path=test)
    with pytest.raises(ValueError, match="test_path: got .* without a path"):
        token_labels(test_path=test)
    test = columns(tmp_path / "test.txt", sentences(9, seed=1))
    made = token_labels(train, test_path=test, validation_path=test)
    assert (made.train.size, made.validation.size, made.test.size) == (60, 9, 9)


def test_new_sentences(tmp_path):
    made = token_labels(columns(tmp_path / "own.txt"))
    (tmp_path / "words.txt").write_text("Ada\nflies\n\nto\nLima\n")
    (tmp_path / "lines.txt").write_text("Ada flies to Lima .\nAlan flies, too .\n")
    equal = tmp_path / "equal.txt"  # as many words in each line as training has columns
    equal.write_text("Ada flies home\nAlan flies home\n")
    found = read_inputs(tmp_path / "words.txt", made)
    assert (found.rows, found.words) == (("line 1", "line 4"), (("Ada", "flies"), ("to", "Lima")))
    found = read_inputs(tmp_path / "lines.txt", made)
    assert found.words == (("Ada", "flies", "to", "Lima", "."), ("Alan", "flies", ",", "too", "."))
    assert found.mask.sum(1).tolist() == [5, 5]
    assert read_inputs(equal, made).words == (("Ada", "flies", "home"), ("Alan", "flies", "home"))
    again = read_inputs(tmp_path / "own.txt", made)
    assert again.words[0][0] in NAMES["PER"]
    assert len(again.rows) == 60
    examples = evaluate_inputs(tmp_path / "own.txt", made)
    np.testing.assert_array_equal(examples.x, again.x)
    np.testing.assert_array_equal(examples.y >= 0, again.mask)


@pytest.mark.parametrize(
    ("content", "with_targets", "told"),
    [
        ("", False, "the file is empty|holds no words"),
        ("a b c\nd e\n", True, "line 2: 2 columns where the first line has 3"),
        ("Ada NN B-PER\nIBM NN B-ORG\n", True, "line 2: class 'B-ORG' is unknown, own has O, B-LOC"),
        ("Ada\nIBM\n", True, "label: .*column"),
    ],
)
def test_faults_of_new_sentences(tmp_path, content, with_targets, told):
    made = token_labels(columns(tmp_path / "own.txt"))
    (tmp_path / "new.txt").write_text(content)
    with pytest.raises(ValueError, match=told):
        (evaluate_inputs if with_targets else read_inputs)(tmp_path / "new.txt", made)
    with pytest.raises(ValueError, match="is a folder"):
        read_inputs(tmp_path, made)


def test_code_in_the_documentation():
    made = token_labels(limit=300)
    assert made.classes[:3] == ("O", "B-API", "I-API")
    assert made.reading["entities"] == "bio"
    assert 250 < made.train.size + made.validation.size + made.test.size <= 300
    labels = made.train.y[made.train.mask]
    assert 0.5 < (labels == 0).mean() < 0.95
    assert ((made.train.y != 0) & made.train.mask).any(1).all()  # each has a mark
