"""Propositional logic: in which of seven relations two formulas stand, decided by their truth tables.

``a and not b, c or d`` is a pair of formulas over six variables. A pair is one tree: a node named ``pair``
above both formulas, every operator a node, every variable a leaf. So any net over trees can read it, and
what joins the two formulas sees that name instead of an operator's.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

import numpy as np

from dlnotes.data.assemble import assemble, consecutive
from dlnotes.data.dataset import Dataset, Trees
from dlnotes.data.trees.batching import arrange

VARIABLES = ("a", "b", "c", "d", "e", "f")
SYMBOLS = (*VARIABLES, "not", "and", "or", "pair")
NOT, AND, OR, PAIR = range(6, 10)
ARITY = np.array([0] * 6 + [1, 2, 2, 2])
CLASSES = (
    "equivalence",
    "negation",
    "entailment",
    "reverse entailment",
    "alternation",
    "cover",
    "independence",
)
_TABLE = np.array(
    [sum(1 << world for world in range(64) if world >> v & 1) for v in range(6)], np.uint64
)  # bit w: whether the variable is true in world w
_NONE = 255


def parse_pair(text: str) -> list[int]:
    """The symbols of a pair in prefix order, from Python's notation: ``a and not (b or c), d``.

    Raises:
      ValueError: for anything else than two formulas of ``a`` … ``f``, ``not``, ``and`` and ``or``.

    >>> [SYMBOLS[i] for i in parse_pair("a and not b, c")]
    ['pair', 'and', 'a', 'not', 'b', 'c']
    """
    try:
        parsed = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"pair: {error.msg}, in {text.strip()!r}") from None
    if not isinstance(parsed, ast.Tuple) or len(parsed.elts) != 2:
        raise ValueError(f"pair: got {text.strip()!r}, allowed are two formulas with a comma between them")
    prefix = [PAIR]

    def walk(node: ast.AST) -> None:
        if isinstance(node, ast.Name) and node.id in VARIABLES:
            prefix.append(VARIABLES.index(node.id))
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            prefix.append(NOT)
            walk(node.operand)
        elif isinstance(node, ast.BoolOp):  # a and b and c is one node of Python's
            *first, last = node.values
            prefix.append(AND if isinstance(node.op, ast.And) else OR)
            walk(ast.BoolOp(node.op, first) if len(first) > 1 else first[0])
            walk(last)
        else:
            known = f"{', '.join(VARIABLES)}, not, and, or"
            raise ValueError(f"pair: got {ast.unparse(node)!r} in a formula, allowed are {known}")

    for formula in parsed.elts:
        walk(formula)
    return prefix


def relations(rows: np.ndarray) -> np.ndarray:
    """The class of each pair, ``(n,)``; -1 where a formula is true, or false, in every world.

    With the sets p and q of worlds in which the formulas are true: equivalence p = q, negation p = ¬q,
    entailment p ⊂ q, reverse entailment p ⊃ q, alternation p ∩ q = ∅, cover p ∪ q = all, else independence.

    Args:
      rows: ``(n, columns)`` pairs in prefix order, 255 behind the end.

    Source: MacCartney and Manning, 2009.
    """
    n, columns = rows.shape
    stack = np.zeros((n, columns + 2), np.uint64)
    top = np.zeros(n, np.int64)  # entries of the stack
    each = np.arange(n)
    for column in range(columns - 1, -1, -1):  # from behind: arguments come before their operator
        symbol = rows[:, column]
        first, second = stack[each, np.maximum(top - 1, 0)], stack[each, np.maximum(top - 2, 0)]
        value = np.select(
            [symbol < NOT, symbol == NOT, symbol == AND, symbol == OR],
            [_TABLE[np.minimum(symbol, 5)], ~first, first & second, first | second],
            np.uint64(0),
        )
        made = symbol < PAIR
        top = np.where(made, top + 1 - ARITY[np.minimum(symbol, PAIR)], top)
        stack[each[made], top[made] - 1] = value[made]
    p, q = stack[:, 1], stack[:, 0]
    zero, full = np.uint64(0), ~np.uint64(0)
    found = np.select(
        [p == q, p == ~q, p & ~q == zero, q & ~p == zero, p & q == zero, p | q == full], list(range(6)), 6
    )
    constant = (p == zero) | (p == full) | (q == zero) | (q == full)
    return np.where(constant, -1, found)


def draw(
    rng: np.random.Generator, operators: np.ndarray, *, variables: int, columns: int | None = None
) -> np.ndarray:
    """Random pairs in prefix order, the longer formula of pair i with ``operators[i]`` operators.

    The other formula has any number up to that; which of them comes first is random. An operator is uniform
    among three, and what is left of the operators is divided between two arguments at random. The variables
    of a pair are among ``variables`` of the six, drawn for each pair.

    Returns:
      ``(n, columns)`` symbol numbers, 255 behind the end.
    """
    n = len(operators)
    columns = int(4 * operators.max() + 3) if columns is None else columns
    other = rng.integers(0, operators + 1)
    swap = rng.random(n) < 0.5
    own = np.argsort(rng.random((n, len(VARIABLES))), axis=1)[:, :variables]
    rows = np.full((n, columns), _NONE, np.uint8)
    rows[:, 0] = PAIR
    stack = np.zeros((n, 2 + int(operators.max())), np.int64)  # operators of the formulas still to come
    stack[:, 0], stack[:, 1] = np.where(swap, operators, other), np.where(swap, other, operators)
    top = np.full(n, 2)
    for column in range(1, columns):
        live = np.flatnonzero(top > 0)
        size = stack[live, top[live] - 1]
        kind = NOT + rng.integers(0, 3, len(live))
        leaf = own[live, rng.integers(0, variables, len(live))]
        symbol = np.where(size == 0, leaf, kind)
        rows[live, column] = symbol
        two = symbol > NOT
        left = rng.integers(0, np.maximum(size, 1))
        top[live] -= 1
        rest = np.maximum(size - 1, 0)
        inner = size > 0
        # The second argument lies below the first.
        stack[live[two], top[live[two]]] = (rest - left)[two]
        top[live] += two
        stack[live[inner], top[live[inner]]] = np.where(two, left, rest)[inner]
        top[live] += inner
    return rows


def to_trees(rows: np.ndarray, *, nodes: int | None = None) -> tuple[Trees, np.ndarray]:
    """Pairs as trees of one size, every symbol a node.

    Args:
      rows: ``(n, columns)`` pairs in prefix order, 255 behind the end.
      nodes: padded number of nodes; that of the largest pair if not given.
    """
    n, columns = rows.shape
    parent = np.full((n, columns), -1)
    stack = np.full((n, columns + 2), -1)  # a node for each argument that it still lacks
    top, each = np.ones(n, np.int64), np.arange(n)
    for column in range(columns):
        live = each[rows[:, column] != _NONE]
        top[live] -= 1
        parent[live, column] = stack[live, top[live]]
        for argument in range(2):
            more = live[ARITY[rows[live, column]] > argument]
            stack[more, top[more]] = column
            top[more] += 1
    real = rows != _NONE
    made = arrange(rows[real], parent[real], real.sum(1), nodes=nodes, arity=2)
    return made.trees, made.mask


def encode(pairs: Sequence[list[int]]) -> np.ndarray:
    """Pairs of `parse_pair` as rows, 255 behind the end."""
    rows = np.full((len(pairs), max(map(len, pairs))), _NONE, np.uint8)
    for row, pair in zip(rows, pairs):
        row[: len(pair)] = pair
    return rows


def logic(
    *,
    n_train: int = 20000,
    n_validation: int = 1000,
    n_test: int = 6000,
    train_operators: int = 4,
    test_operators: int = 12,
    variables: int = 4,
    seed: int = 0,
) -> Dataset:
    """Seven relations between two formulas: input "tree", trained on short ones and tested on longer ones.

    The longer formula of a pair has 1 to ``train_operators`` operators in training and validation and 1 to
    ``test_operators`` in the test. Pairs with a formula that is always true, or never, are left out: they
    stand in no such relation. All pairs are different, so that short ones, of which there are few, are rarer.

    Args:
      n_train, n_validation, n_test: numbers of pairs; the last two may be 0.
      train_operators: most operators of a formula in training.
      test_operators: of one in the test.
      variables: of the six that a pair may use, 2 to 6; with fewer, fewer pairs are independent.
      seed: decides the pairs.

    Raises:
      ValueError: when an option is out of range, or allows too few different pairs.

    Source: Bowman, Potts and Manning, 2015, Recursive neural networks can learn logical semantics.
    """
    if n_train < 1 or n_validation < 0 or n_test < 0:
        raise ValueError(
            f"n_train, n_validation, n_test: got {n_train}, {n_validation}, {n_test}, "
            "at least 1 training example is needed and none may be negative"
        )
    if not (1 <= train_operators <= 50 and 1 <= test_operators <= 50 and 2 <= variables <= 6):
        raise ValueError(
            f"train_operators, test_operators, variables: got {train_operators}, {test_operators}, "
            f"{variables}, allowed is 1 to 50, 1 to 50, 2 to 6"
        )
    rng = np.random.default_rng(seed)
    columns = 4 * max(train_operators, test_operators) + 3
    known: dict[bytes, None] = {}
    for part, most in ((n_train + n_validation, train_operators), (n_test, test_operators)):
        _add(known, part, most, variables, columns, rng)
    rows = np.frombuffer(b"".join(known), np.uint8).reshape(-1, columns)
    rows = rows[:, : int((rows != _NONE).sum(1).max())]
    trees, mask = to_trees(rows)
    return assemble(
        "logic",
        trees,
        relations(rows),
        consecutive(n_train, n_validation, n_test),
        input="tree",
        task="classification",
        outputs=len(CLASSES),
        mask=mask,
        classes=CLASSES,
        symbols=SYMBOLS,
        notation="pairs of formulas",
    )


def _add(
    known: dict[bytes, None], n: int, most: int, variables: int, columns: int, rng: np.random.Generator
) -> None:
    """``n`` more different pairs of up to ``most`` operators."""
    wanted, tried = len(known) + n, 0
    while len(known) < wanted:
        if tried > 50 * n + 1000:
            raise ValueError(
                f"n_train, n_validation, n_test: too few different pairs over {variables} variables "
                f"for {n} pairs of up to {most} operators"
            )
        size = int(1.5 * (wanted - len(known))) + 100
        tried += size
        rows = draw(rng, rng.integers(1, most + 1, size), variables=variables, columns=columns)
        for row in rows[relations(rows) >= 0]:
            if len(known) == wanted:
                break
            known.setdefault(row.tobytes())
