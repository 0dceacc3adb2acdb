"""The recursive network against a recursion over each tree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes.data.dataset import Trees
from dlnotes.layers.tree import TREE_CELLS
from dlnotes.models.tree import tree_net

LEAVES = np.array([[0, 1, 2, 3], [4, 2, 0, 0], [3, 0, 0, 0]], np.int32)
NONE = [-1, -1]
CHILDREN = np.array(
    [[[2, 3], [1, 4], [5, 0]], [[1, 0], NONE, NONE], [NONE, NONE, NONE]],
    np.int32,
)
ROOT = np.array([6, 4, 0], np.int32)
MASK = np.arange(4) < np.array([4, 2, 1])[:, None]


@pytest.mark.parametrize("cell", list(TREE_CELLS))
def test_equals_recursion(cell):
    model = tree_net(5, 4, 3, cell=cell)
    params = model.init(jax.random.key(0))
    got = jax.jit(model.apply)(params, Trees(LEAVES, CHILDREN, ROOT), mask=jnp.asarray(MASK))
    kind = TREE_CELLS[cell]

    def state(b, slot):
        if slot < 4:
            return kind.leaf(params.cell, params.E[LEAVES[b, slot]])
        left, right = CHILDREN[b, slot - 4]
        return kind.join(params.cell, state(b, left), state(b, right))

    for b in range(3):
        want = kind.hidden(state(b, ROOT[b])) @ params.V + params.c
        np.testing.assert_allclose(got[b], want, rtol=1e-4, atol=1e-5)


def test_order_of_children_matters():
    model = tree_net(5, 4, 3)
    params = model.init(jax.random.key(0))
    apply = jax.jit(model.apply)
    swapped = Trees(LEAVES, CHILDREN[:, :, ::-1].copy(), ROOT)
    a, b = apply(params, Trees(LEAVES, CHILDREN, ROOT)), apply(params, swapped)
    assert not np.allclose(a[:2], b[:2], atol=1e-4)
    np.testing.assert_allclose(a[2], b[2], rtol=1e-6)


def test_errors():
    with pytest.raises(ValueError, match="did you mean 'affine'"):
        tree_net(5, 4, 3, cell="afine")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="vocabulary: got 0"):
        tree_net(0, 4, 3)
    with pytest.raises(ValueError, match="dropout: got 2"):
        tree_net(5, 4, 3, dropout=2)
