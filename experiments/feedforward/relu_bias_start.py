"""Biases started at 0.1, and how many ReLU units are active at the start.

The notes: it is good practice to start the biases of ReLU units at a small positive number such as 0.1;
then it is very likely that a unit is active at first for most training examples, and derivatives pass.

Measured: networks of six hidden layers of ReLU units on handwritten digits, from biases of 0 and of 0.1
with the same weights: the share of units times examples with z > 0, layer by layer; the share of units
active on more than half of the training examples; the gradient of the loss in the first layer. Weights
start by He's rule, and also normal with deviation 0.01, as was usual when the advice was written. Then
networks are trained from all four starts by SGD, each at its own best learning rate; and networks of two
hidden layers from the small weights, since six layers do not train from them.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import data, models, outputs
from dlnotes.claims import (
    Above,
    Below,
    Claim,
    Interval,
    Measured,
    Options,
    Part,
    Plot,
    mean,
    notes,
    ours,
    paired,
    ratio,
)
from dlnotes.layers import Dense, relu
from dlnotes.plotting import GRAY, ORANGE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, Tuned, along, initial_params, optimizer, tune_and_train
from dlnotes.typing import Array

from ._square_stack import Stack, pre_activations, stack

DEPTH, SHALLOW, WIDTH = 6, 2, 64
BIAS = 0.1
DEVIATION = 0.01
HE, SMALL = 0, 1
WEIGHTS = ("He's weights", "small weights")
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


class ReluBiasStart(Options):
    """Sizes of the experiment."""

    seeds: int = Field(30, ge=10, description="networks of each start")
    steps: int = Field(300, ge=10, description="of each training")
    batch_size: int = Field(64, ge=1, description="examples of a step")
    tuning_seeds: int = Field(3, ge=1, description="trainings at each learning rate, to choose one")


NETWORK, SHALLOW_NETWORK = (stack(WIDTH, depth, 10, relu) for depth in (DEPTH, SHALLOW))


def starts(
    bias: np.ndarray, deviation: np.ndarray, seeds: np.ndarray, network: models.Model = NETWORK
) -> Stack:
    """Weights by He's rule, or of a deviation where one above 0 is given; all hidden biases alike."""
    params = initial_params(network, seeds, "he")
    W, b = params.hidden
    scale = np.where(deviation > 0, deviation / (2 / WIDTH) ** 0.5, 1.0)
    return params._replace(hidden=Dense(W * along(scale, W), b + along(bias, b)))


def at_start(params: Stack, x: Array, y: Array) -> dict[str, Array]:
    """Activity of each layer, ``(layers,)``, and the gradient in the first, of one network at its start."""

    def loss(p: Stack) -> Array:
        return jnp.mean(outputs.cross_entropy(NETWORK.apply(p, x), y).total)

    on = (pre_activations(params, x, relu) > 0).astype(jnp.float32)
    return {
        "active": on.mean((1, 2)),
        "most": (on.mean(1) > 0.5).astype(jnp.float32).mean(1),
        "gradient": jnp.linalg.norm(jax.grad(loss)(params).hidden.W[0]),
    }


def train_from(options: ReluBiasStart, network: models.Model, bias: list, deviation: list) -> Tuned:
    """SGD with momentum on the digits from several starts, each at the rate with the least training loss."""

    def recipe_of(hyper: Hyperparams) -> Recipe:
        return Recipe(
            network,
            outputs.cross_entropy,
            {"accuracy": outputs.accuracy},
            optimizer("sgd", hyper["learning_rate"], momentum=0.9),
        )

    return tune_and_train(
        recipe_of,
        data.parts_of(data.load("digits"))[0],
        None,
        {"bias": bias, "deviation": deviation},
        {"learning_rate": RATES},
        start=lambda hyper, seeds: starts(hyper["bias"], hyper["deviation"], seeds, network),
        seeds=options.seeds,
        tuning_seeds=options.tuning_seeds,
        steps=options.steps,
        batch_size=options.batch_size,
    )


