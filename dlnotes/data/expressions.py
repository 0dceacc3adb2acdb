"""ListOps: nested lists of digits under MIN, MAX, MED and SM, and what they evaluate to.

``[MAX 2 9 [MIN 4 7 ] 0 ]`` is 9. MED is the median, rounded down; SM is the sum modulo 10. As in the
published data a list becomes a binary tree by combining from the left, closing bracket included:
``(((([MAX 2) 9) ...) ])``, so that the leaves are exactly the symbols of the expression, in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, Union

import numpy as np

from dlnotes.data.build import assemble, consecutive
from dlnotes.data.dataset import Dataset, Trees
from dlnotes.data.trees import arrange

Expression: TypeAlias = Union[int, tuple["str | Expression", ...]]  # noqa: UP007 (a recursive alias)
"""A digit, or a tuple of an operator and two or more expressions."""

OPERATORS = ("MIN", "MAX", "MED", "SM")
SYMBOLS = ("<pad>", *"0123456789", *(f"[{name}" for name in OPERATORS), "]")
CLASSES = tuple("0123456789")
OPERATOR_PROBABILITY = 0.25  # of a list where a digit would do, as in the published generator


def to_string(expression: Expression) -> str:
    """The expression with brackets, symbols separated by spaces.

    >>> to_string(("MAX", 2, 9, ("MIN", 4, 7), 0))
    '[MAX 2 9 [MIN 4 7 ] 0 ]'
    """
    if isinstance(expression, int):
        return str(expression)
    inner = " ".join(to_string(part) for part in expression[1:])  # pyright: ignore[reportArgumentType]
    return f"[{expression[0]} {inner} ]"


def parse(string: str) -> Expression:
    """The expression that a string of `to_string`'s form means.

    Raises:
      ValueError: on an unknown symbol, an empty list, or brackets that do not match.

    >>> parse("[SM 1 [MED 3 4 ] ]")
    ('SM', 1, ('MED', 3, 4))
    """
    open_lists: list[list] = []
    done: Expression | None = None
    for place, symbol in enumerate(string.split()):
        if done is not None:
            raise ValueError(f"expression: {symbol!r} at symbol {place} follows a finished expression")
        if symbol.isascii() and symbol.isdigit() and len(symbol) == 1:
            value: Expression = int(symbol)
        elif symbol[:1] == "[" and symbol[1:] in OPERATORS:
            open_lists.append([symbol[1:]])
            continue
        elif symbol == "]":
            if not open_lists:
                raise ValueError(f"expression: ']' at symbol {place} closes nothing")
            if len(open_lists[-1]) < 2:
                raise ValueError(f"expression: the list closed at symbol {place} is empty")
            value = tuple(open_lists.pop())
        else:
            raise ValueError(f"expression: unknown symbol {symbol!r}, allowed are {' '.join(SYMBOLS[1:])}")
        if open_lists:
            open_lists[-1].append(value)
        else:
            done = value
    if open_lists:
        raise ValueError(f"expression: {len(open_lists)} lists are not closed")
    if done is None:
        raise ValueError("expression: it is empty")
    return done


def evaluate(expression: Expression) -> int:
    """The digit that the expression evaluates to.

    >>> evaluate(("MED", 1, 4, 9, 8)), evaluate(("SM", 7, 5))
    (6, 2)
    """
    if isinstance(expression, int):
        return expression
    values = [evaluate(part) for part in expression[1:]]  # pyright: ignore[reportArgumentType]
    match expression[0]:
        case "MIN":
            return min(values)
        case "MAX":
            return max(values)
        case "SM":
            return sum(values) % 10
        case "MED":
            ranked, half = sorted(values), len(values) // 2
            return ranked[half] if len(values) % 2 else (ranked[half - 1] + ranked[half]) // 2
    raise ValueError(f"expression: unknown operator {expression[0]!r}, allowed are {', '.join(OPERATORS)}")


def draw(rng: np.random.Generator, *, max_depth: int, max_args: int, max_length: int) -> Expression | None:
    """One random list by the published grammar, or ``None`` where it would exceed ``max_length`` symbols.

    An operator is uniform among four, the number of arguments uniform on 2..max_args, and an argument
    is a list with probability 1/4 (never below ``max_depth`` levels), else a uniform digit.
    """
    length = 0

    def grow(depth: int) -> Expression | None:
        nonlocal length
        if depth > 1 and (depth > max_depth or rng.random() >= OPERATOR_PROBABILITY):
            length += 1
            return int(rng.integers(10))
        length += 2
        parts: list = [OPERATORS[int(rng.integers(len(OPERATORS)))]]
        for _ in range(int(rng.integers(2, max_args + 1))):
            part = grow(depth + 1)
            if part is None or length > max_length:
                return None
            parts.append(part)
        return tuple(parts)

    return grow(1)


def to_trees(expressions: Sequence[Expression], *, nodes: int | None = None) -> tuple[Trees, np.ndarray]:
    """Expressions as padded binary trees, labels at the leaves only.

    Args:
      expressions: digits or lists.
      nodes: padded number of nodes; that of the largest of them if not given.

    Returns:
      ``(trees, mask)``; an expression of s symbols has s leaves, in order, and s - 1 nodes above them.
    """
    index = {symbol: i for i, symbol in enumerate(SYMBOLS)}
    label: list[int] = []
    parent: list[int] = []

    def add(symbol: int, up: int) -> int:
        label.append(symbol)
        parent.append(up)
        return len(label) - 1 - first

    def grow(expression: Expression, up: int) -> None:
        if isinstance(expression, int):
            add(index[str(expression)], up)
            return
        nodes = []  # from the one that takes in the closing bracket down to the operator's
        for _ in expression:
            nodes.append(up := add(-1, up))
        add(index[f"[{expression[0]}"], up)
        for part, node in zip(expression[1:], reversed(nodes)):
            grow(part, node)  # pyright: ignore[reportArgumentType]
        add(index["]"], nodes[0])

    sizes = []
    for expression in expressions:
        first = len(label)
        grow(expression, -1)
        sizes.append(len(label) - first)
    arranged = arrange(label, parent, sizes, nodes=nodes, arity=2)
    return arranged.trees, arranged.mask


def list_ops(
    *,
    n_train: int = 4000,
    n_validation: int = 500,
    n_test: int = 500,
    max_depth: int = 20,
    max_args: int = 5,
    max_length: int = 100,
    seed: int = 0,
) -> Dataset:
    """Evaluate a nested list: input "tree", ten classes.

    Expressions are drawn by the published grammar (see `draw`); all are different, so none is in two
    parts, and none is a bare digit. All parts are padded to the same number of leaves.

    Args:
      n_train: number of training expressions.
      n_validation: of validation expressions, may be 0.
      n_test: of test expressions, may be 0.
      max_depth: most lists inside one another.
      max_args: most arguments of an operator, 2 or more.
      max_length: most symbols of an expression, 4 or more (digits, operators, closing brackets).
      seed: decides the expressions.

    Raises:
      ValueError: when a limit is out of range, or allows too few different expressions.

    Source: Nangia and Bowman, 2018, ListOps: a diagnostic dataset for latent tree learning.
    """
    if max_depth < 1 or max_args < 2 or max_length < 4:
        raise ValueError(
            f"max_depth, max_args, max_length: got {max_depth}, {max_args}, {max_length}, "
            "allowed is at least 1, 2, 4"
        )
    if n_train < 1 or n_validation < 0 or n_test < 0:
        raise ValueError(
            f"n_train, n_validation, n_test: got {n_train}, {n_validation}, {n_test}, "
            "at least 1 training example is needed and none may be negative"
        )
    n = n_train + n_validation + n_test
    rng = np.random.default_rng(seed)
    drawn: dict[Expression, None] = {}
    failures = 0
    while len(drawn) < n:
        expression = draw(rng, max_depth=max_depth, max_args=max_args, max_length=max_length)
        if expression is None or expression in drawn:
            failures += 1
            if failures > 100 * n + 1000:
                raise ValueError(
                    f"n_train, n_validation, n_test: got {n} expressions, but max_depth {max_depth}, "
                    f"max_args {max_args}, max_length {max_length} gave only {len(drawn)} different ones"
                )
        else:
            drawn[expression] = None
    trees, mask = to_trees(list(drawn))
    return assemble(
        "list_ops",
        trees,
        np.array([evaluate(expression) for expression in drawn]),
        consecutive(n_train, n_validation, n_test),
        input="tree",
        task="classification",
        outputs=10,
        mask=mask,
        classes=CLASSES,
        symbols=SYMBOLS,
    )
