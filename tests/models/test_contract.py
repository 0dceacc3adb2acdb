"""What every model promises, held against every model: see contract_row.py for how to add one."""

import importlib
import re
from functools import cache
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from contract_row import take
from refusals import refused

from dlnotes.models import forward_mode
from dlnotes.models.model import learned_of, with_learned

ROWS = [
    row
    for file in sorted(Path(__file__).parent.glob("rows_*.py"))
    for row in importlib.import_module(file.stem).ROWS
]


def select(condition):
    marks = {True: [pytest.mark.slow], False: []}
    return [pytest.param(row, id=row.name, marks=marks[row.slow]) for row in ROWS if condition(row)]


every = pytest.mark.parametrize("row", select(lambda row: True))


@cache
def setup(name):
    """Model, parameters and batch of a row, made once."""
    row = next(row for row in ROWS if row.name == name)
    batch = jax.tree.map(jnp.asarray, row.batch())
    return row.model(), start(name)(jax.random.key(7)), batch


@cache
def start(name):
    """Compiled drawing of a row's parameters: ``f(key)``."""
    return jax.jit(next(row for row in ROWS if row.name == name).model().init)


@cache
def forward(name):
    """Compiled output of a row without a key: ``f(params, batch)``."""
    model = setup(name)[0]
    return jax.jit(lambda p, b: model.apply(p, b.x, mask=b.mask))


@cache
def outputs(name):
    """Output of a row's model on its batch, without a key, from a compiled call."""
    _, params, batch = setup(name)
    return forward(name)(params, batch)


@cache
def objective(name):
    """Compiled loss and gradient of a row: ``f(params, batch) -> (value, grads)``."""
    row = next(row for row in ROWS if row.name == name)
    model = setup(name)[0]
    return jax.jit(jax.value_and_grad(lambda p, b: mean_loss(row, model, p, b)))


def mean_loss(row, model, params, batch, key=None):
    loss = row.loss(model.apply(params, batch.x, key=key, mask=batch.mask), batch)
    return jnp.sum(batch.weight * loss) / jnp.sum(batch.weight)


@every
def test_any_key_is_a_key(row):
    model, params, batch = setup(row.name)
    assert jax.eval_shape(lambda: model.init(jax.random.PRNGKey(7))) == jax.eval_shape(lambda: params)
    with pytest.raises(ValueError, match=r"key: got 0\.5"):
        model.init(0.5)
    key = jax.random.split(jax.random.PRNGKey(3), len(batch.weight)) if row.per_example_keys else 3
    jax.eval_shape(lambda: model.apply(params, batch.x, key=key, mask=batch.mask))


@every
def test_lists_are_arrays(row):
    model, params, batch = setup(row.name)
    x, mask = jax.tree.map(lambda a: a.tolist(), (batch.x, batch.mask))
    got = jax.eval_shape(lambda p: model.apply(p, x, mask=mask), params)
    assert got == jax.eval_shape(lambda p: model.apply(p, batch.x, mask=batch.mask), params)


@every
def test_a_shape_that_does_not_fit_is_named(row):
    """Whatever is refused is refused by the model, not by the compiler."""
    model, params, batch = setup(row.name)
    leaves, structure = jax.tree.flatten((batch.x, batch.mask))
    for i, a in enumerate(leaves):
        for shape in (a.shape[1:], (1, *a.shape), (*a.shape[:-1], a.shape[-1] + 1), (3, *a.shape[1:])):
            other = jax.ShapeDtypeStruct(shape, a.dtype)
            x, mask = structure.unflatten([*leaves[:i], other, *leaves[i + 1 :]])
            refusal = refused(lambda p, x, m: model.apply(p, x, mask=m), params, x, mask)
            assert refusal is None or re.match(r"[\w.\[\]', ]+: got ", refusal), f"{shape}: {refusal}"


FORWARD = ("cnn", "lstm", "tree lstm")
SLOW_FORWARD = (
    "seq2seq additive",
    "recurrent in four directions",
    "encoder_decoder",
    "gumbel tree on an lstm",
)


@pytest.mark.parametrize("name", [*FORWARD, *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW_FORWARD)])
def test_forward_mode_by_one_option(name):
    row = next(row for row in ROWS if row.name == name)
    model, params, batch = setup(name)
    along = jax.tree.map(lambda p: 0.1 * jnp.cos(jnp.arange(p.size, dtype=p.dtype)).reshape(p.shape), params)
    with pytest.raises(TypeError, match=r"models\.forward_mode\(model\)"):
        jax.eval_shape(
            lambda p, t: jax.jvp(lambda p: mean_loss(row, model, p, batch), (p,), (t,)), params, along
        )
    forward = forward_mode(model)
    value, slope = jax.jit(lambda p, t: jax.jvp(lambda p: mean_loss(row, forward, p, batch), (p,), (t,)))(
        params, along
    )
    want, grads = objective(name)(params, batch)
    assert_close(value, want)
    products = jax.tree.map(lambda g, t: jnp.vdot(g, t), grads, along)
    assert_close(slope, sum(jax.tree.leaves(products)), 1e-3, 1e-4)


