"""Deep recurrent nets: every block a perceptron, against plain loops and flax's layers."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import layers
from dlnotes.models.recurrent.deep_output import deep_output
from dlnotes.models.recurrent.sequence import sequence_classifier, sequence_labeler

LENGTHS = (5, 2, 4)


class Perceptron(nn.Module):
    """flax's layers with tanh between them."""

    sizes: tuple

    @nn.compact
    def __call__(self, x):
        for size in self.sizes[:-1]:
            x = jnp.tanh(nn.Dense(size)(x))
        return nn.Dense(self.sizes[-1])(x)


def spread(params):
    """Biases too are other than 0."""
    leaves, form = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(9), len(leaves))
    return form.unflatten([a + 0.2 * jax.random.normal(k, a.shape) for a, k in zip(leaves, keys)])


def perceptron(sizes, dense_layers, x) -> Any:
    """flax's perceptron with our layers' parameters."""
    own = {f"Dense_{i}": {"kernel": d.W, "bias": d.b} for i, d in enumerate(dense_layers)}
    return Perceptron(sizes).apply({"params": own}, x)


def all_three_blocks(factory):
    """Two cells, each with a perceptron below and in its transition, and one above them all."""
    cell = layers.deep_input(layers.deep_transition((5, 3), skip=True), (6, 4))
    return deep_output(partial(factory, 3, 7, cell=cell, layers=2), (8, 5), 2)


@pytest.mark.parametrize(
    "factory", [sequence_labeler, pytest.param(sequence_classifier, marks=pytest.mark.slow)]
)
@pytest.mark.slow
def test_all_blocks_against_a_loop_of_flax_perceptrons(factory):
    x = jax.random.normal(jax.random.key(1), (3, 5, 3))
    mask = jnp.arange(5)[None] < jnp.array(LENGTHS)[:, None]
    model = all_three_blocks(factory)
    params = spread(jax.jit(model.init)(jax.random.key(0)))
    got = jax.jit(model.apply)(params, x, mask=mask)

    @jax.jit
    def step(params, hs, read):
        """Both states after a step of the whole batch, and what is read out; no padding."""
        new = []
        for layer, h in zip(params.net.forward, hs):
            cell = layer.cell
            # The last layer of these two perceptrons has a tanh after it as well.
            below = jnp.tanh(perceptron((6, 4), layer.layers, read))
            between = jnp.tanh(perceptron((5, 3), cell.layers, h))
            read = jnp.tanh(cell.b[None] + between @ cell.W + h @ cell.S + below @ cell.U)
            new.append(read)
        top = layers.Dense(params.net.V, params.net.c)
        return new, perceptron((8, 5, 2), (top, *params.layers), read)

    hs, outputs = [jnp.zeros((3, 7))] * 2, []
    for t in range(5):
        hs, out = step(params, hs, x[:, t])
        outputs.append(out)
    for b, n in enumerate(LENGTHS):
        want = np.stack([out[b] for out in outputs[:n]])
        if factory is sequence_labeler:
            np.testing.assert_allclose(got[b, :n], want, rtol=1e-4, atol=1e-5)
        else:
            np.testing.assert_allclose(got[b], want[-1], rtol=1e-4, atol=1e-5)


def test_a_sweep_over_the_scale_of_the_start_is_one_program():
    def largest(scale):
        model = deep_output(partial(sequence_classifier, 2, 4, init_scale=scale), (3,), 2, init_scale=scale)
        return jax.tree.map(lambda a: jnp.abs(a).max(), model.init(jax.random.key(0)).layers[0].W)

    one, half = jax.jit(jax.vmap(largest))(jnp.array([1.0, 0.5]))
    np.testing.assert_allclose(half, 0.5 * one, rtol=1e-6)


def test_errors():
    net = partial(sequence_classifier, 3, 4)
    with pytest.raises(ValueError, match="widths: got none, allowed is the width of at least one layer"):
        deep_output(net, (), 2)
    with pytest.raises(ValueError, match=r"widths\[1\]: got 0, allowed is a positive integer"):
        deep_output(net, (4, 0), 2)
    with pytest.raises(ValueError, match="outputs: got 0"):
        deep_output(net, (4,), 0)
