"""Convolutional networks in stages against the same network in flax, and against each example alone."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import models
from dlnotes.models import Stage
from dlnotes.models.convolutional.conv_net import standardized


def random(params, key):
    """Parameters none of which is constant."""
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(tree, [a + 0.3 * jax.random.normal(k, a.shape) for a, k in zip(leaves, keys)])


def affine(layer, x):
    return x @ layer.W + layer.b[None]


def flax_conv(x, K, b, stride=1, dilation=1):
    rank = K.ndim - 2
    reach = dilation * (K.shape[0] - 1) // 2
    layer = nn.Conv(
        K.shape[-1],
        K.shape[:-2],
        (stride,) * rank,
        [(reach, reach)] * rank,
        kernel_dilation=(dilation,) * rank,
    )
    return layer.apply({"params": {"kernel": K, "bias": b}}, x)


def flax_norm(x, norm, groups):
    weights = {"params": {"scale": norm.scale, "bias": norm.shift}}
    return nn.GroupNorm(num_groups=groups, epsilon=1e-5).apply(weights, x)


def test_plain_stages_against_flax(key):
    stages = [Stage(4, kernel=5, pool=2), Stage(6, blocks=2, stride=2, pool=2, pooling="average")]
    model = models.conv_net((21, 18, 2), 3, stages=stages, dense=(7,), activation="silu")
    params = random(model.init(key), key)
    x = jax.random.normal(key, (3, 21, 18, 2))
    ((a,), (b, c)) = params.stages
    h = nn.max_pool(jax.nn.silu(flax_conv(x, *a.convolution)), (2, 2), (2, 2))
    h = jax.nn.silu(flax_conv(h, *b.convolution, stride=2))
    h = jax.nn.silu(flax_conv(h, *c.convolution))
    h = h[:, :4, :4].reshape(3, 2, 2, 2, 2, 6).mean((2, 4))  # 5 × 5: the last row and column are dropped
    (hidden,) = params.hidden
    want = affine(params.output, jax.nn.silu(affine(hidden, h.reshape(3, -1))))
    np.testing.assert_allclose(model.apply(params, x), want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("normalization", "groups"), [("group", 2), ("layer", 1)])
@pytest.mark.slow
def test_residual_blocks_against_flax(key, normalization, groups):
    stages = [Stage(4, pool=2), Stage(6, blocks=2, stride=2, residual=True)]
    model = models.conv_net(
        (12, 10, 2), 3, stages=stages, head="average", normalization=normalization, groups=groups
    )
    params = random(model.init(key), key)
    x = jax.random.normal(key, (3, 12, 10, 2))
    ((a,), blocks) = params.stages
    none = jnp.zeros(4)
    h = nn.max_pool(flax_conv(x, a.convolution.K, none), (2, 2), (2, 2))
    h = jax.nn.relu(flax_norm(h, a.norm, groups))
    for block, stride in zip(blocks, (2, 1)):
        none = jnp.zeros(6)
        z = jax.nn.relu(
            flax_norm(flax_conv(h, block.first.convolution.K, none, stride), block.first.norm, groups)
        )
        z = flax_norm(flax_conv(z, block.second.convolution.K, none), block.second.norm, groups)
        s = h if block.shortcut is None else flax_conv(h, *block.shortcut, stride=stride)
        h = jax.nn.relu(s + block.gain[None, None, None] * z)
    want = affine(params.output, h.mean((1, 2)))
    np.testing.assert_allclose(model.apply(params, x), want, rtol=1e-4, atol=1e-4)
    assert blocks[1].shortcut is None


def test_a_deep_residual_stack_starts_near_its_shortcuts(key):
    stages = [Stage(3, blocks=20, residual=True)]
    model = models.conv_net((6, 3), 2, stages=stages, activation="identity", head="average")
    params = model.init(key)
    x = jax.random.normal(key, (4, 6, 3))
    shortcuts = affine(params.output, x.mean(1))
    assert jnp.abs(model.apply(params, x)).max() < 3 * jnp.abs(shortcuts).max()
    assert {float(g) for block in params.stages[0] for g in block.gain} == {float(jnp.float32(0.1))}


def test_maps_average_to_the_all_convolutional_answer(key):
    options = dict(stages=[Stage(4, pool=2), Stage(5)])
    maps = models.conv_net((None, None, 2), 3, head="maps", **options)
    mean = models.conv_net((None, None, 2), 3, head="average", **options)
    params = random(mean.init(key), key)
    x = jax.random.normal(key, (2, 9, 12, 2))
    assert maps.apply(params, x).shape == (2, 4, 6, 3)
    np.testing.assert_allclose(
        maps.apply(params, x).mean((1, 2)), mean.apply(params, x), rtol=1e-4, atol=1e-5
    )


def test_standardized_kernels(key):
    K = standardized(3 + jax.random.normal(key, (3, 3, 4, 5)))
    np.testing.assert_allclose(K.mean((0, 1, 2)), np.zeros(5), atol=1e-6)
    np.testing.assert_allclose(K.var((0, 1, 2)), np.full(5, 2 / 36), rtol=1e-4)


@pytest.mark.parametrize(
    ("rank", "head"),
    [(2, "average"), *(pytest.param(1, head, marks=pytest.mark.slow) for head in ("grid", "maps"))],
)
@pytest.mark.slow
def test_padding_changes_nothing(rank, head, key):
    stages = [
        Stage(8, blocks=2, pool=2, residual=True),
        Stage(8, stride=2, pooling="average"),
        Stage(4, dilation=2),
    ]
    model = models.conv_net(
        (None,) * rank + (2,), 5, stages=stages, head=head, normalization="group", groups=4
    )
    params = random(model.init(key), key)
    rng = np.random.default_rng(rank)
    x = rng.normal(size=(3, *(17,) * rank, 2)).astype(np.float32)
    boxes = [tuple(slice(0, n) for n in rng.integers(8, 18, rank)) for _ in range(3)]
    mask = np.zeros(x.shape[:-1], bool)
    for i, box in enumerate(boxes):
        mask[(i, *box)] = True
    apply = jax.jit(lambda x, mask: model.apply(params, x, mask=mask))
    got = apply(jnp.asarray(x), jnp.asarray(mask))
    for i, box in enumerate(boxes):
        want = model.apply(params, jnp.asarray(x[(i, *box)])[None])[0]
        inside = tuple(slice(0, n) for n in want.shape[:-1])
        np.testing.assert_allclose(got[(i, *inside)], want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(inputs=(None, 8, 1)), "head: got 'flatten'.*one size only"),
        (dict(inputs=(8,)), "inputs: got"),
        (dict(stages=[Stage(4, kernel=4)]), r"stages\[0\].kernel: got 4, allowed is an odd width"),
        (
            dict(stages=[Stage(4, pool=2), Stage(4, pool=8)]),
            r"stages\[1\].pool: got 8, larger than the maps of 4",
        ),
        (dict(stages=[Stage(4, stride=2, dilation=2)]), "dilation: got 2 with a stride"),
        (dict(stages=[Stage(0)]), r"stages\[0\].channels: got 0"),
        (dict(stages=[Stage(4, pooling="best")]), r"pooling: got 'best'"),
        (dict(stages=[Stage(6)], normalization="group", groups=4), "channels: got 6, which the 4 groups"),
        (dict(head="grid", grid=9), "grid: got 9, larger than the maps"),
        (dict(head="maps", dense=(3,)), "dense: got"),
        (dict(head="mean"), "head: got 'mean', allowed are"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        models.conv_net(**{"inputs": (8, 8, 1), "outputs": 2} | options)


def test_wrong_inputs_are_named(key):
    model = models.conv_net((8, 8, 1), 2)
    params = model.init(key)
    with pytest.raises(ValueError, match=r"x: got shape \(1, 8, 7, 1\), allowed is \(batch, 8, 8, 1\)"):
        model.apply(params, jnp.ones((1, 8, 7, 1)))
    with pytest.raises(ValueError, match="mask: the head 'flatten'"):
        model.apply(params, jnp.ones((1, 8, 8, 1)), mask=jnp.ones((1, 8, 8), bool))
    any_size = models.conv_net((None, 1), 2, head="average")
    with pytest.raises(ValueError, match=r"mask: got shape \(1, 4\)"):
        any_size.apply(any_size.init(key), jnp.ones((1, 8, 1)), mask=jnp.ones((1, 4), bool))


def test_mirrored_answers(key):
    plain = models.conv_net((6, 5, 1), 3, stages=[Stage(4, pool=2)], dropout=0.3)
    model = models.mirrored(plain)
    params, x = random(model.init(key), key), jax.random.normal(key, (4, 6, 5, 1))
    want = (plain.apply(params, x) + plain.apply(params, x[:, :, ::-1])) / 2
    np.testing.assert_allclose(model.apply(params, x), want, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(model.apply(params, x, key=key), plain.apply(params, x, key=key))
    with pytest.raises(ValueError, match="mask: a mirrored model"):
        model.apply(params, x, mask=jnp.ones((4, 6, 5), bool))
