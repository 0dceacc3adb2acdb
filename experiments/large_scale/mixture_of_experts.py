"""A gate that weighs all experts, and one that chooses: work, time, and what each learns.

The notes: a mixture of experts combines the results of all of them, weighted by the gater, which then offers
no reduction of the cost. If a single expert is chosen for each example, training and inference can become
faster. To gain it with a batch, examples that take the same branch are grouped.

Measured: multiply-adds of both mixtures, of one expert alone and of all of them; times of the forward pass
and of the gradient, in turns, with the gate and the grouping included. Then classes are learned of images
of four kinds at once: digits and clothes, upright and turned by 90 degrees. Nobody tells the gate which kind
an image is. Rivals are a perceptron of the size of one expert, with as many multiply-adds, and
one as wide as all experts together, with as many parameters; and the hard mixture without the penalty that
keeps all experts in use.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field
from scipy import special

from dlnotes import analysis, data, models, outputs
from dlnotes.claims import (
    Above,
    Below,
    Claim,
    Interval,
    Measured,
    Options,
    Part,
    Plateau,
    Plot,
    Within,
    exact,
    mean,
    median,
    notes,
    ours,
    paired,
)
from dlnotes.layers import sort_by_group
from dlnotes.layers.large_scale.grouped import grouped_dense, masked_dense_of_groups
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, evaluate, optimizer, tune_briefly_and_train
from dlnotes.typing import Array, Params

from ._timed import in_turns

SETS = ("mnist", "fashion_mnist")
KINDS = ("digits", "clothes", "digits, turned", "clothes, turned")
INPUTS, CLASSES, EXPERTS, UNITS = 784, 10, 8, 64
TIMED_UNITS = 128
"""Hidden units of the experts whose times are taken."""
BALANCE, NOISE = 0.3, 0.3
"""From a pilot on scikit-learn's digits and on MNIST: with 0.01 one of eight experts got nearly all."""
RATES = (0.0003, 0.001, 0.003)
NETWORKS = ("hard", "hard, no penalty", "soft", "one expert's size", "all experts' size")
HARD, FREE, SOFT, ONE, WIDE = range(len(NETWORKS))
PROGRAMS = ("one expert", "hard", "soft", "masked")
FIRST_SEED = 14_100


class MixtureOfExperts(Options):
    """Sizes of the experiment."""

    images: int = Field(6000, ge=32, description="training images of each kind")
    test: int = Field(2500, ge=16, description="test images of each kind")
    steps: int = Field(3000, ge=2, description="of each training")
    batch_size: int = Field(64, ge=1, description="examples of a step")
    tuning_seeds: int = Field(3, ge=1, description="trainings at each learning rate, to choose one")
    tuning_steps: int = Field(500, ge=1, description="steps of those trainings")
    rows: int = Field(4096, ge=16, description="examples of a batch whose time is taken")
    rounds: int = Field(20, ge=2, description="repetitions of all timings")


def mixture(gate: Any, units: int = UNITS, balance: float | Array = BALANCE) -> models.Model:
    """Eight experts behind a gate."""
    return models.mixture_of_experts(
        INPUTS, EXPERTS, units, CLASSES, gate=gate, balance=balance, noise=NOISE if gate == "hard" else 0.0
    )


def network(which: int, hyper: Hyperparams) -> models.Model:
    """One of `NETWORKS`."""
    if which in (HARD, FREE):
        return mixture("hard", balance=hyper["balance"])
    if which == SOFT:
        return mixture("soft")
    return models.mlp(INPUTS, (UNITS if which == ONE else UNITS * EXPERTS,), CLASSES)


def recipe_of(which: int) -> Callable[[Hyperparams], Recipe]:
    """Classes by Adam with a member's rate."""

    def of(hyper: Hyperparams) -> Recipe:
        return Recipe(
            network(which, hyper),
            outputs.penalized(outputs.cross_entropy),
            {"accuracy": outputs.unpenalized(outputs.accuracy)},
            optimizer("adam", hyper["learning_rate"]),
            random=which in (HARD, FREE),
        )

    return of


