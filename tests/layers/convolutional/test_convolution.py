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
    padding = ((padding, padding),) * n if isinstance(padding, int) else padding
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
    dict(n=1, stride=3, dilation=2, padding=4),
    dict(n=2, stride=3, padding=((0, 2), (3, 1))),  # the last windows end before the input does
    dict(n=3, stride=2, dilation=2, padding=((2, 1), (4, 4), (2, 3))),
    dict(n=1, inputs=6, outputs=3, groups=3, stride=2),
    dict(n=2, inputs=3, outputs=6, groups=3, stride=2, dilation=2, padding=2),  # two filters a channel
    dict(n=3, inputs=2, outputs=2, groups=2, padding="VALID"),
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


@pytest.mark.parametrize("how", [{}, dict(stride=2, dilation=2, padding=3), dict(groups=2)], ids=str)
def test_check_grads_to_second_order(how):
    x, k = draw(2, outputs=4, groups=how.get("groups", 1), batch=1)
    f = jax.jit(partial(layers.convolve, **how))
    check_grads(jax.jit(f), (x, k), order=2, modes=["rev"], rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("how", [dict(n=2), dict(n=2, stride=2), dict(n=3), dict(n=1, groups=2)], ids=str)
@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0)])
def test_vmap_of_gradient_is_a_loop(axes, how):
    x, k = draw(how["n"], outputs=4, groups=how.get("groups", 1))
    how = {name: v for name, v in how.items() if name != "n"}
    many = [jnp.stack([a, 2 * a, a - 1]) if axis == 0 else a for a, axis in zip((x, k), axes)]
    ours = jax.jit(jax.vmap(jax.grad(partial(loss, partial(layers.convolve, **how)), (0, 1)), axes))(*many)
    theirs = jax.jit(jax.grad(partial(loss, partial(plain, **how)), (0, 1)))
    for i in range(3):
        want = theirs(*(a[i] if axis == 0 else a for a, axis in zip(many, axes)))
        for a, b in zip(ours, want):
            np.testing.assert_allclose(a[i], b, rtol=1e-4, atol=1e-4)


def test_vmap_twice():
    x, k = draw(2)
    many = jnp.stack([k, 2 * k])
    got = jax.jit(jax.vmap(lambda x: jax.vmap(lambda k: layers.convolve(x, k))(many)))(jnp.stack([x, -x]))
    for i, sign in enumerate((1, -1)):
        for j in range(2):
            np.testing.assert_allclose(got[i, j], plain(sign * x, many[j]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("how", [dict(n=2), dict(n=2, stride=2), dict(n=3), dict(n=1, groups=2)], ids=str)
@pytest.mark.slow
def test_bfloat16(how):
    x, k = draw(how["n"], outputs=4, groups=how.get("groups", 1))
    how = {name: v for name, v in how.items() if name != "n"}
    want = jax.grad(partial(loss, partial(plain, **how)), (0, 1))(x, k)
    small = [a.astype(jnp.bfloat16) for a in (x, k)]
    got = jax.jit(jax.grad(partial(loss, partial(layers.convolve, **how)), (0, 1)))(*small)
    for a, b in zip(got, want):
        assert a.dtype == jnp.bfloat16
        np.testing.assert_allclose(np.asarray(a, np.float32), b, atol=0.05 * float(jnp.abs(b).max()))


@pytest.mark.parametrize("how", [dict(n=2), dict(n=2, stride=2, dilation=2), dict(n=3)], ids=str)
def test_other_platforms_get_the_plain_convolution(how):
    x, k = draw(how["n"])
    how = {name: v for name, v in how.items() if name != "n"}

    def text(conv, platform):
        f = jax.jit(jax.grad(partial(loss, partial(conv, **how)), (0, 1)))
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


def documented(x, k, stride, padding, dilation, groups):
    """PyTorch's documented convolution, tap by tap, in float64."""
    n = x.ndim - 2
    x = np.pad(x.astype(np.float64), ((0, 0), *((padding, padding),) * n, (0, 0)))
    sizes = [(m - dilation * (w - 1) - 1) // stride + 1 for m, w in zip(x.shape[1:-1], k.shape)]
    y = np.zeros((len(x), *sizes, k.shape[-1]))
    ins, outs = k.shape[-2], k.shape[-1] // groups
    for place in np.ndindex(*sizes):
        for tap in np.ndindex(*k.shape[:n]):
            seen = x[(slice(None), *(stride * i + dilation * t for i, t in zip(place, tap)))]
            for g in range(groups):
                out = slice(g * outs, (g + 1) * outs)
                y[(slice(None), *place, out)] += seen[:, g * ins : (g + 1) * ins] @ k[tap][:, out]
    return y


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 3),
    P=st.integers(0, 3),
    S=st.integers(1, 3),
    D=st.integers(1, 3),
    groups=st.sampled_from([(1, 2), (2, 1), (2, 2)]),
    seed=st.integers(0, 99),
)
@pytest.mark.slow
def test_value_is_the_documented_formula(n, P, S, D, groups, seed):
    rng = np.random.default_rng(seed)
    window = rng.integers(1, 3, n)
    sizes = np.maximum(rng.integers(1, 6, n), D * (window - 1) + 1 - 2 * P)
    split, ins = groups
    x = rng.normal(size=(2, *sizes, split * ins)).astype(np.float32)
    k = rng.normal(size=(*window, ins, 2 * split)).astype(np.float32)
    got = layers.convolve(x, k, stride=S, padding=P, dilation=D, groups=split)
    want = documented(x, k, S, P, D, split)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(stride=0), "stride: got 0"),
        (dict(dilation=(1, 2, 3)), "dilation: got"),
        (dict(padding="FULL"), "padding: got 'FULL'"),
        (dict(padding=-1), "padding: got"),
        (dict(groups=2), "groups: got 2"),
        (dict(kernel=jnp.zeros((3, 3, 2, 3), jnp.bfloat16)), "kernel: got dtype bfloat16"),
        (
            dict(kernel=jnp.zeros((3, 2, 3))),
            r"x: got shape .*, allowed is \(batch, 1 size, channels\)",
        ),
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
    check_grads(
        jax.jit(lambda x, k: layers.convolve(x, k, padding="CIRCULAR")), (x, k), 1, modes=["rev"], rtol=2e-2
    )
