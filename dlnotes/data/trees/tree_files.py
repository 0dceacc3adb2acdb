"""Trees from files: one's own, a line each, and the Stanford Sentiment Treebank."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from dlnotes.data import download as store
from dlnotes.data.assemble import assemble
from dlnotes.data.dataset import Dataset
from dlnotes.data.lines import read_lines, split_lines
from dlnotes.data.own_files import read_as
from dlnotes.data.split import split_indices
from dlnotes.data.trees.brackets import parse_brackets
from dlnotes.data.trees.smiles import smiles_tree
from dlnotes.data.trees.tree import Tree, batch_trees, python_tree, vocabulary

MOST_NODES = 10_000
"""Nodes that a tree of one's own may have, unless an option says more."""
Form = Literal["classes", "names", "leaves", "smiles", "python"]
PARSERS: dict[str, Callable[[str], Tree]] = {
    "classes": lambda text: parse_brackets(text, "target"),
    "names": lambda text: parse_brackets(text, "label"),
    "leaves": lambda text: parse_brackets(text, "child"),
    "smiles": lambda text: smiles_tree(text.strip()),
    "python": lambda text: python_tree(text.strip()),
}
"""How a line becomes a tree: what a bracket begins with (see `parse_brackets`), or another form."""

SST = store.FileSet(
    name="sst",
    files={"trainDevTestTrees_PTB.zip": "5c613a4f673fc74097d523a2c83f38e0cc462984d847b82c7aaf36b01cbbbfcc"},
    where="https://nlp.stanford.edu/sentiment/trainDevTestTrees_PTB.zip",
    license="none stated; free for research",
    source="Socher et al., 2013",
    address="https://nlp.stanford.edu/sentiment/trainDevTestTrees_PTB.zip",
)
SENTIMENTS = ("very-negative", "negative", "neutral", "positive", "very-positive")


def sentiments(classes: int) -> dict[str, str]:
    """The names of the classes 0 to 4 of the file when there are five classes or two; "" is none.

    >>> sentiments(2)
    {'0': 'negative', '1': 'negative', '2': '', '3': 'positive', '4': 'positive'}
    """
    names = SENTIMENTS if classes == 5 else ("negative", "negative", "", "positive", "positive")
    return dict(zip("01234", names))


def tree_file(
    *,
    path: str | Path,
    test_path: str | Path | None = None,
    form: Form = "classes",
    targets: Literal["root", "nodes"] = "root",
    min_count: int = 1,
    max_nodes: int = MOST_NODES,
    validation: float | int = 0.1,
    test: float | int | None = None,
    seed: int = 0,
) -> Dataset:
    """Your own trees, one a line: input "tree", a class for each tree, or for every node ("tokens").

    With the form "classes" every bracket begins with its class, ``(3 (2 a) (4 good film))``, or with ``_``.
    With the others a line is a tree, a tab and the class of the tree: "names", ``(S (NP I) (VP see))``;
    "leaves", ``((a b) c)``; "smiles", ``CC(=O)O``; "python", ``f(x) + 1``. Empty lines are left out.

    Args:
      path: the file; its trees are divided at random.
      test_path: a file with the trees of the test part.
      form: how a line is read.
      targets: classes at the roots only, or, with the form "classes", at all nodes that have one.
      min_count: a name that occurs less often in the training part becomes ``<unk>``.
      max_nodes: of a tree, also of those that the trained model is given.
      validation: share or number of trees held out.
      test: the same for the test; by default 0.2, or 0 where there is a ``test_path``.
      seed: of the division.

    Raises:
      FileNotFoundError: when there is no such file.
      ValueError: naming file and line, for a line that is no tree or has no class; or an option.
    """
    if form not in PARSERS or targets not in ("root", "nodes"):
        raise ValueError(
            f"form, targets: got {form!r}, {targets!r}, allowed are {', '.join(PARSERS)} and root, nodes"
        )
    if targets == "nodes" and form != "classes":
        raise ValueError(
            f"targets: got 'nodes', the form {form!r} has classes at the roots only, 'classes' at all"
        )
    if min_count < 1 or max_nodes < 1:
        raise ValueError(f"min_count, max_nodes: got {min_count}, {max_nodes}, allowed is at least 1")
    if test_path is not None and test:
        raise ValueError("test: the test part is test_path's, allowed is 0")
    share = (0.2 if test_path is None else 0) if test is None else test
    files = [Path(p) for p in (path, test_path) if p is not None]
    read = [read_trees(file, form, targets, max_nodes) for file in files]
    trees = [tree for part in read for tree in part[0]]
    classes = [own for part in read for own in part[1]]
    parts = split_indices(len(read[0][0]), validation=validation, test=share, seed=seed)
    if test_path is not None:
        parts = (*parts[:2], np.arange(len(read[0][0]), len(trees)))
    made = _assembled(
        "tree_file",
        trees,
        classes,
        parts,
        targets=targets,
        min_count=min_count,
        names=None,
        sources={str(file): store.sha256(file) for file in files},
        notation=form,
    )
    return read_as(made, form="trees", max_nodes=max_nodes)


