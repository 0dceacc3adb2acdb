"""The one convolution and the one network over each of the notes' kinds of data, 1-D to 3-D."""

from functools import cache

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal
from sklearn.datasets import load_sample_images

from dlnotes import data, layers, models, outputs
from dlnotes.data.dataset import Examples
from dlnotes.models.convolutional.conv_net import Stage
from dlnotes.training.fitting import fit, predict
from dlnotes.training.optimizers import optimizer
from dlnotes.training.state import Recipe

N = 48  # of each part


def sound(form):
    made = data.load("sound", form=form, n=3 * N, validation=0.0, test=0.3)
    return made.train.x[: 2 * N], made.train.y[: 2 * N]


def motion():
    """Angles of three joints of a walking or a limping figure, from any moment on."""
    rng = np.random.default_rng(0)
    y = np.arange(2 * N) % 2
    phase = rng.uniform(0, 2 * np.pi, (2 * N, 1)) + np.arange(40) / 3
    lag = np.where(y == 0, 1.0, 2.2)[:, None]
    x = np.stack([np.sin(phase), np.maximum(0, np.sin(phase + lag)), np.sin(2 * phase)], -1)
    return x + 0.1 * rng.normal(size=x.shape), y


def photographs():
    """Patches of two photographs; a number of colors, too few to be told by one pixel."""
    rng = np.random.default_rng(0)
    images = np.asarray(load_sample_images().images) / 255 - 0.5
    x, y = [], np.arange(2 * N) % 2
    for label in y:
        i, j = rng.integers(0, 380), rng.integers(0, 600)
        x.append(images[label, i : i + 32 : 2, j : j + 32 : 2])
    return np.asarray(x), y


def volumes():
    """A ball or a rod of about as many voxels, anywhere in noise."""
    rng = np.random.default_rng(0)
    y = np.arange(2 * N) % 2
    place = np.mgrid[:12, :12, :12]
    center = rng.uniform(4, 8, (2 * N, 3, 1, 1, 1))
    squares = (place - center) ** 2
    ball = squares.sum(1) < 12
    rod = squares[:, 1:].sum(1) < 4.5
    x = np.where(y[:, None, None, None] == 0, ball, rod) + 0.3 * rng.normal(size=ball.shape)
    return x[..., None], y


def videos():
    """A handwritten digit that moves to the left or to the right; a frame does not tell which."""
    made = data.load("moving_digits", frames=6, noise=0.0, n_train=20 * N, n_validation=9, n_test=9)
    chosen = np.isin(made.train.y, [made.classes.index(name) for name in ("left", "right")])
    y = made.train.y[chosen][: 2 * N]
    return made.train.x[chosen][: 2 * N], (y == y.max()).astype(np.int32)


KINDS = {
    "1-D waveform": (lambda: sound("waveform"), 1, 1),
    "1-D motion": (motion, 1, 3),
    "2-D spectrogram": (lambda: sound("spectrogram"), 2, 1),
    "2-D color image": (photographs, 2, 3),
    "3-D volume": (volumes, 3, 1),
    "3-D video": (videos, 3, 1),
}


@cache
def examples(name):
    make, axes, channels = KINDS[name]
    x, y = make()
    x = np.asarray(x, np.float32)
    assert x.ndim == axes + 2
    assert x.shape[-1] == channels
    return x, np.asarray(y, np.int32)


LONG = ("1-D waveform", "2-D spectrogram", "3-D volume", "3-D video")


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_one_function_convolves_every_kind(name, flip):
    x = examples(name)[0][:1, :40]
    axes, channels = x.ndim - 2, x.shape[-1]
    kernel = np.random.default_rng(1).normal(size=(*(3, 4, 2)[:axes], channels, 2)).astype(np.float32)
    got = layers.convolve(jnp.asarray(x), jnp.asarray(kernel), padding="VALID", flip=flip)
    combine = signal.convolve if flip else signal.correlate
    for out in range(2):
        want = sum(combine(x[0, ..., c], kernel[..., c, out], mode="valid") for c in range(channels))
        np.testing.assert_allclose(got[0, ..., out], want, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in LONG)) for n in KINDS])
def test_one_network_learns_every_kind_and_takes_other_sizes(name):
    x, y = examples(name)
    any_size = (*(None,) * (x.ndim - 2), x.shape[-1])
    net = models.conv_net(
        any_size,
        int(y.max()) + 1,
        stages=(Stage(8, pool=2), Stage(16)),
        head="average",
        normalization="layer",
    )
    recipe = Recipe(net, outputs.cross_entropy, {}, optimizer("adam", 0.01))
    found = fit(recipe, Examples(x[:N], y[:N]), steps=60, seeds=[0], convolutions=True)
    right = np.mean(predict(net, found.params, x[N:])[0].argmax(-1) == y[N:])
    assert right > 1.6 / (y.max() + 1)
    smaller = predict(net, found.params, x[:2, : x.shape[1] * 3 // 4])
    assert smaller.shape == (1, 2, y.max() + 1)
