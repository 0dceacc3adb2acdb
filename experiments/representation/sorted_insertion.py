"""The same sorted numbers as a linked list, a red-black tree and an array: what an insertion costs in each.

The notes: many tasks are easy or hard depending on how information is represented. To put a number into its
place in a sorted list takes O(n) where the list is a linked list, and only O(log n) where it is a red-black
tree.

Measured: comparisons of an insertion among n numbers, n from 16 to 262,144, that arrive in random,
ascending and descending order, and from an adversary that decides each number while it is compared. A tree
grows number by number, and the bound 2 log₂(n + 1) is held against every one of its insertions. A linked
list of n numbers is made in order, since to insert them would take n²/4 comparisons; then numbers are put
in and taken out again.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from pydantic import Field

from dlnotes.analysis.sorted_structures import Adversary, Counted, LinkedList, RedBlackTree, SearchTree
from dlnotes.claims import (
    Above,
    Below,
    Claim,
    Interval,
    Measured,
    Options,
    Part,
    Plot,
    Within,
    exact,
    mean,
    notes,
    ours,
    paper,
    ratio,
)
from dlnotes.plotting import BLUE, GREEN, ORANGE, PURPLE, new_figure, set_title

ORDERS = ("random", "ascending", "descending", "adversary")
RANDOM, ASCENDING, DESCENDING, ADVERSARY = range(4)
SMALLEST, STEP = 16, 4
"""The fewest numbers, and how many times more there are at the next size."""
FIRST_SEED = 14_900


class SortedInsertion(Options):
    """Sizes of the experiment."""

    sizes: int = Field(
        8, ge=3, le=9, description="how many sizes, each 4 times the one before; the first is 16"
    )
    insertions: int = Field(100, ge=2, description="insertions that are measured at each size")
    unbalanced: int = Field(4096, ge=16, description="numbers that the tree without balance gets at most")


def bound(n: Any) -> np.ndarray:
    """``2 log₂(n + 1)``: the longest way down in a red-black tree of n numbers."""
    return 2 * np.log2(np.asarray(n, float) + 1)


def grow(
    tree: SearchTree, numbers: Sequence[Any] | Callable[[int], Any], sizes: Sequence[int], insertions: int
) -> tuple[np.ndarray, np.ndarray]:
    """Put numbers into a tree one by one.

    Returns:
      comparisons: ``(largest size,)``, entry n of the insertion into a tree of n.
      seconds: ``(sizes,)`` of one of the last insertions before each size, of so many or of half the tree.
    """
    comparisons, seconds, done = np.zeros(sizes[-1], int), [], 0
    for size in sizes:
        window = size - min(insertions, size // 2)
        for stop in (window, size):
            drawn = None if callable(numbers) else numbers[done:stop]
            start = perf_counter()
            if drawn is None:
                found = [tree.insert(numbers(n)) for n in range(done, stop)]  # pyright: ignore[reportCallIssue]
            else:
                found = [tree.insert(number) for number in drawn]
            taken = perf_counter() - start
            comparisons[done:stop], done = found, stop
        seconds.append(taken / (size - window))
    return comparisons, np.array(seconds)


def last(values: np.ndarray, sizes: Sequence[int], insertions: int) -> np.ndarray:
    """Mean over the insertions that `grow` times, ``(sizes,)``."""
    return np.array([values[n - min(insertions, n // 2) : n].mean() for n in sizes])


def into_list(ascending: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, float]:
    """Comparisons of each insertion into a linked list of these numbers, and the mean seconds of one."""
    numbers = LinkedList(ascending.tolist())
    comparisons, taken = [], 0.0
    for key in new.tolist():
        start = perf_counter()
        found, before = numbers.insert(key)
        taken += perf_counter() - start
        numbers.remove_after(before)
        comparisons.append(found)
    return np.array(comparisons), taken / len(new)


def into_array(ascending: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Comparisons and moved numbers of each insertion into an array, and the mean seconds of one."""
    numbers = ascending.tolist()
    comparisons, moves, taken = [], [], 0.0
    for key in new.tolist():
        counted = Counted(key)
        place = bisect_right(numbers, counted)
        comparisons.append(counted.comparisons)
        moves.append(len(numbers) - place)
        start = perf_counter()
        insort(numbers, key)
        taken += perf_counter() - start
        del numbers[place]
    return np.array(comparisons), np.array(moves), taken / len(new)


