"""What the claims on speech frames and on far signals in gradients are measured with."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from experiment_module import experiment

from dlnotes import data, models
from dlnotes.layers import RNNParams, rnn, unroll


def neighbor(module, name):
    return sys.modules[f"{module.__name__.rsplit('.', 1)[0]}.{name}"]


def test_each_frame_has_its_utterances_speaker():
    speech = neighbor(experiment("recurrent/both_directions"), "_speech_frames")
    mask = np.arange(6)[None] < np.array([[6], [2], [5]])
    x = np.random.default_rng(0).normal(size=(3, 6, 2)) * mask[..., None]
    part = speech.labeled(data.Examples(x, np.array([4, 0, 7]), mask))
    np.testing.assert_array_equal(part.y, [[4] * 6, [0, 0, -1, -1, -1, -1], [7, 7, 7, 7, 7, -1]])
    np.testing.assert_array_equal(speech.places(mask)[0], [0, 0, 1, 2, 3, 4])
    np.testing.assert_array_equal(speech.places(mask)[2, :5], [0, 1, 2, 3, 4])
    assert speech.places(mask)[1, 0] == 0


def test_padding_of_speech_changes_no_answer(key):
    speech = neighbor(experiment("recurrent/both_directions"), "_speech_frames")
    model = speech.masked(models.sequence_labeler(2, 3, 4, cell="gru", bidirectional=True))
    params = model.init(key)
    x = jax.random.normal(key, (1, 4, 2))
    longer = jnp.concatenate([x, jnp.zeros((1, 3, 2))], 1)
    np.testing.assert_allclose(
        model.apply(params, longer)[:, :4], model.apply(params, x), rtol=1e-4, atol=1e-5
    )


def test_shares_back_by_finite_differences():
    """Of each step the variance of the loss's slope along that step's own input weights, over that of all."""
    far = neighbor(experiment("recurrent/fading_gradients"), "_far_signal")
    W = np.random.default_rng(1).normal(size=(3, 3)) * 0.6
    got = far.shares_back(W[None], 5, steps=4, examples=40)[0]
    rng = np.random.default_rng([5, 4])
    U, v = rng.standard_normal((1, 3)) / 2, rng.standard_normal(3) / 3**0.5
    xs = rng.choice([-1.0, 1.0], (40, 4, 1))

    def loss(x, Us):
        h = np.zeros(3)
        for xt, Ut in zip(x, Us):
            h = np.tanh(xt @ Ut + h @ W)
        return np.log1p(np.exp(-x[0, 0] * (h @ v)))

    slopes = np.zeros((40, 4, 3))
    for i, t, j in np.ndindex(40, 4, 3):
        up, down = np.repeat(U[None], 4, 0), np.repeat(U[None], 4, 0)
        up[t, 0, j] += 1e-5
        down[t, 0, j] -= 1e-5
        slopes[i, t, j] = (loss(xs[i], up) - loss(xs[i], down)) / 2e-5
    want = slopes.var(0).sum(-1) / slopes.sum(1).var(0).sum()
    np.testing.assert_allclose(got, want[::-1], rtol=1e-3)


def test_random_matrices_are_those_of_the_norms():
    module = experiment("recurrent/fading_gradients")
    options = module.FadingGradients(seeds=2, hidden=4, steps_back=5)
    W = module.matrices(options, module.RADII[module.NEAR])[1]
    assert np.isclose(np.abs(np.linalg.eigvals(W)).max(), module.RADII[module.NEAR])
    rng = np.random.default_rng(module.FIRST_SEED + 1)
    rng.standard_normal((4, 4))
    xs = 0.1 * rng.standard_normal((55, 4))
    params = RNNParams(jnp.eye(4), jnp.asarray(W, jnp.float32), jnp.zeros(4))
    _, hs = unroll(rnn, params, jnp.asarray(xs, jnp.float32)[None])
    product = np.eye(4)
    for h in np.asarray(hs)[0, :-6:-1]:
        product = product @ ((1 - h**2)[:, None] * W.T)
    want = np.log(np.linalg.norm(product, 2))
    np.testing.assert_allclose(module.random_norms(options)[module.NEAR, 1, 5], want, rtol=1e-4)


def test_the_slope_of_shares():
    module = experiment("recurrent/fading_gradients")
    shares = np.exp(-np.arange(6)[None] * np.array([[0.5], [2.0]]))
    np.testing.assert_allclose(module.share_slopes(shares), [-0.5, -2.0])
