"""Skip connections: how much gradient reaches the first layer of a deep network, and whether it trains.

The notes: a chain of layers is often given skip connections from layer i to layer i + 2 or so, and
skipping makes it easier for the gradient to flow to the layers nearer the inputs.

Measured, on digits, for ReLU, tanh and sigmoid layers of 32 units, with and without the output of layer
i added to that of layer i + 2. Weights start with deviation √(2/inputs) for ReLU and √(1/inputs) else,
times a scale. With skips the outputs of layers add up and grow with depth, without them they may shrink: so
each network at the greatest depth has its own best scale, chosen together with the learning rate of
Adam by the validation loss of other seeds. At that scale: the norm of the loss's gradient for the first
layer's weights at the start, against depth; then training at the greatest depth.

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
from dlnotes.claims import (
    Above,
    Claim,
    Interval,
    Measured,
    Options,
    Part,
    Plateau,
    Plot,
    Within,
    notes,
    over_cases,
    paper,
    ratio,
)
from dlnotes.plotting import BLUE, GREEN, ORANGE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, along, initial_params, optimizer, tune_and_train
from dlnotes.typing import Array, PRNGKey

ACTIVATIONS = ("ReLU", "tanh", "sigmoid")
COLORS = (ORANGE, BLUE, GREEN)
DEPTHS = (2, 5, 10, 20, 30, 40, 50)
INPUTS, WIDTH, CLASSES = 64, 32, 10
RATES, SCALES = (1e-3, 3e-3, 1e-2, 3e-2), (0.1, 0.3, 1.0, 1.5)
GRID = {
    "learning_rate": np.repeat(RATES, len(SCALES)),
    "scale": np.tile(SCALES, len(RATES)),
}
PLAIN, SKIP = 0, 1
WAYS = ("without", "with skips")
FIRST_SEED = 1000
TINY = float(np.finfo(np.float32).tiny)
"""Stands for a gradient that float32 cannot tell from 0."""


class SkipDepth(Options):
    """Sizes of the experiment."""

    steps: int = Field(300, ge=2, description="steps of each training")
    batch: int = Field(64, ge=1, description="examples of a step")
    tuning_seeds: int = Field(3, ge=1, description="trainings of each network with each rate and scale")


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


def measure(options: SkipDepth) -> dict[str, np.ndarray]:
    """Choose rates and scales, train at the greatest depth, then take gradients at the start by depth."""
    train, validation, test = data.parts_of(data.load("digits"))
    n, half, shape = options.seeds, options.steps // 2, (len(ACTIVATIONS), len(WAYS))
    activation, way = (axis.ravel() for axis in np.indices(shape))
    trained = tune_and_train(
        recipe_of,
        train,
        validation,
        {"activation": activation, "skip": way},
        GRID,
        start=starts,
        seeds=n,
        tuning_seeds=options.tuning_seeds,
        first_seed=FIRST_SEED,
        steps=2 * half,
        batch_size=options.batch,
        record=5,
        every=half,
        probe=lambda params: params,
    )
    right = {}
    for name, examples in (("train", train), ("test", test)):
        right[name] = np.array(
            [
                _right(trained.hyperparams, jax.tree.map(lambda a: a[i], trained.fit.probes), examples)  # noqa: B023
                for i in (1, 2)
            ]
        ).reshape(2, *shape, n, -1)

    scale = GRID["scale"][trained.chosen].reshape(shape)
    places = [axis.ravel() for axis in np.indices((*shape, len(DEPTHS), n))]
    hyperparams = {
        "activation": places[0],
        "skip": places[1],
        "scale": scale[places[0], places[1]],
        "depth": np.array(DEPTHS)[places[2]],
    }
    seeds = FIRST_SEED + places[3]
    rows = np.stack(
        [np.random.default_rng(FIRST_SEED + s).permutation(train.size)[: options.batch] for s in range(n)]
    )[places[3]]
    gradients = first_gradients(hyperparams, starts(hyperparams, seeds), train.x[rows], train.y[rows])
    return {
        "gradient": gradients.reshape(*shape, len(DEPTHS), n),
        "rate": GRID["learning_rate"][trained.chosen].reshape(shape),
        "scale": scale,
        "tuning": trained.tuning.reshape(*shape, len(RATES), len(SCALES)),
        "history": trained.by_method(trained.fit.history["loss"]).reshape(-1, *shape, n),
        # half-way and at the end: accuracy (activations, ways, seeds), rightness (…, seeds, test images)
        "half_train": right["train"][0].mean(-1),
        "train_accuracy": right["train"][1].mean(-1),
        "half_test": right["test"][0],
        "test_right": right["test"][1],
    }


def _right(hyperparams: dict[str, np.ndarray], params: Deep, examples: data.Examples) -> np.ndarray:
    """Whether each member is right on each example, ``(members, examples)``."""

    def one(member) -> Array:
        hyper, p = member
        return jnp.argmax(deep(hyper).apply(p, examples.x), axis=-1) == examples.y

    hyperparams = {k: np.asarray(v, np.float32) for k, v in hyperparams.items()}
    return np.asarray(jax.jit(lambda all: jax.lax.map(one, all, batch_size=16))((hyperparams, params)))


def flow(m: Measured, a: int, way: int) -> np.ndarray:
    """Gradient of the first layer of the deepest network over that of the shallowest, ``(seeds,)``."""
    norm = np.maximum(m["gradient"][a, way], TINY)
    return norm[-1] / norm[0]


def trains_better(m: Measured, a: int, which: str = "test_right") -> Interval:
    """Test accuracy with skips minus without, percentage points, over seeds and test images."""
    return over_cases(100.0 * (m[which][a, SKIP].astype(float) - m[which][a, PLAIN]))


def draw(options: SkipDepth, m: Measured) -> Plot:
    """Gradient against depth on the left, what training reaches on the right."""
    figure = new_figure(9.5, 4.4)
    left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
    norm = np.maximum(m["gradient"], TINY)
    norm = norm / norm[:, :, :1]
    styles = (("--", "o"), ("-", "s"))
    accuracy = 100 * m["test_right"].mean(-1)
    for a, (name, color) in enumerate(zip(ACTIVATIONS, COLORS)):
        for way, (dash, marker) in enumerate(styles):
            low, middle, high = np.quantile(norm[a, way], (0.1, 0.5, 0.9), axis=-1)
            left.plot(DEPTHS, middle, dash, color=color, marker=marker)
            left.fill_between(DEPTHS, low, high, color=color, alpha=0.15, lw=0)
            place = a + 0.3 * (way - 0.5)
            values = accuracy[a, way]
            right.plot(np.full(len(values), place), values, marker, color=color, alpha=0.4, ls="none")
            right.hlines(np.median(values), place - 0.11, place + 0.11, color=color, lw=2.4)
        left.plot([], [], color=color, label=name)
    for (dash, marker), name in zip(styles, WAYS):
        left.plot([], [], dash, marker=marker, color="#333333", label=name)
    left.fill_between([], [], color="#999999", alpha=0.2, lw=0, label="a hundredth to a hundred times")
    left.set(yscale="log", xlabel="hidden layers", ylim=(1e-8, 1e3))
    left.set_ylabel(f"gradient norm of the first layer at the start\nover that with {DEPTHS[0]} layers")
    left.axhspan(0.01, 100, color="#999999", alpha=0.12, lw=0)
    left.legend(fontsize=9, loc="lower right")
    right.axhline(10, color="#999999", lw=1, ls=":")
    right.text(2.45, 11.5, "chance", ha="right", color="#666666", fontsize=9)
    right.set(xticks=range(3), xticklabels=ACTIVATIONS, ylim=(0, 103))
    right.set_ylabel(f"test accuracy, {DEPTHS[-1]} layers (%)\ncircles: without, squares: with skips")
    plain, skipped = (np.median(accuracy[:, s], axis=-1) for s in (PLAIN, SKIP))
    set_title(
        figure,
        f"Test accuracy at {DEPTHS[-1]} layers without and with skips: "
        + ", ".join(f"{n} {p:.0f} → {s:.0f}%" for n, p, s in zip(ACTIVATIONS, plain, skipped)),
    )
    return Plot(figure, _table(m))


def _table(m: Measured) -> dict[str, list]:
    table: dict[str, list] = {
        name: []
        for name in ("activation", "skips", "depth", "gradient_low", "gradient", "gradient_high", "scale",
                     "rate", "train_accuracy", "test_accuracy")
    }  # fmt: skip
    for a, s, d in np.ndindex(m["gradient"].shape[:3]):
        last = d == len(DEPTHS) - 1
        row = (
            ACTIVATIONS[a], WAYS[s], DEPTHS[d], *np.quantile(m["gradient"][a, s, d], (0.1, 0.5, 0.9)),
            m["scale"][a, s], m["rate"][a, s] if last else None,
            m["train_accuracy"][a, s].mean() if last else None,
            m["test_right"][a, s].mean() if last else None,
        )  # fmt: skip
        for name, value in zip(table, row):
            table[name].append(value)
    return table


SECTION = "diseño de la arquitectura"
EASIER = notes(SECTION, "skipping makes it easier for the gradient to flow to layers nearer the inputs")


def _arrives(a: int) -> Part:
    name = ACTIVATIONS[a]
    return Part(
        f"gradient arrives, {name}",
        f"With skips the first of {DEPTHS[-1]} {name} layers gets a gradient of about the size that it gets "
        f"in a network of {DEPTHS[0]}: between a hundredth and a hundred times.",
        what=f"gradient norm of the first layer at the start, with skips, {DEPTHS[-1]} layers over "
        f"{DEPTHS[0]}",
        effect=lambda m: ratio(flow(m, a, SKIP), np.ones_like(flow(m, a, SKIP))),
        rule=Within(0.01, 100.0),
        source=EASIER,
    )


def _more(a: int) -> Part:
    name = ACTIVATIONS[a]
    return Part(
        f"more than without, {name}",
        f"At {DEPTHS[-1]} {name} layers more of the gradient reaches the first layer with skips than "
        f"without.",
        what=f"gradient norm of the first layer at the start, {DEPTHS[-1]} layers over {DEPTHS[0]}: with "
        f"skips "
        "over without (0 counts as 1.2e-38)",
        effect=lambda m: ratio(flow(m, a, SKIP), flow(m, a, PLAIN)),
        rule=Above(1.0),
        source=EASIER,
    )


def _trains(a: int) -> Part:
    name = ACTIVATIONS[a]
    return Part(
        f"training, {name}",
        f"{DEPTHS[-1]} {name} layers train better with skips.",
        what="test accuracy with skips minus without, percentage points; over seeds and test images",
        effect=lambda m: trains_better(m, a),
        rule=Above(0.0),
        source=paper("He et al. 2016", "with shortcuts networks train at depths at which plain ones do not"),
        learned=Plateau(half=lambda m: trains_better(m, a, "half_test")),
    )


CLAIM = Claim(
    id="F4.6",
    statement="Skip connections from layer i to layer i + 2 make it easier for the gradient to flow to the "
    "layers nearer the inputs.",
    source="notes, «diseño de la arquitectura»; Goodfellow et al. 2016, 6.4.2",
    options=SkipDepth,
    measure=measure,
    draw=draw,
    method=f"Networks of {WIDTH} units a layer and up to {DEPTHS[-1]} layers on scikit-learn's digits, "
    "1,258 training images. The deepest are trained by Adam for {options.steps} steps of {options.batch} "
    "images. Each activation with and without skips has its own learning rate and its own scale of the "
    "starting weights, chosen from sixteen pairs by the validation loss of {options.tuning_seeds} other "
    "seeds. {options.seeds} seeds are judged; the gradients are those at the start, at the chosen scale.",
    parts=(*map(_arrives, range(3)), *map(_more, range(3)), *map(_trains, range(3))),
    facts=lambda m: {
        "scales": "; ".join(
            f"{name} {m['scale'][a, PLAIN]:g} without and {m['scale'][a, SKIP]:g} with skips"
            for a, name in enumerate(ACTIVATIONS)
        ),
        "relu": "{:.2g} with and {:.2g} without skips".format(
            *(np.median(m["gradient"][0, way, -1]) for way in (SKIP, PLAIN))
        ),
    },
    reading="The scales chosen for the starting weights are: {facts[scales]}. The sums of the skips let "
    "outputs and gradients grow with depth, so with skips smaller weights are best; with the usual weights "
    "the gradient of ReLU networks explodes, which would also count as more gradient. That is why the first "
    "parts ask for its size, and why gradients are compared with those of a shallow network from the same "
    "scale. In absolute terms the median gradient of the deepest ReLU networks is {facts[relu]}: there the "
    "skips do not make it larger, but they keep it from falling with depth. The smallest scale of the grid "
    "is best for ReLU with skips, so that a smaller one may train even better.",
    revised="Redone after an audit of all rows. Before, both arms had to start with the usual weights, an "
    "exploding gradient counted as one that flows, and the row failed by the training of ReLU networks, "
    "which the notes do not mention. Now the scale of the start is chosen for both arms, the size of the "
    "gradient is judged, and training is beside. The audit had seen, on the old seeds, that smaller weights "
    "train; the judged seeds are fresh.",
)