def measure(options: SortedInsertion) -> dict[str, np.ndarray]:
    """Random orders for every seed; the others, in which nothing is random, once."""
    sizes = [SMALLEST * STEP**i for i in range(options.sizes)]
    w, most = options.insertions, sizes[-1]
    found: dict[str, list] = {
        name: []
        for name in ("tree", "tree_worst", "tree_seconds", "list", "list_seconds",
                     "array", "array_worst", "array_moves", "array_seconds")
    }  # fmt: skip
    for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
        rng = np.random.default_rng(seed)
        numbers = rng.random(most)
        comparisons, seconds = grow(RedBlackTree(), numbers.tolist(), sizes, w)
        found["tree"].append(last(comparisons, sizes, w))
        found["tree_worst"].append(worst(comparisons))
        found["tree_seconds"].append(seconds)
        here: dict[str, list] = {name: [] for name in found if not name.startswith("tree")}
        for n in sizes:
            ascending, new = np.sort(numbers[:n]), rng.random(w)
            by_list, by_array = into_list(ascending, new), into_array(ascending, new)
            most_halvings = np.floor(np.log2(n)) + 1
            for name, value in zip(
                here,
                (by_list[0].mean(), by_list[1], by_array[0].mean(), by_array[0].max() / most_halvings,
                 by_array[1].mean(), by_array[2]),
            ):  # fmt: skip
                here[name].append(value)
        for name, values in here.items():
            found[name].append(values)
    tree, in_turn = RedBlackTree(), np.arange(most, dtype=float)
    turns = {
        ASCENDING: grow(RedBlackTree(), in_turn.tolist(), sizes, w)[0],
        DESCENDING: grow(RedBlackTree(), (-in_turn).tolist(), sizes, w)[0],
        ADVERSARY: grow(tree, lambda n: Adversary(tree, left=True), sizes, w)[0],
    }
    few = [n for n in sizes if n <= options.unbalanced]
    plain, _ = grow(SearchTree(), in_turn[: few[-1]].tolist(), few, w)
    ends = [np.arange(n, dtype=float) for n in sizes]
    return (
        {name: np.array(values) for name, values in found.items()}
        | {
            "sizes": np.array(sizes),  # the arrays above are (seeds, sizes), tree_worst (seeds,)
            "turns": np.array(
                [last(c, sizes, w) for c in turns.values()]
            ),  # (orders but the random one, sizes)
            "turns_worst": np.array([worst(c) for c in turns.values()]),
            "list_ascending": np.array([into_list(a, a[-1:] + 1)[0].max() for a in ends]),  # (sizes,)
            "list_descending": np.array([into_list(a, a[:1] - 1)[0].max() for a in ends]),
            "plain": plain,  # comparisons of each insertion in ascending order
        }
    )


def worst(comparisons: np.ndarray) -> float:
    """The largest share of the bound that an insertion took; the first, into an empty tree, takes none."""
    n = np.arange(1, len(comparisons))
    return float((comparisons[1:] / bound(n)).max())


