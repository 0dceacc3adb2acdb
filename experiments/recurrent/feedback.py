"""Outputs that depend on each other: a recurrent net with its previous output as an input, and one without.

The notes: a recurrent net from a sequence x to a sequence y of the same length takes the outputs to be
independent given x; connections from the output at t to the state at t + 1 remove that assumption, and
the model can represent any distribution of y given x.

Measured on sequences whose distribution is known. At a mark, which one step in four has, the input hints
at one of four classes, and the output is that class half of the time, else any class. Between marks the
output stays the same with probability 0.9, else it is any class. So y_t depends on the outputs drawn
before it, which x does not tell. A second task has the same inputs and at each step the same
probabilities of y_t given x, but draws each output independently. What is judged is the loss on new
sequences, in nats a step, against two exact numbers: the loss of the true distribution, and that of the
best distribution without dependence, the product of the true P(y_t | x_1 … x_t). These are the least
losses that the two nets can have, so how close they come says whether they have learned. Both nets are a
GRU with the same number of units, each with its own best learning rate.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np
from pydantic import Field

from dlnotes import data, models, outputs
from dlnotes.claims import (
    Above,
    Below,
    Claim,
    Interval,
    Level,
    Measured,
    Options,
    Part,
    Plot,
    Within,
    mean,
    notes,
    ours,
    paired,
)
from dlnotes.plotting import BLUE, GRAY, ORANGE, new_figure, set_title
from dlnotes.training import (
    Hyperparams,
    Recipe,
    evaluate,
    initial_params,
    optimizer,
    schedules,
    tune_and_train,
)

CLASSES = 4
MARK, HINT, STAY = 0.25, 0.5, 0.9
"""Probabilities of a mark, of its class beyond chance, and of staying beyond chance."""
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
WITHOUT, WITH = 0, 1
NAMES = ("without feedback", "with feedback")
TASKS = ("outputs that depend on each other", "outputs drawn independently")
LINKED, ALONE = 0, 1


class Feedback(Options):
    """Sizes of the experiment."""

    hidden: int = Field(24, ge=1, description="units of the state")
    length: int = Field(24, ge=2, description="steps of a sequence")
    sequences: int = Field(3000, ge=8, description="training sequences of a seed")
    test: int = Field(1000, ge=8, description="new sequences")
    steps: int = Field(1000, ge=1, description="steps of each training")
    batch: int = Field(32, ge=1, description="sequences of a step")
    tuning_seeds: int = Field(3, ge=1, description="trainings of each net with each learning rate")


def drawn(n: int, length: int, task: int, rng: Any) -> tuple[np.ndarray, np.ndarray]:
    """Inputs ``(n, length)``, 0 between marks and 1 + the hint at a mark, and outputs."""
    x = np.where(rng.random((n, length)) < MARK, rng.integers(1, CLASSES + 1, (n, length)), 0)
    x[:, 0] = rng.integers(1, CLASSES + 1, n)
    hints = np.eye(CLASSES)[np.maximum(x - 1, 0)]
    y, marginal = np.zeros((n, length), np.int32), np.full((n, CLASSES), 1 / CLASSES)
    before = np.full((n, CLASSES), 1 / CLASSES)
    for t in range(length):
        mark = x[:, t, None] > 0
        p = step_of(mark, hints[:, t], before)
        marginal = step_of(mark, hints[:, t], marginal)
        chosen = p if task == LINKED else marginal
        y[:, t] = (rng.random((n, 1)) > np.cumsum(chosen, 1)).sum(1).clip(max=CLASSES - 1)
        before = np.eye(CLASSES)[y[:, t]]
    return x.astype(np.int32), y


def step_of(mark: np.ndarray, hint: np.ndarray, before: np.ndarray) -> np.ndarray:
    """P(y_t) from the hint at a mark, else from the output before or its distribution."""
    return np.where(mark, HINT * hint, STAY * before) + np.where(mark, 1 - HINT, 1 - STAY) / CLASSES


def exact_losses(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Nats a step of the true linked distribution, and of the product of its marginals given x."""
    hints = np.eye(CLASSES)[np.maximum(x - 1, 0)]
    marginal, before = np.full((2, len(x), CLASSES), 1 / CLASSES)
    linked = alone = 0.0
    for t in range(x.shape[1]):
        mark, taken = x[:, t, None] > 0, y[:, t, None]
        p, marginal = step_of(mark, hints[:, t], before), step_of(mark, hints[:, t], marginal)
        linked -= np.log(np.take_along_axis(p, taken, 1)).mean()
        alone -= np.log(np.take_along_axis(marginal, taken, 1)).mean()
        before = np.eye(CLASSES)[y[:, t]]
    return float(linked / x.shape[1]), float(alone / x.shape[1])


def examples(x: np.ndarray, y: np.ndarray) -> data.Examples:
    """What the nets train on."""
    return data.Examples(data.Pair(x, data.shift_right(y, CLASSES)), y)


