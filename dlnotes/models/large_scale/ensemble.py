"""Several networks that answer as one, and one network that answers as many: dropout kept on."""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.checks import did_you_mean, positive
from dlnotes.layers.random import fold_in
from dlnotes.models.model import Model, WithState
from dlnotes.typing import Array, Params, PRNGKey

MEANS = ("probabilities", "logits", "outputs")
Mean = Literal["probabilities", "logits", "outputs"]


def ensemble(model: Model, members: int, *, mean: Mean = "probabilities") -> Model:
    """The mean of several networks of one kind: ``log (1/k) Σ_m softmax(z_m)``, or ``(1/k) Σ_m z_m``.

    Its parameters are those of the members, leaves ``(members, …)``, as `dlnotes.training.fit` gives them.
    The logarithm of the mean probability is what a classification is trained and measured by, and its loss is
    at most the mean of the members' (Jensen). The mean of logits is the renormalized geometric mean of the
    probabilities; "outputs" is the same sum, of a regression. Answers cost k times those of one network.

    A member whose parameters are not finite makes every answer NaN: see `finite_members`.

    Args:
      model: of each member.
      members: k, how many ``init`` draws; ``apply`` takes any number.
      mean: what is averaged.

    Returns:
      A `Model`; with a key every member draws for itself.

    Raises:
      ValueError: for no members, another mean, or a network that keeps a state.

    Source: notes L13.13.

    Example:
      >>> from dlnotes import models
      >>> both = ensemble(models.mlp(3, (8,), 2), 2)
      >>> params = both.init(jax.random.key(0))
      >>> p = jnp.exp(both.apply(params, jnp.ones((5, 3))))
      >>> p.shape, bool(jnp.allclose(p.sum(-1), 1, atol=1e-6))
      ((5, 2), True)
    """
    positive(members=members)
    if mean not in MEANS:
        raise ValueError(f"mean: got {mean!r}, allowed are {', '.join(MEANS)}{did_you_mean(mean, MEANS)}")
    if model.update is not None:
        raise ValueError("model: got one that keeps a state, allowed are networks without")

    def init(key: PRNGKey, /) -> Params:
        params = jax.vmap(model.init)(jax.random.split(key, members))
        if isinstance(params, WithState):
            raise ValueError("model: got one that keeps a state, allowed are networks without")
        return params

    def apply(params: Params, x: Any, /, *, key: PRNGKey | None = None, mask: Any = None) -> Array:
        numbers = jnp.arange(len(jax.tree.leaves(params)[0]), dtype=jnp.int32)

        def one(params: Params, number: Array) -> Array:
            own = None if key is None else fold_in(key, number)
            return model.apply(params, x, key=own, mask=mask)

        outputs = jax.vmap(one)(params, numbers)
        return mean_of_logs(outputs) if mean == "probabilities" else jnp.mean(outputs, axis=0)

    return Model(init, apply)


def mean_of_logs(logits: Array) -> Array:
    """``log (1/k) Σ_m softmax(z_m)`` of logits ``(k, …, classes)``."""
    logs = jax.nn.log_softmax(logits, axis=-1)
    return jax.nn.logsumexp(logs, axis=0) - jnp.log(jnp.asarray(len(logs), logs.dtype))


def finite_members(params: Params) -> np.ndarray:
    """Whether all parameters of each member are finite, ``(members,)`` booleans on the host.

    Args:
      params: leaves ``(members, …)``.

    Example:
      >>> params = {"W": jnp.array([[1.0, 2.0], [jnp.nan, 0.0]])}
      >>> good = finite_members(params)
      >>> good.tolist(), jax.tree.map(lambda a: a[good], params)["W"].tolist()
      ([True, False], [[1.0, 2.0]])
    """
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(params)]
    return np.all([np.isfinite(a.reshape(len(a), -1)).all(axis=1) for a in leaves], axis=0)


def sample_outputs(
    model: Model, params: Params, x: Any, *, key: PRNGKey, samples: int, mask: Any = None
) -> Array:
    """Outputs of a network whose dropout is kept on, each time with other units dropped.

    Their mean and spread are those of an ensemble that shares its weights (Monte-Carlo dropout). A network
    without a key answers by weight scaling instead, in one pass: for a softmax regression with half of its
    inputs dropped the renormalized geometric mean over all masks, exactly; else close to it.

    Args:
      model: with dropout; one without gives the same output every time.
      params: its parameters.
      x: a batch.
      key: one key, from which example i of sample s gets its own; or one per example, ``(batch,)``, so that
        an answer does not depend on how examples are divided into batches.
      samples: how many.
      mask: as the model takes it.

    Returns:
      ``(samples, batch, …)``.

    Raises:
      ValueError: for no samples.

    Source: notes L13.13; Srivastava et al., 2014; Gal and Ghahramani, 2016.

    Example:
      >>> from dlnotes import models
      >>> model = models.mlp(3, (8,), 2, dropout=0.5)
      >>> params, x = model.init(jax.random.key(0)), jnp.ones((5, 3))
      >>> sample_outputs(model, params, x, key=jax.random.key(1), samples=4).shape
      (4, 5, 2)
    """
    positive(samples=samples)
    keys = key
    if key.ndim == 0:
        n = len(jax.tree.leaves(x)[0])
        keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(n, dtype=jnp.int32))

    def one(number: Array) -> Array:
        return model.apply(params, x, key=fold_in(keys, number), mask=mask)

    return jax.lax.map(one, jnp.arange(samples, dtype=jnp.int32))
