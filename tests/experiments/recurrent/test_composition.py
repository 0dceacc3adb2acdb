"""What the claim on tensor composition is measured with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiment_module import experiment

from dlnotes.data.trees.logic import CLASSES, SYMBOLS


def test_pairs_have_the_operators_that_are_asked_for():
    module = experiment("recurrent/composition")
    trees, y, _ = module.pairs(np.random.default_rng(0), 40, 2, 3)
    inner = (trees.children[..., 0] >= 0) & (trees.label != SYMBOLS.index("pair"))

    def operators(i, slot):
        below = [c for c in trees.children[i, slot] if c >= 0]
        return int(inner[i, slot]) + sum(operators(i, c) for c in below)

    roots = (trees.label >= 0).sum(1) - 1
    longer = [max(operators(i, c) for c in trees.children[i, root]) for i, root in enumerate(roots)]
    assert set(longer) == {2, 3}
    assert set(y) <= set(range(len(CLASSES)))


@pytest.mark.parametrize("net", ["AFFINE", "TENSOR"])
def test_formulas_are_compared_as_a_plain_recursion_does(net, key):
    module = experiment("recurrent/composition")
    net = getattr(module, net)
    trees, _, _ = module.pairs(np.random.default_rng(1), 5, 1, 3)
    model = module.comparer(net, 3)
    p = model.init(key)
    p = p._replace(cell=p.cell._replace(b=jnp.array([0.3, -0.2, 0.5])), d=jax.random.normal(key, p.d.shape))
    cell = jax.tree.map(np.asarray, p.cell)

    def state(i, slot):
        if slot < 0:
            return np.zeros(3)
        h = np.concatenate([state(i, c) for c in trees.children[i, slot]])
        bilinear = np.einsum("i,ijk,j->k", h, cell.V, h) if net == module.TENSOR else 0
        return np.tanh(np.asarray(p.E)[trees.label[i, slot]] @ cell.U + h @ cell.W + bilinear + cell.b)

    want = []
    for i, root in enumerate((trees.label >= 0).sum(1) - 1):
        a, b = (state(i, c) for c in trees.children[i, root])
        bilinear = np.einsum("i,ijk,j->k", a, p.T, b) if net == module.TENSOR else 0
        want.append(np.tanh(np.concatenate([a, b]) @ p.W + bilinear + p.d) @ p.V + p.c)
    np.testing.assert_allclose(jax.jit(model.apply)(p, trees), want, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_wider_net_has_as_many_parameters_as_the_tensor_net():
    module = experiment("recurrent/composition")
    few, wide, most = (module.size(net, width) for net, width in enumerate(module.widths(8)))
    assert abs(wide / most - 1) < 0.02
    assert few < most / 4