def many(seeds: np.ndarray, o: Feedback, task: int) -> data.Examples:
    """Training examples of each seed, with a members axis."""
    parts = [
        examples(*drawn(o.sequences, o.length, task, np.random.default_rng([task, int(s)]))) for s in seeds
    ]
    return jax.tree.map(lambda *a: np.stack(a), *parts)


def recipe_of(hyper: Hyperparams, *, model: models.Model, steps: int) -> Recipe:
    """Adam at a rate that falls along a cosine, on the cross-entropy of all steps."""
    optimize = optimizer("adam", hyper["rate"], factor=schedules.cosine(steps), clip_norm=1.0)
    return Recipe(model, outputs.cross_entropy, {}, optimize)


def measure(options: Feedback) -> dict[str, np.ndarray]:
    """Both nets on both tasks."""
    o = options
    loss = np.zeros((2, 2, o.seeds))
    exact, rates, kept, same = np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, o.seeds)), 0.0
    made = [
        models.aligned_sequences(CLASSES + 1, o.hidden, CLASSES, feedback=fed == WITH)
        for fed in (WITHOUT, WITH)
    ]
    for task in (LINKED, ALONE):
        rng = np.random.default_rng([99, task])
        held, test = (drawn(o.test, o.length, task, rng) for _ in range(2))
        exact[task] = exact_losses(*test)
        between = test[0][:, 1:] == 0
        if task == LINKED:
            same = staying(test[1], between)
        for fed, model in enumerate(made):
            build = partial(recipe_of, model=model, steps=o.steps)
            found = tune_and_train(
                build,
                lambda seeds, task=task: many(seeds, o, task),
                examples(*held),
                {"net": [fed]},
                {"rate": RATES},
                start=lambda hyperparams, seeds, model=model: initial_params(model, seeds),
                seeds=o.seeds,
                tuning_seeds=o.tuning_seeds,
                steps=o.steps,
                batch_size=min(o.batch, o.sequences),
                record=o.steps,
            )
            rates[task, fed] = RATES[found.chosen[0]]
            loss[task, fed] = evaluate(build, found.hyperparams, found.fit.params, examples(*test))["loss"]
            if task == LINKED:
                own = jax.jit(jax.vmap(partial(models.write_aligned, key=jax.random.key(0), source=test[0])))
                kept[fed] = [staying(w, between) for w in np.asarray(own(found.fit.params))]
    return {"loss": loss, "exact": exact, "rate": rates, "kept": kept, "kept_in_data": np.array(same)}


def staying(y: np.ndarray, between: np.ndarray) -> float:
    """Share of outputs between marks that are those of the step before."""
    return float((y[:, 1:] == y[:, :-1])[between].mean())


def draw(options: Feedback, m: Measured) -> Plot:
    """Losses of both nets on both tasks with the exact ones, and how often their outputs stay."""
    figure = new_figure(10, 4.2)
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    colors = (ORANGE, BLUE)
    for task in (LINKED, ALONE):
        for fed in (WITHOUT, WITH):
            values = m["loss"][task, fed]
            place = task + 0.3 * (fed - 0.5)
            left.plot(np.full(len(values), place), values, "o", color=colors[fed], alpha=0.5,
                      label=NAMES[fed] if task == LINKED else None)  # fmt: skip
        true, independent = m["exact"][task]
        best = true if task == LINKED else independent
        left.hlines(
            best,
            task - 0.35,
            task + 0.35,
            color=GRAY,
            label="loss of the true distribution" if task == LINKED else None,
        )
        if task == LINKED:
            left.hlines(independent, task - 0.35, task + 0.35, color=GRAY, linestyle="--",
                        label="best loss without dependence")  # fmt: skip
    left.set_xticks((0, 1), TASKS)
    left.set(ylabel="loss on new sequences (nats a step)", xlim=(-0.5, 1.5))
    left.legend(fontsize=9)
    for fed in (WITHOUT, WITH):
        right.plot(np.full(options.seeds, fed), 100 * m["kept"][fed], "o", color=colors[fed], alpha=0.5)
    right.axhline(100 * float(m["kept_in_data"]), color=GRAY, label="data")
    right.set_xticks((0, 1), ("without", "with\nfeedback"))
    right.set(ylabel="drawn outputs that stay between marks (%)", xlim=(-0.5, 1.5), ylim=(0, 100))
    right.legend(fontsize=9)
    gain = (m["loss"][LINKED, WITHOUT] - m["loss"][LINKED, WITH]).mean()
    set_title(
        figure, f"Reading the previous output saves {gain:.2f} nats a step where outputs depend on each other"
    )
    rows = [(task, fed) for task in (LINKED, ALONE) for fed in (WITHOUT, WITH)]
    table = {
        "task": [TASKS[t] for t, _ in rows],
        "net": [NAMES[f] for _, f in rows],
        "rate": [m["rate"][t, f] for t, f in rows],
        "loss": [m["loss"][t, f].mean() for t, f in rows],
        "loss_deviation": [m["loss"][t, f].std(ddof=1) for t, f in rows],
        "exact": [m["exact"][t, 0 if t == LINKED else 1] for t, _ in rows],
        "exact_without_dependence": [m["exact"][t, 1] for t, _ in rows],
    }
    return Plot(figure, table)


