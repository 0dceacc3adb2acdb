"""Blocks of a split and chunks of batches."""

import chex
import jax
import numpy as np
import pytest

from dlnotes.data.dataset import Examples, Pair
from dlnotes.data.order import batch_rows
from dlnotes.devices.placement import Division, place
from dlnotes.training import loader as feeding
from dlnotes.training.loader import Loader, blocks_of, parts_of_blocks, size_of

WORDS = np.array([[1, 2], [3, 4]], np.uint32)


@pytest.fixture
def examples():
    rng = np.random.default_rng(0)
    pair = Pair(rng.integers(0, 9, (23, 4)), rng.integers(0, 9, (23, 3)))
    return Examples(pair, rng.integers(0, 9, (23, 3)), rng.random((23, 4)) < 0.7)


@pytest.mark.parametrize(("rows", "parts"), [(5, 1), (23, 1), (100, 1), (8, 4), (7, 3), (1, 8)])
def test_blocks_hold_every_example_once_and_fill_with_weight_0(rows, parts, examples):
    blocks = blocks_of(examples, rows, parts=parts)
    count, each = blocks.weight.shape
    assert each % parts == 0
    assert blocks.weight.sum() == 23
    keep = blocks.weight.reshape(-1) > 0
    flat = jax.tree.map(lambda a: a.reshape(count * each, *a.shape[2:])[keep], tuple(blocks[:3]))
    chex.assert_trees_all_equal(flat, tuple(examples))


@pytest.mark.parametrize(("rows", "parts"), [(5, 1), (23, 1), (100, 1), (8, 4), (7, 3)])
def test_a_large_split_is_not_copied(rows, parts, examples, monkeypatch):
    small = parts_of_blocks(examples, rows, parts=parts)
    assert len(small) == 1
    monkeypatch.setattr(feeding, "LARGE", 1)
    found = parts_of_blocks(examples, rows, parts=parts)
    assert len(found) == (1 if rows >= 23 else 2)

    def kept(blocks):
        real = blocks.weight.reshape(-1) > 0
        return jax.tree.map(lambda a: a.reshape(real.size, *a.shape[2:])[real], tuple(blocks[:3]))

    joined = jax.tree.map(lambda *a: np.concatenate(a), *map(kept, found))
    chex.assert_trees_all_equal(joined, tuple(examples))
    if len(found) == 2:
        assert np.shares_memory(found[0].x.source, examples.x.source)


def test_shapes_are_those_of_what_is_prepared(examples):
    for resident in (True, False):
        loader = feed(examples, resident)
        told, given = loader.shapes(), loader.prepare(0, 1)
        assert jax.tree.structure(told) == jax.tree.structure(given)
        for a, b in zip(jax.tree.leaves(told), jax.tree.leaves(given)):
            assert (a.shape, a.dtype, a.sharding) == (b.shape, b.dtype, b.sharding)


def feed(examples, resident, **options):
    options = {"batch_size": 6, "division": Division()} | options
    division = options.pop("division")
    return Loader(examples, place("single", members=2), division, words=WORDS, resident=resident, **options)


def test_streamed_batches_are_the_order_of_each_member(examples):
    got = feed(examples, False).prepare(step=9, n_steps=3)
    for m in range(2):
        for i in range(3):
            rows, weight = batch_rows(9 + i, n=23, batch_size=6, key_data=WORDS[m])
            np.testing.assert_array_equal(got.x.source[m, i], examples.x.source[rows])
            np.testing.assert_array_equal(got.x.target[m, i], examples.x.target[rows])
            np.testing.assert_array_equal(got.mask[m, i], examples.mask[rows])
            np.testing.assert_array_equal(got.weight[m, i], weight)


def test_streamed_batches_are_filled_up_for_the_parts(examples):
    got = feed(examples, False, division=Division(multiple=4)).prepare(0, 2)
    assert got.weight.shape[-1] == 8
    np.testing.assert_array_equal(got.weight[..., 6:], 0)


def test_a_chunk_holds_no_more_than_its_share_of_memory(examples, monkeypatch):
    row = size_of(examples) / 23
    monkeypatch.setattr(feeding, "CHUNK_BYTES", int(row * 6 * 2 * 5.5))
    assert feed(examples, False).capacity == 5
    monkeypatch.setattr(feeding, "CHUNK_BYTES", 1)
    assert feed(examples, False).capacity == 1


def test_resident_data_are_put_once(examples):
    f = feed(examples, True)
    assert f.prepare(0, 4) is f.prepare(4, 9)
    assert not f.per_member
    assert size_of(examples) == sum(a.nbytes for a in jax.tree.leaves(examples))
