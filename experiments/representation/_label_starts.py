"""Networks of two hidden layers that start at random or from a stack, trained on few labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import data, models, outputs, pretraining
from dlnotes.training import Hyperparams, Recipe, fit, initial_params, optimizer, schedules
from dlnotes.typing import Params

INPUTS, CLASSES = 784, 10
RATES = (0.0003, 0.001, 0.003)
FIRST_SEED = 14_400
HALF, END = 0, 1


class Start(NamedTuple):
    """Where a network starts, and what of it learns from labels.

    Attributes:
      name: of the arm.
      learner: "rbm", "autoencoder", "sparse coding", or "" for a random start.
      activation: of the hidden units.
      whole: whether all layers learn from labels, or only the read-out.
    """

    name: str
    learner: str
    activation: str
    whole: bool = True


STARTS = (
    Start("random, sigmoid", "", "sigmoid"),
    Start("random, ReLU", "", "relu"),
    Start("RBMs, read-out", "rbm", "sigmoid", whole=False),
    Start("RBMs, all layers", "rbm", "sigmoid"),
    Start("autoencoders, all layers", "autoencoder", "sigmoid"),
    Start("sparse coding, all layers", "sparse coding", "relu"),
)
RANDOM, RELU, READ_OUT, RBMS, AUTOENCODERS, SPARSE = range(len(STARTS))


class Images(NamedTuple):
    """The images of each member.

    Attributes:
      x: ``(members, images, 784)`` in [0, 1], without labels for the stacks; the first have labels.
      y: ``(members, images)`` classes.
      validation, test: the same for all.
    """

    x: np.ndarray
    y: np.ndarray
    validation: data.Examples
    test: data.Examples


class Trained(NamedTuple):
    """Errors of the judged networks in per cent, ``(moments, seeds)``, their training loss, and the rate."""

    test: np.ndarray
    train: np.ndarray
    loss: np.ndarray
    rate: float


def images(members: int, count: int, validation: int, test: int) -> Images:
    """Own images for each member, so ordered that the first n hold each class equally often."""
    whole = data.load("mnist", standardize=False)
    pool, checked, judged = data.parts_of(whole, None, validation, test)
    rows = []
    for m in range(members):
        own = np.random.default_rng(FIRST_SEED + m).permutation(pool.size)[:count]
        turn = np.zeros(count, int)  # the how-manieth of its class
        for k in range(CLASSES):
            here = pool.y[own] == k
            turn[here] = np.arange(here.sum())
        rows.append(own[np.argsort(turn, kind="stable")])
    index = np.array(rows)
    return Images(pool.x[index], pool.y[index], checked, judged)


def stacks(own: Images, learner: str, width: int, epochs: int) -> tuple[pretraining.Encoder, ...]:
    """Two layers of a learner for each member, learned from its images without their labels."""
    layers = {
        "rbm": lambda: pretraining.rbm(width),
        "autoencoder": lambda: pretraining.autoencoder(width, corruption="mask", noise=0.3),
        "sparse coding": lambda: pretraining.sparse_coding(width, nonnegative=True, encoder="learned"),
    }
    seeds = FIRST_SEED + np.arange(len(own.x))
    return pretraining.greedy(
        [layers[learner](), layers[learner]()], own.x, seeds=seeds, epochs=epochs, data_per_member=True
    )


def starting(
    start: Start, stack: Sequence[pretraining.Encoder], width: int, members: int
) -> tuple[models.Model, Params]:
    """The network of an arm and its start, leaves ``(members, ...)``."""
    seeds = FIRST_SEED + np.arange(members)
    if stack:
        return pretraining.to_mlp(stack, CLASSES, seeds=seeds)
    rule, scale = ("he_normal", 1.0) if start.activation == "relu" else ("glorot_uniform", 4.0)
    model = models.mlp(
        INPUTS, (width, width), CLASSES, activation=start.activation, initializer=rule, init_scale=scale
    )
    return model, initial_params(model, seeds)


def judge(
    start: Start,
    model: models.Model,
    params: Params,
    own: Images,
    features: tuple[np.ndarray, np.ndarray, np.ndarray] | None,
    labels: int,
    steps: int,
    batch_size: int,
    seeds: int,
) -> Trained:
    """Train from labels at the best of the rates.

    The members after the first ``seeds`` choose it, by the errors on validation images.

    Args:
      start: of the networks.
      model: the network.
      params: where each member starts.
      own: images of all members.
      features: of training, validation and test images, ``(members, images, units)``, for a read-out alone.
      labels: images of each member whose class is known.
      steps, batch_size: of each training.
      seeds: members that are judged.
    """
    y = own.y[:, :labels]
    if features is None:
        x, validation, test = own.x[:, :labels], own.validation.x[None], own.test.x[None]
    else:
        model = models.mlp(features[0].shape[-1], (), CLASSES)
        params = initial_params(model, FIRST_SEED + np.arange(len(y)))
        x, validation, test = features[0][:, :labels], features[1], features[2]
    half = max(1, steps // 2)

    def recipe_of(hyper: Hyperparams) -> Recipe:
        # The rate falls to zero twice: half-way stands a training of half as many steps.
        adam = optimizer("adam", hyper["rate"], factor=schedules.cosine_restarts(2 * half, cycles=2))
        return Recipe(model, outputs.cross_entropy, {}, adam)

    def trained(members: np.ndarray, rates: np.ndarray) -> tuple[Params, Params]:
        found = fit(
            recipe_of,
            data.Examples(x[members], y[members]),
            steps=2 * half,
            batch_size=min(batch_size, labels),
            seeds=FIRST_SEED + members,
            hyperparams={"rate": rates},
            start=jax.tree.map(lambda a: np.asarray(a)[members], params),
            every=half,
            probe=lambda p: p,
            record=half,
            data_per_member=True,
        )
        bad = found.stopped_at >= 0
        if bad.any():
            raise FloatingPointError(f"{start.name}, {labels} labels: {bad.sum()} trainings broke down")
        first, last = (jax.tree.map(lambda a: a[i], found.probes) for i in (1, 2))  # noqa: B023
        return first, last

    tuners = np.arange(seeds, len(y))
    members, rates = np.tile(tuners, len(RATES)), np.repeat(np.float32(RATES), len(tuners))  # pyright: ignore[reportArgumentType]
    _, last = trained(members, rates)
    wrong = errors(model, last, at(validation, members), own.validation.y)[0]
    best = RATES[int(np.argmin(wrong.reshape(len(RATES), -1).mean(1)))]
    judged = np.arange(seeds)
    moments = trained(judged, np.full(seeds, best, np.float32))
    on_test = [errors(model, p, at(test, judged), own.test.y)[0] for p in moments]
    on_train = [errors(model, p, x[judged], y[judged]) for p in moments]
    return Trained(
        np.array(on_test), np.array([e for e, _ in on_train]), np.array([loss for _, loss in on_train]), best
    )


def at(x: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Inputs of some members; those that all have in common, ``(1, ...)``, as they are."""
    return x if len(x) == 1 else x[members]


def errors(
    model: models.Model, params: Params, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Errors in per cent and cross-entropy in nats of every member, each ``(members,)``.

    ``x`` is ``(members, n, inputs)``, or ``(1, n, inputs)`` for all; ``y`` ``(members, n)`` or ``(n,)``.
    """

    def one(p: Params, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        z = model.apply(p, x)
        measured = outputs.cross_entropy(z, y)
        return 100 * jnp.mean((jnp.argmax(z, -1) != y).astype(jnp.float32)), jnp.mean(measured.total)

    if len(x) == 1:
        y = np.asarray(y).reshape(-1)
        many = jax.jit(lambda p, x, y: jax.lax.map(lambda p: one(p, x, y), p))
        found = many(params, x[0], y)
    else:
        y = np.broadcast_to(y, x.shape[:2])
        found = jax.jit(lambda p, x, y: jax.lax.map(lambda a: one(*a), (p, x, y)))(params, x, y)
    return np.asarray(found[0]), np.asarray(found[1])
