"""Convolutional autoencoders against flax's layers, and what each form passes on."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from dlnotes import layers, models

FORMS = ("nearest", "switches", "strided", "whole")


def random(params, key):
    """Parameters none of which is constant."""
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(tree, [a + 0.2 * jax.random.normal(k, a.shape) for a, k in zip(leaves, keys)])


def made(form, key, **options):
    model = models.conv_autoencoder((8, 12, 2), 5, form=form, channels=(3, 4), **options)
    return model, random(model.init(key), key), jax.random.normal(key, (3, 8, 12, 2))


def flax_conv(x, layer, stride=1):
    conv = nn.Conv(layer.K.shape[-1], (3, 3), (stride, stride), [(1, 1), (1, 1)])
    return conv.apply({"params": {"kernel": layer.K, "bias": layer.b}}, x)


def flax_transposed(x, layer):
    """The transpose of a convolution of stride 2; flax has the kernel turned, in and out exchanged."""
    K = jnp.swapaxes(jnp.flip(layer.K, (0, 1)), -1, -2)
    conv = nn.ConvTranspose(K.shape[-1], (3, 3), (2, 2), [(1, 2), (1, 2)])
    return conv.apply({"params": {"kernel": K, "bias": layer.b}}, x)


def affine(x, layer):
    return x @ layer.W + layer.b[None]


@pytest.mark.parametrize("form", ["nearest", "strided", "whole"])
def test_against_flax(form, key):
    model, p, x = made(form, key)
    h = x
    for layer in p.encoder:
        h = jax.nn.relu(flax_conv(h, layer, 2 if form == "strided" else 1))
        h = nn.max_pool(h, (2, 2), (2, 2)) if form == "nearest" else h
    maps = h.shape
    h = jax.nn.relu(affine(affine(h.reshape(3, -1), p.code), p.maps)).reshape(maps)
    for layer in p.decoder:
        h = h.repeat(2, 1).repeat(2, 2) if form == "nearest" else h
        h = jax.nn.relu(flax_transposed(h, layer) if form == "strided" else flax_conv(h, layer))
    h = flax_conv(h, p.output)
    assert_allclose(model.apply(p, x), h.reshape(3, -1), rtol=1e-4, atol=1e-4)


def test_switches_carry_where_the_maxima_were(key):
    """With the same code the answer differs by the switches, and follows those of another example."""
    model, p, x = made("switches", key)
    halves = models.conv_autoencoder_halves((8, 12, 2), form="switches", channels=(3, 4))
    encoded = halves.encode(p, x)
    assert [s.shape for s in encoded.switches] == [(3, 4, 6, 3), (3, 2, 3, 4)]
    assert_allclose(halves.decode(p, encoded), model.apply(p, x), rtol=1e-6)
    other = jax.tree.map(lambda a: jnp.roll(a, 1, 0), encoded.switches)
    moved = halves.decode(p, encoded._replace(switches=other))
    assert np.abs(moved - model.apply(p, x)).max() > 0.01
    first = jax.nn.relu(layers.conv(p.encoder[0], x, padding=1))
    assert_allclose(encoded.switches[0], layers.switched_max_pool(first).switches)


def test_forms_have_as_many_parameters_and_whole_maps_more(key):
    sizes = {form: sum(a.size for a in jax.tree.leaves(made(form, key)[1])) for form in FORMS}
    assert sizes["nearest"] == sizes["switches"] == sizes["strided"] < sizes["whole"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(form="pooled"), "form: got 'pooled', allowed are nearest"),
        (dict(inputs=(6, 8, 1)), r"inputs: got sizes \(6, 8\), allowed with 2 stages are multiples of 4"),
        (dict(inputs=(8,)), r"inputs: got \(8,\), allowed are 1 to 3 sizes"),
        (dict(kernel=2), "kernel: got 2, allowed is an odd width"),
        (dict(code=0), "code: got 0"),
        (dict(channels=()), "channels: got none"),
    ],
)
def test_what_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        models.conv_autoencoder(**{"inputs": (8, 8, 1), "code": 3} | options)


def test_inputs_of_another_size_and_masks_are_refused(key):
    model, p, x = made("nearest", key)
    with pytest.raises(ValueError, match="x: got shape"):
        model.apply(p, x[:, :4])
    with pytest.raises(ValueError, match="mask: an autoencoder takes inputs of one size"):
        model.apply(p, x, mask=jnp.ones((3, 8, 12), bool))