def assert_close(got, want, rtol=2e-5, atol=2e-5):
    chex.assert_trees_all_close(got, want, rtol=rtol, atol=atol)


def half(tree):
    """The same tree with its float leaves in bfloat16."""
    return jax.tree.map(
        lambda a: a.astype(jnp.bfloat16) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree
    )


def test_names_are_unique():
    assert len({row.name for row in ROWS}) == len(ROWS)


@every
def test_params_are_float32_arrays(row):
    _, params, _ = setup(row.name)
    leaves = jax.tree.leaves(params)
    assert leaves
    chex.assert_type(leaves, jnp.float32)
    chex.assert_tree_all_finite(params)


@every
def test_jit_equals_eager_and_compiles_once(row):
    model, params, batch = setup(row.name)
    chex.clear_trace_counter()  # it goes by the function's text, which is the same for all rows

    @jax.jit
    @chex.assert_max_traces(n=1)
    def apply(params, x, mask):
        return model.apply(params, x, mask=mask)

    got = apply(params, batch.x, batch.mask)
    again = apply(jax.tree.map(lambda p: 2 * p, params), batch.x, batch.mask)
    assert not np.allclose(got, again)
    assert_close(got, model.apply(params, batch.x, mask=batch.mask))


@pytest.mark.parametrize("of", ["outputs", pytest.param("gradients", marks=pytest.mark.slow)])
@every
def test_vmap_over_params_equals_loop(row, of):
    model, _, batch = setup(row.name)
    f = forward(row.name) if of == "outputs" else objective(row.name)
    keys = jnp.stack([jax.random.key(7), jax.random.key(3)])

    @jax.jit
    @jax.vmap
    def many(key):
        params = model.init(key)
        return params, f(params, batch)

    stacked, got = jax.tree.map(np.asarray, many(keys))
    for i in range(2):
        params = start(row.name)(keys[i])
        assert_close(jax.tree.map(lambda leaf, i=i: leaf[i], stacked), params, 1e-5, 1e-6)
        assert_close(jax.tree.map(lambda leaf, i=i: leaf[i], got), f(params, batch), 2e-4, 2e-5)


@every
def test_gradient_equals_finite_difference(row):
    _, params, batch = setup(row.name)
    both = objective(row.name)
    if row.smooth is not None:
        model = row.smooth()
        if jax.eval_shape(model.init, jax.random.key(7)) != jax.eval_shape(lambda: params):
            params = jax.jit(model.init)(jax.random.key(7))
        both = jax.jit(jax.value_and_grad(lambda p, b: mean_loss(row, model, p, b)))
    grads = both(params, batch)[1]
    leaves, structure = jax.tree.flatten(params)
    rng = np.random.default_rng(5)
    # One random direction per leaf: a wrong gradient of one array cannot hide behind the others.
    leaves = [np.asarray(leaf) for leaf in leaves]
    for i, (leaf, grad) in enumerate(zip(leaves, map(np.asarray, jax.tree.leaves(grads)))):
        step = rng.normal(size=leaf.shape)
        # Half along the gradient, so that the derivative is not lost in rounding.
        step = step / np.linalg.norm(step) + grad / (np.linalg.norm(grad) + 1e-12)
        step, h = step.astype(np.float32), np.float32(1e-2)

        def at(t, i=i, leaf=leaf, step=step):
            moved = structure.unflatten([*leaves[:i], leaf + t * step, *leaves[i + 1 :]])
            return float(both(moved, batch)[0])

        # Richardson: the error of the plain central difference, of order h², is removed.
        wide, narrow = (at(2 * h) - at(-2 * h)) / (4 * h), (at(h) - at(-h)) / (2 * h)
        np.testing.assert_allclose(
            np.vdot(step, grad), (4 * narrow - wide) / 3, rtol=2e-2, atol=1e-3, err_msg=f"leaf {i}"
        )


@every
def test_every_parameter_gets_a_gradient(row):
    _, params, batch = setup(row.name)
    _, grads = objective(row.name)(params, batch)
    for path, grad in jax.tree_util.tree_leaves_with_path(learned_of(grads)):
        assert bool(jnp.isfinite(grad).all()), jax.tree_util.keystr(path)
        assert float(jnp.abs(grad).max()) > 0, jax.tree_util.keystr(path)


