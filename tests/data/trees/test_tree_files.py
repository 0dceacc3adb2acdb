"""Trees from files: one's own in every form, and a small archive in the place of the Sentiment Treebank."""

import zipfile

import numpy as np
import pytest

import dlnotes.data as data
from dlnotes.data import download as store
from dlnotes.data.trees import tree_files as treebank
from dlnotes.data.trees.tree import tree_at

SENTENCES = {
    "train": "(3 (2 It) (4 (2 's) (3 good)))\n(1 (2 It) (1 (2 's) (1 bad)))\n(2 (2 It) (2 's))\n",
    "dev": "(4 (2 It) (4 great))\n(2 's)\n",
    "test": "(0 (1 (1 bad) (2 film)) (2 .))\n",
}


@pytest.fixture
def archive(tmp_path, monkeypatch):
    folder = tmp_path / "sst"
    folder.mkdir()
    path = folder / "trainDevTestTrees_PTB.zip"
    with zipfile.ZipFile(path, "w") as made:
        for part, text in SENTENCES.items():
            made.writestr(f"trees/{part}.txt", text)
    files = {path.name: store.sha256(path)}
    monkeypatch.setattr(treebank, "SST", treebank.SST._replace(files=files, address=""))
    return tmp_path


def targets(d, part, i):
    found = tree_at(part.x, i, d.symbols, part.y[i], d.classes)
    return dict(zip(found.label, found.target)), found.target


def test_sentiments_of_phrases(archive):
    d = data.sst(data_dir=archive, min_count=1)
    assert (d.input, d.task, d.outputs) == ("tree", "tokens", 5)
    assert [p.size for p in (d.train, d.validation, d.test)] == [3, 2, 1]
    names, every = targets(d, d.train, 0)
    assert every == ("positive", "neutral", "very-positive", "neutral", "positive")
    assert names["good"] == "positive"
    assert targets(d, d.validation, 0)[1] == ("very-positive", "", "")
    assert targets(d, d.test, 0)[1] == ("very-negative", *[""] * 4)
    assert set(d.symbols) == {"<unk>", "It", "'s", "good", "bad"}
    assert tree_at(d.test.x, 0, d.symbols).leaves == ("bad", "<unk>", "<unk>")
    assert (
        targets(d, data.sst(data_dir=archive, min_count=1, eval_targets="nodes").test, 0)[1][2] == "negative"
    )


def test_binary_sentiments_leave_out_what_is_neutral(archive):
    d = data.sst(data_dir=archive, labels="binary", targets="root", min_count=1)
    assert (d.task, d.classes) == ("classification", ("negative", "positive"))
    assert d.train.y.tolist() == [1, 0]
    assert d.validation.y.tolist() == [1]
    assert d.test.y.tolist() == [0]
    d = data.sst(data_dir=archive, labels="binary", min_count=1)
    assert targets(d, d.train, 0)[1] == ("positive", "", "positive", "", "positive")


def test_the_files_without_their_archive_and_files_that_are_not_theirs(archive, tmp_path):
    plain = tmp_path / "plain"
    (plain / "trees").mkdir(parents=True)
    for part, text in SENTENCES.items():
        (plain / "trees" / f"{part}.txt").write_text(text)
    d = data.sst(data_dir=plain, min_count=1)
    assert d.train.x.label.tolist() == data.sst(data_dir=archive, min_count=1).train.x.label.tolist()
    assert len(d.sources) == 3
    (plain / "trees" / "dev.txt").write_text("(5 (2 It) (4 great))\n")
    with pytest.raises(ValueError, match="dev: sentence 1: class '5', allowed are 0 to 4"):
        data.sst(data_dir=plain)
    (archive / "sst" / "trainDevTestTrees_PTB.zip").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="SHA-256 is"):
        data.sst(data_dir=archive)
    with pytest.raises(store.DataNotFound, match=r"(?s)trainDevTestTrees_PTB.zip.*nlp.stanford.edu"):
        data.sst(data_dir=tmp_path / "none", download=False)
    with pytest.raises(ValueError, match="labels, targets, eval_targets: got 'three'"):
        data.sst(labels="three", data_dir=archive)


def test_the_archive_is_fetched(archive, tmp_path, monkeypatch):
    source = archive / "sst" / "trainDevTestTrees_PTB.zip"
    monkeypatch.setattr(treebank, "SST", treebank.SST._replace(address=source.as_uri()))
    monkeypatch.setenv("DLNOTES_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DLNOTES_DATA", raising=False)
    assert data.sst().train.size == 3
    assert (tmp_path / "cache" / "data" / "sst" / source.name).exists()


