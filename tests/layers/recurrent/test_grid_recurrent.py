"""The four-direction net against two plain loops over rows and columns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from dlnotes.layers.recurrent.grid import CORNERS, grid_rnn, init_grid_rnn
from dlnotes.models.recurrent.grid import grid_recurrent

B, M, N, I, H = 2, 3, 5, 2, 3


def setup():
    params = init_grid_rnn(jax.random.key(0), I, H)
    params = params._replace(b=0.3 * jax.random.normal(jax.random.key(1), params.b.shape))
    return params, jax.random.normal(jax.random.key(2), (B, M, N, I))


def loops(params, image):
    """The states of one image, position by position, in float64."""
    U, W, b = (np.asarray(a, np.float64) for a in params)
    image = np.asarray(image, np.float64)
    rows, columns = image.shape[:2]
    out = np.zeros((rows, columns, 4, H))
    for d, (from_below, from_right) in enumerate(CORNERS):
        down = -1 if from_below else 1
        along = -1 if from_right else 1
        h = {}
        for i in list(range(rows))[::down]:
            for j in list(range(columns))[::along]:
                left = h.get((i, j - along), np.zeros(H))
                above = h.get((i - down, j), np.zeros(H))
                h[i, j] = np.tanh(b[d] + left @ W[d, :H] + above @ W[d, H:] + image[i, j] @ U[d])
                out[i, j, d] = h[i, j]
    return out.reshape(rows, columns, 4 * H)


@pytest.mark.slow
def test_equals_loops():
    params, x = setup()
    for images in (x, jnp.swapaxes(x, 1, 2), x[:, :1], x[:, :, :1]):
        got = jax.jit(grid_rnn)(params, images)
        for n in range(B):
            np.testing.assert_allclose(got[n], loops(params, images[n]), rtol=1e-5, atol=1e-6)


def test_padded_images_equal_each_alone():
    params, x = setup()
    sizes = ((2, 5), (3, 2))
    mask = np.zeros((B, M, N), bool)
    for n, (rows, columns) in enumerate(sizes):
        mask[n, :rows, :columns] = True
    got = jax.jit(grid_rnn)(params, x, mask=jnp.asarray(mask))
    for n, (rows, columns) in enumerate(sizes):
        np.testing.assert_allclose(
            got[n, :rows, :columns], loops(params, x[n, :rows, :columns]), rtol=1e-5, atol=1e-6
        )
        assert not np.asarray(got[n])[~mask[n]].any()


def test_gradient():
    params, x = setup()
    mask = jnp.ones((B, M, N), bool).at[1, 2].set(False)
    f = jax.jit(lambda p, x: grid_rnn(p, x, mask=mask))
    check_grads(jax.jit(f), (params, x), 1, ["rev"], eps=1e-2, atol=2e-2, rtol=2e-2)


def test_every_position_depends_on_the_whole_image():
    model = grid_recurrent((4, 5, 1), 1, hidden=4, channels=3, per_pixel=True)
    params = model.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (1, 4, 5, 1))
    reach = jax.jit(jax.jacrev(lambda x: model.apply(params, x)[0, 3, 0, 0]))(x)
    assert (np.abs(np.asarray(reach)) > 0).all()


def test_errors():
    params, x = setup()
    with pytest.raises(ValueError, match="x: got shape"):
        grid_rnn(params, x[0])
    with pytest.raises(ValueError, match=r"mask: got shape \(2, 3\), allowed is \(2, 3, 5\)"):
        grid_rnn(params, x, mask=jnp.ones((B, M), bool))
    with pytest.raises(ValueError, match="inputs: got"):
        grid_recurrent((3, 2), 1)
    with pytest.raises(ValueError, match="kernel: got 2, allowed is an odd number"):
        grid_recurrent((4, 4, 1), 2, kernel=2)
    with pytest.raises(ValueError, match="hidden: got 0"):
        grid_recurrent((4, 4, 1), 2, hidden=0)
    model = grid_recurrent((4, 4, 1), 2)
    with pytest.raises(ValueError, match="x: got shape"):
        model.apply(model.init(jax.random.key(0)), jnp.ones((1, 4, 4, 2)))
