"""Pairs from files: what is read, how it is divided, and that every pair can be read back from the arrays."""

# pyright: reportOptionalMemberAccess=false, reportArgumentType=false, reportOptionalOperand=false, reportAttributeAccessIssue=false

import gzip
import hashlib

import numpy as np
import pytest

import dlnotes.data as data
from dlnotes.data import catalog
from dlnotes.data import download as store
from dlnotes.data.download import DataNotFound
from dlnotes.data.texts import cmudict as pronunciation
from dlnotes.data.texts import text_pairs as parallel

LINES = [f"word {chr(97 + i)}{chr(97 + i // 2)}\tWORT {i}" for i in range(20)] + ["word aa\tMOT", "x\ty"]


@pytest.fixture
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("DLNOTES_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DLNOTES_DATA", raising=False)
    monkeypatch.setattr(store, "SYSTEM", tmp_path / "system")


def written(path, lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def read_back(d, examples, join=""):
    """(source, answer) texts of every example, from the arrays and the vocabularies."""
    found = []
    for source, target, y, mask in zip(examples.x.source, examples.x.target, examples.y, examples.mask):
        length = int((y >= 0).sum())
        assert y[length - 1] == 0
        assert (y[length:] == -1).all()
        assert target[0] == len(d.classes)
        assert target[1:length].tolist() == y[: length - 1].tolist()
        assert (source[~mask] == 0).all()
        found.append(
            (
                join.join(d.symbols[i] for i in source[mask]),
                join.join(d.classes[i] for i in y[: length - 1]),
            )
        )
    return found


def test_every_pair_is_read_back_and_no_source_is_in_two_parts(tmp_path):
    path = written(tmp_path / "own.tsv", LINES)
    d = data.text_pairs(path, validation=3, test=4, seed=1)
    assert (d.name, d.input, d.task) == ("own", "pair", "tokens")
    train, held = read_back(d, d.train), read_back(d, d.test) + read_back(d, d.validation)
    pairs = [tuple(line.split("\t")) for line in LINES]
    assert not {s for s, _ in train} & {s for s, _ in held}
    substituted = {
        tuple(
            "".join(c if c in table else "<unk>" for c in text)
            for text, table in zip(p, (d.symbols, d.classes))
        )
        for p in pairs
    }
    assert set(train + held) <= substituted
    assert len(train) + len(held) in (21, 22)  # a held-out source has one example
    assert sum("<unk>" not in s + t for s, t in train) == len(train) >= 14
    sources = {name: text.splitlines() for name, text in d.records.items()}
    assert sorted(s for some in sources.values() for s in some) == sorted({s for s, _ in pairs})
    assert len(sources["test_sources.txt"]) == 4
    again, other = (
        data.text_pairs(path, validation=3, test=4, seed=1),
        data.text_pairs(path, validation=3, test=4),
    )
    assert again.records == d.records != other.records


def test_a_held_out_source_has_all_its_answers(tmp_path):
    path = written(tmp_path / "own.tsv", ["a\txy", "b\tz", "a\tx", "a\txy", "c\tz"])
    for seed in range(20):
        d = data.text_pairs(path, validation=0, test=1, seed=seed)
        if d.records["test_sources.txt"] == "a\n":
            break
    assert d.train.size == 2
    ((first, second),) = d.references["test"]
    unknown = d.classes.index("<unk>")
    assert (first, second) == ((unknown, unknown), (unknown,))  # x and y are in no training pair
    assert "validation" not in d.references


def test_words_rare_words_long_pairs_and_named_columns(tmp_path):
    lines = ["id\tes\ten"] + [f"{i}\tel perro {i}\tthe dog {i % 2}" for i in range(12)]
    lines += ["12\tuno dos tres cuatro\ta b", "13\tel\ta b c d"]
    path = tmp_path / "named.tsv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    d = data.text_pairs(
        path, source="en", target="es", tokens="words", max_length=3, min_count=2, validation=0, test=0
    )
    assert d.symbols == ("<pad>", "<unk>", "0", "1", "dog", "the")
    assert d.classes == ("<end>", "<unk>", "el", "perro")
    assert d.train.size == 12
    assert set(read_back(d, d.train, " ")) == {
        ("the dog 0", "el perro <unk>"),
        ("the dog 1", "el perro <unk>"),
    }


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (["a\tb", "c"], {}, "line 2: 1 columns, 2 are needed"),
        (["a\tb", " \tc"], {}, "line 2: column 1 is empty"),
        (["a\tb"], {"source": 0}, "source: got 0"),
        (["a\tb"], {"target": "c"}, "target: got 'c', the columns of .* are a, b"),
        (["a\tb"], {"tokens": "letters"}, "tokens: got 'letters'"),
        (["a\tb"], {"max_length": 0}, "max_length: got 0"),
        (["ab\tb"], {"max_length": 1}, "no pair has at most 1 characters"),
        (["a\tb"], {"test": 1, "validation": 0}, "of 1 sources"),
        ([""], {}, "holds no pairs"),
    ],
)
def test_wrong_files_and_options_are_named(tmp_path, lines, options, message):
    with pytest.raises(ValueError, match=message):
        data.text_pairs(written(tmp_path / "own.tsv", lines), **options)
    (tmp_path / "latin.tsv").write_bytes("a\tb\nc\té\n".encode("latin-1"))
    with pytest.raises(ValueError, match="line 2: not UTF-8"):
        data.text_pairs(tmp_path / "latin.tsv")
    (tmp_path / "cut.tsv.gz").write_bytes(gzip.compress(b"a\tb")[:-5])
    with pytest.raises(ValueError, match="not readable as gzip"):
        data.text_pairs(tmp_path / "cut.tsv.gz")


