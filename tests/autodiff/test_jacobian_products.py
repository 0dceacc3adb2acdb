"""Jacobian products by hand against jax.jvp and jax.vjp."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from dlnotes.autodiff import DERIVATIVES, derivative
from dlnotes.autodiff import jacobian_products as by_hand
from dlnotes.autodiff.derivatives import ELEMENTWISE

close = {"rtol": 1e-4, "atol": 1e-5}


def draw(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]


def check(f, jvp, vjp, primals, seed=1):
    """``jvp(*primals, *tangents)`` and ``vjp(*primals, g)`` against jax, and against each other."""
    tangents = draw(seed, *(p.shape for p in primals))
    y, change = jax.jvp(f, tuple(primals), tuple(tangents))
    got_change = jvp(*primals, *tangents)
    np.testing.assert_allclose(got_change, change, **close)
    (g,) = draw(seed + 1, y.shape)
    got = vjp(*primals, g)
    got = got if isinstance(got, tuple) else (got,)
    for a, b in zip(got, jax.vjp(f, *primals)[1](g), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, **close)
    # ⟨g, J v⟩ = ⟨Jᵀ g, v⟩
    inner = sum(jnp.vdot(a, v) for a, v in zip(got, tangents))
    np.testing.assert_allclose(jnp.vdot(g, got_change), inner, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 4), (4, 2)),
        ((4,), (4, 2)),
        ((3, 4), (4,)),
        ((4,), (4,)),
        ((5, 3, 4), (4, 2)),
        ((5, 3, 4), (5, 4, 2)),
    ],
)
def test_matmul(a, b):
    check(jnp.matmul, by_hand.matmul_jvp, by_hand.matmul_vjp, draw(0, a, b))


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
def test_bias(shape):
    def add(z, b):
        return z + jnp.broadcast_to(b, z.shape)

    check(
        add,
        lambda z, b, dz, db: by_hand.bias_jvp(dz, db),
        lambda z, b, g: by_hand.bias_vjp(g),
        draw(0, shape, (4,)),
    )


@pytest.mark.parametrize("name", sorted(DERIVATIVES))
def test_elementwise(name):
    (z,) = draw(0, (4, 5))
    z = jnp.abs(z) + 0.1 if name == "log" else z
    check(
        ELEMENTWISE[name],
        lambda z, dz: by_hand.elementwise_jvp(name, z, dz),
        lambda z, g: by_hand.elementwise_vjp(name, z, g),
        [z],
    )


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "abs", "hard_tanh", "elu"])
def test_the_conventions_at_kinks_are_those_of_the_activations(name):
    z = jnp.asarray([-1.0, 0.0, 1.0])
    np.testing.assert_array_equal(derivative(name)(z), jax.vmap(jax.grad(ELEMENTWISE[name]))(z))


@pytest.mark.parametrize("shape", [(6,), (3, 6)])
def test_softmax(shape):
    check(jax.nn.softmax, by_hand.softmax_jvp, by_hand.softmax_vjp, draw(0, shape))


@pytest.mark.parametrize(
    ("sizes", "window", "options"),
    [
        ((9,), (3,), {}),
        ((8, 7), (3, 2), {"stride": 2, "padding": 1}),
        ((8, 9), (2, 3), {"stride": 3, "padding": 2, "dilation": 2}),
        ((4, 5, 4), (2, 2, 3), {"padding": 1}),
    ],
)
@pytest.mark.slow
def test_convolution(sizes, window, options):
    primals = draw(0, (2, *sizes, 3), (*window, 3, 4))
    letters = "DHW"[-len(sizes) :]
    padding = options.get("padding", 0)

    def f(x, K):
        return lax.conv_general_dilated(
            x,
            K,
            (options.get("stride", 1),) * len(sizes),
            ((padding, padding),) * len(sizes),
            rhs_dilation=(options.get("dilation", 1),) * len(sizes),
            dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
        )

    check(
        f,
        lambda *args: by_hand.convolution_jvp(*args, **options),
        lambda *args: by_hand.convolution_vjp(*args, **options),
        primals,
    )


def test_convolution_errors():
    x, K, G = draw(0, (1, 5, 2), (3, 2, 4), (1, 3, 4))
    with pytest.raises(ValueError, match=r"stride: got 0"):
        by_hand.convolution_vjp(x, K, G, stride=0)
    with pytest.raises(ValueError, match=r"padding: got -1"):
        by_hand.convolution_vjp(x, K, G, padding=-1)
    with pytest.raises(ValueError, match=r"K: got shape \(3, 2, 4\)"):
        by_hand.convolution_vjp(x[..., :1], K, G)
    with pytest.raises(ValueError, match=r"K: got window \(3,\), larger"):
        by_hand.convolution_vjp(x, K, G, dilation=3)
    with pytest.raises(ValueError, match=r"name: got 'tahn'"):
        derivative("tahn")
