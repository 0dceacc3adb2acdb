"""Buckets: against every partition of small cases, and by their definition."""

import numpy as np
import pytest

from dlnotes.data.buckets import buckets_for, choose_buckets, crop, divide, example_sizes, masked_sizes
from dlnotes.data.dataset import Examples, Pair, Trees
from dlnotes.data.trees.batching import arrange
from dlnotes.data.trees.shapes import random_parents


def partitions(items, most):
    """Every partition of a list into at most ``most`` non-empty groups."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for groups in partitions(rest, most):
        for i in range(len(groups)):
            yield [*groups[:i], [first, *groups[i]], *groups[i + 1 :]]
        if len(groups) < most:
            yield [[first], *groups]


def least_cost(sizes, most):
    """The least number of padded cells over all partitions."""
    return min(
        sum(len(g) * int(np.prod(sizes[g].max(axis=0))) for g in groups)
        for groups in partitions(list(range(len(sizes))), most)
    )


def cost(buckets):
    return sum(n * int(np.prod(shape)) for n, shape in zip(buckets.counts, buckets.shapes))


@pytest.mark.parametrize("most", [1, 2, 3, 4])
def test_one_axis_is_optimal(most):
    rng = np.random.default_rng(most)
    for _ in range(20):
        sizes = rng.integers(1, 30, rng.integers(1, 9))
        found = choose_buckets(sizes, most=most)
        assert len(found.shapes) <= most
        assert cost(found) == least_cost(sizes[:, None], most)


@pytest.mark.parametrize("axes", [2, 3])
def test_several_axes_are_near_the_optimum_and_mostly_at_it(axes):
    rng = np.random.default_rng(axes)
    ratios = []
    for _ in range(40):
        sizes = rng.integers(1, 12, (8, axes))
        most = int(rng.integers(1, 4))
        ratios.append(cost(choose_buckets(sizes, most=most)) / least_cost(sizes, most))
    assert min(ratios) >= 1
    assert max(ratios) < 1.15
    assert np.mean(np.array(ratios) == 1) > 0.8


def test_nested_sizes_of_two_axes_are_optimal():
    rng = np.random.default_rng(0)
    for _ in range(20):
        sizes = np.cumsum(rng.integers(0, 4, (7, 2)), axis=0) + 1
        assert cost(choose_buckets(sizes, most=3)) == least_cost(sizes, 3)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("multiple", [1, 4])
def test_every_example_is_in_the_cheapest_bucket_that_holds_it(axes, multiple):
    rng = np.random.default_rng(axes)
    sizes = rng.integers(1, 200 if axes < 3 else 20, (3000, axes))
    found = choose_buckets(sizes, most=5, multiple=multiple)
    shapes = np.array(found.shapes)
    assert len(shapes) <= 5
    assert not (shapes % multiple).any()
    cells = shapes.prod(axis=1)
    assert (np.diff(cells) >= 0).all()
    fits = (sizes[:, None] <= shapes).all(axis=2)
    assert fits[np.arange(len(sizes)), found.index].all()
    assert (cells[found.index] == np.where(fits, cells, 10**9).min(axis=1)).all()
    assert 1 <= found.waste < found.waste_of_one
    np.testing.assert_allclose(found.waste, cells[found.index].sum() / sizes.prod(axis=1).sum())
    for b, shape in enumerate(shapes):  # as small as the sizes allow
        assert (-(-sizes[found.index == b].max(axis=0) // multiple) * multiple == shape).all()


def test_more_buckets_never_cost_more_and_none_is_superfluous():
    sizes = np.random.default_rng(2).integers(4, 20, 200)
    costs = [choose_buckets(sizes, most=k).waste for k in range(1, 30)]
    assert (np.diff(costs) <= 0).all()
    assert costs[-1] == 1
    assert len(choose_buckets(sizes, most=30).shapes) == len(np.unique(sizes))
    assert choose_buckets([[5, 7]] * 9, most=4).shapes == ((5, 7),)


def test_words():
    assert choose_buckets([[2, 3], [2, 3]], most=4).describe() == (
        "1 bucket: 2×3 (2 examples); 1.00 padded cells for each real one"
    )


@pytest.mark.parametrize(
    ("sizes", "options", "message"),
    [
        ([], {"most": 2}, "sizes: got shape"),
        ([1.5], {"most": 2}, "whole numbers"),
        ([3, 0], {"most": 2}, "sizes: got 0"),
        ([3], {"most": 0}, "most: got 0"),
        ([3], {"most": 1, "multiple": 0}, "multiple: got 0"),
    ],
)
def test_refusals(sizes, options, message):
    with pytest.raises(ValueError, match=message):
        choose_buckets(sizes, **options)


def padded(rng, n=12, largest=(7, 9)):
    """Examples of random sizes, zero outside their masks."""
    sizes = rng.integers(1, np.array(largest) + 1, (n, 2))
    rows, columns = np.arange(largest[0])[:, None], np.arange(largest[1])
    mask = (rows < sizes[:, 0, None, None]) & (columns < sizes[:, 1, None, None])
    x = rng.normal(size=(n, *largest, 3)).astype(np.float32) * mask[..., None]
    return Examples(x, rng.integers(0, 4, n), mask), sizes


def test_sizes_and_division_lose_nothing():
    examples, sizes = padded(np.random.default_rng(1))
    np.testing.assert_array_equal(masked_sizes(examples.mask), sizes)
    seen = []
    for rows, part in divide(examples, 3):
        seen += rows.tolist()
        assert part.x.shape[:3] == part.mask.shape
        for row, x, y, mask in zip(rows, *part):
            height, width = sizes[row]
            assert mask.sum() == height * width
            assert y == examples.y[row]
            np.testing.assert_array_equal(x[:height, :width], examples.x[row, :height, :width])
    assert sorted(seen) == list(range(12))


def test_targets_at_positions_are_cut_and_others_are_not():
    rng = np.random.default_rng(0)
    mask = np.ones((3, 5), bool)
    x = rng.normal(size=(3, 5, 2))
    assert crop(Examples(x, rng.integers(0, 4, (3, 5)), mask), (2,)).y.shape == (3, 2)
    assert crop(Examples(x, rng.normal(size=(3, 5, 1)), mask), (2,)).y.shape == (3, 2, 1)
    assert crop(Examples(x, rng.normal(size=(3, 5)), mask), (2,)).y.shape == (3, 5)  # five outputs
    assert crop(Examples(x, rng.integers(0, 4, 3), mask), (2,)).y.shape == (3,)


def pairs_of_sizes(sizes):
    """Pairs whose source and target hold their own row number at every real position."""
    sizes = np.asarray(sizes)
    rows = np.arange(1, len(sizes) + 1, dtype=np.int32)[:, None]
    mask = np.arange(sizes[:, 0].max()) < sizes[:, :1]
    real = np.arange(sizes[:, 1].max()) < sizes[:, 1:]
    source, target = np.where(mask, rows, 0), np.where(real, rows, 0)
    return Examples(Pair(source, target), np.where(real, rows, -1), mask)


def test_pairs_are_divided_by_both_lengths_and_nothing_is_lost():
    sizes = np.random.default_rng(5).integers(1, 25, (400, 2))
    examples = pairs_of_sizes(sizes)
    np.testing.assert_array_equal(example_sizes(examples), sizes)
    chosen = buckets_for(examples, 6)
    assert len(chosen.shapes) <= 6
    steps = np.array(chosen.shapes).sum(axis=1)
    assert chosen.waste == pytest.approx(steps[chosen.index].sum() / sizes.sum())
    assert chosen.waste < 1.4 < 1.8 < chosen.waste_of_one
    seen = []
    for rows, part in divide(examples, 6):
        assert part.y.shape == part.x.target.shape
        assert part.mask.shape == part.x.source.shape
        for i, source, target, y, mask in zip(rows, *part.x, part.y, part.mask):
            assert source[mask].tolist() == [i + 1] * sizes[i, 0]  # whole, and of no other example
            assert target[y >= 0].tolist() == y[y >= 0].tolist() == [i + 1] * sizes[i, 1]
            seen.append(i)
    assert sorted(seen) == list(range(400))


@pytest.mark.parametrize("most", [1, 2, 3])
def test_steps_of_both_axes_are_near_the_optimum(most):
    rng = np.random.default_rng(most)
    for _ in range(15):
        sizes = rng.integers(1, 12, (8, 2))
        found = choose_buckets(sizes, most=most, cost="steps")
        spent = sum(n * sum(shape) for n, shape in zip(found.counts, found.shapes))
        least = min(
            sum(len(g) * int(sizes[g].max(axis=0).sum()) for g in groups)
            for groups in partitions(list(range(len(sizes))), most)
        )
        assert least <= spent <= 1.1 * least
    assert "padded steps for each real one" in found.describe()


@pytest.mark.parametrize("at_nodes", [False, True])
def test_trees_are_divided_by_their_nodes_and_nothing_is_lost(at_nodes):
    rng = np.random.default_rng(0)
    lists = [random_parents(int(n), rng) for n in rng.integers(1, 20, 50)]
    sizes = [len(p) for p in lists]
    label = np.arange(sum(sizes))
    made = arrange(label, np.concatenate(lists), sizes)
    y = made.placed(label % 7) if at_nodes else np.arange(50)
    examples = Examples(made.trees, y, made.mask)
    chosen = buckets_for(examples, 3)
    assert chosen.cost == "nodes"
    assert "padded nodes for each real one" in chosen.describe()
    assert chosen.cells.tolist() == sizes
    seen = []
    for (rows, part), shape in zip(divide(examples, 3), chosen.shapes):
        (nodes,) = shape
        assert isinstance(part.x, Trees)
        assert part.x.children.shape == (len(rows), nodes, 2)
        assert part.x.label.shape == part.x.order.shape == part.mask.shape == (len(rows), nodes)
        assert part.y.shape == ((len(rows), nodes) if at_nodes else (len(rows),))
        seen += part.x.label[part.mask].tolist()
        # a smaller bucket is the trees as they would have been made for it
        alone = arrange(
            np.concatenate([label[made.tree == i] for i in rows]),
            np.concatenate([lists[i] for i in rows]),
            [sizes[i] for i in rows],
            nodes=nodes,
            arity=2,
        )
        np.testing.assert_array_equal(alone.trees.label, part.x.label)
        np.testing.assert_array_equal(alone.trees.children, part.x.children)
        np.testing.assert_array_equal(alone.mask, part.mask)
    assert sorted(seen) == label.tolist()
