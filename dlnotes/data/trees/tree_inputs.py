"""New trees for a trained model, a line each: expressions, pairs of formulas, SMILES, brackets, Python.

The form is that of the training data. For evaluation the class follows after a tab, or, where the brackets
of the training data have classes in them, stands in the brackets; to be predicted, such trees may also be
written without, ``((the film) good)``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlnotes.data.dataset import Dataset, Trees
from dlnotes.data.own_files import reading_of
from dlnotes.data.trees import list_ops as expressions
from dlnotes.data.trees import logic as formulas
from dlnotes.data.trees.brackets import NO_CLASS, parse_brackets
from dlnotes.data.trees.tree import Tree, batch_trees
from dlnotes.data.trees.tree_files import MOST_NODES, PARSERS, check_nodes, sentiments

_HEAD = re.compile(r"\(\s*([^\s()]*)")


def tree_lines(
    path: Path, numbered: Sequence[tuple[int, str]], dataset: Dataset, with_targets: bool
) -> tuple[Trees, np.ndarray, np.ndarray | None]:
    """Lines as trees, their mask, and their classes where the brackets have them.

    Args:
      path: for messages.
      numbered: each line with its number, without what follows a tab.
      dataset: what the model was trained on.
      with_targets: whether classes in brackets are needed.

    Raises:
      ValueError: naming file and line.
    """
    arity = dataset.train.x.children.shape[-1]
    kind, _, structure = dataset.notation.partition(", ")
    if kind == "list operations":
        read = _each(path, numbered, expressions.parse)
        trees = expressions.to_trees(expressions.encode(read), structure, arity=max(arity, _most(read)))  # pyright: ignore[reportArgumentType]
        _check_arity(path, numbered, trees[0].children, arity)
        return trees[0]._replace(children=trees[0].children[:, :, :arity]), trees[1], None
    if kind == "pairs of formulas":
        return *formulas.to_trees(formulas.encode(_each(path, numbered, formulas.parse_pair))), None
    parse = PARSERS[kind]
    if kind == "classes" and not with_targets:
        known = {*dataset.classes, *_codes(dataset), NO_CLASS}

        def parse(text: str, /) -> Tree:
            # Where only roots were targets, inner nodes may have classes that no root has.
            has_classes = all(head in known or head.isdecimal() for head in _HEAD.findall(text))
            return parse_brackets(text, "target" if has_classes and "(" in text else "child")

    most = reading_of(dataset).get("max_nodes", MOST_NODES)
    read = _each(path, numbered, lambda text: check_nodes(parse(text), most))
    made = batch_trees(read, dataset.symbols)
    _check_arity(path, numbered, made.trees.children, arity)
    children = np.full((*made.mask.shape, arity), -1, np.int32)
    children[:, :, : made.trees.children.shape[-1]] = made.trees.children[:, :, :arity]
    y = None
    if kind == "classes" and with_targets:
        y = _classes(path, numbered, read, dataset)
        y = made.placed(np.concatenate(y)) if dataset.task == "tokens" else np.array([own[0] for own in y])
    return made.trees._replace(children=children), made.mask, y


def _each(path: Path, numbered: Sequence[tuple[int, str]], parse: Any) -> list[Any]:
    read = []
    for number, line in numbered:
        try:
            read.append(parse(line))
        except ValueError as error:
            raise ValueError(f"{path}: line {number}: {error}") from None
        except (RecursionError, MemoryError):
            raise ValueError(f"{path}: line {number}: is nested more deeply than Python reads") from None
    return read


def _most(read: Sequence[Any]) -> int:
    """The most arguments of a list of any expression."""
    most, todo = 2, list(read)
    while todo:
        part = todo.pop()
        if isinstance(part, tuple):
            most = max(most, len(part) - 1)
            todo += part[1:]
    return most


def _check_arity(path: Path, numbered: Sequence[tuple[int, str]], children: np.ndarray, arity: int) -> None:
    counts = (children >= 0).sum(-1).max(-1)
    if counts.max() > arity:
        i = int((counts > arity).argmax())
        raise ValueError(
            f"{path}: line {numbered[i][0]}: a node has {counts[i]} children, the trees of the training data "
            f"have at most {arity}"
        )


def _codes(dataset: Dataset) -> dict[str, str]:
    """Classes as the file of the data set writes them, where it is by number."""
    return sentiments(len(dataset.classes)) if dataset.name == "sst" else {}


def _classes(
    path: Path, numbered: Sequence[tuple[int, str]], trees: Sequence[Tree], dataset: Dataset
) -> list[list[int]]:
    """The class of every node, -1 where there is none."""
    index = {name: i for i, name in enumerate(dataset.classes)} | {"": -1}
    codes, found = _codes(dataset), []
    for (number, _), tree in zip(numbered, trees):
        names = [codes.get(name, name) for name in tree.target or [""] * len(tree.label)]
        for name in names:
            if name not in index:
                known = ", ".join(dataset.classes)
                raise ValueError(
                    f"{path}: line {number}: class {name!r} is unknown, {dataset.name} has {known}"
                )
        if not (any(names) if dataset.task == "tokens" else names[0]):
            raise ValueError(f"{path}: line {number}: the tree has no class")
        found.append([index[name] for name in names])
    return found
