"""ListOps: nested lists of digits under MIN, MAX, MED and SM, and what they evaluate to.

``[MAX 2 9 [MIN 4 7 ] 0 ]`` is 9. MED is the median, rounded down; SM is the sum modulo 10. Many expressions
at once are rows of symbol numbers, 0 behind the end: drawn, computed and made into trees one column, or one
depth of lists, after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias, Union, get_args

import numpy as np

from dlnotes.data.assemble import assemble, consecutive, pad
from dlnotes.data.dataset import Dataset, Trees
from dlnotes.data.trees.batching import arrange
from dlnotes.data.trees.shapes import balanced_parents, chain_parents

Expression: TypeAlias = Union[int, tuple["str | Expression", ...]]  # noqa: UP007 (a recursive alias)
"""A digit, or a tuple of an operator and two or more expressions."""

OPERATORS = ("MIN", "MAX", "MED", "SM")
SYMBOLS = ("<pad>", *"0123456789", *(f"[{name}" for name in OPERATORS), "]")
CLASSES = tuple("0123456789")
Structure = Literal["given", "operators", "balanced", "chain", "sequence"]
"""What a net is fed with: see `to_trees`."""
OPEN, CLOSE = SYMBOLS.index("[MIN"), SYMBOLS.index("]")  # openings are OPEN … CLOSE - 1
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


def encode(expressions: Sequence[Expression]) -> np.ndarray:
    """Expressions as rows of symbol numbers, ``(n, longest)``, 0 behind the end."""
    index = {symbol: i for i, symbol in enumerate(SYMBOLS)}
    return pad([[index[symbol] for symbol in to_string(e).split()] for e in expressions])


def draw(rng: np.random.Generator, n: int, *, max_depth: int, max_args: int, max_length: int) -> np.ndarray:
    """Random lists by the published grammar; of ``n``, those that have at most ``max_length`` symbols.

    An operator is uniform among four, the number of arguments uniform on 2..max_args, and an argument
    is a list with probability 1/4 (never below ``max_depth`` levels), else a uniform digit.

    Returns:
      ``(at most n, max_length)`` symbol numbers, 0 behind the end.
    """
    rows = np.zeros((n, max_length), np.uint8)
    missing = np.zeros((n, max_depth + 1), np.int16)  # arguments that each open list still lacks
    depth = np.zeros(n, np.int64)
    live = np.arange(n)
    for column in range(max_length):
        at = depth[live]
        closes = (at > 0) & (missing[live, at] == 0)
        opens = ~closes & (at < max_depth) & (rng.random(len(live)) < OPERATOR_PROBABILITY) | (at == 0)
        symbol = np.where(opens, OPEN + rng.integers(len(OPERATORS), size=len(live)), 1)
        symbol[~opens] += rng.integers(10, size=int((~opens).sum()))
        rows[live, column] = np.where(closes, CLOSE, symbol)
        missing[live, at] -= ~closes
        depth[live] += opens.astype(np.int64) - closes
        new = live[opens]
        missing[new, depth[new]] = rng.integers(2, max_args + 1, size=len(new))
        live = live[depth[live] > 0]
    rows[live] = 0
    return rows[rows[:, 0] > 0]


class _Lists(NamedTuple):
    """How the symbols of each row belong together, all ``(n, columns)``.

    Attributes:
      owner: column of the opening of the list that a symbol is an argument of, or closes; -1 without one.
      rank: which argument of that list it is, from 0.
      count: arguments of the list that opens here.
      depth: open lists before the symbol.
    """

    owner: np.ndarray
    rank: np.ndarray
    count: np.ndarray
    depth: np.ndarray


def _lists(rows: np.ndarray) -> _Lists:
    n, columns = rows.shape
    opens, closes = (rows >= OPEN) & (rows < CLOSE), rows == CLOSE
    depth = np.cumsum(opens.astype(np.int32) - closes, axis=1, dtype=np.int32) - opens + closes
    owner, rank, count = (np.full((n, columns), fill, np.int32) for fill in (-1, 0, 0))
    stack = np.full((n, int(depth.max(initial=0)) + 2), -1, np.int32)  # openings of the open lists
    each = np.arange(n)
    for column in range(columns):
        at = depth[:, column]
        owner[:, column] = stack[each, at]
        argument = np.flatnonzero((rows[:, column] > 0) & ~closes[:, column] & (at > 0))
        of = owner[argument, column]
        rank[argument, column] = count[argument, of]
        count[argument, of] += 1
        new = np.flatnonzero(opens[:, column])
        stack[new, at[new] + 1] = column
    return _Lists(owner, rank, count, depth)


def values(rows: np.ndarray) -> np.ndarray:
    """The digit of each row, ``(n,)``, computed from the innermost lists out; see `evaluate` for one.

    >>> values(encode([("MAX", 2, ("SM", 7, 5)), 4])).tolist()
    [2, 4]
    """
    n, columns = rows.shape
    lists = _lists(rows)
    opens = (rows >= OPEN) & (rows < CLOSE)
    place = np.flatnonzero(opens)
    number = np.zeros(n * columns, np.int64)  # of the list that opens there
    number[place] = np.arange(len(place))
    arguments = np.full((len(place), int(lists.count.max(initial=1))), -1, np.int64)
    row, column = np.nonzero((rows > 0) & (rows != CLOSE) & (lists.owner >= 0))
    of = number[row * columns + lists.owner[row, column]]
    arguments[of, lists.rank[row, column]] = row * columns + column
    flat = rows.reshape(-1)
    result = flat.astype(np.int64) - 1
    for depth in range(int(lists.depth.max(initial=0)), -1, -1):
        chosen = np.flatnonzero(lists.depth.reshape(-1)[place] == depth)
        here = arguments[chosen]
        real, args = here >= 0, result[here]
        counts = real.sum(1)
        ranked = np.sort(np.where(real, args, 10), axis=1)
        halves = (np.maximum(counts - 1, 0) // 2, counts // 2)
        low, high = (np.take_along_axis(ranked, half[:, None], 1)[:, 0] for half in halves)
        found = (ranked[:, 0], np.where(real, args, -1).max(1), (low + high) // 2, (args * real).sum(1) % 10)
        result[place[chosen]] = np.choose(flat[place[chosen]] - OPEN, found)
    return result.reshape(n, columns)[:, 0]


def to_trees(
    rows: np.ndarray, structure: Structure = "given", *, nodes: int | None = None, arity: int | None = None
) -> tuple[Trees, np.ndarray]:
    """Expressions as trees of one size.

    - "given": binary and as published: a list combines from the left, closing bracket included,
      ``(((([MAX 2) 9) ...) ])``. Only leaves have labels, the symbols of the expression in order.
    - "operators": a list is one node, which has the operator's symbol as its label and the arguments as
      children; there are no brackets.
    - "balanced", "chain": the leaves of "given" under a balanced binary tree, or combined one after the other
      from the left, whatever the lists are.

    Args:
      rows: ``(n, columns)`` symbol numbers of whole expressions, 0 behind the end.
      structure: one of these.
      nodes: padded number of nodes; that of the largest tree if not given.
      arity: slots for children; 2, or with "operators" the most arguments, if not given.

    Returns:
      The trees and their mask, ``(n, nodes)``.

    Raises:
      ValueError: for an unknown structure, or where nodes or arity do not hold the trees.
    """
    real = rows > 0
    lengths = real.sum(1)
    if structure in ("balanced", "chain"):
        sizes, template = np.unique(lengths, return_inverse=True)
        shapes = [(balanced_parents if structure == "balanced" else chain_parents)(int(m)) for m in sizes]
        parent = np.concatenate(shapes)
        made = arrange(np.full(len(parent), -1), parent, 2 * sizes - 1, nodes=nodes, arity=arity or 2)
        trees = Trees(*(a[template.reshape(-1)] for a in made.trees))
        width = min(rows.shape[1], trees.label.shape[1])
        trees.label[:, :width] = np.where(real, rows.astype(np.int32), -1)[:, :width]
        return trees, made.mask[template.reshape(-1)]
    lists = _lists(rows)
    opens = real & (rows >= OPEN) & (rows < CLOSE)
    if structure == "given":
        made_here = (
            np.where(opens, lists.count + 2, 1) * real
        )  # a node for each symbol but the first, and a leaf
        # of the k arguments of a list, the last one hangs on the second of its k + 1 nodes
        above = np.where(rows == CLOSE, 0, np.take_along_axis(lists.count, lists.owner, 1) - lists.rank)
    elif structure == "operators":
        made_here = (real & (rows != CLOSE)).astype(np.int64)
        above = np.zeros_like(lists.count)
    else:
        raise ValueError(f"structure: got {structure!r}, allowed are given, operators, balanced, chain")
    ends = np.cumsum(made_here, axis=1)
    first = ends - made_here  # node that the symbol's first one is
    up = np.where(lists.owner < 0, -1, np.take_along_axis(first, lists.owner, 1) + above)
    kept = made_here > 0
    sizes = ends[:, -1]
    start = (np.cumsum(sizes) - sizes)[:, None]
    total = int(sizes.sum())
    label = np.full(total, -1, np.int32)
    label[(start + ends - 1)[kept]] = rows[kept]
    parent = np.arange(total) - np.repeat(start[:, 0], sizes) - 1
    parent[(start + first)[kept]] = up[kept]
    made = arrange(label, parent, sizes, nodes=nodes, arity=arity or (2 if structure == "given" else None))
    return made.trees, made.mask


def list_ops(
    *,
    n_train: int = 4000,
    n_validation: int = 500,
    n_test: int = 500,
    structure: Structure = "given",
    max_depth: int = 20,
    max_args: int = 5,
    max_length: int = 100,
    seed: int = 0,
) -> Dataset:
    """Evaluate a nested list: ten classes, input "tree", or "tokens" for the structure "sequence".

    Expressions are drawn by the published grammar (see `draw`) with its depth and number of arguments; all
    are different, so none is in two parts, and none is a bare digit. They do not depend on the structure.
    All parts are padded to the same size. The published data have 90,000 for training and 10,000 for the
    test.

    Args:
      n_train: number of training expressions.
      n_validation: of validation expressions, may be 0.
      n_test: of test expressions, may be 0.
      structure: of the trees, see `to_trees`; "sequence" for the symbols in order.
      max_depth: most lists inside one another.
      max_args: most arguments of an operator, 2 or more.
      max_length: most symbols of an expression, 4 or more (digits, operators, closing brackets).
      seed: decides the expressions.

    Raises:
      ValueError: when a limit is out of range, or allows too few different expressions.

    Source: Nangia and Bowman, 2018, ListOps: a diagnostic dataset for latent tree learning.
    """
    if structure not in get_args(Structure):
        raise ValueError(f"structure: got {structure!r}, allowed are {', '.join(get_args(Structure))}")
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
    known: dict[bytes, None] = {}
    tried = 0
    while len(known) < n:
        if tried > 100 * n + 1000:
            raise ValueError(
                f"n_train, n_validation, n_test: got {n} expressions, but max_depth {max_depth}, "
                f"max_args {max_args}, max_length {max_length} gave only {len(known)} different ones"
            )
        more = int(1.3 * (n - len(known))) + 100
        tried += more
        drawn = draw(rng, more, max_depth=max_depth, max_args=max_args, max_length=max_length)
        known |= dict.fromkeys(row.tobytes() for row in drawn)
    rows = np.frombuffer(b"".join(list(known)[:n]), np.uint8).reshape(n, max_length)
    rows = rows[:, : int((rows > 0).sum(1).max())]
    if structure == "sequence":
        x, mask = rows.astype(np.int32), rows > 0
    else:
        x, mask = to_trees(rows, structure, arity=max_args if structure == "operators" else 2)
    return assemble(
        "list_ops",
        x,
        values(rows),
        consecutive(n_train, n_validation, n_test),
        input="tokens" if structure == "sequence" else "tree",
        task="classification",
        outputs=10,
        mask=mask,
        classes=CLASSES,
        symbols=SYMBOLS,
        notation=f"list operations, {structure}",
    )