def measure(options: ReluBiasStart) -> dict[str, np.ndarray]:
    """Look at the starts, then train from both biases."""
    train, _, _ = data.parts_of(data.load("digits"))
    x, y = jnp.asarray(train.x), jnp.asarray(train.y)
    seeds, w, b = (v.ravel() for v in np.meshgrid(np.arange(options.seeds), [0, 1], [0, 1], indexing="ij"))
    params = starts(BIAS * b, DEVIATION * w, seeds)
    start = jax.jit(lambda params: jax.lax.map(lambda p: at_start(p, x, y), params, batch_size=8))(params)
    deep = train_from(options, NETWORK, [0.0, BIAS] * 2, [0.0, 0.0, DEVIATION, DEVIATION])
    shallow = train_from(options, SHALLOW_NETWORK, [0.0, BIAS], [DEVIATION, DEVIATION])
    loss, few = (t.by_method(t.fit.history["loss"]) for t in (deep, shallow))
    return {
        # (seeds, weights, biases, ...)
        **{name: np.asarray(v).reshape(options.seeds, 2, 2, *v.shape[1:]) for name, v in start.items()},
        "loss": loss.reshape(len(loss), 2, 2, -1),  # (steps, weights, biases, seeds)
        "learning_rate": np.array(RATES)[deep.chosen].reshape(2, 2),
        "shallow_loss": few,  # (steps, biases, seeds), small weights
        "shallow_learning_rate": np.array(RATES)[shallow.chosen],
    }


def gain(m: Measured, layer: int) -> Interval:
    """How much the bias raises the active share of a layer under He's rule."""
    return paired(m["active"][:, HE, 1, layer], m["active"][:, HE, 0, layer])


def least_gain(m: Measured) -> Interval:
    """The `gain` of the layer in which it is least."""
    return min((gain(m, layer) for layer in range(DEPTH)), key=lambda found: found.value)