def _missing(*cases: tuple[int, int]):
    """Effect: the largest distance of these nets, as (task, net), from the least loss that they can have."""

    def effect(m: Measured) -> Interval:
        best = {(LINKED, WITH): m["exact"][LINKED, 0]}
        return mean(np.max([m["loss"][c] - best.get(c, m["exact"][c[0], 1]) for c in cases], axis=0))

    return effect


def _learned(*cases: tuple[int, int]) -> Level:
    return Level(
        what="nats a step above the least loss that is possible for the net, known exactly; the worse net",
        effect=_missing(*cases),
        rule=Below(0.03),
    )


WHERE = "arquitecturas recurrentes"

CLAIM = Claim(
    id="R9.9",
    statement="Without feedback the outputs are independent given the inputs. Connections from each output "
    "to the next state remove this assumption: the net can represent any distribution of the outputs.",
    source="notes, «arquitecturas recurrentes»; Goodfellow et al. 2016, 10.2.4",
    options=Feedback,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "dependence",
            "Where outputs depend on each other, feedback raises the likelihood of new sequences.",
            what="loss on new sequences without feedback minus with feedback, nats a step",
            effect=lambda m: paired(m["loss"][LINKED, WITHOUT], m["loss"][LINKED, WITH]),
            rule=Above(0.1),
            source=notes(
                WHERE,
                "connections from the output at t to the hidden unit at t + 1 remove the assumption that "
                "outputs are conditionally independent",
            ),
            learned=_learned((LINKED, WITHOUT), (LINKED, WITH)),
        ),
        Part(
            "all of it",
            "With feedback nearly all of the dependence is represented.",
            what="loss with feedback minus the loss of the true distribution, nats a step",
            effect=lambda m: mean(m["loss"][LINKED, WITH] - m["exact"][LINKED, 0]),
            rule=Below(0.03),
            source=notes(
                WHERE, "with these connections the model can represent arbitrary distributions over y"
            ),
            # One trained net that comes this close shows that such nets can represent the distribution.
            learned=None,
        ),
        Part(
            "product without feedback",
            "The net without feedback does as well as the product of the true P(y_t | x_1 … x_t), and no "
            "better.",
            what="loss without feedback minus the loss of that product, nats a step",
            effect=lambda m: mean(m["loss"][LINKED, WITHOUT] - m["exact"][LINKED, 1]),
            rule=Within(-0.03, 0.03),
            source=notes(
                WHERE,
                "without feedback the net factorizes the distribution into the product of P(y_t | x_1 … x_t)",
            ),
            learned=_learned((LINKED, WITHOUT)),
        ),
        Part(
            "nothing to gain",
            "Where the outputs are independent given the inputs, feedback brings nothing.",
            what="loss on new sequences without feedback minus with feedback, nats a step, independent "
            "outputs",
            effect=lambda m: paired(m["loss"][ALONE, WITHOUT], m["loss"][ALONE, WITH]),
            rule=Within(-0.02, 0.02),
            source=ours("a control: the gain must come from the dependence, not from the larger net"),
            learned=_learned((ALONE, WITHOUT), (ALONE, WITH)),
        ),
        Part(
            "samples",
            "Outputs drawn from the net with feedback stay the same between marks; without feedback far "
            "fewer do.",
            what="outputs between marks equal to the previous one, with minus without feedback, percentage "
            "points",
            effect=lambda m: paired(100 * m["kept"][WITH], 100 * m["kept"][WITHOUT]),
            rule=Above(20.0),
            source=ours("shows in drawn sequences what the likelihood says"),
            learned=_learned((LINKED, WITHOUT), (LINKED, WITH)),
        ),
    ),
    method="Data: sequences of {options.length} steps from a known distribution, {options.sequences} for "
    "training, drawn anew for each seed, and {options.test} others for validation and for the test. "
    "Networks: GRUs of {options.hidden} units that label every step, with and without the previous output "
    "as an input. Training: Adam, {options.steps} steps of {options.batch} sequences, a cosine schedule, "
    "the rate of a grid of four that has the least validation loss with {options.tuning_seeds} other "
    "seeds; {options.seeds} seeds count. Intervals cover seeds; the exact losses are taken on the same "
    "test sequences, so that chance in them cancels.",
    reading="The sequences were made so that the previous output matters, so the size of the gain says "
    "nothing about other data. The row shows what each net can represent: the net with feedback comes "
    "within {parts[all of it]} nats a step of the true distribution. The other one stays at the best "
    "product, which is {facts[gap]} nats a step worse.",
    facts=lambda m: {"gap": float(m["exact"][LINKED, 1] - m["exact"][LINKED, 0])},
    revised="An audit of all rows came after the first measurement. Since then three seeds instead of two "
    "choose the rate, the grid has a smaller rate too, and each part is judged only where the nets come "
    "close to the least loss that is possible.",
)
