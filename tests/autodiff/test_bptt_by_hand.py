"""Back-propagation through time by hand: against jax.grad, differences of a plain loop, and `unroll`."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes.autodiff import bptt_by_hand as written
from dlnotes.layers.recurrent.unroll import RNNParams, rnn, unroll
from dlnotes.typing import IGNORE

INPUTS, HIDDEN, OUTPUTS, BATCH, TIME = 3, 5, 4, 3, 6
LENGTHS = np.array([6, 2, 4])


def drawn(seed=0):
    rng = np.random.default_rng(seed)
    shapes = ((INPUTS, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, OUTPUTS), (HIDDEN,), (OUTPUTS,))
    net = written.RecurrentNet(*(rng.normal(size=s) for s in shapes))
    x = rng.normal(size=(BATCH, TIME, INPUTS))
    y = rng.integers(0, OUTPUTS, (BATCH, TIME))
    y[0, 3] = IGNORE
    return net, x, y, rng.normal(size=(BATCH, HIDDEN))


def as_jax(net, x, y, h0):
    net, x, h0 = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), (net, x, h0))
    return net, x, jnp.asarray(y), h0


def plain_loss(net, x, y, h0, lengths):
    """One sequence after another, without padding, in float64."""
    total = 0.0
    for n in range(len(x)):
        h = h0[n]
        for t in range(lengths[n]):
            h = np.tanh(net.b + h @ net.W + x[n, t] @ net.U)
            o = net.c + h @ net.V
            if y[n, t] != IGNORE:
                total -= o[y[n, t]] - np.log(np.exp(o).sum())
    return total


def differences(f, a, step=1e-6):
    """The gradient of f by the array a, by central differences."""
    found = np.zeros(a.shape)
    for i in np.ndindex(a.shape):
        up, down = a.copy(), a.copy()
        up[i] += step
        down[i] -= step
        found[i] = (f(up) - f(down)) / (2 * step)
    return found


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["all real", "padded"])
def test_gradients_are_those_of_jax_and_of_differences(lengths):
    net, x, y, h0 = drawn()
    real = np.full(BATCH, TIME) if lengths is None else lengths
    mask = None if lengths is None else jnp.arange(TIME)[None] < jnp.asarray(lengths)[:, None]
    p, xs, ys, start = as_jax(net, x, y, h0)
    value, gradient = jax.jit(lambda p: written.value_and_gradient(p, xs, ys, mask=mask, h0=start))(p)
    want_value, want = jax.jit(jax.value_and_grad(lambda p: written.loss(p, xs, ys, mask=mask, h0=start)))(p)
    np.testing.assert_allclose(value, want_value, rtol=1e-6)
    np.testing.assert_allclose(value, plain_loss(net, x, y, h0, real), rtol=1e-5)
    for name, got in gradient._asdict().items():
        np.testing.assert_allclose(got, getattr(want, name), rtol=1e-4, atol=1e-5, err_msg=name)
        numeric = differences(
            lambda a, name=name: plain_loss(net._replace(**{name: a}), x, y, h0, real), getattr(net, name)
        )
        np.testing.assert_allclose(got, numeric, rtol=1e-4, atol=1e-4, err_msg=name)


def test_gradients_by_the_nodes():
    """A small shift of o_t or h_t itself, everything after it computed anew."""
    net, x, y, h0 = drawn(1)
    p, xs, ys, start = as_jax(net, x, y, h0)
    mask = jnp.arange(TIME)[None] < jnp.asarray(LENGTHS)[:, None]

    def shifted(by_h, by_o):
        h, total = start + by_h[:, 0], 0.0
        for t in range(TIME):
            new = jnp.tanh(p.b[None] + h @ p.W + xs[:, t] @ p.U)
            h = jnp.where(mask[:, t, None], new, h) + by_h[:, t + 1]
            o = p.c[None] + h @ p.V + by_o[:, t]
            counts = mask[:, t] & (ys[:, t] != IGNORE)
            picked = jnp.take_along_axis(jax.nn.log_softmax(o), jnp.maximum(ys[:, t, None], 0), 1)[:, 0]
            total -= jnp.sum(jnp.where(counts, picked, 0))
        return total

    trace = written.forward(p, xs, mask=mask, h0=start)
    nodes = written.node_gradients(p, trace, ys, mask=mask)
    zeros = jnp.zeros_like(trace.h), jnp.zeros_like(trace.o)
    by_h, by_o = jax.jit(jax.grad(shifted, (0, 1)))(*zeros)
    np.testing.assert_allclose(nodes.o, by_o, atol=1e-6)
    np.testing.assert_allclose(nodes.h, by_h, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_states_and_gradients_of_the_engine(key):
    net = written.init(key, INPUTS, HIDDEN, OUTPUTS)
    _, x, y, _ = drawn(2)
    x, y = jnp.asarray(x, jnp.float32), jnp.asarray(y)
    mask = jnp.arange(TIME)[None] < jnp.asarray(LENGTHS)[:, None]
    trace = jax.jit(lambda net: written.forward(net, x, mask=mask))(net)
    _, hs = unroll(rnn, RNNParams(net.U, net.W, net.b), x, mask=mask)
    np.testing.assert_allclose(jnp.where(mask[:, :, None], trace.h[:, 1:], 0), hs, atol=1e-6)

    nodes = written.node_gradients(net, trace, y, mask=mask)
    gradient = written.parameter_gradients(trace, x, nodes, mask=mask)
    from_above = nodes.o @ net.V.T
    _, back = jax.vjp(lambda p: unroll(rnn, p, x, mask=mask)[1], RNNParams(net.U, net.W, net.b))
    (engine,) = back(from_above)
    for name in ("U", "W", "b"):
        np.testing.assert_allclose(getattr(gradient, name), getattr(engine, name), rtol=1e-4, atol=1e-5)


def test_padding_changes_nothing(key):
    net = written.init(key, INPUTS, HIDDEN, OUTPUTS)
    _, x, y, _ = drawn(3)
    x, y = jnp.asarray(x, jnp.float32), jnp.asarray(y)
    lengths = (1, 3)
    x, y = x[1:, :4], y[1:, :4]
    mask = jnp.arange(4)[None] < jnp.asarray(lengths)[:, None]

    @jax.jit
    def both(net):
        alone = [written.value_and_gradient(net, x[[n], :k], y[[n], :k]) for n, k in enumerate(lengths)]
        return written.value_and_gradient(net, x, y, mask=mask), jax.tree.map(lambda *a: sum(a), *alone)

    chex.assert_trees_all_close(*both(net), rtol=1e-5, atol=1e-6)


def test_errors(key):
    net = written.init(key, INPUTS, HIDDEN, OUTPUTS)
    x = jnp.ones((2, TIME, INPUTS))
    with pytest.raises(ValueError, match="y: got shape"):
        written.loss(net, x, jnp.zeros((2, TIME - 1), int))
    with pytest.raises(ValueError, match="mask: got shape"):
        written.loss(net, x, jnp.zeros((2, TIME), int), mask=jnp.ones((2, 3), bool))
    with pytest.raises(ValueError, match="x: got shape"):
        written.forward(net, x[0])
    with pytest.raises(ValueError, match="outputs"):
        written.init(key, INPUTS, HIDDEN, 0)