def kinds(options: MixtureOfExperts) -> tuple[data.Examples, data.Examples, data.Examples, np.ndarray]:
    """Training, validation and test images of all kinds, and the kind of each test image."""
    sizes = options.images, max(8, options.images // 10), options.test
    sets = [data.parts_of(data.load(name), *sizes) for name in SETS]
    found = []
    for part in range(3):
        upright = [s[part].x for s in sets]
        images = [*upright, *map(turned, upright)]
        found.append(data.Examples(np.concatenate(images), np.concatenate([s[part].y for s in sets] * 2)))
    return (*found, np.repeat(np.arange(len(KINDS)), [len(x) for x in images]))


def turned(x: np.ndarray) -> np.ndarray:
    """Images ``(n, 784)`` turned by 90 degrees."""
    return np.rot90(x.reshape(-1, 28, 28), axes=(1, 2)).reshape(len(x), -1).copy()


def learn(
    options: MixtureOfExperts, which: tuple[int, ...], parts: tuple[data.Examples, ...]
) -> tuple[np.ndarray, np.ndarray, Params]:
    """Test accuracy half-way and at the end ``(2, networks, seeds)``, the rates, and the parameters.

    ``which`` is one network, or those that differ in the weight of the penalty only.
    """
    train, validation, test = parts
    half = max(1, options.steps // 2)
    of = recipe_of(which[0])
    trained = tune_briefly_and_train(
        lambda _: of,
        train,
        validation,
        {"balance": [BALANCE, 0.0] if len(which) == 2 else [BALANCE]},
        {"learning_rate": RATES},
        seeds=options.seeds,
        tuning_seeds=options.tuning_seeds,
        first_seed=FIRST_SEED,
        steps=2 * half,
        tuning_steps=options.tuning_steps,
        batch_size=min(options.batch_size, train.size),
        record=50,
        every=half,
        probe=lambda params: params,
    )
    moments = [jax.tree.map(lambda a, i=i: a[i], trained.fit.probes) for i in (1, 2)]
    accuracy = [evaluate(of, trained.hyperparams, p, test)["accuracy"] for p in moments]
    return trained.by_method(accuracy), np.array(RATES)[trained.chosen], trained.fit.params


def routes(params: Params, x: np.ndarray) -> np.ndarray:
    """The expert of each image, ``(members, images)``."""
    of_one = jax.jit(lambda p, x: jnp.argmax(models.gate_weights(p, x), axis=-1))
    return np.asarray(jax.lax.map(lambda p: of_one(p, jnp.asarray(x)), params))


def counted() -> dict[str, np.ndarray]:
    """Multiply-adds of one example."""
    x = np.zeros((1, INPUTS), np.float32)
    one = analysis.count(models.mlp(INPUTS, (UNITS,), CLASSES), x).multiply_adds
    hard, soft = (analysis.count(mixture(gate), x).multiply_adds for gate in ("hard", "soft"))
    return {"work": np.array([one, hard, soft, EXPERTS * one])}


def timed(options: MixtureOfExperts) -> dict[str, np.ndarray]:
    """Seconds of `PROGRAMS`, forward and with the gradient, ``(programs, rounds)``."""
    key = jax.random.key(FIRST_SEED)
    x = jax.random.normal(key, (options.rows, INPUTS))
    y = jax.random.randint(key, (options.rows,), 0, CLASSES)
    hard, soft = (mixture(gate, TIMED_UNITS) for gate in ("hard", "soft"))
    alone = models.mlp(INPUTS, (TIMED_UNITS,), CLASSES)
    of_mixture, of_one = hard.init(key), alone.init(key)

    def masked(params: Params, x: Array) -> Array:
        """The hard mixture by computing all experts and keeping one."""
        experts = params.learned
        first, last = experts.hidden[0], experts.output
        gates = models.gate_weights(experts, x)
        chosen = jnp.argmax(gates, axis=-1).astype(jnp.int32)
        h = jax.nn.relu(masked_dense_of_groups(x, first.W, first.b, chosen))
        return jnp.max(gates, axis=-1, keepdims=True) * masked_dense_of_groups(h, last.W, last.b, chosen)

    forward = [alone.apply, hard.apply, soft.apply, masked]
    given = [of_one, of_mixture, of_mixture, of_mixture]

    def gradient(f: Any) -> Any:
        return jax.grad(lambda p, x, y: jnp.mean(outputs.cross_entropy(f(p, x), y).total))

    runs = [2, 2, 1, 1]
    seconds = in_turns(
        [partial(jax.jit(f), p, x) for f, p in zip(forward, given)],
        options.rounds,
        runs=runs,
    )
    learning = in_turns(
        [partial(jax.jit(gradient(f)), p, x, y) for f, p in zip(forward, given)],
        options.rounds,
        runs=runs,
    )
    return {"forward": seconds, "gradient": learning, "products": products(options, x, of_mixture)}


def products(options: MixtureOfExperts, x: Array, params: Params) -> np.ndarray:
    """Seconds of the experts' first layer, grouped and masked, ``(2, rounds)``."""
    layer = params.learned.hidden[0]
    chosen = jnp.argmax(models.gate_weights(params, x), axis=-1).astype(jnp.int32)
    grouped = jax.jit(lambda p, x, e: grouped_dense(p, x, sort_by_group(e, EXPERTS)))
    masked = jax.jit(lambda p, x, e: masked_dense_of_groups(x, p.W, p.b, e))
    return in_turns([partial(f, layer, x, chosen) for f in (grouped, masked)], options.rounds, runs=[2, 1])


def measure(options: MixtureOfExperts) -> dict[str, np.ndarray]:
    """Count, take times, then train all networks."""
    found = counted() | timed(options)
    *parts, kind = kinds(options)
    accuracy, rates, routed = [], [], []
    for which in ((HARD, FREE), (SOFT,), (ONE,), (WIDE,)):
        a, rate, params = learn(options, which, tuple(parts))
        accuracy.append(a)
        rates.append(rate)
        if which[0] in (HARD, SOFT):
            routed.append(routes(params, parts[2].x).reshape(len(which), options.seeds, -1))
    return found | {
        "accuracy": np.concatenate(accuracy, axis=1),  # (half-way and end, networks, seeds)
        "learning_rate": np.concatenate(rates),
        "routed": np.concatenate(routed).astype(np.int32),  # (hard, without penalty and soft, seeds, images)
        "kind": kind,
    }


def lead(m: Measured, over: int, moment: int = -1) -> Interval:
    """Test accuracy of the hard mixture minus a rival's, percentage points."""
    return paired(100 * m["accuracy"][moment, HARD], 100 * m["accuracy"][moment, over])


def table_of(m: Measured, network: int) -> np.ndarray:
    """Images by kind and expert, ``(seeds, kinds, experts)``."""
    routed = m["routed"][network]
    pairs = m["kind"][None] * EXPERTS + routed
    counts = [np.bincount(p, minlength=len(KINDS) * EXPERTS) for p in pairs]
    return np.array(counts, float).reshape(-1, len(KINDS), EXPERTS)


def used(m: Measured, network: int) -> np.ndarray:
    """Experts that get more than a hundredth of the test images, of each seed."""
    shares = table_of(m, network).sum(1)
    return (shares / shares.sum(1, keepdims=True) > 0.01).sum(1)


def known(m: Measured, network: int) -> np.ndarray:
    """Mutual information of kind and expert over the entropy of the kind, of each seed."""
    p = table_of(m, network)
    p = p / p.sum((1, 2), keepdims=True)
    of_kind, of_expert = special.entr(p.sum(2)).sum(1), special.entr(p.sum(1)).sum(1)
    return (of_kind + of_expert - special.entr(p).sum((1, 2))) / of_kind


def times(m: Measured, what: str, program: str, over: str) -> Interval:
    """Median over rounds of a program's time over another's."""
    seconds = m[what]
    return median(seconds[PROGRAMS.index(program)] / seconds[PROGRAMS.index(over)])


def draw(options: MixtureOfExperts, m: Measured) -> Plot:
    """Times, accuracy, and who gets which kind."""
    figure = new_figure(12.6, 4.2)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1.25, 1))
    for i, (what, color) in enumerate((("forward", BLUE), ("gradient", ORANGE))):
        ratios = m[what] / m[what][:1]
        left.bar(np.arange(len(PROGRAMS)) + 0.4 * i, np.median(ratios, 1), 0.36, color=color, label=what)
    left.axhline(1, color=GRAY, lw=0.8, ls=":")
    left.set_xticks(np.arange(len(PROGRAMS)) + 0.2, PROGRAMS, fontsize=9)
    left.set(ylabel="time, over that of one expert")
    left.legend(fontsize=9)
    accuracy = 100 * m["accuracy"][-1]
    places = np.arange(len(NETWORKS))
    middle.plot(accuracy, places, ".", color=GREEN, alpha=0.4)
    middle.plot(accuracy.mean(1), places, "o", color=GREEN)
    middle.set_yticks(places, NETWORKS, fontsize=9)
    middle.invert_yaxis()
    middle.set(xlabel="test accuracy (%), seeds and mean")
    counts = table_of(m, HARD)[0]
    order = np.argsort(counts.argmax(0), kind="stable")
    shares = 100 * (counts / counts.sum(1, keepdims=True))[:, order]
    image = right.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    right.grid(False)
    right.set_yticks(range(len(KINDS)), KINDS, fontsize=9)
    right.set_xticks(range(EXPERTS), [str(e + 1) for e in order], fontsize=9)
    right.set(xlabel="expert (first seed)")
    figure.colorbar(image, ax=right, fraction=0.05, label="share of the kind's images (%)")
    gain = np.median(m["forward"][2] / m["forward"][1])
    set_title(figure, f"Choosing one of {EXPERTS} experts: {gain:.1f} times faster than weighing all of them")
    table = {
        "network": list(NETWORKS),
        "accuracy": [float(v) for v in m["accuracy"][-1].mean(1)],
        "deviation": [float(v) for v in m["accuracy"][-1].std(1)],
        "learning_rate": [float(v) for v in m["learning_rate"]],
    }
    return Plot(figure, table)


