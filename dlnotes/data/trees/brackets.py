"""Trees in brackets: ``((the cat) sat)``, Penn Treebank and Stanford Sentiment Treebank style."""

from __future__ import annotations

import re
from typing import Any

from dlnotes.data.trees.tree import Head, Tree, nested_tree

_TOKEN = re.compile(r"[()]|[^\s()]+")
NO_CLASS = "_"


def parse_brackets(text: str, head: Head = "child") -> Tree:
    """The tree that brackets mean.

    - head "child": ``((the cat) sat)``, names at the leaves only.
    - head "label": ``(S (NP (DT the) (NN cat)) (VP sat))``, the first symbol names the node. A bracket
      without a name around everything, as the Penn Treebank has it, is left out.
    - head "target": ``(3 (2 the) (4 good))``, the first symbol is the node's class, ``_`` where it has none;
      a class and one symbol are a leaf.

    Raises:
      ValueError: with the place, when brackets do not match, are empty or lack their head, or when there is
        no tree or more than one.

    >>> parse_brackets("(3 (2 the) (4 good))", "target").target
    ('3', '2', '4')
    """
    open_lists: list[list[Any]] = []
    done: Any = None
    for match in _TOKEN.finditer(text):
        token, place = match.group(), match.start() + 1
        if done is not None:
            raise ValueError(f"brackets: {token!r} at character {place} follows a finished tree")
        if token == "(":
            open_lists.append([])
            continue
        value: Any = token
        if token == ")":
            if not open_lists:
                raise ValueError(f"brackets: ')' at character {place} closes nothing")
            value = open_lists.pop()
            if not value:
                raise ValueError(f"brackets: the bracket closed at character {place} is empty")
            if head == "label" and not open_lists and len(value) == 1 and isinstance(value[0], list):
                value = value[0]
        if open_lists:
            open_lists[-1].append(value)
        else:
            done = value
    if open_lists:
        several = "bracket is" if len(open_lists) == 1 else "brackets are"
        raise ValueError(f"brackets: {len(open_lists)} {several} not closed")
    if done is None:
        raise ValueError("brackets: there is no tree")
    try:
        tree = nested_tree(done, head)
    except ValueError as error:
        raise ValueError(str(error).replace("nested: a list", "brackets: a bracket")) from None
    if not tree.target:
        return tree
    return tree._replace(target=tuple("" if name == NO_CLASS else name for name in tree.target))


def to_brackets(tree: Tree) -> str:
    """A tree as text: a node's class, its name where it has one, and the trees below it.

    >>> to_brackets(parse_brackets("(S (NP the cat) sat)", "label"))
    '(S (NP the cat) sat)'
    """
    below, texts = tree.children, [""] * len(tree.label)
    for node in reversed(range(len(texts))):
        parts = [texts[child] for child in below[node]]
        if tree.label[node]:
            parts.insert(0, tree.label[node])
        if tree.target and (below[node] or tree.target[node]):
            parts.insert(0, tree.target[node] or NO_CLASS)
        bare = len(parts) == 1 and not below[node]
        texts[node] = parts[0] if bare else f"({' '.join(parts)})"
    return texts[0]
