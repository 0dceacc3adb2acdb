"""Random batches of trees, and the nets they are held against: a recursion over one tree in plain Python."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.data.trees.batching import arrange

SYMBOLS = 5


def forest(seed, batch, slots, arity, *, chains=False) -> tuple[Any, Any, Any, Any]:
    """``(label, children, order, mask)`` of random trees of 1 to ``slots`` nodes, 1 to ``arity`` children.

    The first tree is one node, the second fills all slots; two in three nodes have a label, leaves always.
    """
    rng = np.random.default_rng(seed)
    sizes = [{0: 1, 1: slots}.get(b, int(rng.integers(1, slots + 1))) for b in range(batch)]
    parents, labels = [], []
    for size in sizes:
        counts = np.zeros(size, int)
        for n in range(size):
            free = [p for p in range(n) if counts[p] < (1 if chains else arity)]
            parents.append(int(rng.choice(free)) if free else -1)
            counts[parents[-1]] += n > 0
        labeled = (counts == 0) | (rng.random(size) < 0.66)
        labels += list(np.where(labeled, rng.integers(0, SYMBOLS, size), -1))
    trees, mask, *_ = arrange(labels, parents, sizes, nodes=slots, arity=arity)
    return trees.label, trees.children, trees.order, mask


def sigmoid(a):
    return 1 / (1 + jnp.exp(-a))


def affine(p, below, x):
    a = x @ p.U + p.b
    for k, h in below.items():
        a = a + h @ p.W[k * len(h) : (k + 1) * len(h)]
    return jnp.tanh(a)


def tensor(p, below, x):
    """Socher et al., 2013: one bilinear form a unit over all pairs of children."""
    a = x @ p.U + p.b
    n = p.b.shape[0]
    for k, h in below.items():
        a = a + h @ p.W[k * n : (k + 1) * n]
        for m, g in below.items():
            V = p.V[k * n : (k + 1) * n, m * n : (m + 1) * n]
            a = a + jnp.stack([h @ V[:, :, unit] @ g for unit in range(n)])
    return jnp.tanh(a)


def tree_lstm(p, below, x):
    """Tai, Socher and Manning, 2015, equations 9 to 14; a state is (h, c)."""
    n = p.b.shape[0] // 4
    A = p.W.shape[0] // n
    U = dict(zip("ifou", jnp.split(p.U, 4, 1)))
    b = dict(zip("ifou", jnp.split(p.b, 4)))
    W = dict(zip(["i", "o", "u", *range(A)], jnp.split(p.W, 3 + A, 1)))

    def sum_of(gate):
        return sum((state[:n] @ W[gate][k * n : (k + 1) * n] for k, state in below.items()), jnp.zeros(n))

    i, o = (sigmoid(x @ U[gate] + sum_of(gate) + b[gate]) for gate in "io")
    u = jnp.tanh(x @ U["u"] + sum_of("u") + b["u"])
    c = i * u
    for k, state in below.items():
        c = c + sigmoid(x @ U["f"] + sum_of(k) + b["f"]) * state[n:]
    return jnp.concatenate([o * jnp.tanh(c), c])


def child_sum(p, below, x):
    """Tai, Socher and Manning, 2015, equations 2 to 8; a state is (h, c)."""
    n = p.b.shape[0] // 4
    U, W = (dict(zip("ifou", jnp.split(a, 4, 1))) for a in (p.U, p.W))
    b = dict(zip("ifou", jnp.split(p.b, 4)))
    h = sum((state[:n] for state in below.values()), jnp.zeros(n))
    i, o = (sigmoid(x @ U[gate] + h @ W[gate] + b[gate]) for gate in "io")
    u = jnp.tanh(x @ U["u"] + h @ W["u"] + b["u"])
    c = i * u
    for state in below.values():
        c = c + sigmoid(x @ U["f"] + state[:n] @ W["f"] + b["f"]) * state[n:]
    return jnp.concatenate([o * jnp.tanh(c), c])


def tree_gru(p, below, x):
    n = p.b_n.shape[0]
    A = p.W.shape[0] // n
    z = dict(zip("rsn", jnp.split(x @ p.U + p.b, 3)))
    W = dict(zip(["r", "n", *range(A)], jnp.split(p.W, 2 + A, 1)))

    def sum_of(gate):
        return sum((h @ W[gate][k * n : (k + 1) * n] for k, h in below.items()), jnp.zeros(n))

    new = jnp.tanh(z["n"] + sigmoid(z["r"] + sum_of("r")) * (sum_of("n") + p.b_n))
    weights = {k: jnp.exp(z["s"] + sum_of(k)) for k in range(A)}
    total = 1 + sum(weights.values())
    return new / total + sum((weights[k] / total * h for k, h in below.items()), jnp.zeros(n))


EQUATIONS = {
    "affine": affine,
    "tensor": tensor,
    "tree_lstm": tree_lstm,
    "child_sum": child_sum,
    "tree_gru": tree_gru,
}
"""Each cell as its paper writes it: the state of a node from those of the children that it has, by place."""


def recursion(name, params, x, children, mask):
    """The state of each node, (batch, N, width), one node at a time; ``x`` (batch, N, inputs)."""
    out = []
    for b in range(len(mask)):
        states = []
        for n in range(int(mask[b].sum())):
            below = {k: states[slot] for k, slot in enumerate(children[b, n]) if slot >= 0}
            states.append(EQUATIONS[name](params, below, x[b, n]))
        out.append(jnp.pad(jnp.stack(states), ((0, mask.shape[1] - len(states)), (0, 0))))
    return jnp.stack(out)


def random_params(cell, *sizes, seed=0):
    """Parameters with nothing left at 0."""
    leaves, structure = jax.tree.flatten(cell.init(jax.random.key(seed), *sizes))
    keys = jax.random.split(jax.random.key(seed + 1), len(leaves))
    return structure.unflatten([a + 0.3 * jax.random.normal(k, a.shape) for a, k in zip(leaves, keys)])


def close(a, b, tolerance=3e-5):
    chex.assert_trees_all_close(a, b, rtol=tolerance, atol=tolerance)
