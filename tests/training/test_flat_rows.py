"""Examples that lie on a device as vectors: what a step sees is what they are."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes.data.dataset import Examples, Pair
from dlnotes.data.order import batch_rows
from dlnotes.devices.absent import described
from dlnotes.devices.chips import topology
from dlnotes.devices.placement import Division, Placement, place
from dlnotes.training.flat_rows import LANES, flat_rows, flat_shapes
from dlnotes.training.loop import resident_batches
from dlnotes.training.state import Member

RNG = np.random.default_rng(3)
N = 11


def on(name):
    return Placement("single", described(topology(name))[:1], "none")


def examples(*sizes, mask=True):
    x = RNG.standard_normal((N, *sizes)).astype(np.float32)
    return Examples(x, RNG.integers(0, 9, N), RNG.random((N, *sizes[:-1])) < 0.5 if mask else None)


@pytest.mark.parametrize("chip", ["cpu:1", "h100:1", "v5e:1x1"])
@pytest.mark.parametrize("sizes", [(5,), (9, 14, 1), (8, 4, 4), (2, 3), (2, 64, 2)], ids=str)
def test_they_become_vectors_and_examples_again(sizes, chip):
    data = examples(*sizes, mask=len(sizes) > 1)
    flat = flat_rows(data, on(chip))
    numbers = int(np.prod(sizes))
    padded = chip.startswith("v5e") and -(-numbers // LANES) * LANES <= 1.25 * numbers
    assert flat.x.shape == (N, -(-numbers // LANES) * LANES if padded else numbers)
    assert flat.y is data.y
    if not padded:
        assert np.shares_memory(flat.x, data.x)
    told = flat_shapes(data, on(chip))
    chex.assert_trees_all_equal_shapes_and_dtypes(tuple(told), tuple(flat))
    member = Member(*[None] * len(Member._fields))._replace(key=jnp.array([5, 7], jnp.uint32))
    for size in (4, N):
        batch_at = resident_batches(N, size, Division(), like=data)
        got = batch_at(jax.tree.map(jnp.asarray, flat), member, jnp.int32(1), jnp.int32(0))
        own = resident_batches(N, size, Division())
        want = own(jax.tree.map(jnp.asarray, data), member, jnp.int32(1), jnp.int32(0))
        chex.assert_trees_all_equal(got, want)


def test_pairs_and_nothing():
    x = Pair(RNG.standard_normal((N, 3, 2)).astype(np.float32), RNG.integers(0, 4, (N, 7)))
    data = Examples(x, RNG.standard_normal((N, 2)).astype(np.float32), None)
    flat = flat_rows(data, place("single", members=1))
    assert (flat.x.source.shape, flat.x.target.shape, flat.y.shape) == ((N, 6), (N, 7), (N, 2))
    assert flat.mask is None


def test_the_rows_are_those_of_the_order():
    data = examples(3, 2)
    words = np.array([5, 7], np.uint32)
    rows, _ = batch_rows(1, n=N, batch_size=4, key_data=words)
    assert len(set(rows.tolist())) == 4
    np.testing.assert_array_equal(flat_rows(data, on("v5e:1x1")).x[rows].reshape(4, 3, 2), data.x[rows])
