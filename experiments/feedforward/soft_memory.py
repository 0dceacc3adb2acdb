"""A softmax unit learns to address a memory that a hard choice cannot learn to address.

The notes: softmax units represent a distribution over k values, and so may be used as a kind of switch;
they are found in architectures that learn to manipulate memory.

Measured: beside each handwritten digit lies a memory of ten random vectors, new for every example. The
target is the vector in the slot of the digit's class; the class itself is never given. A network turns the
image into ten logits, reads the memory through softmax, and learns from the squared error of what it
read. Its rival reads the slot of the largest logit: the same error, but a gradient of exactly 0. To read
the mean of all slots, without looking at the image, gives an error of 0.9. Judged on test images: the
error, whether the largest logit is the right slot, and the largest weight. Memories are drawn anew for
each seed. The rate is constant, so that the network half-way is the network of half as many steps.
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
    Below,
    Claim,
    Measured,
    Options,
    Part,
    Plateau,
    Plot,
    Within,
    mean,
    notes,
    ours,
    over_cases,
)
from dlnotes.plotting import BLUE, GRAY, ORANGE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, evaluate, initial_params, optimizer, predict, tune_and_train
from dlnotes.typing import Array, Params

SLOTS, SIZE = 10, 8
SOFT, HARD = 0, 1
RATES = (0.001, 0.003, 0.01, 0.03)
ADDRESS = models.mlp(64, (32,), SLOTS)


class SoftMemory(Options):
    """Sizes of the experiment."""

    steps: int = Field(800, ge=20, description="of each training")
    batch_size: int = Field(64, ge=1, description="examples of a step")
    tuning_seeds: int = Field(3, ge=1, description="trainings at each learning rate, to choose one")


class Beside(NamedTuple):
    """An image and the memory beside it.

    Attributes:
      image: ``(n, 64)``.
      memory: ``(n, 10, 8)``.
    """

    image: Any
    memory: Any


def with_memory(examples: data.Examples, seed: int) -> data.Examples:
    """Each example with a memory of standard normal numbers; the target is the slot of its class."""
    memory = np.random.default_rng(seed).standard_normal((examples.size, SLOTS, SIZE), np.float32)
    return data.Examples(Beside(examples.x, memory), memory[np.arange(examples.size), examples.y])


def with_memories(examples: data.Examples, seeds: np.ndarray) -> data.Examples:
    """The examples with memories of each seed's own, with a members axis."""
    drawn = [with_memory(examples, seed) for seed in seeds]
    image = np.broadcast_to(examples.x, (len(seeds), *examples.x.shape))
    return data.Examples(Beside(image, np.stack([e.x.memory for e in drawn])), np.stack([e.y for e in drawn]))


def reader(hard: float | Array) -> models.Model:
    """The image gives the address; what is read is softly chosen, or with ``hard`` from one slot."""

    def apply(params: Params, x: Beside, /, *, key: Any = None, mask: Any = None) -> Array:
        logits = ADDRESS.apply(params, x.image)
        chosen = jax.nn.one_hot(jnp.argmax(logits, axis=-1), SLOTS)
        one = jnp.einsum("nk,nks->ns", chosen, x.memory)
        return jnp.where(hard > 0, one, layers.soft_read(x.memory, logits))

    return models.Model(ADDRESS.init, apply)


def recipe_of(hyper: Hyperparams) -> Recipe:
    """Adam on the squared error of what was read."""
    return Recipe(reader(hyper["hard"]), outputs.squared_error, {}, optimizer("adam", hyper["learning_rate"]))


def measure(options: SoftMemory) -> dict[str, np.ndarray]:
    """Train both readers, then look where they read."""
    train, validation, test = data.parts_of(data.load("digits"))
    half = options.steps // 2
    trained = tune_and_train(
        recipe_of,
        lambda seeds: with_memories(train, seeds),
        with_memory(validation, 1_000_000),
        {"hard": [0.0, 1.0]},
        {"learning_rate": RATES},
        start=lambda hyperparams, seeds: initial_params(ADDRESS, seeds, "he"),
        seeds=options.seeds,
        tuning_seeds=options.tuning_seeds,
        steps=2 * half,
        batch_size=options.batch_size,
        every=half,
        probe=lambda params: params,
    )
    memories = with_memory(test, 1_000_001)
    found: dict[str, list] = {"right": [], "closed": [], "error": []}
    for moment in (1, 2):
        params = jax.tree.map(lambda a: a[moment], trained.fit.probes)  # noqa: B023
        logits = predict(ADDRESS, params, test.x)  # (members, test, slots)
        weights = np.asarray(layers.soft_switch(jnp.asarray(logits)))
        right = logits.argmax(-1) == test.y
        found["right"].append(right.reshape(2, options.seeds, -1))
        found["closed"].append(weights.max(-1).reshape(2, options.seeds, -1))
        error = evaluate(recipe_of, trained.hyperparams, params, memories)["loss"]
        found["error"].append(trained.by_method(error))
    return {
        # half-way and at the end: right and closed (readers, seeds, test images), error (readers, seeds)
        **{f"half_{name}": values[0] for name, values in found.items()},
        **{name: values[1] for name, values in found.items()},
        "loss": trained.by_method(trained.fit.history["loss"]),
        "learning_rate": np.array(RATES)[trained.chosen],
        "address": np.array([weights[0, test.y == c].mean(0) for c in range(SLOTS)]),  # of the first seed
    }