def check_nodes(tree: Tree, max_nodes: int) -> Tree:
    """The tree, unless it has too many nodes.

    Raises:
      ValueError: with both numbers and the option.
    """
    if len(tree.label) > max_nodes:
        raise ValueError(f"the tree has {len(tree.label)} nodes, allowed are {max_nodes} (max_nodes)")
    return tree


def read_trees(
    path: Path, form: str, targets: str = "root", max_nodes: int = MOST_NODES
) -> tuple[list[Tree], list[tuple[str, ...]]]:
    """The trees of a file, and the classes of each: one, or one for every node.

    Raises:
      FileNotFoundError: when there is no such file.
      ValueError: naming file and line.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    trees, classes = [], []
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        text, _, after = line.partition("\t")
        try:
            tree = check_nodes(PARSERS[form](text), max_nodes)
        except ValueError as error:
            raise ValueError(f"{path}: line {number}: {error}") from None
        own = tree.target if targets == "nodes" else (tree.target[0] if tree.target else after.strip(),)
        if not any(own):
            raise ValueError(f"{path}: line {number}: the tree has no class")
        trees.append(tree)
        classes.append(own)
    if not trees:
        raise ValueError(f"{path}: there are no trees")
    return trees, classes


def sst(
    *,
    labels: Literal["fine", "binary"] = "fine",
    targets: Literal["nodes", "root"] = "nodes",
    eval_targets: Literal["root", "nodes"] = "root",
    min_count: int = 2,
    data_dir: str | Path | None = None,
    download: bool = True,
) -> Dataset:
    """The Stanford Sentiment Treebank: 11,855 sentences as binary trees, a sentiment at every phrase.

    The published parts are 8,544, 1,101 and 2,210 sentences; "binary" leaves out neutral phrases, and
    sentences that are neutral as a whole, and has 6,920, 872 and 1,821.

    Args:
      labels: "fine", five classes, or "binary".
      targets: training with a class at every node ("tokens"), or at the root ("classification").
      eval_targets: with targets at nodes, whether validation and test ask for the roots only, as the
        published figures do, or for all nodes.
      min_count: a word that occurs less often in the training part becomes ``<unk>``.
      data_dir: a folder with ``trainDevTestTrees_PTB.zip`` or with ``train.txt``, ``dev.txt`` and
        ``test.txt`` (or with a sub-folder ``sst`` or ``trees`` of them); otherwise ``$DLNOTES_DATA/sst``, the
        user's cache and the system's data sets are searched.
      download: whether a missing file may be fetched.

    Raises:
      DataNotFound: when the file is nowhere and cannot be fetched; the message says what to do.
      ValueError: when a file is damaged.

    Source: Socher et al., 2013; Tai, Socher and Manning, 2015, for the figures of Tree-LSTMs.
    """
    if (
        labels not in ("fine", "binary")
        or targets not in ("nodes", "root")
        or eval_targets not in ("nodes", "root")
    ):
        raise ValueError(
            f"labels, targets, eval_targets: got {labels!r}, {targets!r}, {eval_targets!r}, "
            "allowed are fine or binary, nodes or root, nodes or root"
        )
    paths, texts = _sst_texts(data_dir, download)
    names = sentiments(5 if labels == "fine" else 2)
    trees: list[Tree] = []
    classes: list[tuple[str, ...]] = []
    rows = []
    for part, text in enumerate(texts):
        first = len(trees)
        for number, line in enumerate(filter(str.strip, split_lines(text)), 1):
            try:
                tree = parse_brackets(line, "target")
                own = tuple(names[k] for k in tree.target)
            except (ValueError, KeyError) as error:
                what = f"class {error}, allowed are 0 to 4" if isinstance(error, KeyError) else str(error)
                where = ("train", "dev", "test")[part]
                raise ValueError(f"{paths[0]}: {where}: sentence {number}: {what}") from None
            if not own[0] and labels == "binary":
                continue
            at_root = targets == "root" or (part > 0 and eval_targets == "root")
            trees.append(tree)
            classes.append(
                (own[0],) if targets == "root" else (own[0], *[""] * (len(own) - 1)) if at_root else own
            )
        rows.append(np.arange(first, len(trees)))
    return _assembled(
        "sst",
        trees,
        classes,
        (rows[0], rows[1], rows[2]),
        targets=targets,
        min_count=min_count,
        names=tuple(dict.fromkeys(n for n in names.values() if n)),
        sources={str(p): store.sha256(p) for p in paths},
        notation="classes",
    )


def _sst_texts(data_dir: str | Path | None, download: bool) -> tuple[list[Path], list[str]]:
    """The files, and the text of the three parts."""
    parts = ["train.txt", "dev.txt", "test.txt"]
    where = store.folders(SST.name, data_dir=data_dir)
    plain = store.find(parts, [folder for base in where for folder in (base, base / "trees")])
    if plain is not None:
        return plain, [path.read_text(encoding="utf-8") for path in plain]
    paths = store.obtain(SST, data_dir=data_dir, fetch=download)
    for problem in store.damage(SST, paths):
        raise ValueError(problem)
    with zipfile.ZipFile(paths[0]) as archive:
        return paths, [archive.read(f"trees/{part}").decode("utf-8") for part in parts]


def _assembled(
    name: str,
    trees: Sequence[Tree],
    classes: Sequence[tuple[str, ...]],
    parts: tuple[np.ndarray, np.ndarray, np.ndarray],
    *,
    targets: str,
    min_count: int,
    names: tuple[str, ...] | None,
    sources: dict[str, str],
    notation: str,
) -> Dataset:
    """A data set of trees with classes by name at their roots or nodes."""
    if names is None:
        seen = {k for i in parts[0] for k in classes[i] if k}
        names = tuple(sorted(seen, key=lambda k: (not k.isdigit(), int(k) if k.isdigit() else 0, k)))
        for own in classes:
            for k in own:
                if k and k not in seen:
                    raise ValueError(
                        f"{name}: class {k!r} is not in the training part, which has {', '.join(names)}"
                    )
    symbols = vocabulary((trees[i] for i in parts[0]), min_count=min_count)
    made = batch_trees(trees, symbols)
    index = {k: i for i, k in enumerate(names)} | {"": -1}
    y = np.array([index[k] for own in classes for k in own])
    return assemble(
        name,
        made.trees,
        made.placed(y) if targets == "nodes" else y,
        parts,
        input="tree",
        task="tokens" if targets == "nodes" else "classification",
        outputs=len(names),
        mask=made.mask,
        classes=names,
        symbols=symbols,
        sources=sources,
        notation=notation,
    )
