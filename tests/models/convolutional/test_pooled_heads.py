"""Heads that pool over found or learned regions: they learn real images, and refuse what does not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import data, layers, models, outputs
from dlnotes.training.fitting import fit, predict
from dlnotes.training.optimizers import optimizer
from dlnotes.training.state import Recipe

STAGES = [models.Stage(8, pool=2), models.Stage(16)]


@pytest.mark.parametrize("head", ["learned", "clustered"])
@pytest.mark.slow
def test_they_learn_digits(head):
    digits = data.load("digits")
    model = models.conv_net(digits.inputs, 10, stages=STAGES, head=head)
    recipe = Recipe(model, outputs.cross_entropy, {}, optimizer("adam", 0.01))
    result = fit(recipe, digits.train, steps=200, batch_size=64, seeds=range(2), record=20, convolutions=True)
    test = digits.split("test")
    accuracy = (predict(model, result.params, test.x).argmax(-1) == test.y[None]).mean(1)
    assert np.all(accuracy > 0.9), accuracy
    loss = result.history["loss"]
    assert np.all(loss[-1] < loss[0] / 4)
    if head == "learned":  # the regions themselves were learned: they left the grid that they start as
        start = layers.init_learned_pooling((4, 4), 2).logits
        assert np.abs(result.params.pooling.logits - start[None]).max() > 0.1


def test_heads_are_the_layers(key):
    """The network's output is its maps, pooled by the layer, then the output layer."""
    x = jax.random.normal(key, (3, 12, 10, 1))
    for head in ("learned", "clustered"):
        model = models.conv_net((12, 10, 1), 4, stages=STAGES, head=head)
        params = jax.jit(model.init)(key)
        maps = models.conv_net((12, 10, 1), 16, stages=STAGES, head="maps")
        one = layers.Dense(jnp.eye(16), jnp.zeros(16))
        params = params._replace(
            pooling=layers.init_learned_pooling((6, 5), 2, sharpness=30) if head == "learned" else None
        )

        @jax.jit
        def both(params, x, head=head, maps=maps, model=model, one=one):
            h = maps.apply(params._replace(output=one), x)
            grid = layers.adaptive_pool(h, 2, "mean").reshape(3, 4, 16)  # what sharp regions are
            pooled = grid if head == "learned" else layers.clustered_pool(h, 4, "mean")
            return model.apply(params, x), layers.dense(params.output, pooled.reshape(3, -1))

        np.testing.assert_allclose(*both(params, x), rtol=1e-3, atol=1e-4)


def test_learned_regions_are_for_one_size():
    with pytest.raises(ValueError, match="head: got 'learned' for inputs .* allowed for any size: grid"):
        models.conv_net((None, None, 1), 3, head="learned")
    with pytest.raises(ValueError, match="grid: got 5, larger than the maps"):
        models.conv_net((8, 8, 1), 3, head="learned", grid=5)
