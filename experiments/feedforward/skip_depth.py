"""Skip connections: how much gradient reaches the first layer of a deep network, and whether it trains.

The notes: a chain of layers is often given skip connections from layer i to layer i + 2 or so, and
skipping makes it easier for the gradient to flow to the layers nearer the inputs.

Measured, on digits, for ReLU, tanh and sigmoid layers of 32 units, with and without the output of layer
i added to that of layer i + 2. Weights start with deviation √(2/inputs) for ReLU and √(1/inputs) else.
First the norm of the loss's gradient for the first layer's weights at the start, against depth; then
training by Adam at the greatest depth, each network at its own best learning rate, which is chosen by the
validation loss of other seeds. With skips the outputs of layers add up and grow with depth; networks
that start with weights of 0.3 of the size show what is due to that, and are not judged.

The network is ``models.mlp`` as one loop over layers; activation, skips and depth are numbers of the
program, so all settings are one program.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import data, layers, models, outputs
from dlnotes.claims import Above, Claim, Measured, Options, Part, Plot, paired, ratio
from dlnotes.plotting import BLUE, GREEN, ORANGE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, along, evaluate, initial_params, optimizer, tune_and_train
from dlnotes.typing import Array, PRNGKey

ACTIVATIONS = ("ReLU", "tanh", "sigmoid")
COLORS = (ORANGE, BLUE, GREEN)
DEPTHS = (2, 5, 10, 20, 30, 40, 50)
INPUTS, WIDTH, CLASSES = 64, 32, 10
RATES = np.array([3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1])
PLAIN, SKIP, SMALL = 0, 1, 2
WAYS = ("without", "with skips", "with skips, weights × 0.3")
SCALES = np.array([1.0, 1.0, 0.3])
TINY = float(np.finfo(np.float32).tiny)
"""Stands for a gradient that float32 cannot tell from 0."""


class SkipDepth(Options):
    """Sizes of the experiment."""

    steps: int = Field(180, ge=1, description="steps of each training")
    batch: int = Field(64, ge=1, description="examples of a step")
    tuning_seeds: int = Field(2, ge=1, description="trainings of each network with each learning rate")


class Deep(NamedTuple):
    """Parameters of ``h¹ = g(x W₁ + b₁)``, ``hⁱ = g(hⁱ⁻¹ Wᵢ + bᵢ) + s·hⁱ⁻²``, ``output = h W + b``.

    Attributes:
      first: `Dense`, (inputs, width).
      hidden: `Dense` with a leading axis of layers 2, 3, …
      output: `Dense`, (width, outputs).
    """

    first: layers.Dense
    hidden: layers.Dense
    output: layers.Dense


def deep(hyper: Hyperparams, depth: int = DEPTHS[-1]) -> models.Model:
    """``models.mlp(64, (32,) * depth, 10, skip=…)`` with choices that may be traced.

    Args:
      hyper: "activation" 0, 1 or 2 of `ACTIVATIONS`, "skip" 0 or 1, and "depth", from which layer on
        layers do nothing (all are used without it).
      depth: layers that have parameters.
    """

    def g(z: Array) -> Array:
        return jax.lax.switch(
            jnp.asarray(hyper["activation"]).astype(jnp.int32), (layers.relu, layers.tanh, layers.sigmoid), z
        )

    def init(key: PRNGKey, /) -> Deep:
        def layer(*shape: int) -> layers.Dense:
            return layers.Dense(jnp.zeros(shape), jnp.zeros((*shape[:-2], shape[-1])))

        return Deep(layer(INPUTS, WIDTH), layer(depth - 1, WIDTH, WIDTH), layer(WIDTH, CLASSES))

    def apply(params: Deep, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None) -> Array:
        def layer(h: tuple[Array, Array], layer: tuple[Array, layers.Dense]):
            (before, now), (number, weights) = h, layer
            new = (now, g(layers.dense(weights, now)) + hyper["skip"] * before)
            used = number <= jnp.asarray(hyper.get("depth", depth), jnp.int32)
            return jax.tree.map(lambda a, b: jnp.where(used, a, b), new, h), None

        h = g(layers.dense(params.first, x))
        (_, h), _ = jax.lax.scan(layer, (jnp.zeros_like(h), h), (jnp.arange(2, depth + 1), params.hidden))
        return layers.dense(params.output, h)

    return models.Model(init, apply)


def recipe_of(hyper: Hyperparams) -> Recipe:
    """Adam on the cross-entropy."""
    metrics = {"accuracy": outputs.accuracy}
    return Recipe(deep(hyper), outputs.cross_entropy, metrics, optimizer("adam", hyper["learning_rate"]))


def starts(hyperparams: dict[str, np.ndarray], seeds: np.ndarray) -> Deep:
    """Weights of deviation √(2/inputs) for ReLU, √(1/inputs) for the others, times "scale"; biases 0."""
    scale = hyperparams["scale"] * np.where(np.asarray(hyperparams["activation"]) == 0, 1.0, 0.5**0.5)
    model = deep({"activation": jnp.zeros(()), "skip": jnp.zeros(())})
    return jax.tree.map(lambda w: w * along(scale, w), initial_params(model, seeds, "he"))


def first_gradients(
    hyperparams: dict[str, np.ndarray], params: Deep, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Norm of ∇ of the mean cross-entropy for the first layer's weights, ``(members,)``.

    Args:
      hyperparams: of each member, as `deep` takes them.
      params: leaves ``(members, ...)``.
      x, y: the batch of each member, ``(members, batch, ...)``.
    """

    def norm(member) -> Array:
        hyper, p, x, y = member

        def loss(first: Array) -> Array:
            output = deep(hyper).apply(p._replace(first=p.first._replace(W=first)), x)
            return jnp.mean(outputs.cross_entropy(output, y).total)

        return jnp.linalg.norm(jax.grad(loss)(p.first.W))

    hyperparams = {k: np.asarray(v, np.float32) for k, v in hyperparams.items()}
    return np.asarray(jax.jit(lambda all: jax.lax.map(norm, all))((hyperparams, params, x, y)))