def draw(options: SoftMemory, m: Measured) -> Plot:
    """The error of reading on the left, where a trained switch reads on the right."""
    figure = new_figure(9, 4)
    left, right = figure.subplots(1, 2, width_ratios=[1.2, 1])
    steps = np.arange(1, len(m["loss"]) + 1)
    table: dict[str, Any] = {"step": steps}
    for k, (name, color) in enumerate((("softmax switch", BLUE), ("hard choice", ORANGE))):
        low, middle, high = np.quantile(m["loss"][:, k], [0.1, 0.5, 0.9], axis=1)
        left.fill_between(steps, low, high, color=color, alpha=0.2, lw=0)
        left.plot(steps, middle, color=color, lw=1.3, label=name)
        table |= {f"{name} {q}": v for q, v in (("10%", low), ("median", middle), ("90%", high))}
    left.axhline(1 - 1 / SLOTS, color=GRAY, ls=":", label="mean of all slots, 0.9")
    left.set(xlabel="step", ylabel="squared error of the read\nmedian and 80% of seeds", ylim=(0, None))
    left.legend(fontsize=9)
    image = right.imshow(100 * m["address"], cmap="Blues", vmin=0, vmax=100)
    right.set(
        xlabel="slot of the memory", ylabel="digit in the image", xticks=range(SLOTS), yticks=range(SLOTS)
    )
    right.grid(visible=False)
    figure.colorbar(image, ax=right, label="mean weight of the switch (%)")
    soft, hard = 100 * m["right"].mean((1, 2))
    set_title(
        figure,
        f"Without class labels, a softmax switch learns to read the right slot for {soft:.0f}% of test "
        f"images, "
        f"a hard choice for {hard:.0f}%",
    )
    return Plot(figure, table)


SECTION = "unidades escondidas"

CLAIM = Claim(
    id="F3.7",
    statement="A softmax hidden unit is a kind of switch that can be learned by gradient, such as to address "
    "a memory.",
    source="notes, «unidades escondidas»; Goodfellow et al. 2016, 6.3.3; Graves et al. 2014",
    options=SoftMemory,
    measure=measure,
    draw=draw,
    method="Beside each of scikit-learn's digits (1,258 training, 359 test images) lies a memory of ten "
    "random vectors, and the target is the vector in the slot of the digit's class. A network of 32 ReLU "
    "units turns the image into ten logits; it reads the memory through softmax, or the slot of the largest "
    "logit. It is trained by Adam on the squared error for {options.steps} steps of {options.batch_size} "
    "images; the rate is chosen by the validation loss of {options.tuning_seeds} other seeds, and "
    "{options.seeds} seeds are judged. Intervals cover seeds and test images, that of the error seeds only.",
    parts=(
        Part(
            "softmax addresses",
            "Through softmax the network learns by gradient which slot to read, from the content alone.",
            what="share of test images whose largest weight is on the right slot",
            effect=lambda m: over_cases(m["right"][SOFT]),
            rule=Above(0.9),
            source=notes(SECTION, "softmax units are used in architectures that learn to manipulate memory"),
            learned=Plateau(half=lambda m: over_cases(m["half_right"][SOFT])),
        ),
        Part(
            "works as a switch",
            "The unit works as a switch: nearly all weight is on one slot.",
            what="mean largest weight of the softmax unit, test images",
            effect=lambda m: over_cases(m["closed"][SOFT]),
            rule=Above(0.9),
            source=notes(SECTION, "softmax units represent a distribution over k values: a kind of switch"),
            learned=Plateau(half=lambda m: over_cases(m["half_closed"][SOFT])),
        ),
        Part(
            "better than the mean",
            "What it reads is nearer to the target than the mean of all slots, whose error is 0.9.",
            what="squared error of what softmax reads, test images",
            effect=lambda m: mean(m["error"][SOFT]),
            rule=Below(0.9),
            source=ours("an error below that of ignoring the image shows that the switch is used"),
            learned=Plateau(half=lambda m: mean(m["half_error"][SOFT])),
        ),
        Part(
            "hard choice at chance",
            "A hard choice, whose gradient is 0, stays near chance, one in ten.",
            what="share of test images whose largest weight is on the right slot, hard choice",
            effect=lambda m: over_cases(m["right"][HARD]),
            rule=Within(0.03, 0.17),
            source=ours("shows that it is the softmax that makes the switch learnable"),
        ),
    ),
    reading="The switch finds the right slot for a share of {parts[softmax addresses]} of the test images. "
    "The memory is small and the content is easy to classify; the notes have larger architectures in mind, "
    "which this does not test.",
    revised="After a first look: memories of each seed's own instead of one for all, and the part on the "
    "mean of all slots in place of one on the gradient of the hard choice, which could not fail. After an "
    "audit of all rows: three tuning seeds and intervals over test images too.",
)
