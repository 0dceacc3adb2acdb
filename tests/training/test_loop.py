"""Chunks of steps: any cut gives the same bits, members are as if alone, every example is seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training_parts import NAMES, close, equal, examples, member_of, recipe_of, state_of

from dlnotes.data.order import batch_rows
from dlnotes.devices.placement import Division
from dlnotes.training import loop
from dlnotes.training.step import train_step
from dlnotes.typing import Batch

N, SIZE, STEPS = 22, 8, 11
RATES = [0.3, 0.1, 0.03]


@pytest.fixture(scope="module")
def data():
    return jax.tree.map(jnp.asarray, examples(N))


def compiled(recipes, data, batch_size=SIZE, capacity=16):
    division = Division()
    return jax.jit(
        loop.train_chunk(
            recipes,
            loop.resident_batches(len(data.y), batch_size, division),
            metric_names=NAMES,
            capacity=capacity,
            division=division,
            rows_per_part=batch_size,
        )
    )


@pytest.fixture(scope="module")
def recipes():
    return recipe_of(kind="adam", dropout=0.3)


@pytest.fixture(scope="module")
def chunk(recipes, data):
    return compiled(recipes, data)


@pytest.fixture(scope="module")
def whole(chunk, recipes, data):
    state, metrics = chunk(state_of(recipes, 3, RATES), data, np.int32(STEPS))
    return state, np.asarray(metrics)[:STEPS]


@pytest.mark.parametrize("cut", [(1,) * STEPS, (4, 7), (10, 1), (2, 3, 6)])
def test_any_cut_into_chunks_gives_the_same_bits(cut, chunk, recipes, data, whole):
    state, rows = state_of(recipes, 3, RATES), []
    for n in cut:
        state, metrics = chunk(state, data, np.int32(n))
        rows.append(np.asarray(metrics)[:n])
    equal(state, whole[0])
    np.testing.assert_array_equal(np.concatenate(rows), whole[1])
    assert int(state.step) == STEPS


def test_no_number_of_steps_compiles_again(chunk, recipes, data, whole):
    for n in (0, 1, 5, 16):
        chunk(state_of(recipes, 3, RATES), data, np.int32(n))
    assert chunk._cache_size() <= 1  # 0 where many other programs have pushed it out


def test_members_are_as_if_alone(recipes, data, whole):
    alone = compiled(recipes, data)
    for m, rate in enumerate(RATES):
        state, metrics = alone(state_of(recipes, 1, [rate], first_seed=m), data, np.int32(STEPS))
        close(member_of(state), member_of(whole[0], m), 1e-5)
        close(np.asarray(metrics)[:STEPS, :, 0], whole[1][:, :, m], 1e-5)
    assert not np.allclose(whole[1][:, 0, 0], whole[1][:, 0, 1])


def test_a_chunk_is_its_steps_one_after_another(recipes, data, whole):
    """The batches are those that the host computes, the step is `train_step`."""
    member = member_of(state_of(recipes, 1, RATES[:1]))
    words = np.asarray(loop.order_key_data(member))
    one = jax.jit(lambda m, b, t: train_step(recipes(m.hyper), m, b, t))
    for t in range(STEPS):
        rows, weight = batch_rows(t, n=N, batch_size=SIZE, key_data=words)
        member, metrics = one(member, Batch(data.x[rows], data.y[rows], None, weight), jnp.int32(t))
        close(metrics["loss"], whole[1][t, 0, 0], 1e-5)
    close(member, member_of(whole[0], 0), 1e-5)


def test_an_epoch_visits_every_example_once(recipes):
    batch_at = loop.resident_batches(N, SIZE, Division())
    numbered = examples(N)._replace(x=np.arange(N, dtype=np.float32)[:, None])
    member = member_of(state_of(recipes, 1, [0.1]))
    take = jax.jit(lambda t: batch_at(jax.tree.map(jnp.asarray, numbered), member, t, t))
    orders = []
    for epoch in range(3):
        batches = [take(jnp.int32(3 * epoch + i)) for i in range(3)]
        seen = np.concatenate([np.asarray(b.x[:, 0])[np.asarray(b.weight) > 0] for b in batches])
        assert sorted(seen.tolist()) == list(range(N))
        orders.append(tuple(seen))
    assert len(set(orders)) == 3


def test_members_have_orders_of_their_own(recipes):
    members = state_of(recipes, 3, RATES).members
    words = jax.vmap(loop.order_key_data)(members)
    assert len({tuple(w) for w in np.asarray(words).tolist()}) == 3


def test_a_batch_of_everything_is_gradient_descent(data):
    recipes = recipe_of(rate=0.5)
    state, _ = compiled(recipes, data, batch_size=N)(state_of(recipes), data, np.int32(4))
    member = member_of(state_of(recipes))
    batch = Batch(data.x, data.y, None, jnp.ones(N))
    for t in range(4):
        member, _ = train_step(recipes({}), member, batch, jnp.int32(t))
    close(member_of(state), member, 1e-5)


@pytest.mark.parametrize(
    ("division", "size", "rows"),
    [
        (Division(), 10, 10),
        (Division(parts=4, axis_name="d"), 10, 3),
        (Division(parts=2, axis_name="d", multiple=3), 10, 6),
        (Division(multiple=4), 11, 12),
    ],
)
def test_rows_per_part_cover_the_batch(division, size, rows):
    assert division.rows_per_part(size) == rows
    assert rows * division.parts >= size


def test_padded_full_batches_keep_their_weights():
    """11 rows in 4 parts make 12: the twelfth example of 12 must not slip in."""
    data = examples(12)
    batch_at = loop.resident_batches(12, 11, Division(multiple=4))
    batch = batch_at(
        jax.tree.map(jnp.asarray, data), member_of(state_of(recipe_of())), jnp.int32(0), jnp.int32(0)
    )
    assert float(batch.weight.sum()) == 11


def test_evaluation_is_the_mean_over_the_split_whatever_the_blocks(recipes, data, whole):
    from dlnotes.training.loader import blocks_of

    members = whole[0].members
    host = examples(N)
    totals = jax.jit(loop.total_blocks(recipes, metric_names=NAMES[:2], best=False))

    def evaluate(members, blocks):
        found = totals(members, blocks)
        np.testing.assert_array_equal(found[:, 1], blocks.weight.sum())
        return found[:, 0] / found[:, 1]

    expected = evaluate(members, blocks_of(host, N))
    for rows in (5, 22, 64):
        close(evaluate(members, blocks_of(host, rows)), expected, 1e-5)
    close(evaluate(members, blocks_of(host, 4, parts=3)), expected, 1e-5)
    outputs = jax.jit(loop.predict_blocks(recipes, best=False))(members, blocks_of(host, 5))
    flat = np.asarray(outputs).reshape(3, -1, 3)[:, :N]
    close((flat.argmax(-1) == host.y).mean(1), expected[1], 1e-5)
    one = jax.tree.map(lambda a: a[1:2], members)
    close(evaluate(one, blocks_of(host, 8))[:, 0], expected[:, 1], 1e-5)
