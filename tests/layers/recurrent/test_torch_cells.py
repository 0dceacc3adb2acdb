"""LSTM and GRU against PyTorch: its documented equations in numpy, and the real thing where it is installed.

PyTorch keeps a weight as (gates·hidden, inputs), its gates in the order i, f, g, o (LSTM) and r, z, n
(GRU), and a bias on each side.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes.layers.recurrent.bptt import LSTMCarry
from dlnotes.layers.recurrent.unroll import CELLS, GRUParams, LSTMParams, unroll

B, T, I, H = 3, 5, 2, 4
ORDER = {"lstm": (0, 1, 3, 2), "gru": (0, 1, 2)}
kinds = pytest.mark.parametrize("name", list(ORDER))


def given(name):
    """Weights as PyTorch holds them, inputs, and the first state(s)."""
    rng, gates = np.random.default_rng(0), len(ORDER[name])
    shapes = {"w_ih": (gates * H, I), "w_hh": (gates * H, H), "b_ih": (gates * H,), "b_hh": (gates * H,)}
    theirs = {k: rng.normal(size=s).astype(np.float32) for k, s in shapes.items()}
    states = [rng.normal(size=(B, H)).astype(np.float32) for _ in range(2 if name == "lstm" else 1)]
    return theirs, rng.normal(size=(B, T, I)).astype(np.float32), states


def ours(name, theirs):
    """The same weights as this library holds them."""

    def turned(a):
        parts = jnp.split(jnp.asarray(a), len(ORDER[name]))
        return jnp.concatenate([parts[k] for k in ORDER[name]]).T

    U, W, b_ih, b_hh = (turned(theirs[k]) for k in ("w_ih", "w_hh", "b_ih", "b_hh"))
    if name == "lstm":
        return LSTMParams(U, W, b_ih + b_hh)
    # The candidate's second bias stands inside the reset.
    return GRUParams(U, W, b_ih.at[: 2 * H].add(b_hh[: 2 * H]), b_hh[2 * H :])


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def documented(name, w, xs, states):
    """The equations of torch.nn.LSTM's and torch.nn.GRU's documentation, step by step."""
    h, *c = states
    c = c[0] if c else None
    hs = []
    for t in range(T):
        from_x, from_h = xs[:, t] @ w["w_ih"].T + w["b_ih"], h @ w["w_hh"].T + w["b_hh"]
        if name == "lstm":
            i, f, g, o = np.split(from_x + from_h, 4, 1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        else:
            (r_x, z_x, n_x), (r_h, z_h, n_h) = np.split(from_x, 3, 1), np.split(from_h, 3, 1)
            r, z = sigmoid(r_x + r_h), sigmoid(z_x + z_h)
            n = np.tanh(n_x + r * n_h)
            h = (1 - z) * n + z * h
        hs.append(h)
    return np.stack(hs, 1), c


def carry_of(name, states):
    return LSTMCarry(*map(jnp.asarray, states)) if name == "lstm" else jnp.asarray(states[0])


@kinds
def test_equals_the_documented_equations(name):
    theirs, xs, states = given(name)
    want, memory = documented(name, theirs, xs, states)
    last, hs = unroll(CELLS[name], ours(name, theirs), jnp.asarray(xs), carry=carry_of(name, states))
    np.testing.assert_allclose(hs, want, rtol=1e-4, atol=1e-5)
    if name == "lstm":
        np.testing.assert_allclose(last.c, memory, rtol=1e-4, atol=1e-5)


@kinds
def test_equals_torch_with_gradients(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs, xs, states = given(name)
    net = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[name](I, H, batch_first=True)
    fields = {"w_ih": "weight_ih_l0", "w_hh": "weight_hh_l0", "b_ih": "bias_ih_l0", "b_hh": "bias_hh_l0"}
    with torch.no_grad():
        for k, field in fields.items():
            getattr(net, field).copy_(torch.tensor(theirs[k]))
    x = torch.tensor(xs, requires_grad=True)
    first = [torch.tensor(s[None]) for s in states]
    want, _ = net(x, tuple(first) if name == "lstm" else first[0])
    torch.sin(want).sum().backward()

    def loss(weights, xs):
        hs = unroll(CELLS[name], ours(name, weights), xs, carry=carry_of(name, states))[1]
        return jnp.sum(jnp.sin(hs)), hs

    weights = {k: jnp.asarray(v) for k, v in theirs.items()}
    (_, hs), (grads, dx) = jax.value_and_grad(loss, (0, 1), has_aux=True)(weights, jnp.asarray(xs))
    np.testing.assert_allclose(hs, want.detach().numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(dx, x.grad.numpy(), rtol=1e-3, atol=1e-5)
    for k, field in fields.items():
        np.testing.assert_allclose(grads[k], getattr(net, field).grad.numpy(), rtol=1e-3, atol=1e-5)
