"""The written-out passes of an MLP against jax.grad of its cost, and the cost against the library's."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlnotes import layers as library
from dlnotes import models
from dlnotes.autodiff import mlp_backprop as written
from dlnotes.outputs import LOSSES, mean_of
from dlnotes.training.optimizers import decay_mask, optimizer

ACTIVATIONS = ("tanh", "relu", "gelu", "identity")


def network(activations, seed=0):
    rng = np.random.default_rng(seed)
    widths = [4, *(5 + i for i in range(len(activations) - 1)), 3]
    return tuple(
        library.Dense(*(jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((a, b), (b,))))
        for a, b in itertools.pairwise(widths)
    )


def examples(loss, seed=1):
    rng = np.random.default_rng(seed)
    x = jnp.asarray(rng.normal(size=(6, 4)), jnp.float32)
    if loss == "cross_entropy":
        return x, jnp.asarray([0, 2, -1, 1, 1, 0])  # one without a target
    return x, jnp.asarray(rng.normal(size=(6, 3)), jnp.float32)


@pytest.mark.parametrize("loss", sorted(written.OUTPUT_GRADIENTS))
@pytest.mark.parametrize(
    "penalty",
    [None, written.Penalty("l2", 0.1), written.Penalty("l1", 0.1), written.Penalty("l1", 0.1, biases=False)],
)
def test_gradient_against_jax(loss, penalty):
    net, (x, y) = network(ACTIVATIONS), examples(loss)
    net = (*net[:-1], net[-1]._replace(b=jnp.zeros(3)))  # where |θ| has its kink
    J, gradient = jax.jit(lambda net: written.value_and_gradient(net, x, y, ACTIVATIONS, loss, penalty))(net)
    want_J, want = jax.jit(
        jax.value_and_grad(lambda net: written.cost(net, x, y, ACTIVATIONS, loss, penalty))
    )(net)
    np.testing.assert_allclose(J, want_J, rtol=1e-6)
    chex.assert_trees_all_close(gradient, want, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("names", [("sigmoid", "softplus", "softplus"), ("leaky_relu", "elu", "sigmoid")])
@pytest.mark.slow
def test_other_activations_also_at_the_output(names):
    net, (x, y) = network(names), examples("squared_error")
    _, gradient = written.value_and_gradient(net, x, y, names, "squared_error")
    want = jax.grad(lambda net: written.cost(net, x, y, names, "squared_error"))(net)
    chex.assert_trees_all_close(gradient, want, rtol=1e-4, atol=1e-6)


def test_cost_is_that_of_the_library_on_its_own_parameters(key):
    model = models.mlp(4, (5, 6), 3, activation="tanh")
    params = model.init(key)
    x, y = examples("cross_entropy")
    names = ("tanh", "tanh", "identity")
    net = (*params.hidden, params.output)

    def J(params):
        return mean_of(LOSSES["cross_entropy"](model.apply(params, x), y), jnp.ones(6))

    got_J, gradient = written.value_and_gradient(net, x, y, names)
    want_J, want = jax.value_and_grad(J)(params)
    np.testing.assert_allclose(got_J, want_J, rtol=1e-6)
    for a, b in zip(gradient, (*want.hidden, want.output)):
        np.testing.assert_allclose(a.W, b.W, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(a.b, b.b, rtol=1e-4, atol=1e-6)


def test_penalties():
    net = network(ACTIVATIONS)
    leaves = [np.asarray(p, np.float64) for p in jax.tree.leaves(net)]
    l2, l1 = written.Penalty("l2", 0.3), written.Penalty("l1", 0.3)
    np.testing.assert_allclose(
        written.penalty_of(net, l2), 0.15 * sum((p**2).sum() for p in leaves), rtol=1e-5
    )
    np.testing.assert_allclose(
        written.penalty_of(net, l1), 0.3 * sum(abs(p).sum() for p in leaves), rtol=1e-5
    )
    # Without biases: what decay_mask lets weight decay act on, and what it then adds to the gradient.
    zero = jax.tree.map(jnp.zeros_like, net)
    sgd = optimizer("sgd", 1.0, weight_decay=0.3)
    decay, _ = sgd.update(zero, sgd.init(net), net)
    for layer, step, mask in zip(net, decay, decay_mask(net)):
        got = written.penalty_gradient(layer, l2._replace(biases=False))
        assert (mask.W, mask.b) == (True, False)
        np.testing.assert_allclose(optax.apply_updates(layer, step).W, layer.W - got.W, rtol=1e-6)
        np.testing.assert_array_equal(got.b, jnp.zeros_like(layer.b))


def test_errors():
    net, (x, y) = network(ACTIVATIONS), examples("cross_entropy")
    with pytest.raises(ValueError, match=r"activations: got 1 names for 4 layers"):
        written.forward(net, x, ["tanh"])
    with pytest.raises(ValueError, match=r"activations: got 'tahn'"):
        written.forward(net, x, ["tahn"] * 4)
    with pytest.raises(ValueError, match=r"loss: got 'hinge'"):
        written.value_and_gradient(net, x, y, ACTIVATIONS, "hinge")
    with pytest.raises(ValueError, match=r"penalty.kind: got 'l3'"):
        written.value_and_gradient(net, x, y, ACTIVATIONS, penalty=written.Penalty("l3", 0.1))
