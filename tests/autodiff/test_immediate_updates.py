"""Updates layer by layer: the weights of an ordinary step, and the memory of one layer's gradient."""

import weakref
from itertools import pairwise

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import jax_internals
from dlnotes.autodiff import descend_at_once, layer_gradients, mlp_backprop
from dlnotes.autodiff.immediate_updates import descend
from dlnotes.layers import Dense


def network(widths=(5, 7, 6, 3), seed=0):
    rng = np.random.default_rng(seed)
    layers = tuple(
        Dense(
            jnp.asarray(rng.normal(size=(a, b)) / a**0.5, jnp.float32),
            jnp.asarray(rng.normal(size=b), jnp.float32),
        )
        for a, b in pairwise(widths)
    )
    x = jnp.asarray(rng.normal(size=(8, widths[0])), jnp.float32)
    return layers, x, jnp.asarray(rng.integers(widths[-1], size=8))


NAMES = ("tanh", "relu", "identity")


@pytest.mark.parametrize("kind", [None, "l2", "l1"])
def test_the_weights_are_those_of_an_ordinary_step_to_the_last_bit(kind):
    layers, x, y = network()
    penalty = None if kind is None else mlp_backprop.Penalty(kind, 0.01)
    at_once = descend_at_once(layers, x, y, NAMES, 0.3, penalty=penalty)
    chex.assert_trees_all_equal(at_once, descend(layers, x, y, NAMES, 0.3, penalty=penalty))
    want = jax.grad(lambda net: mlp_backprop.cost(net, x, y, NAMES, penalty=penalty))(layers)
    want = jax.tree.map(lambda w, g: w - 0.3 * g, layers, want)
    chex.assert_trees_all_close(at_once, want, rtol=1e-5, atol=1e-6)


def test_a_layer_may_be_changed_before_the_next_gradient():
    layers, x, y = network()
    want = mlp_backprop.backward(layers, mlp_backprop.forward(layers, x, NAMES), y, NAMES)
    changing = list(layers)
    for k, gradient in layer_gradients(layers, x, y, NAMES):
        chex.assert_trees_all_equal(gradient, want[k])
        changing[k] = jax.tree.map(jnp.zeros_like, changing[k])


def test_one_gradient_is_held_at_a_time():
    layers, x, y = network()
    before = []
    for _, gradient in layer_gradients(layers, x, y, NAMES):
        assert not any(reference() is not None for reference in before)
        before.append(weakref.ref(gradient.W))
        del gradient
    assert len(before) == 3


def clipped(layers, x, y, names, rate):
    """A step with a gradient of norm at most 1: no layer can be updated before all are known."""
    trace = mlp_backprop.forward(layers, x, names)
    gradients = mlp_backprop.backward(layers, trace, y, names)
    norm = jnp.sqrt(sum(jnp.sum(g * g) for g in jax.tree.leaves(gradients)))
    return jax.tree.map(lambda w, g: w - rate * g / jnp.maximum(norm, 1.0), layers, gradients)


def test_memory_of_the_compiled_step():
    """With parameters updated in place: about one layer's gradient, where clipping needs all of them."""
    width, depth = 64, 12
    layers, x, y = network((width,) * (depth + 1))
    names = ("tanh",) * (depth - 1) + ("identity",)

    def held(step):
        compiled = jax.jit(lambda net: step(net, x, y, names, 0.1), donate_argnums=0).lower(layers).compile()
        return jax_internals.temporary_bytes(compiled) / (4 * width * width)

    assert held(descend_at_once) < 4  # activations are a few tenths of a layer each here
    assert held(clipped) > depth - 2


def test_wrong_names():
    layers, x, y = network()
    with pytest.raises(ValueError, match="loss: got 'crossentropy'"):
        descend_at_once(layers, x, y, NAMES, 0.1, "crossentropy")
    with pytest.raises(ValueError, match="activations: got 2 names for 3 layers"):
        descend_at_once(layers, x, y, NAMES[:2], 0.1)
