"""Every cell with settings against its equation in plain numpy, and its gradient against autodiff."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes.layers.recurrent.deep import deep_input, deep_transition
from dlnotes.layers.recurrent.leaky import delayed, leaky
from dlnotes.layers.recurrent.lstm_variants import lstm_variant
from dlnotes.layers.recurrent.rnn import (
    linear_rnn,
    output_recurrent,
    plain_cell,
    relu_rnn,
    rnn,
    teacher_forced,
)
from dlnotes.layers.recurrent.unroll import CELLS, cell_of, gru, lstm, unroll

B, T, I, H, O = 3, 6, 2, 4, 3
LENGTHS = np.array([6, 1, 4], np.int32)
TAUS = (1.0, 3.0)

ALL = {
    "relu": relu_rnn,
    "identity": linear_rnn,
    "leaky": leaky(TAUS),
    "leaky learned": leaky(TAUS, learned=True),
    "delayed": delayed(3),
    "delayed only": delayed(2, short=False),
    "deep transition": deep_transition((5, 3)),
    "deep transition with skip": deep_transition((5,), skip=True),
    "peepholes": lstm_variant(peepholes=True),
    "layer norm": lstm_variant(layer_norm=True),
    "both": lstm_variant(peepholes=True, layer_norm=True),
    "output": output_recurrent(O),
}
every = pytest.mark.parametrize("name", list(ALL))


def random_like(tree, key, spread):
    leaves, form = jax.tree.flatten(tree)
    keys = jax.random.split(jax.random.key(key), len(leaves))
    return form.unflatten([a + spread * jax.random.normal(k, a.shape) for a, k in zip(leaves, keys)])


@cache
def setup(name):
    """A cell, random parameters (biases too), inputs and a random first carry."""
    cell = (ALL | CELLS)[name]
    params = random_like(cell.init(jax.random.key(1), I, H), 2, 0.3)
    xs = jax.random.normal(jax.random.key(3), (B, T, I))
    carry = random_like(cell.carry(params, (B,)), 4, 0.5)
    return cell, params, xs, carry


def close(got, want, tolerance=2e-5):
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance, strict=False), got, want
    )


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def norm(a, scale, shift=0.0):
    return (a - a.mean()) / np.sqrt(a.var() + 1e-5) * scale + shift


def numpy_steps(name, p, xs, carry):
    """The states of one sequence (T, I) by the cell's equation, float64."""
    hs = []
    h = carry
    if name in ("peepholes", "layer norm", "both"):
        h, c = carry
    for x in xs:
        if name == "relu":
            h = np.maximum(0, p.b + h @ p.W + x @ p.U)
        elif name == "identity":
            h = p.b + h @ p.W + x @ p.U
        elif name.startswith("leaky"):
            tau = np.repeat(TAUS, H // 2) if p.s is None else 1 + np.exp(p.s)
            h = (1 - 1 / tau) * h + 1 / tau * np.tanh(p.b + h @ p.W + x @ p.U)
        elif name.startswith("delayed"):
            short = p.W[:H] if name == "delayed" else np.zeros((H, H))
            new = np.tanh(p.b + h[-1] @ short + h[0] @ p.W[-H:] + x @ p.U)
            h = [*h[1:], new]
        elif name.startswith("deep"):
            m = h
            for layer in p.layers:
                m = np.tanh(m @ layer.W + layer.b)
            h = np.tanh(p.b + x @ p.U + m @ p.W + (0 if p.S is None else h @ p.S))
        elif name == "output":
            h = p.c + np.tanh(p.b + h @ p.W + x @ p.U) @ p.V
        else:
            from_x, from_h = x @ p.U, h @ p.W
            if p.norms is not None:
                from_x, from_h = norm(from_x, p.norms.x), norm(from_h, p.norms.h)
            i, f, o, g = np.split(from_x + from_h + p.b, 4)
            peep = np.zeros((3, H)) if p.p is None else p.p
            c_new = sigmoid(f + peep[1] * c) * c + sigmoid(i + peep[0] * c) * np.tanh(g)
            c = c_new
            shown = c if p.norms is None else norm(c, *p.norms.c)
            h = sigmoid(o + peep[2] * c) * np.tanh(shown)
        hs.append(h[-1] if name.startswith("delayed") else h)
    return np.stack(hs)


@every
def test_equals_the_equation(name):
    cell, params, xs, carry = setup(name)
    wide = jax.tree.map(lambda a: np.asarray(a, np.float64), (params, xs, carry))
    for fused in (True, False):
        hs = jax.jit(lambda p, x, c, fused=fused: unroll(cell, p, x, carry=c, fused=fused)[1])(
            params, xs, carry
        )
        hs = np.asarray(hs)
        for b in range(B):
            first = jax.tree.map(lambda a, b=b: a[b], wide[2])
            first = tuple(first) if isinstance(first, tuple) else first
            close(hs[b], numpy_steps(name, wide[0], wide[1][b], first))
    np.testing.assert_array_equal(cell.hidden(cell.step(params, carry, xs[:, 0])[0]).shape, hs[:, 0].shape)


@every
def test_written_out_gradient_equals_autodiff(name):
    cell, params, xs, carry = setup(name)

    def grads(fused):
        def f(params, xs, carry):
            out = unroll(
                cell, params, xs, lengths=jnp.asarray(LENGTHS), carry=carry, reverse=True, fused=fused
            )
            return sum(jnp.sum(jnp.sin((k + 1.0) * leaf)) for k, leaf in enumerate(jax.tree.leaves(out)))

        return jax.jit(jax.value_and_grad(f, (0, 1, 2)))(params, xs, carry)

    got = grads(True)
    close(got, grads(False))
    for path, grad in jax.tree_util.tree_leaves_with_path(got[1]):
        assert float(jnp.abs(grad).max()) > 1e-4, jax.tree_util.keystr(path)


@every
def test_padded_batch_equals_each_sequence_alone(name):
    cell, params, xs, _ = setup(name)
    run = jax.jit(lambda x: unroll(cell, params, x, lengths=jnp.asarray(LENGTHS)))
    last, hs = jax.tree.map(np.asarray, run(xs))
    xs = np.asarray(xs)
    for b, n in enumerate(LENGTHS):
        want_last, want = jax.tree.map(np.asarray, unroll(cell, params, xs[b : b + 1, :n]))
        close(hs[b, :n], want[0])
        assert not np.asarray(hs[b, n:]).any()
        close(jax.tree.map(lambda a, b=b: a[b], last), jax.tree.map(lambda a: a[0], want_last))


def test_unrolled_recurrence_is_the_composition_of_its_steps():
    for name in ("rnn", "lstm", "delayed"):
        cell, params, xs, h0 = setup(name)

        def f(h, x, cell=cell, params=params):
            return cell.step(params, h, x)[0]

        # The notes' unfolding for τ = 3, and other lengths with the same parameters.
        for time in (1, 3, 5):
            composed = h0
            for t in range(time):
                composed = f(composed, xs[:, t])
            close(unroll(cell, params, xs[:, :time], carry=h0)[0], composed)
        three = f(f(f(h0, xs[:, 0]), xs[:, 1]), xs[:, 2])
        close(unroll(cell, params, xs[:, :3], carry=h0)[0], three)


@pytest.mark.parametrize(
    ("name", "size", "reverse"), [("rnn", 2, False), ("lstm", 4, True), ("delayed", 4, False)]
)
@pytest.mark.slow
def test_truncated_gradient_equals_chunks_with_the_gradient_stopped(name, size, reverse):
    cell, params, xs, carry = setup(name)
    lengths = jnp.asarray(LENGTHS)

    def truncated(params, xs, carry, fused):
        return unroll(
            cell, params, xs, lengths=lengths, carry=carry, reverse=reverse, truncate=size, fused=fused
        )

    def chunks(params, xs, carry):
        mask = np.arange(T) < LENGTHS[:, None]
        order = np.arange(T)[::-1] if reverse else np.arange(T)
        parts = [order[k : k + size] for k in range(0, T, size)]
        hs = [None] * T
        for k, part in enumerate(parts):
            carry = jax.lax.stop_gradient(carry) if k else carry
            carry, out = unroll(cell, params, xs[:, part], mask=jnp.asarray(mask[:, part]), carry=carry)
            for j, t in enumerate(part):
                hs[t] = out[:, j]
        return carry, jnp.stack(hs, 1)

    def score(f):
        def g(*args):
            out = f(*args)
            return sum(jnp.sum(jnp.sin((k + 1.0) * leaf)) for k, leaf in enumerate(jax.tree.leaves(out)))

        return jax.jit(jax.value_and_grad(g, (0, 1, 2)))(params, xs, carry)

    want = score(chunks)
    for fused in (True, False):
        close(score(lambda *a, fused=fused: truncated(*a, fused)), want)
    whole = unroll(cell, params, xs, lengths=lengths, carry=carry, reverse=reverse)
    close(truncated(params, xs, carry, True), whole)


@pytest.mark.parametrize("name", ["lstm", "delayed", "output"])
def test_state_is_carried_across_calls(name):
    cell, params, xs, carry = setup(name)
    whole_last, whole = unroll(cell, params, xs, carry=carry)
    middle, first = unroll(cell, params, xs[:, :2], carry=carry)
    last, second = unroll(cell, params, xs[:, 2:], carry=middle)
    close(jnp.concatenate([first, second], 1), whole)
    close(last, whole_last)


def test_teacher_forcing_runs_all_steps_at_once():
    cell, params, xs, first = setup("output")
    ys = jax.random.normal(jax.random.key(9), (B, T, O))
    got = teacher_forced(params, xs, ys, first=first)
    fed = first
    for t in range(T):
        want = cell.step(params, fed, xs[:, t])[1]
        close(got[:, t], want)
        fed = ys[:, t]
    # Fed with its own outputs it is the free-running net.
    free = unroll(cell, params, xs)[1]
    close(teacher_forced(params, xs, free), free)
    # And a step's output depends on the output before it and on nothing earlier.
    reach = jax.jacobian(lambda y: teacher_forced(params, xs, y)[0, 3].sum())(ys)[0]
    assert np.flatnonzero(np.abs(reach).sum(-1)).tolist() == [2]


def test_starts():
    close(plain_cell("relu", start="identity", scale=0.5).init(jax.random.key(0), I, H).W, 0.5 * np.eye(H))
    W = plain_cell(scale=0.9).init(jax.random.key(0), I, H).W
    close(W.T @ W, 0.81 * np.eye(H))
    limit = np.sqrt(6 / (2 * 200))
    W = plain_cell(start="glorot_uniform").init(jax.random.key(0), I, 200).W
    assert 0.99 * limit < float(jnp.abs(W).max()) <= limit
    # With W = I and nothing else the linear and the ReLU cell add up what they read.
    xs = jnp.abs(setup("relu")[2])
    for activation in ("identity", "relu"):
        cell = plain_cell(activation, start="identity")
        params = cell.init(jax.random.key(0), I, I)._replace(U=jnp.eye(I))
        close(unroll(cell, params, xs)[1], np.cumsum(xs, 1))


def test_leaky_units():
    fast = leaky((1.0,))
    params = fast.init(jax.random.key(0), I, H)
    xs = setup("leaky")[2]
    close(unroll(fast, params, xs)[1], unroll(rnn, rnn.init(jax.random.key(0), I, H), xs)[1])
    s = leaky((1.0, 5.0, 100.0), learned=True).init(jax.random.key(0), I, 6).s
    np.testing.assert_allclose(1 + np.exp(s), [1.01, 1.01, 5, 5, 100, 100], rtol=1e-5)
    # Without input a unit forgets at its own pace: (1 − 1/τ)^t of the state is left.
    slow = leaky((1.0, 5.0, 100.0)).init(jax.random.key(0), I, 6)
    still = slow._replace(U=0 * slow.U, W=0 * slow.W)
    last, _ = unroll(leaky((1.0, 5.0, 100.0)), still, jnp.ones((1, 7, I)), carry=jnp.ones((1, 6)))
    np.testing.assert_allclose(last[0], np.repeat([0, 0.8**7, 0.99**7], 2), rtol=1e-5, atol=1e-7)


def test_without_short_connections_the_net_is_several_slower_ones():
    cell, params, xs, _ = setup("delayed only")
    hs = unroll(cell, params, xs)[1]
    plain = rnn.init(jax.random.key(0), I, H)._replace(U=params.U, W=params.W, b=params.b)
    for phase in range(2):
        close(hs[:, phase::2], unroll(rnn, plain, xs[:, phase::2])[1])


@pytest.mark.slow
def test_layers_below_the_cell_run_once_over_all_steps():
    cell = deep_input(CELLS["gru"], (5, 3))
    params = cell.init(jax.random.key(0), I, H)
    xs = setup("gru")[2]
    below = xs
    for layer in params.layers:
        below = jnp.tanh(below @ layer.W + layer.b[None, None])
    for fused in (True, False):
        close(unroll(cell, params, xs, fused=fused), unroll(CELLS["gru"], params.cell, below))
    close(cell.step(params, cell.carry(params, (B,)), xs[:, 0])[1], unroll(cell, params, xs)[1][:, 0])
    table = jax.random.normal(jax.random.key(1), (7, I))
    symbols = jax.random.randint(jax.random.key(2), (B, T), 0, 7)
    close(unroll(cell, params, symbols, embedding=table), unroll(cell, params, table[symbols]))


def test_variant_without_additions_is_the_lstm():
    params = setup("lstm")[1]
    cell, _, xs, carry = setup("lstm")
    plain = lstm_variant()
    variant = plain.init(jax.random.key(0), I, H)._replace(U=params.U, W=params.W, b=params.b)
    close(unroll(plain, variant, xs, carry=carry), unroll(cell, params, xs, carry=carry))


def test_cells_are_told_by_their_parameters():
    for cell in (rnn, relu_rnn, linear_rnn, lstm, gru):
        assert cell_of(cell.init(jax.random.key(0), I, H)) is cell
    for name in ("peepholes", "layer norm"):
        _, params, xs, _ = setup(name)
        close(unroll(cell_of(params), params, xs), unroll(ALL[name], params, xs))
    with pytest.raises(ValueError, match="params: got LeakyParams"):
        cell_of(setup("leaky")[1])


def test_errors():
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="activation: got 'relus', .*did you mean 'relu'"):
        plain_cell("relus")
    with pytest.raises(ValueError, match="start: got 'identiti', .*did you mean 'identity'"):
        plain_cell(start="identiti")
    with pytest.raises(ValueError, match=r"time_constants: got \(0.5,\), allowed"):
        leaky((0.5,))
    with pytest.raises(ValueError, match="hidden: got 1, allowed is at least one unit for each of 2"):
        leaky((1.0, 2.0)).init(key, I, 1)
    with pytest.raises(ValueError, match="delay: got 1, allowed is at least 2"):
        delayed(1)
    with pytest.raises(ValueError, match="widths: got none"):
        deep_transition(())
    with pytest.raises(ValueError, match="outputs: got 0"):
        output_recurrent(0)
    cell, params, xs, _ = setup("output")
    with pytest.raises(ValueError, match=r"ys: got shape \(3, 6, 2\), allowed is \(3, 6, 3\)"):
        teacher_forced(params, xs, xs)
    with pytest.raises(ValueError, match="first: got shape"):
        teacher_forced(params, xs, jnp.zeros((B, T, O)), first=jnp.zeros((B, 1)))
    with pytest.raises(ValueError, match="truncate: got 0"):
        unroll(cell, params, xs, truncate=0)
