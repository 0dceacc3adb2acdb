"""Both schedules of recursive nets against a recursion over each tree by itself."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from tree_batches import SYMBOLS, close, forest, random_params, recursion

from dlnotes.layers.recursive import schedule as tree_schedule
from dlnotes.layers.recursive import wavefront as tree_waves
from dlnotes.layers.recursive.cells import TREE_CELLS
from dlnotes.layers.recursive.schedule import count_waves
from dlnotes.layers.recursive.states import compose, node_states

I, H, N, A = 3, 4, 8, 3
cells = pytest.mark.parametrize("name", list(TREE_CELLS))
slow = pytest.mark.slow
# A cell with a matrix of its own; one without, whose parts of the passes the recursion has tested.
kinds = pytest.mark.parametrize("name", ["tree_lstm", pytest.param("tensor", marks=slow)])
schedules = pytest.mark.parametrize("schedule", ["waves", "sequential"])


@pytest.fixture(autouse=True)
def narrow_waves(monkeypatch):
    """Waves so narrow that small batches have all kinds of them."""
    monkeypatch.setattr(tree_schedule, "WIDTHS", (2, 6))


def inputs_of(E, label):
    return jnp.where((label >= 0)[:, :, None], E[np.maximum(label, 0)], 0)


def loss(states):
    return jnp.sum(jnp.sin(states + jnp.arange(states.size, dtype=jnp.float32).reshape(states.shape)))


@cells
def test_equals_recursion_with_gradients(name):
    cell = TREE_CELLS[name]
    params = random_params(cell, I, H, A)
    E = jax.random.normal(jax.random.key(2), (SYMBOLS, I))
    chex.clear_trace_counter()  # it goes by the function's text, which is the same for all cells

    @partial(jax.jit, static_argnames="schedule")
    @chex.assert_max_traces(n=2)  # of each schedule one: other trees of the same sizes are the same program
    def ours(params, E, trees, schedule):
        label, *rest = trees

        def f(params, E):
            states = node_states(cell, params, label, *rest, embedding=E, schedule=schedule)
            return loss(states), states

        return jax.value_and_grad(f, (0, 1), has_aux=True)(params, E)

    for seed in range(2 if name == "affine" else 1):
        label, children, _, mask = trees = forest(seed, 2, N, A)

        def theirs(params, E, label=label, children=children, mask=mask):
            states = recursion(name, params, inputs_of(E, label), children, mask)
            return loss(states), states

        # Node by node and not compiled: that takes longer than it runs.
        want = jax.value_and_grad(theirs, (0, 1), has_aux=True)(params, E)
        for schedule in ("waves", "sequential"):
            close(ours(params, E, trees, schedule), want, 1e-4)


@kinds
def test_roots_and_features_and_finite_differences(name):
    cell = TREE_CELLS[name]
    params = random_params(cell, I, H, A)
    _, children, order, mask = forest(3, 4, N, A)
    x = jax.random.normal(jax.random.key(3), (4, N, I))

    @jax.jit
    def roots(params, x):
        return compose(cell, params, x, children, order, mask)

    states = jax.jit(partial(node_states, cell))(params, x, children, order, mask)
    close(roots(params, x), states[np.arange(4), mask.sum(1) - 1])
    assert not np.asarray(states)[~mask].any()
    check_grads(roots, (params, x), order=1, modes=("rev",), atol=2e-2, rtol=2e-2)


@schedules
def test_only_leaves_take_inputs(schedule):
    cell = TREE_CELLS["tree_lstm"]
    params = random_params(cell, I, H, A)
    label, children, order, mask = forest(4, 4, N, A)
    E = jax.random.normal(jax.random.key(2), (SYMBOLS, I))
    run = jax.jit(
        jax.grad(
            lambda params, E, label, inputs: loss(
                node_states(
                    cell, params, label, children, order, mask, embedding=E, inputs=inputs, schedule=schedule
                )
            ),
            (0, 1),
        ),
        static_argnums=3,
    )
    at_leaves = np.where((children >= 0).any(-1), -1, label)
    close(run(params, E, label, "leaves"), run(params, E, at_leaves, "nodes"))


def test_a_table_larger_than_the_batch():
    cell = TREE_CELLS["affine"]
    params = random_params(cell, I, H, A)
    label, children, order, mask = forest(5, 3, N, A)
    E = jax.random.normal(jax.random.key(2), (3 * N + 1, I))
    slope = jax.grad(lambda E: loss(node_states(cell, params, label, children, order, mask, embedding=E)))
    large, small = jax.jit(slope)(E), jax.jit(slope)(E[:SYMBOLS])
    close(large[:SYMBOLS], small)
    assert not np.asarray(large[SYMBOLS:]).any()


@kinds
def test_padding_and_the_company_of_other_trees_change_nothing(name):
    cell = TREE_CELLS[name]
    params = random_params(cell, I, H, A)
    _, children, order, mask = forest(6, 5, N, A)
    x = jax.random.normal(jax.random.key(2), (5, N, I))

    @jax.jit
    def run(x, children, order, mask):
        return jax.value_and_grad(
            lambda x: jnp.sum(jnp.sin(compose(cell, params, x, children, order, mask)))
        )(x)

    value, grad = run(x, children, order, mask)

    def longer(a, fill):
        return np.concatenate([a, np.full((5, 2, *a.shape[2:]), fill, a.dtype)], 1)

    more = run(longer(x, 9.0), longer(children, -1), longer(order, 0), longer(mask, False))
    close((more[0], more[1][:, :N]), (value, grad))
    alone = [run(x[b : b + 1], children[b : b + 1], order[b : b + 1], mask[b : b + 1]) for b in range(5)]
    close(sum(v for v, _ in alone), value)
    close(jnp.concatenate([g for _, g in alone]), grad)


@kinds
def test_vmap_equals_loop(name):
    cell = TREE_CELLS[name]
    members = [random_params(cell, I, H, A, seed=seed) for seed in range(2)]
    batches = [forest(seed, 3, N, A, chains=seed == 1) for seed in range(2)]
    x = jax.random.normal(jax.random.key(2), (3, N, I))

    def run(params, x, trees):
        return jax.value_and_grad(lambda p, x: loss(compose(cell, p, x, *trees[1:])), (0, 1))(params, x)

    def stacked(trees):
        return jax.tree.map(lambda *a: jnp.stack(a), *trees)

    one = jax.jit(run)
    want = stacked([one(p, x, trees) for p, trees in zip(members, batches)])
    close(jax.jit(jax.vmap(run, (0, None, 0)))(stacked(members), x, stacked(batches)), want)
    want = stacked([one(p, x, batches[0]) for p in members])
    close(jax.jit(jax.vmap(run, (0, None, None)))(stacked(members), x, batches[0]), want)


def test_forward_mode_through_the_sequential_schedule():
    cell = TREE_CELLS["tree_gru"]
    params = random_params(cell, I, H, A)
    _, children, order, mask = forest(7, 3, N, A)
    x = jax.random.normal(jax.random.key(2), (3, N, I))

    def f(x):
        return jnp.sum(jnp.sin(compose(cell, params, x, children, order, mask, schedule="sequential")))

    v = jax.random.normal(jax.random.key(3), x.shape)
    slope = jax.jit(lambda x, v: jax.jvp(f, (x,), (v,))[1])(x, v)
    close(slope, jnp.vdot(jax.jit(jax.grad(f))(x), v), 1e-4)


@pytest.mark.parametrize("chains", [pytest.param(False, marks=slow), True])
def test_waves_are_counted_as_they_are_computed(chains):
    cell = TREE_CELLS["affine"]
    params = cell.init(jax.random.key(0), I, H, A)
    _, children, order, mask = forest(9, 6, 3 * N, A, chains=chains)
    counted = count_waves(children, order, mask)
    p = tree_schedule.plan(jnp.asarray(children), jnp.asarray(order), jnp.asarray(mask))
    table, index = jnp.ones((1, H)), jnp.zeros(mask.size, jnp.int32)
    done = tree_waves._forward(cell, "nodes", params, table, index, p)
    assert counted.waves == int(done.waves)
    assert counted[:3] == (6, mask.size, mask.sum())
    sizes = np.diff(np.asarray(done.ends)[: counted.waves + 1])
    leaves = int((mask & (order == 0)).sum())
    assert sizes.sum() == mask.sum() - leaves
    assert counted.rows == -(-leaves // 6) * 6 + np.where(sizes <= 2, 2, 6).sum()
    if chains:
        assert counted.waves == mask.sum(1).max() - 1


def test_any_keys_that_grow_towards_the_root_will_do():
    cell = TREE_CELLS["tree_lstm"]
    params = random_params(cell, I, H, A)
    _, children, order, mask = forest(10, 4, N, A)
    x = jax.random.normal(jax.random.key(2), (4, N, I))
    run = jax.jit(partial(node_states, cell))
    want = run(params, x, children, order, mask)
    slots = np.tile(np.arange(N), (4, 1)) * (order > 0)
    close(run(params, x, children, slots, mask), want)
    # Too large for a key and a row in one number.
    close(run(params, x, children, slots * 2**26, mask), want)


@slow
@kinds
def test_bfloat16(name):
    cell = TREE_CELLS[name]
    params = random_params(cell, I, H, A)
    _, children, order, mask = forest(8, 3, N, A)
    x = jax.random.normal(jax.random.key(2), (3, N, I))
    run = jax.jit(partial(compose, cell, children=children, order=order, mask=mask))
    half = jax.tree.map(lambda a: a.astype(jnp.bfloat16), (params, x))
    got = run(half[0], half[1])
    assert got.dtype == jnp.bfloat16
    close(np.asarray(got, np.float32), run(params, x), 0.2)


def test_errors():
    cell = TREE_CELLS["affine"]
    params = cell.init(jax.random.key(0), I, H, A)
    _, children, order, mask = forest(0, 2, N, A)
    x = jnp.zeros((2, N, I))
    run = partial(compose, cell, params)
    with pytest.raises(ValueError, match="children: got shape"):
        run(x, children[:1], order, mask)
    with pytest.raises(ValueError, match="order: got shape"):
        run(x, children, order[0], mask)
    with pytest.raises(ValueError, match="x: got shape"):
        run(x[0], children, order, mask)
    with pytest.raises(ValueError, match="mask: got shape"):
        run(x, children, order, mask[:, :2])
    with pytest.raises(ValueError, match="schedule: got 'wave'.*did you mean 'waves'"):
        run(x, children, order, mask, schedule="wave")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="inputs: got 'leaf'"):
        run(x, children, order, mask, inputs="leaf")  # pyright: ignore[reportArgumentType]