@every
def test_examples_are_independent(row):
    _, params, batch = setup(row.name)
    whole = outputs(row.name)
    for i in (0, 2):
        assert_close(forward(row.name)(params, take(batch, slice(i, i + 1)))[0], whole[i])


@every
def test_rows_of_weight_zero_change_nothing(row):
    _, params, batch = setup(row.name)
    # Other, valid rows as filling: the first ones in reverse, floats made larger. The number of rows stays,
    # so that nothing is compiled anew; that a row does not know how many there are is shown above.
    kept = jnp.arange(len(batch.weight)) < len(batch.weight) // 2
    batch = batch._replace(weight=jnp.where(kept, batch.weight, 0))
    extra = take(batch, slice(None, None, -1))
    louder = jax.tree.map(lambda a: a * 3 if jnp.issubdtype(a.dtype, jnp.floating) else a, extra.x)
    n = int(kept.sum())
    filled = jax.tree.map(lambda a, b: jnp.concatenate([a[:n], b[n:]]), batch, extra._replace(x=louder))
    filled = filled._replace(weight=batch.weight)
    assert any(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a != b).any()), filled.x, batch.x)))
    f = objective(row.name)
    assert_close(f(params, filled), f(params, batch), 1e-4, 2e-5)


@pytest.mark.parametrize("row", select(lambda row: row.pad is not None))
def test_padding_changes_nothing(row):
    _, params, batch = setup(row.name)
    longer = jax.tree.map(jnp.asarray, row.pad(batch))
    shapes = [jax.tree.map(jnp.shape, b) for b in (longer, batch)]
    assert shapes[0] != shapes[1], "pad added no position"
    f = objective(row.name)
    assert_close(f(params, longer), f(params, batch), 1e-4, 2e-5)


@every
def test_no_key_no_randomness(row):
    model, params, batch = setup(row.name)
    np.testing.assert_array_equal(forward(row.name)(params, batch), outputs(row.name))
    if not row.random:
        with_key = jax.jit(lambda p, b, key: model.apply(p, b.x, key=key, mask=b.mask))
        assert_close(with_key(params, batch, jax.random.key(1)), outputs(row.name))


@pytest.mark.parametrize("row", select(lambda row: row.random))
def test_a_key_drops_units(row):
    model, params, batch = setup(row.name)
    f = jax.jit(lambda key: model.apply(params, batch.x, key=key, mask=batch.mask))
    one, same, other = (np.asarray(f(jax.random.key(i))) for i in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)
    assert not np.allclose(one, outputs(row.name))


@pytest.mark.parametrize("row", select(lambda row: row.random and row.per_example_keys))
def test_draws_follow_the_examples_key(row):
    model, params, batch = setup(row.name)
    keys = jax.random.split(jax.random.key(4), len(batch.weight))
    f = jax.jit(lambda keys, x, mask: model.apply(params, x, key=keys, mask=mask))
    whole = f(keys, batch.x, batch.mask)
    other = take(batch, slice(None, None, -1))  # of the same shape, so that nothing is compiled anew
    assert_close(f(keys[::-1], other.x, other.mask), whole[::-1])
    assert not np.allclose(whole, outputs(row.name))


@every
@pytest.mark.slow
def test_bfloat16(row):
    _, params, batch = setup(row.name)
    want = outputs(row.name)
    small = half(params), batch._replace(x=half(batch.x))
    got = forward(row.name)(*small)
    assert got.dtype in (jnp.bfloat16, jnp.float32)
    scale = float(jnp.abs(want).max())
    np.testing.assert_allclose(np.asarray(got, np.float32), want, atol=0.1 * scale + 1e-2)
    value, grads = objective(row.name)(*small)
    assert bool(jnp.isfinite(value))
    assert all(g.dtype == jnp.bfloat16 and bool(jnp.isfinite(g).all()) for g in jax.tree.leaves(grads))


@every
def test_overfits_a_tiny_set(row):
    _, params, batch = setup(row.name)
    optimizer = optax.adam(row.learning_rate)

    @jax.jit
    def update(params, grads, state):
        learned = learned_of(params)
        # Optax's bias correction mixes a number and an integer count.
        with jax.numpy_dtype_promotion("standard"):
            updates, state = optimizer.update(learned_of(grads), state, learned)
        return with_learned(params, optax.apply_updates(learned, updates)), state

    state = jax.jit(optimizer.init)(learned_of(params))
    for _ in range(row.steps):  # with the compiled gradient that other tests use
        params, state = update(params, objective(row.name)(params, batch)[1], state)
    assert float(objective(row.name)(params, batch)[0]) < row.overfit