def late_loss(m: Measured, name: str = "loss") -> np.ndarray:
    """Mean training loss of the second half of training, ``(weights, biases, seeds)`` or without weights."""
    return m[name][len(m[name]) // 2 :].mean(0)


def draw(options: ReluBiasStart, m: Measured) -> Plot:
    """Active share by layer on the left, training on the right."""
    figure = new_figure(10, 4.2)
    left, right = figure.subplots(1, 2)
    layers = np.arange(1, DEPTH + 1)
    steps = np.arange(1, len(m["loss"]) + 1)
    table: dict[str, list] = {
        k: [] for k in ("weights", "bias", "layer", "active", "active_deviation", "most")
    }
    for w, (weights, dash) in enumerate(zip(("He", f"deviation {DEVIATION}"), ("-", "--"))):
        for b, (bias, color) in enumerate(((0.0, GRAY), (BIAS, ORANGE))):
            shares = 100 * m["active"][:, w, b]
            middle, spread = shares.mean(0), shares.std(0)
            left.errorbar(layers, middle, spread, color=color, ls=dash, marker="o", capsize=2,
                          label=f"{weights}, b = {bias:g}")  # fmt: skip
            for i in range(DEPTH):
                row = (weights, bias, i + 1, middle[i] / 100, spread[i] / 100, m["most"][:, w, b, i].mean())
                for name, value in zip(table, row):
                    table[name].append(value)
            losses, rate = (m["loss"][:, HE, b], m["learning_rate"][HE, b])
            if w == SMALL:
                losses, rate = m["shallow_loss"][:, b], m["shallow_learning_rate"][b]
            low, middle, high = np.quantile(losses, [0.1, 0.5, 0.9], axis=1)
            right.fill_between(steps, low, high, color=color, alpha=0.15, lw=0)
            label = f"{weights}, {(DEPTH, SHALLOW)[w]} layers, b = {bias:g}, learning rate {rate:g}"
            right.plot(steps, middle, dash, color=color, lw=1.4, label=label)
    left.set(xlabel="hidden layer", ylabel="units × examples with z > 0 (%)", ylim=(0, 103), xticks=layers)
    left.set_title("at the start")
    left.legend(loc="lower right", fontsize=9, handlelength=4, title="weights, biases")
    right.set(xlabel="step", ylabel="training loss (nats)", yscale="log")
    right.set_title("training, each at its own learning rate")
    right.set_ylim(top=1e3)
    right.legend(fontsize=9, handlelength=4, loc="upper right", title="weights, biases: median and 80%")
    before, after = (100 * m["active"][:, HE, b].mean() for b in (0, 1))
    small = 100 * m["active"][:, SMALL, 1].mean()
    set_title(
        figure,
        f"Biases of 0.1 raise the active share of ReLU units × examples from {before:.0f}% to {after:.0f}% "
        f"with He's weights, to {small:.0f}% with small ones",
    )
    return Plot(figure, table)


GOOD = notes(
    "unidades escondidas",
    "It is good practice to start all biases at a small positive number such as 0.1: then it is very likely "
    "that a ReLU unit is active at first for most inputs of the training set, and derivatives pass.",
)


def _most_inputs(weights: int) -> Part:
    return Part(
        f"active on most inputs, {WEIGHTS[weights]}",
        f"With biases of 0.1 a unit is very likely (nine in ten) active on most training examples, "
        f"{WEIGHTS[weights]}.",
        what="share of units that are active on more than half of the training examples",
        effect=lambda m: mean(m["most"][:, weights, 1].mean(-1)),
        rule=Above(0.9),
        source=GOOD,
    )


def _derivatives(weights: int) -> Part:
    return Part(
        f"derivatives pass, {WEIGHTS[weights]}",
        f"The gradient that reaches the first layer is larger with biases of 0.1, {WEIGHTS[weights]}.",
        what="norm of the first layer's gradient at the start, biases of 0.1 divided by biases of 0",
        effect=lambda m: ratio(m["gradient"][:, weights, 1], m["gradient"][:, weights, 0]),
        rule=Above(1.0),
        source=GOOD,
    )


def _trains(name: str, where: str, losses: Callable[[Measured], np.ndarray]) -> Part:
    """``losses`` gives the late losses, ``(biases, seeds)``."""
    return Part(
        f"training, {name}",
        f"From biases of 0.1 training gets further in the same steps, {where}, each start at its own best "
        "rate.",
        what="mean training loss of the second half of {options.steps} steps, biases of 0.1 divided by 0",
        effect=lambda m: ratio(losses(m)[1], losses(m)[0]),
        rule=Below(1.0),
        source=ours("whether the good practice shows in training"),
    )


def _facts(m: Measured) -> dict[str, float | str]:
    """Active shares and losses of the four starts."""

    def percent(w: int, b: int) -> str:
        return f"{100 * m['active'][:, w, b].mean():.0f}%"

    late = late_loss(m).mean(-1)
    return {
        "He, 0": percent(HE, 0),
        "He, 0.1": percent(HE, 1),
        "small, 0": percent(SMALL, 0),
        "small, 0.1": percent(SMALL, 1),
        "small, six layers": f"{late[SMALL, 0]:.2f} and {late[SMALL, 1]:.2f}",
        "bias": BIAS,
        "deviation": DEVIATION,
    }


CLAIM = Claim(
    id="F3.1",
    statement="Starting the biases of ReLU units at a small positive number such as 0.1 makes it very likely "
    "that they are active at first for most training examples, and lets derivatives pass.",
    source="notes, «unidades escondidas»; Goodfellow et al. 2016, 6.3.1",
    options=ReluBiasStart,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "more units are active",
            "With biases of 0.1 more units are active at the start than with biases of 0, in every layer.",
            what="rise of the share of units × examples with z > 0, in the layer where it is least, He's "
            "weights",
            effect=least_gain,
            rule=Above(0.0),
            source=GOOD,
        ),
        *map(_most_inputs, (HE, SMALL)),
        *map(_derivatives, (HE, SMALL)),
        _trains("He's weights", "six layers with He's weights", lambda m: late_loss(m)[HE]),
        _trains("small weights", "two layers with small weights", lambda m: late_loss(m, "shallow_loss")),
    ),
    facts=_facts,
    method="scikit-learn's digits (1,258 to train on). Networks of six hidden layers of 64 ReLU units; "
    "weights by He's rule or normal with deviation 0.01, biases 0 or 0.1, the same weights for both; "
    "{options.seeds} networks of each. They are looked at before training and then trained by SGD with "
    "momentum 0.9, {options.steps} steps of {options.batch_size}; each start's learning rate is the one of "
    "seven with the least training loss on {options.tuning_seeds} other networks. Networks of two layers "
    "are trained from the small weights too.",
    reading="With He's weights z has a deviation of the order of one, beside which a bias of {facts[bias]} "
    "is little: the active share rises from {facts[He, 0]} to {facts[He, 0.1]}, and the share of units "
    "that are active on most inputs is {parts[active on most inputs, He's weights]}. The book has the same "
    "sentence. It is from a time when weights started at a deviation of about {facts[deviation]}: there "
    "the bias outweighs z, and the active share rises from {facts[small, 0]} to {facts[small, 0.1]}. The "
    "advice does what it says for small weights and not for today's usual start. From small weights the "
    "six layers do not train with either bias: the loss ends at {facts[small, six layers]} nats, which is "
    "guessing. So training is compared in networks of two layers there: the loss from biases of "
    "{facts[bias]}, divided by that from biases of zero, is {parts[training, small weights]}; with He's "
    "weights it is {parts[training, He's weights]}.",
    revised="Learning rates were at first chosen by the validation loss; they are chosen by the training "
    "loss now, which is what is compared. Before that, b = 0.1 and b = 0 had got different rates, the "
    "ratio of training losses with He's weights was 0.56 (0.44 to 0.75) and its part held. After an audit "
    "of all rows networks with small weights are trained too, with a wider grid of rates: first of six "
    "layers, which did not train from either bias, then of two.",
)
