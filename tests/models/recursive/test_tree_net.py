"""The recursive network against a recursion over each tree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes.data.trees.batching import arrange
from dlnotes.layers.recursive.cells import TREE_CELLS
from dlnotes.models.recursive.tree_net import tree_net

# (((2 3) 1) 0), (1 0) with the larger first, a single node; and labels at inner nodes of the last.
TREES = arrange(
    [-1, -1, 0, -1, 1, 2, 3, -1, 2, 4, 3, 1, 4, 0],
    [-1, 0, 0, 1, 1, 3, 3, -1, 0, 0, -1, -1, 0, 0],
    [7, 3, 1, 3],
)
X, MASK = TREES.trees, jnp.asarray(TREES.mask)


@pytest.mark.parametrize("cell", ["tree_lstm", "tensor"])
def test_equals_recursion(cell):
    kind = TREE_CELLS[cell]
    models = {targets: tree_net(5, 4, 3, cell=cell, targets=targets) for targets in ("root", "nodes")}
    params = models["root"].init(jax.random.key(0))
    got = {k: jax.jit(model.apply)(params, X, mask=MASK) for k, model in models.items()}

    def state(b, slot):
        below = [state(b, child) if child >= 0 else None for child in X.children[b, slot]]
        zero = jnp.zeros(kind.width(params.cell))
        label = X.label[b, slot]
        x = params.E[label] if label >= 0 else jnp.zeros(4)
        return kind.combine(
            params.cell,
            jnp.stack([zero if s is None else s for s in below]),
            kind.project(params.cell, x),
        )

    for b, size in enumerate([7, 3, 1, 3]):
        want = [kind.hidden(state(b, slot)) @ params.V + params.c for slot in range(size)]
        np.testing.assert_allclose(got["nodes"][b, :size], want, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(got["root"][b], want[-1], rtol=1e-4, atol=1e-5)


def test_what_an_option_changes():
    def outputs(x=X, **options):
        model = tree_net(5, 4, 3, **options)
        return np.asarray(jax.jit(model.apply)(model.init(jax.random.key(0)), x, mask=MASK))

    base = outputs()
    np.testing.assert_allclose(outputs(schedule="sequential"), base, rtol=1e-5, atol=1e-6)
    # Only the last tree has a symbol at an inner node.
    leaves = outputs(inputs="leaves")
    np.testing.assert_allclose(leaves[:3], base[:3], rtol=1e-5, atol=1e-6)
    assert not np.allclose(leaves[3], base[3], atol=1e-4)
    # The order of children matters, but not to child_sum.
    swapped = X._replace(children=X.children[:, :, ::-1].copy())
    assert not np.allclose(outputs(swapped)[[0, 1, 3]], base[[0, 1, 3]], atol=1e-4)
    same = outputs(swapped, cell="child_sum"), outputs(cell="child_sum")
    np.testing.assert_allclose(*same, rtol=1e-5, atol=1e-6)


def test_one_tree_of_one_node():
    model = tree_net(5, 4, 3)
    params = model.init(jax.random.key(0))
    alone = X._replace(label=X.label[2:3, :1], children=X.children[2:3, :1], order=X.order[2:3, :1])
    whole = model.apply(params, X, mask=MASK)
    got = jax.jit(model.apply)(params, alone, mask=MASK[2:3, :1])
    np.testing.assert_allclose(got[0], whole[2], rtol=1e-5, atol=1e-6)


def test_errors():
    with pytest.raises(ValueError, match="did you mean 'affine'"):
        tree_net(5, 4, 3, cell="afine")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="targets: got 'leaves'"):
        tree_net(5, 4, 3, targets="leaves")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="vocabulary: got 0"):
        tree_net(0, 4, 3)
    with pytest.raises(ValueError, match="dropout: got 2"):
        tree_net(5, 4, 3, dropout=2)
