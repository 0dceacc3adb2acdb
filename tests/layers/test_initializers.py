"""Starting weights: their moments, orthogonality, and that many nets can be started at once."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes.layers.initializers import INITIALIZERS, initializer, orthogonal

FAN_IN, FAN_OUT = 300, 200
DEVIATION = {
    "he_normal": (2 / FAN_IN) ** 0.5,
    "he_uniform": (2 / FAN_IN) ** 0.5,
    "glorot_normal": (2 / (FAN_IN + FAN_OUT)) ** 0.5,
    "glorot_uniform": (2 / (FAN_IN + FAN_OUT)) ** 0.5,
    "lecun_normal": (1 / FAN_IN) ** 0.5,
    "normal": 1.0,
    "orthogonal": (1 / FAN_IN) ** 0.5,
    "zeros": 0.0,
}


@pytest.mark.parametrize("name", INITIALIZERS)
def test_deviation_is_the_published_one(name, key):
    w = initializer(name, 3.0)(key, (FAN_IN, FAN_OUT))
    assert np.isclose(np.std(w), 3 * DEVIATION[name], rtol=0.02)


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7)])
def test_orthogonal(shape, key):
    w = np.asarray(orthogonal(key, shape), np.float64)
    gram = w.T @ w if shape[0] >= shape[1] else w @ w.T
    np.testing.assert_allclose(gram, np.eye(min(shape)), atol=1e-5)


def test_orthogonal_under_vmap_is_the_loop(key):
    keys = jax.random.split(key, 3)
    many = jax.vmap(lambda k: orthogonal(k, (4, 4)))(keys)
    np.testing.assert_array_equal(many, jnp.stack([orthogonal(k, (4, 4)) for k in keys]))


@pytest.mark.slow
def test_many_recurrent_nets_start_on_two_devices():
    """Batched QR decompositions side by side once waited for each other for ever."""
    program = (
        "import jax; jax.config.update('jax_num_cpu_devices', 2)\n"
        "from dlnotes import models\n"
        "init = models.seq2seq(9, 16, 9).init\n"
        "params = jax.jit(jax.vmap(init))(jax.random.split(jax.random.key(0), 4))\n"
        "jax.block_until_ready(params); print('started')\n"
    )

    environ = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, env=environ
    )
    assert done.stdout.strip() == "started", done.stderr[-2000:]
