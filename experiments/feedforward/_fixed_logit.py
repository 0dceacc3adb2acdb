"""Networks on digits with ten logits against nine, the last one held at 0: part of the claim on softmax.

Both start with the same distributions and have the same examples in the same order; each is judged at the
rate that is best on validation.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import data, models, outputs
from dlnotes.training import Hyperparams, Recipe, fit, optimizer
from dlnotes.typing import Array, PRNGKey

RATES = np.array([0.1, 0.3, 1, 3])


def fixing(network: models.Model, fixed: Array) -> models.Model:
    """The network with its last logit held at 0 where ``fixed`` is 1.

    The column that is not used gets no gradient: where it starts at 0 it stays there.
    """

    def apply(params, x, /, *, key: PRNGKey | None = None, mask: Array | None = None) -> Array:
        z = network.apply(params, x, key=key, mask=mask)
        return jnp.where((jnp.arange(10) == 9) & (fixed == 1), 0.0, z)

    return models.Model(network.init, apply)


def without_last(params: models.MLP) -> models.MLP:
    """Parameters ``(members, ...)`` of the same distributions, last logit 0: it is taken from all."""
    W, b = params.output
    return params._replace(output=params.output._replace(W=W - W[..., -1:], b=b - b[..., -1:]))


def measure_networks(*, networks: int, steps: int, every: int) -> dict[str, Any]:
    """Right answers, steps to 90%, and how far apart training takes them; never is one look more."""
    digits = data.load("digits")
    network = models.mlp((8, 8, 1), (32,), 10, activation="tanh")
    shape = (2, len(RATES), networks)
    ten = jax.vmap(lambda seed: network.init(jax.random.key(seed)))(jnp.arange(networks))
    starts = jax.tree.map(
        lambda a, b: np.broadcast_to(np.stack([a, b])[:, None], (*shape[:2], *a.shape)).reshape(
            -1, *a.shape[1:]
        ),
        ten,
        without_last(ten),
    )

    def recipe(hyper: Hyperparams) -> Recipe:
        descent = optimizer("sgd", hyper["learning_rate"])
        return Recipe(fixing(network, hyper["fixed"]), outputs.cross_entropy, {}, descent)

    def look(params: models.MLP) -> tuple[Array, Array, Array]:
        validation, test = digits.split("validation"), digits.split("test")
        z = network.apply(params, validation.x)
        test_right = jnp.argmax(network.apply(params, test.x), -1) == test.y
        return jnp.mean(jnp.argmax(z, -1) == validation.y), test_right, jax.nn.softmax(z)

    result = fit(
        recipe,
        digits.train,
        steps=steps,
        batch_size=32,
        seeds=np.tile(np.arange(networks), shape[0] * shape[1]),
        hyperparams={
            "fixed": np.repeat([0, 1], shape[1] * shape[2]),
            "learning_rate": np.tile(np.repeat(RATES, networks), 2),
        },
        start=starts,
        every=every,
        probe=look,
        record=every,
    )
    validation, test, p = (a.reshape(-1, *shape, *a.shape[2:]) for a in result.probes)
    best = validation[-1].mean(-1).argmax(-1)  # (ten or nine,)
    right = test[:, [0, 1], best]  # (looks, ten or nine, networks, test cases)
    test = right.mean(-1)
    reached = test >= 0.9
    late = steps + every
    return {
        "network_rate": RATES[best],
        "network_test": test,
        "network_right": right[[len(right) // 2, -1]],
        "network_steps": np.where(reached.any(0), every * reached.argmax(0), late),
        # Total variation between their predictions at one rate, (looks, networks).
        "apart": np.abs(p[:, 0, best[0]] - p[:, 1, best[0]]).sum(-1).mean(-1) / 2,
    }
