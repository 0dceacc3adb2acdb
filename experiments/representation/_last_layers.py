"""One body under three kinds of last layer, and what the layer below learns."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import data, layers, models, outputs
from dlnotes.analysis import linear_probe, probe_accuracy
from dlnotes.layers.feedforward.rbf import squared_distances
from dlnotes.training import (
    Fit,
    Hyperparams,
    Recipe,
    RecipeOf,
    initial_params,
    optimizer,
    schedules,
    tune_briefly_and_train,
)
from dlnotes.typing import Array, PRNGKey

CLASSES, PIXELS = 10, 784
RATES = (0.0003, 0.001, 0.003)
FIRST_SEED = 14_770
REJECTED = 1.0
"""Squared distance at which an image is as far from a center as from all that is none of the classes."""


class WithHead(NamedTuple):
    """A body and a last layer.

    Attributes:
      body: of `dlnotes.models.mlp`, whose outputs are the units of the layer below.
      head: of the last layer; ``None`` where it has no parameters.
    """

    body: models.MLP
    head: Any


def body(width: int, units: int) -> models.Model:
    """A perceptron whose last hidden layer has ``units`` ReLU units."""
    inner = models.mlp(PIXELS, (width,), units)

    def apply(params: models.MLP, x: Any, /, *, key: PRNGKey | None = None, mask: Any = None) -> Array:
        return layers.relu(inner.apply(params, x))

    return models.Model(inner.init, apply)


def softmax_logits(head: layers.Dense, h: Array) -> Array:
    return layers.dense(head, h)


def rbf_logits(head: layers.RBF, h: Array) -> Array:
    """``−‖h − c_k‖² / σ_k²`` of each class, the logarithm of a radial basis unit."""
    d = squared_distances(h, head.centers)
    return -d * jnp.broadcast_to(jnp.exp(-2 * head.log_sigma), d.shape)


def class_means(h: Array, y: Array) -> tuple[Array, Array]:
    """The mean of each class, ``(classes, units)``, and how many examples it has."""
    member = jax.nn.one_hot(y, CLASSES, dtype=h.dtype)
    count = jnp.sum(member, axis=0)
    return (member.T @ h) / jnp.maximum(count, 1.0)[:, None], count


def nearest_mean_loss(h: Array, y: Array) -> outputs.PerExample:
    """``−log softmax(−‖hₙ − m_k‖²)_{yₙ}``, m_k the mean of class k over the other examples of the batch."""
    means, count = class_means(h, y)
    own = jax.nn.one_hot(y, CLASSES, dtype=h.dtype)
    # Without its own part, or an example would be near its mean only for being in it.
    n = count[y]
    without = (n[:, None] * means[y] - h) / jnp.maximum(n - 1, 1.0)[:, None]
    d = squared_distances(h, means.T)
    alone = jnp.sum((h - without) ** 2, axis=-1)
    d = jnp.where(own > 0, alone[:, None], d)
    logits = jnp.where((count > 0)[None], -d, -1e9)
    found = outputs.cross_entropy(logits, y)
    return found._replace(total=jnp.where(n > 1, found.total, 0.0))


def rbf_loss(logits: Array, y: Array) -> outputs.PerExample:
    """``−log e^{z_y} / (e^{−r} + Σ_k e^{z_k})``: a class "none of them" stands at a fixed distance r."""
    none = jnp.full((logits.shape[0], 1), -REJECTED, logits.dtype)
    return outputs.cross_entropy(jnp.concatenate([logits, none], axis=1), y)


class Head(NamedTuple):
    """A kind of last layer: how it starts, its outputs, its loss."""

    name: str
    init: Any
    apply: Any
    loss: outputs.LossFn


def heads(units: int) -> tuple[Head, ...]:
    """Softmax, nearest class mean, radial basis functions."""
    return (
        Head("softmax", partial(layers.init_dense, inputs=units, outputs=CLASSES), softmax_logits,
             outputs.cross_entropy),
        Head("nearest mean", lambda key: None, lambda head, h: h, nearest_mean_loss),
        Head("RBF", partial(layers.init_rbf, inputs=units, units=CLASSES), rbf_logits, rbf_loss),
    )  # fmt: skip


def network(head: Head, width: int, units: int) -> models.Model:
    """The body with a head; its own start is the same under every head."""
    below = body(width, units)

    def init(key: PRNGKey, /) -> WithHead:
        return WithHead(below.init(key), head.init(jax.random.fold_in(key, 1)))

    def apply(params: WithHead, x: Any, /, *, key: PRNGKey | None = None, mask: Any = None) -> Array:
        return head.apply(params.head, below.apply(params.body, x))

    return models.Model(init, apply)


Sets = tuple[data.Examples, data.Examples, data.Examples]


def train(
    head: Head,
    sets: Sets,
    *,
    width: int,
    units: int,
    seeds: int,
    tuning_seeds: int,
    tuning_steps: int,
    steps: int,
    batch_size: int,
) -> tuple[Fit, float]:
    """So many trainings, seen half-way and at the end, and their rate, chosen on validation images."""
    training, validation, _ = sets
    half, model = steps // 2, network(head, width, units)

    def recipe_of(total: int) -> RecipeOf:
        fall = schedules.cosine_restarts(total, cycles=2)

        def of(hyper: Hyperparams) -> Recipe:
            adam = optimizer("adam", hyper["rate"], factor=fall)
            return Recipe(model, head.loss, {}, adam)

        return of

    tuned = tune_briefly_and_train(
        recipe_of,
        training,
        validation,
        {"all": [0]},
        {"rate": RATES},
        start=lambda hyper, own: initial_params(model, own),
        seeds=seeds,
        tuning_seeds=tuning_seeds,
        first_seed=FIRST_SEED,
        steps=2 * half,
        tuning_steps=tuning_steps,
        batch_size=min(batch_size, training.size),
        every=half,
        probe=lambda params: params,
        record=half,
    )
    return tuned.fit, RATES[tuned.chosen[0]]


@partial(jax.jit, static_argnums=(0, 1))
def below(width: int, units: int, params: models.MLP, x: Array) -> Array:
    """What the layer below the last gives, ``(examples, units)``."""
    return body(width, units).apply(params, x)


class Scatter(NamedTuple):
    """How examples of classes lie.

    Attributes:
      within: mean squared distance of an example from the mean of its class.
      between: mean squared distance of a class's mean from the mean of all, classes weighted by examples.
    """

    within: float
    between: float


def scatter(h: np.ndarray, y: np.ndarray) -> Scatter:
    """Within and between classes; their sum is the mean squared distance from the mean of all."""
    h = h.astype(np.float64)
    means = np.stack([h[y == k].mean(0) for k in np.unique(y)])
    weight = np.array([np.mean(y == k) for k in np.unique(y)])
    place = np.searchsorted(np.unique(y), y)
    within = float(((h - means[place]) ** 2).sum(1).mean())
    between = float((weight * ((means - h.mean(0)) ** 2).sum(1)).sum())
    return Scatter(within, between)


def linear_accuracy(values: list[Array], y: list[Array]) -> float:
    """Accuracy, %, on the test images of a softmax layer fitted to the training images."""
    probe = linear_probe(values[0], y[0], CLASSES, validation=(values[1], y[1]), decays=(1e-4, 1e-3, 1e-2))
    return 100 * float(probe_accuracy(probe, values[2], y[2]))


def mean_accuracy(values: list[Array], y: list[Array]) -> float:
    """Of the nearest class mean of the training images."""
    means, _ = class_means(values[0], y[0])
    return 100 * float((jnp.argmin(squared_distances(values[2], means.T), -1) == y[2]).mean())


def rbf_accuracy(values: list[Array], y: list[Array]) -> float:
    """Of radial basis units at the class means, each as wide as its class: the highest answers."""
    means, count = class_means(values[0], y[0])
    own = jnp.sum((values[0] - means[y[0]]) ** 2, -1)
    member = jax.nn.one_hot(y[0], CLASSES, dtype=own.dtype)
    variance = (member.T @ own) / jnp.maximum(count, 1.0) / values[0].shape[1]
    d = squared_distances(values[2], means.T)
    scores = (
        -d / (2 * jnp.broadcast_to(variance, d.shape)) - 0.5 * values[0].shape[1] * jnp.log(variance)[None]
    )
    return 100 * float((jnp.argmax(scores, -1) == y[2]).mean())


def confidence(head: Head, params: Any, means: Array, h: Array) -> np.ndarray:
    """How sure a last layer is: the highest probability or radial basis unit, or minus the least distance."""
    if head.name == "softmax":
        return np.asarray(jax.nn.softmax(head.apply(params, h)).max(-1))
    if head.name == "RBF":
        return np.asarray(head.apply(params, h).max(-1))
    return -np.asarray(squared_distances(h, means.T).min(-1))


def own_accuracy(head: Head, params: Any, values: list[Array], y: list[Array]) -> float:
    """Accuracy, %, of a network with its own last layer."""
    if head.name == "nearest mean":
        return mean_accuracy(values, y)
    return 100 * float((jnp.argmax(head.apply(params, values[2]), -1) == y[2]).mean())


def ranked_above(known: np.ndarray, other: np.ndarray) -> float:
    """Probability that one of ``known`` is above one of ``other``: the area under the ROC curve."""
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(known, other).statistic / (len(known) * len(other)))
