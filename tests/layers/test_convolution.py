"""Convolution against scipy, the library's own convolution, and its autodiff."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from jax.test_util import check_grads

from dlnotes import layers

LAYOUT = {1: ("NHC", "HIO", "NHC"), 2: ("NHWC", "HWIO", "NHWC"), 3: ("NDHWC", "DHWIO", "NDHWC")}
SIZES = {1: (7,), 2: (6, 5), 3: (4, 5, 3)}
WINDOWS = {1: (3,), 2: (3, 2), 3: (2, 3, 3)}


def draw(n, inputs=2, outputs=3, groups=1, batch=2, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(batch, *SIZES[n], inputs)).astype(np.float32)
    k = rng.normal(size=(*WINDOWS[n], inputs // groups, outputs)).astype(np.float32)
    return jnp.asarray(x), jnp.asarray(k)


def plain(x, k, stride=1, padding="SAME", dilation=1, groups=1):
    n = x.ndim - 2
    return lax.conv_general_dilated(
        x, k, (stride,) * n, padding, None, (dilation,) * n, LAYOUT[n], feature_group_count=groups
    )


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_against_scipy(n, flip):
    x, k = (np.asarray(a) for a in draw(n))
    method = scipy.signal.convolve if flip else scipy.signal.correlate
    want = np.stack(
        [
            np.stack([sum(method(e[..., c], k[..., c, o], "valid") for c in range(2)) for o in range(3)], -1)
            for e in x
        ]
    )
    got = layers.convolve(jnp.asarray(x), jnp.asarray(k), padding="VALID", flip=flip)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


CASES = [
    dict(n=1),
    dict(n=2),
    dict(n=3),
    dict(n=2, padding="VALID"),
    dict(n=2, padding=((3, 0), (1, 4))),  # more than the window: the gradient's padding is negative
    dict(n=2, stride=2),
    dict(n=2, stride=2, padding="VALID", dilation=2),
    dict(n=2, inputs=4, outputs=4, groups=2),
    dict(n=2, inputs=1),
]


def loss(conv, x, k):
    return jnp.sum(jnp.sin(conv(x, k)))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_value_and_gradient_against_plain(case):
    how = {name: v for name, v in case.items() if name in ("stride", "padding", "dilation", "groups")}
    x, k = draw(case["n"], case.get("inputs", 2), case.get("outputs", 3), case.get("groups", 1))
    ours = jax.jit(jax.value_and_grad(partial(loss, partial(layers.convolve, **how)), (0, 1)))
    theirs = jax.jit(jax.value_and_grad(partial(loss, partial(plain, **how)), (0, 1)))
    for a, b in zip(jax.tree.leaves(ours(x, k)), jax.tree.leaves(theirs(x, k))):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_check_grads_to_second_order():
    x, k = draw(2, batch=1)
    check_grads(jax.jit(layers.convolve), (x, k), order=2, modes=["rev"], rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0)])
def test_vmap_of_gradient_is_a_loop(axes):
    x, k = draw(2)
    many = [jnp.stack([a, 2 * a, a - 1]) if axis == 0 else a for a, axis in zip((x, k), axes)]
    ours = jax.jit(jax.vmap(jax.grad(partial(loss, layers.convolve), (0, 1)), axes))(*many)
    theirs = jax.jit(jax.grad(partial(loss, plain), (0, 1)))
    for i in range(3):
        want = theirs(*(a[i] if axis == 0 else a for a, axis in zip(many, axes)))
        for a, b in zip(ours, want):
            np.testing.assert_allclose(a[i], b, rtol=1e-4, atol=1e-5)


def test_vmap_twice():
    x, k = draw(2)
    many = jnp.stack([k, 2 * k])
    got = jax.jit(jax.vmap(lambda x: jax.vmap(lambda k: layers.convolve(x, k))(many)))(jnp.stack([x, -x]))
    for i, sign in enumerate((1, -1)):
        for j in range(2):
            np.testing.assert_allclose(got[i, j], plain(sign * x, many[j]), rtol=1e-4, atol=1e-5)


def test_bfloat16():
    x, k = draw(2)
    want = jax.grad(partial(loss, plain), (0, 1))(x, k)
    small = [a.astype(jnp.bfloat16) for a in (x, k)]
    got = jax.jit(jax.grad(partial(loss, layers.convolve), (0, 1)))(*small)
    for a, b in zip(got, want):
        assert a.dtype == jnp.bfloat16
        np.testing.assert_allclose(np.asarray(a, np.float32), b, atol=0.05 * float(jnp.abs(b).max()))


def test_other_platforms_get_the_plain_convolution():
    x, k = draw(2)

    def text(conv, platform):
        f = jax.jit(jax.grad(partial(loss, conv), (0, 1)))
        return jax.export.export(f, platforms=[platform])(x, k).mlir_module()

    def kinds(module):
        return sorted(
            line.split("dim_numbers = ")[1][:40] for line in module.splitlines() if "dim_numbers" in line
        )

    for platform in ("cuda", "tpu"):
        assert kinds(text(layers.convolve, platform)) == kinds(text(plain, platform))
    assert set(kinds(text(layers.convolve, "cpu"))) == {"[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f], "[:40]}


@settings(max_examples=60, deadline=None)
@given(
    m=st.integers(1, 20), k=st.integers(1, 6), P=st.integers(0, 4), S=st.integers(1, 4), D=st.integers(1, 3)
)
def test_output_size(m, k, P, S, D):
    call = partial(layers.convolve, stride=S, padding=P, dilation=D)
    shapes = jnp.zeros((1, m, 1)), jnp.zeros((k, 1, 1))
    size = (m - D * (k - 1) - 1 + 2 * P) // S + 1
    if m + 2 * P < D * (k - 1) + 1:
        with pytest.raises(ValueError, match="kernel: got window"):
            jax.eval_shape(call, *shapes)
    else:
        assert jax.eval_shape(call, *shapes).shape == (1, size, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(stride=0), "stride: got 0"),
        (dict(dilation=(1, 2, 3)), "dilation: got"),
        (dict(padding="FULL"), "padding: got 'FULL'"),
        (dict(padding=-1), "padding: got"),
        (dict(groups=2), "groups: got 2"),
        (dict(kernel=jnp.zeros((3, 3, 2, 3), jnp.bfloat16)), "kernel: got dtype bfloat16"),
        (dict(kernel=jnp.zeros((3, 2, 3))), "kernel: got shape"),
        (dict(x=jnp.zeros((2, 3))), "x: got shape"),
    ],
)
def test_errors(change, message):
    x, k = draw(2)
    with pytest.raises(ValueError, match=message):
        layers.convolve(**{"x": x, "kernel": k, **change})


def test_layer_adds_the_bias(key):
    x, _ = draw(2)
    params = layers.init_convolution(key, (3, 2), 2, 4)._replace(b=jnp.arange(4.0))
    want = plain(x, params.K) + np.arange(4.0)[None, None, None]
    np.testing.assert_allclose(layers.conv(params, x), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_circular_padding_is_scipys_wrapped_convolution(n):
    x, k = (np.asarray(a) for a in draw(n, inputs=1, outputs=1))
    got = layers.convolve(jnp.asarray(x), jnp.asarray(k), padding="CIRCULAR")
    want = scipy.ndimage.correlate(
        x[0, ..., 0], k[..., 0, 0], mode="wrap", origin=[-(w % 2 == 0) for w in WINDOWS[n]]
    )
    np.testing.assert_allclose(got[0, ..., 0], want, rtol=1e-4, atol=1e-5)
    check_grads(lambda x, k: layers.convolve(x, k, padding="CIRCULAR"), (x, k), 1, modes=["rev"], rtol=2e-2)