FORMS = {
    "names": ("(S (NP the cat) sat)", ("S", "NP", "the", "cat", "sat")),
    "leaves": ("((the cat) sat)", ("", "", "the", "cat", "sat")),
    "smiles": ("CC(=O)O", ("C", "C", "=O", "O")),
    "python": (
        "f(x) + 1",
        ("Module", "Expr", "BinOp", "Call", "Name", "f", "Name", "x", "Add", "Constant", "1"),
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_own_trees_with_a_class_behind_a_tab(tmp_path, form):
    text, names = FORMS[form]
    path = tmp_path / "own.txt"
    path.write_text(f"{text}\tyes\n\n{text}\tno\n" * 10)
    d = data.tree_file(path=path, form=form, validation=4, test=5)
    assert (d.train.size, d.validation.size, d.test.size) == (11, 4, 5)
    assert (d.task, d.classes) == ("classification", ("no", "yes"))
    assert tree_at(d.train.x, 0, d.symbols).label == names
    new = tmp_path / "new.txt"
    new.write_text(f"{text}\tno\n{text}\tyes\n")
    got = data.evaluate_inputs(new, d)
    assert got.y.tolist() == [0, 1]
    assert got.x.children.shape[-1] == d.train.x.children.shape[-1]
    assert tree_at(got.x, 1, d.symbols).label == names
    new.write_text(f"{text}\tmaybe\n")
    with pytest.raises(ValueError, match="line 1: class 'maybe' is unknown"):
        data.evaluate_inputs(new, d)


def test_own_trees_with_classes_in_their_brackets(tmp_path):
    path, other = tmp_path / "own.txt", tmp_path / "test.txt"
    path.write_text("(10 (2 a) (9 b))\n(2 (9 b) (_ c))\n(9 (2 a) (2 c))\n")
    other.write_text("(2 (9 b) (2 a))\n")
    d = data.tree_file(path=path, test_path=other, targets="nodes", validation=0)
    assert (d.task, d.classes) == ("tokens", ("2", "9", "10"))
    found = [targets(d, d.train, i)[1] for i in range(3)]
    assert sorted(found) == [("10", "2", "9"), ("2", "9", ""), ("9", "2", "2")]
    got = data.evaluate_inputs(other, d)
    assert targets(d, got, 0)[1] == ("2", "9", "2")
    root = data.tree_file(path=path, test_path=other, validation=0)
    assert sorted(root.train.y.tolist()) == [0, 1, 2]
    assert data.evaluate_inputs(other, root).y.tolist() == [0]
    other.write_text("((a b) c)\n(_ (2 a) b)\nb\n")
    read = data.read_inputs(other, root)
    assert [tree_at(read.x, i, root.symbols).leaves for i in range(3)] == [
        ("a", "b", "c"),
        ("a", "b"),
        ("b",),
    ]
    other.write_text("(2 a b c)\n")
    with pytest.raises(
        ValueError, match="line 1: a node has 3 children, the trees of the training data have at"
    ):
        data.read_inputs(other, root)
    other.write_text("(2 a b)\n(_ a b)\n")
    with pytest.raises(ValueError, match="line 2: the tree has no class"):
        data.evaluate_inputs(other, root)


def test_files_that_are_refused(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("(1 a b)\n(1 a\n")
    with pytest.raises(ValueError, match="own.txt: line 2: brackets: 1 bracket is not closed"):
        data.tree_file(path=path)
    path.write_text("(a b)\n")
    with pytest.raises(ValueError, match="line 1: the tree has no class"):
        data.tree_file(path=path, form="leaves")
    with pytest.raises(ValueError, match="targets: got 'nodes', the form 'leaves'"):
        data.tree_file(path=path, form="leaves", targets="nodes")
    with pytest.raises(ValueError, match="form, targets: got 'penn'"):
        data.tree_file(path=path, form="penn")
    with pytest.raises(FileNotFoundError, match="no such file"):
        data.tree_file(path=tmp_path / "none.txt")
    path.write_text("\n")
    with pytest.raises(ValueError, match="there are no trees"):
        data.tree_file(path=path)


def test_expressions_and_formulas_are_read_for_their_models(tmp_path):
    path = tmp_path / "new.txt"
    path.write_text("[MAX 2 9 ]\t9\n[SM 1 [MIN 3 4 ] ]\t4\n")
    for structure in ("given", "operators", "balanced", "chain"):
        d = data.list_ops(n_train=20, n_validation=0, n_test=0, structure=structure)
        got = data.evaluate_inputs(path, d)
        assert got.y.tolist() == [9, 4]
        assert got.mask.sum(1).tolist() == ([3, 5] if structure == "operators" else [7, 13])
        assert got.x.children.shape[-1] == d.train.x.children.shape[-1]
    path.write_text("[MAX 1 2 3 4 5 6 ]\n")
    operators = data.list_ops(n_train=20, n_validation=0, n_test=0, structure="operators")
    with pytest.raises(ValueError, match="line 1: a node has 6 children"):
        data.read_inputs(path, operators)
    path.write_text("a and not b, a\tentailment\n")
    d = data.logic(n_train=20, n_validation=0, n_test=0)
    got = data.evaluate_inputs(path, d)
    assert got.y.tolist() == [d.classes.index("entailment")]
    assert np.sort(got.x.label[got.mask]).tolist() == [0, 0, 1, 6, 7, 9]
    sequence = data.list_ops(n_train=20, n_validation=0, n_test=0, structure="sequence")
    path.write_text("[MAX 2 9 ]\t9\n")
    assert data.evaluate_inputs(path, sequence).x.tolist() == [
        [sequence.symbols.index(s) for s in ("[MAX", "2", "9", "]")]
    ]