def power(n: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Exponent a of ``values ∝ nᵃ`` by least squares of logarithms; ``(..., sizes)`` to ``(...)``."""
    return line(np.log(n), np.log(values))


def line(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Slope of the last axis of y in x by least squares."""
    x = x - x.mean()
    return (y * x).sum(-1) / (x**2).sum()


def upper(m: Measured) -> slice:
    """The larger half of the sizes."""
    return slice(len(m["sizes"]) // 2, None)


def per_doubling(m: Measured, values: np.ndarray) -> np.ndarray:
    """Comparisons more for twice as many numbers, over the larger half of the sizes."""
    return line(np.log2(m["sizes"][upper(m)]), values[..., upper(m)])


def all_worst(m: Measured) -> Interval:
    """The largest share of the bound over all insertions, orders and seeds."""
    orders = len(m["tree_worst"]) + len(m["turns_worst"])
    return exact(max(m["tree_worst"].max(), m["turns_worst"].max()), int(orders * (m["sizes"][-1] - 1)))


def draw(options: SortedInsertion, m: Measured) -> Plot:
    """Comparisons and seconds of an insertion against the numbers that are there already."""
    figure = new_figure(10.4, 4.3)
    left, right = figure.subplots(1, 2)
    n = m["sizes"]
    left.plot(n, m["list"].mean(0), "o-", color=ORANGE, label="linked list, random")
    left.plot(n, m["list_ascending"], "^:", color=ORANGE, label="linked list, ascending: n")
    left.plot(n, bound(n), color=BLUE, lw=1, label="2 log₂(n + 1)")
    left.plot(n, m["turns"].max(0), "^:", color=BLUE, label="red-black tree, hardest order tried")
    left.plot(n, m["tree"].mean(0), "o-", color=BLUE, label="red-black tree, random")
    few = n[n <= len(m["plain"])]
    left.plot(few, m["plain"][few - 1], "s--", color=PURPLE, label="tree without balance, ascending")
    left.plot(n, m["array_moves"].mean(0), "x--", color=GREEN, label="array, numbers moved, random")
    left.plot(n, m["array"].mean(0), "x-", color=GREEN, label="array by halving, random")
    left.set(xscale="log", yscale="log", xlabel="numbers, n", ylabel="comparisons (or moves) of an insertion")
    left.legend(fontsize=7.5)
    for name, color, label in (
        ("list", ORANGE, "linked list"),
        ("tree", BLUE, "red-black tree"),
        ("array", GREEN, "array (Python's list and bisect)"),
    ):
        low, middle, high = np.quantile(1e6 * m[f"{name}_seconds"], [0.1, 0.5, 0.9], axis=0)
        right.fill_between(n, low, high, color=color, alpha=0.2, lw=0)
        right.plot(n, middle, "o-", color=color, label=label)
    right.set(xscale="log", yscale="log", xlabel="numbers, n", ylabel="µs of an insertion, median, 80%")
    right.set_title("random order, timed")
    right.legend(fontsize=8)
    times = m["list"].mean(0)[-1] / m["tree"].mean(0)[-1]
    set_title(
        figure,
        f"Among {n[-1]:,} numbers an insertion takes {m['list'].mean(0)[-1]:,.0f} comparisons in a linked "
        f"list and {m['tree'].mean(0)[-1]:.1f} in a red-black tree, {times:,.0f} times fewer",
    )
    table = {"n": n, "bound": bound(n)}
    table |= {name: m[name].mean(0) for name in ("list", "tree", "array", "array_moves")}
    table |= {f"tree_{ORDERS[i + 1]}": m["turns"][i] for i in range(len(m["turns"]))}
    table |= {"list_ascending": m["list_ascending"], "list_descending": m["list_descending"]}
    table |= {
        f"{name}_seconds": np.median(m[f"{name}_seconds"], axis=0) for name in ("list", "tree", "array")
    }
    return Plot(figure, table)


def _facts(m: Measured) -> dict[str, Any]:
    faster = np.median(m["array_seconds"], axis=0) < np.median(m["tree_seconds"], axis=0)
    up_to = m["sizes"][faster]
    return {
        "smallest": f"{m['sizes'][0]}",
        "largest": f"{m['sizes'][-1]:,}",
        "list": f"{m['list'].mean(0)[-1]:,.0f}",
        "tree": f"{m['tree'].mean(0)[-1]:.1f}",
        "hardest": f"{m['turns'].max(0)[-1]:.1f}",
        "array": f"the array is the fastest up to {up_to[-1]:,} numbers"
        if len(up_to)
        else "the tree is faster than the array at every size",
    }


SECTION = "el aprendizaje de representación: pre-entrenamiento"
BY_LIST = notes(SECTION, "to insert a number into its place is O(n) where the sorted list is a linked list")
BY_TREE = notes(SECTION, "it is only O(log n) where the list is a red-black tree")
CLRS = "Guibas & Sedgewick 1978"

CLAIM = Claim(
    id="P14.9",
    statement="How information is represented decides what a task costs: to put a number into its place in a "
    "sorted list is O(n) with a linked list and O(log n) with a red-black tree.",
    source="notes, «el aprendizaje de representación: pre-entrenamiento»; Goodfellow et al. 2016, 15",
    options=SortedInsertion,
    measure=measure,
    draw=draw,
    method="Comparisons of an insertion are counted among n numbers, at {options.sizes} sizes of which each "
    f"is {STEP} times the one before, from {SMALLEST} on. They arrive in random order (one for each of "
    "{options.seeds} seeds; intervals cover these), ascending, descending, or from an adversary that decides "
    "a number while it is compared, so that it follows the red nodes. A red-black tree grows number by "
    "number; all its insertions are held against the bound, and the last {options.insertions} before a size "
    "give the mean there. Into a linked list of n numbers, and into an array, {options.insertions} random "
    "numbers are put one at a time and taken out again. A linked list is searched from its first number. "
    "All is plain Python, but the array's search and moves are compiled.",
    parts=(
        Part(
            "a list grows as n",
            "In random order the comparisons of an insertion into a linked list grow as n.",
            what="exponent a of comparisons ∝ nᵃ in a linked list, random order",
            effect=lambda m: mean(power(m["sizes"], m["list"])),
            rule=Within(0.9, 1.1),
            source=BY_LIST,
        ),
        Part(
            "the worst of a list",
            "The largest number is compared with all n of a linked list.",
            what="largest difference between n and the comparisons for a new largest number",
            effect=lambda m: exact(np.abs(m["list_ascending"] - m["sizes"]).max(), len(m["sizes"])),
            rule=Within(0, 0),
            source=BY_LIST,
        ),
        Part(
            "the bound of a tree",
            "No insertion into a red-black tree of n numbers takes more than 2 log₂(n + 1) comparisons.",
            what="largest comparisons over 2 log₂(n + 1), all insertions, orders and seeds",
            effect=all_worst,
            rule=Within(0, 1),
            source=BY_TREE,
        ),
        Part(
            "a tree grows as log n, random",
            "In random order twice as many numbers cost at most two comparisons more in a red-black tree.",
            what="comparisons more per doubling of n, larger half of the sizes, random order",
            effect=lambda m: mean(per_doubling(m, m["tree"])),
            rule=Within(0, 2),
            source=BY_TREE,
        ),
        Part(
            "a tree grows as log n, hard orders",
            "So it is in ascending and in descending order, and against the adversary.",
            what="most comparisons more per doubling of n, larger half of the sizes, over the three orders",
            effect=lambda m: exact(per_doubling(m, m["turns"]).max(), len(m["turns"])),
            rule=Within(0, 2.01),
            source=BY_TREE,
        ),
        Part(
            "how many times fewer",
            "Among the most numbers the tree takes fewer comparisons than the list.",
            what="comparisons in a linked list over those in a red-black tree, largest n, random order",
            effect=lambda m: ratio(m["list"][:, -1], m["tree"][:, -1]),
            rule=Above(1.0),
            source=ours("the notes give orders of growth, not how much it is"),
        ),
        Part(
            "how many times faster",
            "It takes less time too.",
            what="seconds in a linked list over those in a red-black tree, largest n, random order",
            effect=lambda m: ratio(m["list_seconds"][:, -1], m["tree_seconds"][:, -1]),
            rule=Above(1.0),
            source=ours("comparisons are not all that an insertion costs"),
        ),
        Part(
            "balance matters",
            "A search tree without balance is a linked list when numbers arrive in ascending order.",
            what="largest difference between n and the comparisons of an insertion, tree without balance",
            effect=lambda m: exact(np.abs(m["plain"] - np.arange(len(m["plain"]))).max(), len(m["plain"])),
            rule=Within(0, 0),
            source=paper(CLRS, "the colors keep a tree balanced whatever the order is"),
        ),
        Part(
            "halving an array",
            "In an array an insertion takes at most ⌊log₂ n⌋ + 1 comparisons.",
            what="largest comparisons over ⌊log₂ n⌋ + 1, all sizes and seeds",
            effect=lambda m: exact(m["array_worst"].max(), m["array_worst"].size),
            rule=Within(0, 1),
            source=ours("a third representation, with fewer comparisons than the tree"),
        ),
        Part(
            "an array moves n",
            "But the numbers that an array has to move grow as n.",
            what="exponent a of moves ∝ nᵃ in an array, random order",
            effect=lambda m: mean(power(m["sizes"], m["array_moves"])),
            rule=Within(0.9, 1.1),
            source=ours("what is counted decides which representation is cheap"),
        ),
        Part(
            "moves cost little",
            "Among the most numbers the array, which moves many at once, takes less time than the tree.",
            what="seconds in an array over those in a red-black tree, largest n, random order",
            effect=lambda m: ratio(m["array_seconds"][:, -1], m["tree_seconds"][:, -1]),
            rule=Below(1.0),
            source=ours("the order of growth says nothing of the constant before it"),
        ),
    ),
    facts=_facts,
    reading="Among {facts[largest]} numbers an insertion in random order takes {facts[list]} comparisons in "
    "a linked list and {facts[tree]} in a red-black tree; in the hardest order that was tried the tree takes "
    "{facts[hardest]}. At most {parts[the bound of a tree]} of the bound is used. The orders of growth are "
    "those of the notes, but they count comparisons: an array takes fewer of them than the tree and moves "
    "as many numbers as the list compares, and {facts[array]}: a machine moves neighbors in memory fast.",
)
