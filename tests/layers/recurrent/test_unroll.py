"""Cells and `unroll` against flax, a plain loop and autodiff, on random inputs and weights."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen
from jax.test_util import check_grads

from dlnotes.layers.recurrent.unroll import CELLS, Cell, cell_of, recurrent_cell, unroll

B, T, I, H = 3, 5, 2, 4
LENGTHS = jnp.array([5, 1, 3], jnp.int32)
cells = pytest.mark.parametrize("name", list(CELLS))


def setup(name, dtype=jnp.float32):
    cell = CELLS[name]
    params = cell.init(jax.random.key(1), I, H)
    leaves, tree = jax.tree.flatten(params)
    # Random biases too: a mistake in one that starts at zero could not show.
    keys = jax.random.split(jax.random.key(2), len(leaves))
    leaves = [a + 0.3 * jax.random.normal(k, a.shape) for a, k in zip(leaves, keys)]
    xs = jax.random.normal(jax.random.key(3), (B, T, I))
    carry = jax.tree.map(
        lambda a: 0.5 * jax.random.normal(jax.random.key(4), a.shape), cell.carry(params, (B,))
    )

    def cast(t):
        return jax.tree.map(lambda a: a.astype(dtype), t)

    return cell, cast(tree.unflatten(leaves)), cast(xs), cast(carry)


def close(a, b, tolerance=2e-5):
    chex.assert_trees_all_close(a, b, rtol=tolerance, atol=tolerance)


def loop(cell, params, xs, carry, lengths=None, reverse=False):
    """Every sequence by itself, step by step."""
    lengths = [xs.shape[1]] * len(xs) if lengths is None else [int(n) for n in lengths]
    step, carries, outputs = jax.jit(cell.step), [], np.zeros((*xs.shape[:2], H), np.float32)
    for b, n in enumerate(lengths):
        state = jax.tree.map(lambda a, b=b: a[b : b + 1], carry)
        for t in reversed(range(n)) if reverse else range(n):
            state, h = step(params, state, xs[b : b + 1, t])
            outputs[b, t] = h[0]
        carries.append(state)
    return jax.tree.map(lambda *a: jnp.concatenate(a), *carries), outputs


def flax_params(name, p):
    if name == "rnn":
        return {"i": {"kernel": p.U, "bias": p.b}, "h": {"kernel": p.W}}
    gates = "ifog" if name == "lstm" else "rzn"
    U, W, b = (jnp.split(a, len(gates), -1) for a in (p.U, p.W, p.b))
    out = {}
    for k, gate in enumerate(gates):
        out["i" + gate], out["h" + gate] = {"kernel": U[k]}, {"kernel": W[k]}
        out[("h" if name == "lstm" else "i") + gate]["bias"] = b[k]
    if name == "gru":
        out["hn"]["bias"] = p.b_n
    return out


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("rnn", linen.SimpleCell),
        ("lstm", linen.LSTMCell),
        ("lstm", linen.OptimizedLSTMCell),
        ("gru", linen.GRUCell),
    ],
)
def test_equals_flax(name, module):
    cell, params, xs, carry = setup(name)
    theirs = {"params": {"cell": flax_params(name, params)}}
    net = linen.RNN(module(H), return_carry=True)
    first = (carry.c, carry.h) if name == "lstm" else carry
    last, want = jax.jit(net.apply)(theirs, xs, initial_carry=first, seq_lengths=LENGTHS)
    got_last, got = unroll(cell, params, xs, lengths=LENGTHS, carry=carry)
    real = np.arange(T) < np.asarray(LENGTHS)[:, None]
    close(got, np.where(real[..., None], want, 0))
    close((got_last.c, got_last.h) if name == "lstm" else got_last, tuple(last) if name == "lstm" else last)

    def their_loss(params, xs):
        weights = {"params": {"cell": flax_params(name, params)}}
        hs = net.apply(weights, xs, initial_carry=first, seq_lengths=LENGTHS)[1]
        return jnp.sum(jnp.where(real[..., None], jnp.sin(hs), 0))

    def our_loss(params, xs):
        return jnp.sum(jnp.sin(unroll(cell, params, xs, lengths=LENGTHS, carry=carry)[1]))

    got, want = (jax.jit(jax.grad(f, (0, 1)))(params, xs) for f in (our_loss, their_loss))
    close(got, want)


@cells
def test_equals_loop(name):
    cell, params, xs, carry = setup(name)
    for reverse, padded in [(False, False), (False, True), (True, True)]:
        lengths = LENGTHS if padded else None
        want = loop(cell, params, xs, carry, lengths, reverse)
        for fused in (True, False):
            got = unroll(cell, params, xs, lengths=lengths, carry=carry, reverse=reverse, fused=fused)
            close(got, want)


@cells
def test_mask_with_holes_skips_them(name):
    cell, params, xs, _ = setup(name)
    mask = jnp.array([[1, 0, 1, 1, 0], [0, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
    last, hs = unroll(cell, params, xs, mask=mask)
    for b in range(2):
        keep = np.flatnonzero(mask[b])
        want_last, want = unroll(cell, params, xs[b : b + 1, keep])
        close(hs[b, keep], want[0])
        close(jax.tree.map(lambda a, b=b: a[b], last), jax.tree.map(lambda a: a[0], want_last))
        assert not np.asarray(hs)[b, ~np.asarray(mask[b])].any()


@cells
@pytest.mark.parametrize(("padded", "reverse"), [(False, False), (True, True)])
def test_written_out_gradient_equals_autodiff(name, padded, reverse):
    cell, params, xs, carry = setup(name)
    lengths = LENGTHS if padded else None

    def value(fused):
        def f(params, xs, carry):
            out = unroll(cell, params, xs, lengths=lengths, carry=carry, reverse=reverse, fused=fused)
            leaves = jax.tree.leaves(out)
            return sum(jnp.sum(jnp.sin((k + 1.0) * leaf)) for k, leaf in enumerate(leaves))

        return jax.jit(jax.grad(f, (0, 1, 2)))(params, xs, carry)

    close(value(True), value(False))


@cells
def test_check_grads(name):
    cell, params, xs, carry = setup(name)

    def f(p, x, c):
        return unroll(cell, p, x, lengths=LENGTHS, carry=c)

    check_grads(jax.jit(f), (params, xs, carry), 1, ["rev"], eps=1e-2, atol=2e-2, rtol=2e-2)


@cells
def test_second_derivative_of_the_written_out_gradient(name):
    cell, params, xs, _ = setup(name)

    def penalty(fused):
        def f(x):
            return jnp.sum(unroll(cell, params, x, lengths=LENGTHS, fused=fused)[1] ** 2)

        return jax.jit(jax.grad(lambda x: jnp.sum(jax.grad(f)(x) ** 2)))(xs)

    close(penalty(True), penalty(False), 1e-4)


@cells
def test_vmap_over_params_inside_a_loop(name):
    cell, _, xs, _ = setup(name)
    many = jax.vmap(lambda k: cell.init(k, I, H))(jax.random.split(jax.random.key(0), 2))

    def loss(p):
        return jnp.mean(unroll(cell, p, xs, lengths=LENGTHS)[1] ** 2)

    def descend(params):
        def step(_, p):
            return jax.tree.map(lambda a, g: a - 0.1 * g, p, jax.grad(loss)(p))

        return jax.lax.fori_loop(0, 2, step, params)

    got = jax.jit(jax.vmap(descend))(many)
    alone_of = jax.jit(descend)
    for k in range(2):
        alone = alone_of(jax.tree.map(lambda a, k=k: a[k], many))
        close(jax.tree.map(lambda a, k=k: a[k], got), alone)


@cells
def test_bfloat16(name):
    cell, params, xs, _ = setup(name, jnp.bfloat16)
    _, want, wide, _ = setup(name)
    run = jax.jit(lambda p, x: unroll(cell, p, x, lengths=LENGTHS))
    last, hs = run(params, xs)
    assert hs.dtype == jnp.bfloat16
    assert all(a.dtype == jnp.bfloat16 for a in jax.tree.leaves(last))
    np.testing.assert_allclose(np.asarray(hs, np.float32), run(want, wide)[1], atol=0.05)
    grads = jax.jit(jax.grad(lambda p: run(p, xs)[1].astype(jnp.float32).sum()))(params)
    assert all(g.dtype == jnp.bfloat16 for g in jax.tree.leaves(grads))


@pytest.mark.parametrize("rows", [3, 40])
@pytest.mark.parametrize("fused", [True, False])
def test_embedding_is_a_gather(rows, fused):
    cell, params, _, _ = setup("gru")
    table = jax.random.normal(jax.random.key(5), (rows, I))
    symbols = jax.random.randint(jax.random.key(6), (B, T), 0, rows)

    def f(p, e):
        return unroll(cell, p, symbols, embedding=e, fused=fused)

    def g(p, e):
        return unroll(cell, p, e[symbols], fused=fused)

    close(f(params, table), g(params, table))

    def grad(f):
        return jax.jit(jax.grad(lambda p, e: jnp.sum(f(p, e)[1] ** 2), (0, 1)))(params, table)

    close(grad(f), grad(g))


def test_unfused_has_forward_mode():
    cell, params, xs, _ = setup("lstm")

    def f(x):
        return unroll(cell, params, x, fused=False)[1].sum()

    close(jax.jacfwd(f)(xs), jax.grad(f)(xs))


def test_a_cell_of_three_functions_is_enough():
    mean = Cell(
        lambda key, inputs, hidden: None,
        lambda params, shape: jnp.zeros((*shape, I)),
        lambda params, carry, x: (carry + x, carry + x),
    )
    xs = setup("rnn")[2]
    last, hs = unroll(mean, None, xs)
    close(hs, np.cumsum(xs, 1))
    close(last, xs.sum(1))


def test_initial_values():
    p = CELLS["lstm"].init(jax.random.key(0), I, H)
    np.testing.assert_array_equal(p.b.reshape(4, H), [[0] * H, [1] * H, [0] * H, [0] * H])
    for gate in jnp.split(p.W, 4, 1):
        close(gate.T @ gate, np.eye(H))
    double = CELLS["lstm"].init(jax.random.key(0), I, H, init_scale=2.0)
    close((double.U, double.W, double.b), (2 * p.U, 2 * p.W, p.b))
    assert cell_of(p) is CELLS["lstm"]


def test_errors():
    cell, params, xs, _ = setup("rnn")
    with pytest.raises(ValueError, match=r"cell: got 'lst', .*did you mean 'lstm'"):
        recurrent_cell("lst")
    with pytest.raises(ValueError, match="hidden: got 0"):
        cell.init(jax.random.key(0), 2, 0)
    with pytest.raises(ValueError, match="xs: got shape"):
        unroll(cell, params, xs[0])
    with pytest.raises(ValueError, match="got both"):
        unroll(cell, params, xs, lengths=LENGTHS, mask=jnp.ones((B, T), bool))
    with pytest.raises(ValueError, match="lengths: got shape"):
        unroll(cell, params, xs, lengths=LENGTHS[:2])
    with pytest.raises(ValueError, match="mask: got shape"):
        unroll(cell, params, xs, mask=jnp.ones((B, T + 1), bool))
    with pytest.raises(ValueError, match="params: got tuple"):
        cell_of((1, 2))