def numbers(activation: np.ndarray, way: np.ndarray) -> dict[str, np.ndarray]:
    """What `deep` and `starts` are told, from places in `ACTIVATIONS` and `WAYS`."""
    return {"activation": activation, "skip": (way != PLAIN).astype(int), "scale": SCALES[way]}


def measure(options: SkipDepth) -> dict[str, np.ndarray]:
    """Gradients at the start, then training at the greatest depth."""
    train, validation, test = data.parts_of(data.load("digits"))
    n, shape = options.seeds, (len(ACTIVATIONS), len(WAYS), len(DEPTHS), options.seeds)
    places = [axis.ravel() for axis in np.indices(shape)]
    hyperparams = {**numbers(places[0], places[1]), "depth": np.array(DEPTHS)[places[2]]}
    rows = np.stack(
        [np.random.default_rng(seed).permutation(train.size)[: options.batch] for seed in range(n)]
    )
    batch = rows[places[3]]
    gradients = first_gradients(hyperparams, starts(hyperparams, places[3]), train.x[batch], train.y[batch])

    activation, way = (axis.ravel() for axis in np.indices(shape[:2]))
    trained = tune_and_train(
        recipe_of,
        train,
        validation,
        numbers(activation, way),
        {"learning_rate": RATES},
        start=starts,
        seeds=n,
        tuning_seeds=options.tuning_seeds,
        steps=options.steps,
        batch_size=options.batch,
    )
    on = {
        name: evaluate(recipe_of, trained.hyperparams, trained.fit.params, examples)
        for name, examples in (("train", train), ("test", test))
    }
    return {
        "gradient": gradients.reshape(shape),
        "rate": RATES[trained.chosen].reshape(shape[:2]),
        "tuning": trained.tuning.reshape(*shape[:2], -1),
        "history": trained.by_method(trained.fit.history["loss"]).reshape(-1, *shape[:2], n),
        **{
            f"{part}_{name}": trained.by_method(on[part][name]).reshape(*shape[:2], n)
            for part in on
            for name in ("loss", "accuracy")
        },
    }


