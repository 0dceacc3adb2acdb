"""Whole networks in whole numbers: their layers by hand, every family without loops, what is refused."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import layers, models

RNG = np.random.default_rng(8)


def noisy(model, seed=0):
    """Parameters with every number random: biases and gains that start at 0 or 1 would hide mistakes."""
    leaves, structure = jax.tree.flatten(model.init(jax.random.key(seed)))
    return structure.unflatten(
        [leaf + 0.1 * RNG.standard_normal(leaf.shape).astype(np.float32) for leaf in leaves]
    )


def of(*shape):
    return jnp.asarray(RNG.standard_normal(shape), jnp.float32)


STAGES = [models.Stage(4, kernel=5, pool=2), models.Stage(8, blocks=2, residual=True, stride=2)]
FAMILIES = {
    "linear": (models.linear(6, 3), (6,), 1),
    "mlp": (models.mlp(6, (9, 7), 3, activation=["tanh", "prelu"]), (6,), 3),
    "mlp of an image": (models.mlp((2, 3), (9, 9, 9), 3, skip=True), (2, 3), 4),
    "mlp in factors": (models.mlp(6, (9,), 3, rank=4), (6,), 3),
    "mlp, half connected": (models.mlp(6, (9,), 3, connectivity=0.5), (6,), 2),
    "maxout": (models.maxout_mlp(6, (5,), 3, pieces=2), (6,), 2),
    "cnn": (models.cnn((8, 8, 2), 3, channels=(4, 5), dense=(6,)), (8, 8, 2), 4),
    "cnn, normalized": (
        models.cnn((8, 8, 2), 3, channels=(4,), dense=(), activation="silu", normalization="layer"),
        (8, 8, 2),
        2,
    ),
    "conv_net": (models.conv_net((9, 8, 2), 3, stages=STAGES, dense=(6,)), (9, 8, 2), 8),
    "conv_net, weights standardized": (
        models.conv_net(
            (9, 8, 2), 3, stages=STAGES, head="average", normalization="group", groups=2,
            standardize_weights=True,
        ),
        (9, 8, 2),
        7,
    ),
    "conv_net of signals": (
        models.conv_net((12, 2), 3, stages=[models.Stage(4, dilation=2, pool=2)], head="average"),
        (12, 2),
        2,
    ),
    "conv_net of volumes": (
        models.conv_net((4, 4, 4, 1), 3, stages=[models.Stage(3, pool=2)]), (4, 4, 4, 1), 2,
    ),
    "learned regions": (
        models.conv_net((8, 8, 1), 3, stages=[models.Stage(4)], head="learned"), (8, 8, 1), 2,
    ),
    "mirrored": (models.mirrored(models.cnn((6, 6, 1), 3, channels=(4,), dense=())), (6, 6, 1), 2),
    "labels of pixels": (models.pixel_labeler((8, 8, 1), 3, channels=(4, 5)), (8, 8, 1), None),
    "flax": (
        models.from_flax(
            nn.Sequential([nn.Conv(4, (3, 3)), nn.relu, nn.Dense(3)]), np.ones((1, 5, 5, 2), np.float32)
        ),
        (5, 5, 2),
        2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_near_what_it_was(name, static):
    model, shape, products = FAMILIES[name]
    params, x = noisy(model), of(40, *shape)
    small, whole = models.quantized(model, params, x, static=static, share=1.0)
    assert products is None or len(whole.layers) == products
    assert all(layer.q.dtype == jnp.int8 for layer in whole.layers)
    assert all((layer.inputs is None) != static for layer in whole.layers)
    new = x[:3]  # another batch size than that of the calibration
    got, want = jax.jit(small.apply)(whole, new), model.apply(params, new)
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    assert 1e-4 < float(jnp.abs(got - want).max() / jnp.abs(want).max()) < 0.06
    np.testing.assert_allclose(small.apply(whole, new[:1]), got[:1], rtol=1e-4, atol=1e-4)  # a batch of one
    kept = [leaf for leaf in whole.rest if leaf is not None]
    matrices = [leaf for leaf in kept if leaf.ndim > 1]
    assert not matrices or name == "learned regions"  # what became whole numbers is not kept as floats


def test_a_perceptron_is_its_layers_in_turn():
    model = models.mlp(6, (9,), 3)
    params, x = noisy(model), of(50, 6)
    small, whole = models.quantized(model, params, x, bits=5, per_output=False)
    first, last = params.hidden[0], params.output
    by_hand = layers.quantize_dense(first, bits=5, per_output=False, inputs=layers.calibrated(x))
    h = jax.nn.relu(layers.dense(first, x))
    after = layers.quantize_dense(last, bits=5, per_output=False, inputs=layers.calibrated(h))
    assert int(after.inputs.zero) == -128  # no sign after a ReLU
    new = of(7, 6)
    want = layers.quantized_dense(after, jax.nn.relu(layers.quantized_dense(by_hand, new)))
    np.testing.assert_allclose(small.apply(whole, new), want, rtol=1e-5, atol=1e-5)
    for layer, hand in zip(whole.layers, (by_hand, after)):
        np.testing.assert_array_equal(layer.q, hand.q)
        np.testing.assert_array_equal(layer.sums, np.asarray(hand.q, np.int64).sum(0))
        np.testing.assert_allclose(layer.scale, hand.scale, rtol=1e-6)


def test_a_convolutional_net_is_its_layers_in_turn():
    model = models.cnn((6, 6, 1), 3, channels=(4,), dense=())
    params, x = noisy(model), of(30, 6, 6, 1)
    small, whole = models.quantized(model, params, x)
    (layer,), new = params.convolutions[0], of(5, 6, 6, 1)

    def maps(z):
        return layers.max_pool(jax.nn.relu(z), 2).reshape(z.shape[0], -1)

    inputs = layers.calibrated(x), layers.calibrated(maps(layers.conv(layer, x)))
    first = layers.quantize_convolution(layer, inputs=inputs[0])
    last = layers.quantize_dense(params.output, inputs=inputs[1])
    want = layers.quantized_dense(last, maps(layers.quantized_conv(first, new)))
    np.testing.assert_allclose(small.apply(whole, new), want, rtol=1e-5, atol=1e-5)


def test_the_bytes_are_about_a_quarter():
    model = models.mlp(200, (300,), 10)
    params = model.init(jax.random.key(0))
    _, whole = models.quantized(model, params, of(20, 200))
    assert models.parameter_bytes(params) == 4 * (200 * 300 + 300 + 300 * 10 + 10)
    assert 0.25 < models.parameter_bytes(whole) / models.parameter_bytes(params) < 0.27


def test_padding_stays_padding():
    """An input of its own size gives what it gives in a larger box."""
    model = models.conv_net((None, None, 1), 3, stages=[models.Stage(4), models.Stage(4)], head="average")
    params = noisy(model)
    small, whole = models.quantized(model, params, of(20, 8, 8, 1))
    alone = of(1, 5, 6, 1)
    box = jnp.pad(alone, ((0, 0), (0, 3), (0, 2), (0, 0)), constant_values=7.0)
    mask = jnp.zeros((1, 8, 8), bool).at[:, :5, :6].set(True)
    got = small.apply(whole, box, mask=mask)
    np.testing.assert_allclose(got, small.apply(whole, alone), rtol=1e-4, atol=1e-4)


def test_many_members_at_once():
    model, x = models.mlp(6, (9,), 3), of(40, 6)
    members = jax.tree.map(lambda *a: jnp.stack(a), *[noisy(model, seed) for seed in range(3)])
    small = models.quantized(model, jax.tree.map(lambda a: a[0], members), x).model
    whole = jax.vmap(lambda params: models.quantized(model, params, x).params)(members)
    got = jax.vmap(small.apply, (0, None))(whole, x)
    for m in range(3):
        alone = models.quantized(model, jax.tree.map(lambda a, m=m: a[m], members), x)
        np.testing.assert_allclose(got[m], alone.model.apply(alone.params, x), rtol=1e-4, atol=1e-4)


def test_odd_parameters():
    model = models.mlp(6, (9,), 3)
    params, x = noisy(model), of(20, 6)
    first = params.hidden[0]
    dead = params._replace(hidden=(first._replace(W=first.W.at[:, 2].set(0), b=first.b.at[2].set(0)),))
    small, whole = models.quantized(model, dead, x)
    assert float(whole.layers[0].scale[2]) == 1.0
    assert bool(jnp.isfinite(small.apply(whole, x)).all())
    half = jax.tree.map(lambda a: a.astype(jnp.bfloat16), params)
    small, whole = models.quantized(model, half, x.astype(jnp.bfloat16))
    got = small.apply(whole, x.astype(jnp.bfloat16))
    assert got.dtype == jnp.bfloat16
    np.testing.assert_allclose(got.astype(jnp.float32), model.apply(params, x), atol=0.2)
    numpy, same = jax.tree.map(np.asarray, params), models.quantized(model, params, x).params
    np.testing.assert_array_equal(models.quantized(model, numpy, x).params.layers[0].q, same.layers[0].q)


def test_what_cannot_be_quantized_is_told():
    model, x = models.mlp(6, (9,), 3), of(20, 6)
    params = model.init(jax.random.key(0))
    bad = params._replace(output=params.output._replace(W=params.output.W.at[1, 1].set(jnp.nan)))
    with pytest.raises(ValueError, match=r"params: \.output\.W holds a number that is not finite"):
        models.quantized(model, bad, x)
    for bits in (1, 9):
        with pytest.raises(ValueError, match="bits: got"):
            models.quantized(model, params, x, bits=bits)
    with pytest.raises(ValueError, match="share: got 2"):
        models.quantized(model, params, x, share=2)
    small, whole = models.quantized(model, params, x)
    with pytest.raises(ValueError, match="key: got one, a network in whole numbers is for inference"):
        small.apply(whole, x, key=jax.random.key(0))
    with pytest.raises(ValueError, match="x: got shape"):
        small.apply(whole, x[:, :5])
    loops = models.sequence_classifier(3, 4, 2, cell="lstm")
    with pytest.raises(ValueError, match="model: has products inside a loop"):
        models.quantized(loops, loops.init(jax.random.key(0)), of(2, 5, 3))
    bare = models.Model(lambda key: jnp.ones(3), lambda p, x, key=None, mask=None: x * p)
    with pytest.raises(ValueError, match="model: has no product of an input with parameters"):
        models.quantized(bare, jnp.ones(3), of(3))
