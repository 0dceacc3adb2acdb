"""Stages of branches against the same network in flax, and against `conv_net` where there is one branch."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import models
from dlnotes.config import ConfigError
from dlnotes.config.validation import validate
from dlnotes.models import Branch, Branches, Stage


def random(params, key):
    """Parameters none of which is constant."""
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(tree, [a + 0.3 * jax.random.normal(k, a.shape) for a, k in zip(leaves, keys)])


def flax_conv(x, layer):
    K, b = layer
    n = K.ndim - 2
    reach = K.shape[0] // 2
    made = nn.Conv(K.shape[-1], K.shape[:-2], padding=[(reach, reach)] * n)
    return made.apply({"params": {"kernel": K, "bias": b}}, x)


FOUR = Branches(
    (
        Branch(3),
        Branch(5, 3, reduce=2),
        Branch(2, 5, reduce=4),
        Branch(4, pool=3),
        Branch(2, pool=3, pooling="average"),
    ),
    pool=2,
)


def test_branches_against_flax(key):
    model = models.branched_net((9, 12, 2), 3, stages=[Stage(6), FOUR], head="average", activation="silu")
    params = random(model.init(key), key)
    x = jax.random.normal(key, (3, 9, 12, 2))
    g = jax.nn.silu
    ((first,), branches) = params.stages
    h = g(flax_conv(x, first.convolution))
    largest = nn.max_pool(h, (3, 3), (1, 1), "SAME")
    mean = nn.avg_pool(h, (3, 3), (1, 1), "SAME", count_include_pad=False)
    reduced = [g(flax_conv(h, b.reduce.convolution)) for b in branches[1:3]]
    ways = (h, *reduced, largest, mean)
    maps = jnp.concatenate([g(flax_conv(w, b.block.convolution)) for w, b in zip(ways, branches)], -1)
    maps = nn.max_pool(maps, (2, 2), (2, 2))
    assert maps.shape == (3, 4, 6, 16)
    want = maps.mean((1, 2)) @ params.head.output.W + params.head.output.b[None]
    np.testing.assert_allclose(model.apply(params, x), want, rtol=1e-4, atol=1e-4)


def test_one_branch_is_a_plain_stage(key):
    plain = models.conv_net((9, 2), 3, stages=[Stage(4, kernel=5, pool=2), Stage(6)], dense=(5,))
    branched = models.branched_net(
        (9, 2), 3, stages=[Branches((Branch(4, 5),), pool=2), Stage(6)], dense=(5,)
    )
    p = random(plain.init(key), key)
    q = branched.init(key)
    blocks = ((q.stages[0][0]._replace(block=p.stages[0][0]),), p.stages[1])
    q = q._replace(stages=blocks, head=q.head._replace(hidden=p.hidden, output=p.output))
    x = jax.random.normal(key, (4, 9, 2))
    np.testing.assert_allclose(branched.apply(q, x), plain.apply(p, x), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_padding_changes_nothing(key):
    model = models.branched_net(
        (None, None, 2), 3, stages=[FOUR, Branches.inception(8)], head="average", normalization="layer",
        activation="tanh",
    )  # fmt: skip
    params = random(model.init(key), key)
    x = jax.random.normal(key, (1, 7, 6, 2))
    wide = jnp.full((1, 11, 9, 2), 7.0).at[:, :7, :6].set(x)
    mask = jnp.zeros((1, 11, 9), bool).at[:, :7, :6].set(True)
    np.testing.assert_allclose(
        model.apply(params, wide, mask=mask), model.apply(params, x), rtol=1e-4, atol=1e-5
    )


def test_branches_inception_and_its_cost():
    """The 1-convolutions of GoogLeNet's module 3a, 192 maps to 256, save what its table 1 says."""
    module = Branches((Branch(64), Branch(128, 3, reduce=96), Branch(32, 5, reduce=16), Branch(32, pool=3)))
    params = jax.eval_shape(models.branched_net((28, 28, 192), 1, stages=[module]).init, jax.random.key(0))
    weights = sum(a.size for a in jax.tree.leaves(params.stages) if a.ndim == 4)
    assert module.channels == 256
    assert weights == 192 * 64 + 192 * 96 + 9 * 96 * 128 + 192 * 16 + 25 * 16 * 32 + 192 * 32 == 163_328
    assert round(weights / 1024) == 160  # the table says 159K
    assert Branches.inception(256).channels == 256


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (Branches(()), r"stages\[0\].branches: got none"),
        (Branches((Branch(4, 2),)), r"stages\[0\].branches\[0\].kernel: got 2, allowed is an odd width"),
        (Branches((Branch(4), Branch(4, pool=2))), r"branches\[1\].pool: got 2, allowed is an odd width"),
        (Branches((Branch(4, reduce=-1),)), r"reduce: got -1, allowed are 0"),
        (Branches((Branch(0),)), r"branches\[0\].channels: got 0, allowed is a positive integer"),
        (Branches((Branch(4),), pool=9), r"stages\[0\].pool: got 9, larger than the maps of 8"),
        (Branches((Branch(4, pooling="mean"),)), r"pooling: got 'mean', allowed are max, average"),
    ],
)
def test_what_is_refused(stage, message):
    with pytest.raises(ValueError, match=message):
        models.branched_net((8, 8, 1), 2, stages=[stage])


def test_groups_must_divide_every_branch():
    stage = Branches((Branch(8), Branch(8, 3, reduce=6)))
    with pytest.raises(ValueError, match=r"branches\[1\].reduce: got 6, which the 8 groups"):
        models.branched_net((8, 8, 1), 2, stages=[stage], normalization="group")


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"pool": 2}, "needs channels, or branches"),
        ({"channels": 4, "branches": [{"channels": 4}]}, "got channels with branches"),
        ({"branches": [{"channels": 4, "kernal": 3}]}, "kernal.*did you mean 'kernel'"),
    ],
)
def test_a_config_is_checked(stage, message):
    with pytest.raises(ConfigError, match=message):
        validate({"data": {"kind": "digits"}, "model": {"kind": "conv_net", "stages": [stage]}})