def draw(options: SkipDepth, m: Measured) -> Plot:
    """Gradient against depth on the left, what training reaches on the right."""
    figure = new_figure(9.5, 4.4)
    left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
    norm = np.maximum(m["gradient"], TINY)
    styles = (("--", "o"), ("-", "s"), (":", "^"))
    for a, (name, color) in enumerate(zip(ACTIVATIONS, COLORS)):
        for way, (dash, marker) in enumerate(styles):
            low, middle, high = np.quantile(norm[a, way], (0.1, 0.5, 0.9), axis=-1)
            left.plot(DEPTHS, middle, dash, color=color, marker=marker)
            left.fill_between(DEPTHS, low, high, color=color, alpha=0.15, lw=0)
            place = a + 0.27 * (way - 1)
            values = 100 * m["train_accuracy"][a, way]
            right.plot(np.full(len(values), place), values, marker, color=color, alpha=0.4, ls="none")
            right.hlines(np.median(values), place - 0.11, place + 0.11, color=color, lw=2.4)
        left.plot([], [], color=color, label=name)
    for (dash, marker), name in zip(styles, WAYS):
        left.plot([], [], dash, marker=marker, color="#333333", label=name)
    left.set(yscale="log", xlabel="hidden layers", ylabel="gradient norm, first layer, at the start")
    if np.any(m["gradient"] <= TINY):
        left.text(DEPTHS[-1], 8 * TINY, "0 in float32", ha="right", color="#666666", fontsize=9)
    left.legend(fontsize=9)
    right.axhline(10, color="#999999", lw=1, ls=":")
    right.text(2.45, 11.5, "chance", ha="right", color="#666666", fontsize=9)
    right.set(xticks=range(3), xticklabels=ACTIVATIONS, ylim=(0, 103))
    right.set_ylabel(f"training accuracy, {DEPTHS[-1]} layers (%)")
    plain, skipped = (100 * np.median(m["train_accuracy"][:, s], axis=-1) for s in (PLAIN, SKIP))
    set_title(
        figure,
        f"Training accuracy at {DEPTHS[-1]} layers without and with skips: "
        + ", ".join(f"{n} {p:.0f} → {s:.0f}%" for n, p, s in zip(ACTIVATIONS, plain, skipped)),
    )
    return Plot(figure, _table(m))


def _table(m: Measured) -> dict[str, list]:
    table: dict[str, list] = {
        name: []
        for name in ("activation", "skips", "depth", "gradient_low", "gradient", "gradient_high", "rate",
                     "train_accuracy", "test_accuracy")
    }  # fmt: skip
    for a, s, d in np.ndindex(m["gradient"].shape[:3]):
        last = d == len(DEPTHS) - 1
        row = (
            ACTIVATIONS[a], WAYS[s], DEPTHS[d], *np.quantile(m["gradient"][a, s, d], (0.1, 0.5, 0.9)),
            m["rate"][a, s] if last else None, m["train_accuracy"][a, s].mean() if last else None,
            m["test_accuracy"][a, s].mean() if last else None,
        )  # fmt: skip
        for name, value in zip(table, row):
            table[name].append(value)
    return table


def _flows(a: int) -> Part:
    name = ACTIVATIONS[a]
    return Part(
        f"gradient, {name}",
        f"At {DEPTHS[-1]} {name} layers skips let more gradient reach the first layer.",
        what="gradient norm of the first layer at the start, with skips over without (0 counts as 1.2e-38)",
        effect=lambda m: ratio(*(np.maximum(m["gradient"][a, s, -1], TINY) for s in (SKIP, PLAIN))),
        rule=Above(1.0),
    )


def _trains(a: int) -> Part:
    name = ACTIVATIONS[a]
    return Part(
        f"training, {name}",
        f"{DEPTHS[-1]} {name} layers are easier to train with skips.",
        what="training accuracy with skips minus without, percentage points",
        effect=lambda m: paired(100 * m["train_accuracy"][a, SKIP], 100 * m["train_accuracy"][a, PLAIN]),
        rule=Above(0.0),
    )


CLAIM = Claim(
    id="F4.6",
    statement="Skip connections from layer i to layer i + 2 make it easier for the gradient to flow to the "
    "layers nearer the inputs.",
    source="notes, «diseño de la arquitectura»; Goodfellow et al. 2016, 6.4.2",
    options=SkipDepth,
    measure=measure,
    draw=draw,
    parts=(*map(_flows, range(3)), *map(_trains, range(3))),
    reading="With He's weights the sums of the skips let ReLU's outputs and gradients grow with every layer, "
    "the gradient to ten million and more at fifty: too large to train at any rate of the grid. With 0.3 of "
    "those weights the same network trains to where tanh and sigmoid get: the gradient flows, but "
    "its size has to be kept.",
    revised="After a first look: the networks that start with smaller weights, not judged, were added; "
    "the grid of learning rates, 1e-4 to 1e-2, became 3e-4 to 1e-1, since the best lay at its upper end; 180 "
    "steps instead of 400, for time. The parts and their thresholds stayed.",
)
