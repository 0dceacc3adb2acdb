"""Inputs of any size: in a padded batch every example gets its own answer and its own gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import models
from dlnotes.data.assemble import box_mask

Stage = models.Stage
SMALLEST = 8
NETWORKS = {
    "average": ((None, None, 2), {"stages": [Stage(4, pool=2), Stage(5, kernel=5, pool=2)]}),
    "grid": (
        (None, None, 2),
        {
            "stages": [Stage(4, stride=2, pool=2, pooling="average"), Stage(4, dilation=2)],
            "head": "grid",
            "dense": (6,),
        },
    ),
    "residual": (
        (None, None, 2),
        {
            "stages": [Stage(4, blocks=2), Stage(8, residual=True, stride=2, pool=2)],
            "normalization": "group",
            "groups": 2,
            "standardize_weights": True,
        },
    ),
    "signal": (
        (None, 3),
        {"stages": [Stage(4, kernel=7, stride=3), Stage(4, pool=2)], "normalization": "layer"},
    ),
    "volume": ((None, None, None, 1), {"stages": [Stage(3, pool=2), Stage(3)], "head": "grid"}),
    "smooth": (
        (None, None, 2),
        {"stages": [Stage(4, pool=3), Stage(4, blocks=2)], "activation": "gelu", "dense": (5, 5)},
    ),
}


def network(name):
    """A model and parameters without zeros, so that no bias or shortcut hides."""
    inputs, options = NETWORKS[name]
    model = models.conv_net(inputs, 4, **({"head": "average"} | options))
    params = model.init(jax.random.key(0))
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    noisy = [a + 0.3 * jax.random.normal(k, a.shape) for a, k in zip(leaves, keys)]
    return model, jax.tree.unflatten(tree, noisy), len(inputs) - 1, inputs[-1]


FAST = ("average",)


@pytest.mark.parametrize(
    "name", [*FAST, *(pytest.param(n, marks=pytest.mark.slow) for n in NETWORKS if n not in FAST)]
)
def test_padding_changes_neither_answers_nor_gradients(name):
    model, params, axes, channels = network(name)
    rng = np.random.default_rng(len(name))
    sizes = rng.integers(SMALLEST, SMALLEST + (5 if axes == 3 else 12), (3, axes))
    shape = tuple(int(s) for s in sizes.max(axis=0) + rng.integers(1, 6, axes))
    mask = box_mask(sizes, shape)
    # what lies behind an example must not matter either: it is large and not a number's neighbor of 0
    x = (50 + 100 * rng.normal(size=(3, *shape, channels))).astype(np.float32)
    alone = [rng.normal(size=(1, *size, channels)).astype(np.float32) for size in sizes]
    for row, one in zip(x, alone):
        row[tuple(slice(0, s) for s in one.shape[1:])] = one[0]
    toward = jnp.asarray(rng.normal(size=(3, 4)).astype(np.float32))

    def answer(params, x, mask, toward):
        y = model.apply(params, x, mask=mask)
        return jnp.vdot(y, toward), y

    measured = jax.jit(jax.value_and_grad(answer, has_aux=True))
    (_, batch), gradient = measured(params, x, mask, toward)
    found = [measured(params, one, None, toward[i : i + 1]) for i, one in enumerate(alone)]
    answers = np.concatenate([y for (_, y), _ in found])
    np.testing.assert_allclose(batch, answers, rtol=1e-4, atol=1e-4 * np.abs(answers).max())
    np.testing.assert_array_equal(np.argmax(batch, axis=1), np.argmax(answers, axis=1))
    total = jax.tree.map(lambda *a: np.sum(a, axis=0), *[g for _, g in found])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4 * max(1e-3, np.abs(b).max())),
        gradient,
        total,
    )
    assert max(np.abs(g).max() for g in jax.tree.leaves(total)) > 0.01


def test_what_lies_behind_an_example_gets_no_gradient():
    model, params, _, _ = network("average")
    mask = box_mask([[9, 8], [12, 11]], (13, 14))
    x = np.random.default_rng(0).normal(size=(2, 13, 14, 2)).astype(np.float32)
    gradient = jax.jit(jax.grad(lambda x: model.apply(params, x, mask=mask).sum()))(x)
    assert (np.asarray(gradient)[~mask] == 0).all()
    assert (np.abs(np.asarray(gradient)).sum(-1)[mask] > 0).mean() > 0.5
