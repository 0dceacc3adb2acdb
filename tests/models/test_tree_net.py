"""The recursive network against a recursion over each tree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes.data.dataset import Trees
from dlnotes.layers.tree import TREE_CELLS
from dlnotes.models.tree import tree_net

NONE = [-1, -1]
LABEL = np.array(
    [[0, 1, 2, 3, -1, -1, -1], [4, 2, -1, -1, -1, -1, -1], [3, -1, -1, -1, -1, -1, -1]], np.int32
)
CHILDREN = np.array(
    [
        [NONE, NONE, NONE, NONE, [2, 3], [1, 4], [5, 0]],
        [NONE, NONE, [1, 0], NONE, NONE, NONE, NONE],
        [NONE] * 7,
    ],
    np.int32,
)
ORDER = np.array([[0, 0, 0, 0, 1, 2, 4], [0, 0, 3, 5, 5, 5, 5], [0, 5, 5, 5, 5, 5, 5]], np.int32)
TREES = Trees(LABEL, CHILDREN, ORDER)
MASK = np.arange(7) < np.array([7, 3, 1])[:, None]


@pytest.mark.parametrize("cell", list(TREE_CELLS))
def test_equals_recursion(cell):
    model = tree_net(5, 4, 3, cell=cell)
    params = model.init(jax.random.key(0))
    got = jax.jit(model.apply)(params, TREES, mask=jnp.asarray(MASK))
    kind = TREE_CELLS[cell]

    def state(b, slot):
        left, right = CHILDREN[b, slot]
        if left < 0:
            return kind.leaf(params.cell, params.E[LABEL[b, slot]])
        return kind.join(params.cell, state(b, left), state(b, right))

    for b in range(3):
        want = kind.hidden(state(b, MASK[b].sum() - 1)) @ params.V + params.c
        np.testing.assert_allclose(got[b], want, rtol=1e-4, atol=1e-5)


def test_order_of_children_matters():
    model = tree_net(5, 4, 3)
    params = model.init(jax.random.key(0))
    apply = jax.jit(model.apply)
    swapped = TREES._replace(children=CHILDREN[:, :, ::-1].copy())
    a, b = (apply(params, x, mask=jnp.asarray(MASK)) for x in (TREES, swapped))
    assert not np.allclose(a[:2], b[:2], atol=1e-4)
    np.testing.assert_allclose(a[2], b[2], rtol=1e-6)


def test_errors():
    with pytest.raises(ValueError, match="did you mean 'affine'"):
        tree_net(5, 4, 3, cell="afine")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="vocabulary: got 0"):
        tree_net(0, 4, 3)
    with pytest.raises(ValueError, match="dropout: got 2"):
        tree_net(5, 4, 3, dropout=2)
