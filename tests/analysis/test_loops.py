"""Iterations that follow one another, against loops whose length is known."""

import jax
import jax.numpy as jnp
import pytest

from dlnotes import models
from dlnotes.analysis.loops import Iterations, iterations


def over(xs, body=lambda h, x: (jnp.tanh(h + x), h)):
    return jax.lax.scan(body, jnp.zeros(()), xs)[0]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x + 1, (0, 0)),
        (over, (6, 0)),
        (lambda x: over(x) + over(2 * x), (12, 0)),
        (lambda x: over(x, lambda h, _: (over(x) + h, None)), (36, 0)),
        (jax.jit(jax.grad(over)), (12, 0)),
        (jax.vmap(lambda a: over(jnp.full(4, a))), (4, 0)),
        (lambda x: jax.lax.cond(x[0] > 0, over, lambda x: over(x[:2]), x), (6, 0)),
        (lambda x: jax.lax.while_loop(lambda h: h < 9, lambda h: h + over(x) ** 2 + 1, 0.0), (0, 1)),
        (lambda x: jax.lax.fori_loop(0, 5, lambda i, h: h + x[0], 0.0), (5, 0)),
    ],
)
def test_iterations(function, expected):
    assert iterations(function, jnp.arange(6.0)) == Iterations(*expected)


def test_a_recurrent_net_goes_through_its_sequence_forward_and_back():
    net = models.sequence_classifier(3, 4, 2)
    params = jax.eval_shape(net.init, jax.random.key(0))
    x = jax.ShapeDtypeStruct((2, 11, 3), jnp.float32)
    assert iterations(net.apply, params, x).count == 11
    assert iterations(jax.grad(lambda p, x: net.apply(p, x).sum()), params, x).count == 22