def _facts(m: Measured) -> dict[str, Any]:
    accuracy = 100 * m["accuracy"][-1].mean(1)
    return {
        "hard": f"{accuracy[HARD]:.1f}",
        "soft": f"{accuracy[SOFT]:.1f}",
        "one": f"{accuracy[ONE]:.1f}",
        "wide": f"{accuracy[WIDE]:.1f}",
        "free": f"{accuracy[FREE]:.1f}",
    }


SECTION = "aprendizaje profundo a gran escala"
ACCELERATES = "a strong mixture, one expert for each example, can accelerate training and inference"

CLAIM = Claim(
    id="L13.10",
    statement="A mixture of experts weighs the results of all experts, and the gater then saves no "
    "computation. If one expert is chosen for each example, training and inference can be faster.",
    source="notes, «aprendizaje profundo a gran escala»; Jacobs et al. 1991; Goodfellow et al. 2016, 12.1.6",
    options=MixtureOfExperts,
    measure=measure,
    draw=draw,
    method=f"Counted are multiply-adds of {EXPERTS} experts of {UNITS} ReLU units behind a gate. Times are "
    f"taken in turns in {{options.rounds}} rounds, with a batch of {{options.rows}} and experts of "
    f"{TIMED_UNITS} units, gate and grouping included. Networks then learn the class of images of MNIST and "
    "Fashion-MNIST, upright and turned by 90 degrees: {options.images} training images of each of the four "
    "kinds, Adam with a constant rate, {options.steps} steps of {options.batch_size}. Each has its own "
    f"rate of {len(RATES)}, chosen by the validation loss of {{options.tuning_seeds}} other seeds after "
    "{options.tuning_steps} steps. {options.seeds} seeds are judged on {options.test} test images of each "
    "kind; intervals cover seeds, or rounds of timing, only.",
    parts=(
        Part(
            "soft, work",
            "A soft gate saves nothing: all experts are computed for each example.",
            what="multiply-adds of the soft mixture over those of all experts",
            effect=lambda m: exact(m["work"][2] / m["work"][3]),
            rule=Within(1.0, 1.2),
            source=notes(SECTION, "with weights for all experts the gater offers no reduction of the cost"),
        ),
        Part(
            "hard, work",
            "A hard gate computes one expert for each example, and itself.",
            what="multiply-adds of the hard mixture over those of one expert",
            effect=lambda m: exact(m["work"][1] / m["work"][0]),
            rule=Within(1.0, 1.3),
            source=notes(SECTION, ACCELERATES),
        ),
        *(
            Part(
                f"hard, {name}",
                f"Choosing one expert makes {name} faster than weighing all of them.",
                what=f"time of the {program} with a soft gate over that with a hard one, times",
                effect=lambda m, key=key: times(m, key, "soft", "hard"),
                rule=Above(1.0),
                source=notes(SECTION, ACCELERATES),
            )
            for name, program, key in (
                ("inference", "forward pass", "forward"),
                ("training", "gradient", "gradient"),
            )
        ),
        *(
            Part(
                f"near one expert, {name}",
                f"The {program} of the hard mixture takes at most 1.3 times that of one expert.",
                what="time of the hard mixture over that of one expert, times",
                effect=lambda m, key=key: times(m, key, "hard", "one expert"),
                rule=Below(1.3),
                source=ours("it tells how much of the saved work is saved in time"),
            )
            for name, program, key in (
                ("inference", "forward pass", "forward"),
                ("training", "gradient", "gradient"),
            )
        ),
        Part(
            "grouped",
            "Products of grouped rows are more than three times faster than all products and a mask.",
            what="time of the experts' first layer by a mask over that by groups, times",
            effect=lambda m: median(m["products"][1] / m["products"][0]),
            rule=Above(3.0),
            source=ours("the notes group examples that take the same branch; this is what it brings"),
        ),
        Part(
            "equal work",
            "The hard mixture classifies better than a perceptron of one expert's size.",
            what="test accuracy of the hard mixture minus that of one expert's size, percentage points",
            effect=lambda m: lead(m, ONE),
            rule=Above(0.0),
            source=ours("what more experts bring at the same work"),
            learned=Plateau(half=lambda m: lead(m, ONE, 0)),
        ),
        Part(
            "equal parameters",
            "The hard mixture is at most a point worse than a perceptron of as many parameters.",
            what="test accuracy of the hard mixture minus that of all experts' size, percentage points",
            effect=lambda m: lead(m, WIDE),
            rule=Above(-1.0),
            source=ours("what the saved work costs"),
            learned=Plateau(half=lambda m: lead(m, WIDE, 0)),
        ),
        Part(
            "all in use",
            "With the penalty more than seven of the eight experts are in use.",
            what="experts that get more than 1% of the test images",
            effect=lambda m: mean(used(m, HARD)),
            rule=Above(EXPERTS - 1.0),
            source=ours("an expert that is not used is lost"),
        ),
        Part(
            "collapse",
            "Without the penalty fewer than half of the experts are in use.",
            what="experts that get more than 1% of the test images, no penalty",
            effect=lambda m: mean(used(m, FREE)),
            rule=Below(EXPERTS / 2),
            source=ours("users of mixtures report that few experts get all examples"),
        ),
        Part(
            "kinds",
            "The gate finds the kinds of images, of which it is told nothing.",
            what="mutual information of kind and expert, as a share of the entropy of the kind",
            effect=lambda m: mean(known(m, HARD)),
            rule=Above(0.5),
            source=ours("experts could also divide the images in another way"),
        ),
    ),
    facts=_facts,
    reading="A soft gate computes {parts[soft, work]} times the work of all experts, a hard one "
    "{parts[hard, work]} times that of one. Choosing makes inference {parts[hard, inference]} times and "
    "training {parts[hard, training]} times faster than weighing all. Test accuracy is {facts[hard]}% with "
    "a hard gate, {facts[soft]}% with a soft one, {facts[one]}% for a perceptron of one expert's size and "
    "{facts[wide]}% for one of the size of all of them. The penalty keeps {parts[all in use]} experts in "
    "use; without it {parts[collapse]} are, and the accuracy is {facts[free]}%.",
    revised="The weight of the penalty, the noise of the gate and a penalty by the loads of the last step "
    "come from pilots on digits and on MNIST with other seeds: a smaller weight, or a mean over more steps, "
    "left one or two experts in use. The rules are those that were written before.",
)