DICTIONARY = """'bout B AW1 T
a AH0
a(2) EY1
read R EH1 D
read(2) R IY1 D # a comment
reed R IY1 D
re-read R IY0 R EH1 D
record R AH0 K AO1 R D
record(2) R EH1 K ER0 D
record(3) R EH1 K AO0 R D
record(4) R AH0 K AO2 R D
"""


def test_the_dictionary_as_it_is_read(tmp_path):
    path = written(tmp_path / "d.dict", DICTIONARY.splitlines())
    known = pronunciation.read_dictionary(path)
    assert list(known) == ["a", "read", "reed", "record"]
    assert [" ".join(p) for p in known["record"]] == ["R AH K AO R D", "R EH K ER D", "R EH K AO R D"]
    stressed = pronunciation.read_dictionary(path, stress=True, letters_only=False)
    assert list(stressed) == ["'bout", "a", "read", "reed", "re-read", "record"]
    assert [" ".join(p) for p in stressed["read"]] == ["R EH1 D", "R IY1 D"]
    assert len(stressed["record"]) == 4
    with pytest.raises(ValueError, match="line 2: 'b' has no phonemes"):
        pronunciation.read_dictionary(written(tmp_path / "e.dict", ["a AH0", "b # none"]))


@pytest.mark.usefixtures("own_folders")
def test_missing_or_other_files_are_refused_with_what_to_do(tmp_path, monkeypatch):
    for kind, file in (("cmudict", "cmudict.dict"), ("verses", "verses.tsv.gz"), ("speeches", "speeches")):
        with pytest.raises(DataNotFound, match=rf"(?s){file}.*DLNOTES_DATA.*can be had from"):
            data.load(kind)
        assert "not found" in catalog.check(kind)[0]
    words = [f"{a}{b} {a.upper()} {b.upper()}1" for a in "abcdefgh" for b in "ijklm"]
    path = written(tmp_path / "cmudict.dict", [*words, "ai(2) X"])
    with pytest.raises(ValueError, match="SHA-256"):
        data.cmudict(data_dir=tmp_path)
    ours = {"cmudict.dict": hashlib.sha256(path.read_bytes()).hexdigest()}
    monkeypatch.setattr(pronunciation, "CMUDICT", pronunciation.CMUDICT._replace(files=ours))
    d = data.cmudict(data_dir=tmp_path)
    names = [line.split()[0] for line in words]
    assert d.records["validation_sources.txt"].split() == [names[0], names[20]]
    assert d.records["test_sources.txt"].split() == [names[i] for i in (1, 2, 21, 22)]
    assert d.references["validation"][0] == tuple(
        tuple(d.classes.index(p) for p in said) for said in (("A", "I"), ("X",))
    )
    assert read_back(d, d.train)[0] == ("al", "AL")
    assert d.symbols == ("<pad>", *"abcdefghijklm")
    assert d.classes[0] == "<end>"
    assert "<unk>" not in d.classes
    random = data.cmudict(data_dir=tmp_path, split="random", validation=4, test=0.25)
    assert (random.validation.size, random.test.size) == (4, 10)
    with pytest.raises(ValueError, match="split: got 'half'"):
        data.cmudict(split="half")


@pytest.mark.skipif(store.locate(pronunciation.CMUDICT) is None, reason="the dictionary is not here")
def test_the_published_dictionary():
    d = data.cmudict()
    words = [len(d.records[f"{part}_sources.txt"].split()) for part in ("train", "validation", "test")]
    assert sum(words) == 117_493
    assert words[1:] == [5875, 11_750]
    assert len(d.classes) == 1 + 39  # the phonemes of the dictionary
    assert len(d.symbols) == 1 + 26
    assert catalog.check("cmudict") == []
    test = dict(zip(d.records["test_sources.txt"].split(), d.references["test"]))
    assert len(test) == 11_750
    several = np.mean([len(said) > 1 for said in test.values()])
    assert 0.05 < several < 0.08


@pytest.mark.skipif(store.locate(parallel.VERSES) is None, reason="the verses are not here")
def test_the_published_verses():
    d = data.verses()
    assert max(len(s) for s in "".join(d.records.values()).splitlines()) <= 60
    assert 1384 < d.train.size + d.validation.size + d.test.size <= 1414
    pairs = dict(read_back(d, d.train))
    assert all(len(v) <= 60 for v in pairs.values())
    assert "Jesus wept." not in pairs or "lloró" in pairs["Jesus wept."].lower()
    assert catalog.check("verses") == []
