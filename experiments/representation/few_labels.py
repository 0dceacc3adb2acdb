"""Pretraining without labels, by the number of labels that come after it.

The notes: training on the few labelled examples alone usually overfits severely; good representations can be
learned from examples without labels and used for the supervised task. Pretraining is a regularizer, which in
some experiments lowers the test error without lowering the training error, and a way to start. What follows
is a simple classifier on top of the features, or fine-tuning of the whole network.

Measured: the test error on MNIST of perceptrons of two hidden layers, by the number of labels. They start at
random, with sigmoid units or ReLUs, or from a stack of restricted Boltzmann machines, denoising autoencoders
or sparse coders, which saw all images of their member without the labels.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from dlnotes import pretraining
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
    mean,
    notes,
    ours,
    paired,
)
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, new_figure, set_title

from ._label_starts import (
    AUTOENCODERS,
    END,
    HALF,
    RANDOM,
    RATES,
    RBMS,
    READ_OUT,
    RELU,
    SPARSE,
    STARTS,
    images,
    judge,
    stacks,
    starting,
)

LABELS = (30, 100, 300, 1000, 3000, 8000)
FEW, SOME, MANY = 1, 3, 4
"""Places of 100, 1,000 and 3,000 labels."""
BESIDE = (FEW, SOME)
"""Where the other learners are tried too."""
COLORS = (GRAY, "black", BLUE, BLUE, ORANGE, GREEN)


class FewLabels(Options):
    """Sizes of the experiment."""

    images: int = Field(8000, ge=30, description="images of each member, most of them without labels")
    validation: int = Field(500, ge=10, description="labelled images by which rates are chosen")
    test: int = Field(10_000, ge=10, description="test images")
    width: int = Field(256, ge=2, description="units of each of the two hidden layers")
    epochs: int = Field(20, ge=1, description="of each layer of a stack")
    steps: int = Field(600, ge=2, description="of a training with 100 labels; more labels have more")
    batch_size: int = Field(64, ge=1, description="images of a step, at most all that have labels")
    tuning_seeds: int = Field(3, ge=1, description="members that choose the rate")


def steps_with(options: FewLabels, labels: int) -> int:
    """Steps of a training: they grow as the cube root of the labels."""
    return max(2, round(options.steps * (labels / 100) ** (1 / 3)))


def measure(options: FewLabels) -> dict[str, np.ndarray]:
    """Learn the stacks, then train from each start with each number of labels."""
    members = options.seeds + options.tuning_seeds
    own = images(members, options.images, options.validation, options.test)
    counts = [min(n, options.images) for n in LABELS]
    shape = (len(STARTS), len(LABELS), 2, options.seeds)
    found = {name: np.full(shape, np.nan) for name in ("test", "train", "loss")}
    found["rate"] = np.full(shape[:2], np.nan)  # pyright: ignore[reportArgumentType]
    stack, known = (), ""
    for a, start in enumerate(STARTS):
        if start.learner != known:
            stack, known = stacks(own, start.learner, options.width, options.epochs), start.learner
        model, params = starting(start, stack, options.width, members)
        features = None
        if not start.whole:
            below = [pretraining.encode(stack, x) for x in (own.validation.x, own.test.x)]
            features = (pretraining.encode(stack, own.x, data_per_member=True), *below)
        for i, labels in enumerate(counts):
            if a in (AUTOENCODERS, SPARSE) and i not in BESIDE:
                continue
            trained = judge(
                start,
                model,
                params,
                own,
                features,  # pyright: ignore[reportArgumentType]
                labels,
                steps_with(options, labels),
                options.batch_size,
                options.seeds,
            )
            for name in ("test", "train", "loss"):
                found[name][a, i] = getattr(trained, name)
            found["rate"][a, i] = trained.rate
    return found | {"labels": np.array(counts)}  # test, train and loss: (starts, labels, moments, seeds)


def gain(m: Measured, start: int, labels: int, when: int = END, over: int = RANDOM) -> Interval:
    """Test error of one start minus that of another, percentage points."""
    return paired(m["test"][over, labels, when], m["test"][start, labels, when])


def fall(m: Measured, when: int = END) -> Interval:
    """Slope of the gain of Boltzmann machines over the logarithm of the number of labels."""
    gains = m["test"][RANDOM, :, when] - m["test"][RBMS, :, when]  # (labels, seeds)
    return mean(np.polyfit(np.log10(m["labels"]), gains, 1)[0])


def overfit(m: Measured, when: int = END) -> Interval:
    """Test error minus training error of the random start with 100 labels."""
    return paired(m["test"][RANDOM, FEW, when], m["train"][RANDOM, FEW, when])


def fitted(m: Measured, when: int = END) -> Interval:
    """Training error of the random start minus that of the pretrained network, 1,000 labels."""
    return paired(m["train"][RANDOM, SOME, when], m["train"][RBMS, SOME, when])


def draw(options: FewLabels, m: Measured) -> Plot:
    """Test error against labels for each start; the gain over the random start."""
    figure = new_figure(10, 4.6)
    left, right = figure.subplots(1, 2)
    table: dict[str, list] = {k: [] for k in ("start", "labels", "rate", "error", "low", "high", "training")}
    for a, start in enumerate(STARTS):
        places = [i for i in range(len(LABELS)) if np.isfinite(m["test"][a, i]).all()]
        at = m["labels"][places]
        shown = [mean(m["test"][a, i, END]) for i in places]
        for i, interval in zip(places, shown):
            values = (
                start.name,
                m["labels"][i],
                m["rate"][a, i],
                *interval[:3],
                m["train"][a, i, END].mean(),
            )
            for column, value in zip(table.values(), values):
                column.append(value)
        style = {"color": COLORS[a], "ls": "-" if start.whole else ":", "marker": "o", "ms": 4}
        if a in (AUTOENCODERS, SPARSE):
            style |= {"ls": "", "marker": "s"}
        ends = [[v.value - v.low for v in shown], [v.high - v.value for v in shown]]
        left.errorbar(at, [v.value for v in shown], yerr=ends, capsize=3, label=start.name, **style)
        if a != RANDOM:
            gains = [gain(m, a, i) for i in places]
            ends = [[v.value - v.low for v in gains], [v.high - v.value for v in gains]]
            right.errorbar(at, [v.value for v in gains], yerr=ends, capsize=3, **style)
    left.set_yscale("log")
    ticks = [t for t in (2, 3, 5, 10, 20, 30, 50, 90) if left.get_ylim()[0] < t < left.get_ylim()[1]]
    left.set_yticks(ticks, [str(t) for t in ticks])
    left.minorticks_off()
    left.set_ylabel("test error (%), mean and 95% interval")
    right.axhline(0, color=GRAY, lw=1)
    right.set_ylabel("test error of “random, sigmoid” minus it (points)")
    for axis in (left, right):
        axis.set_xscale("log")
        axis.set_xticks(m["labels"], [f"{n:,}" for n in m["labels"]])
        axis.minorticks_off()
        axis.set_xlabel("labels")
    left.legend(fontsize=8)
    title = "A stack of Boltzmann machines gains {:.1f} points with {:,} labels, {:.1f} with {:,}"
    first, last = gain(m, RBMS, FEW), gain(m, RBMS, len(LABELS) - 1)
    set_title(figure, title.format(first.value, m["labels"][FEW], last.value, m["labels"][-1]))
    return Plot(figure, table)


def _facts(m: Measured) -> dict[str, str]:
    errors = {
        f"{start.name} {m['labels'][i]}": f"{m['test'][a, i, END].mean():.1f}"
        for a, start in enumerate(STARTS)
        for i in range(len(LABELS))
        if np.isfinite(m["test"][a, i]).all()
    }
    few, some = (m["labels"][i] for i in (FEW, SOME))
    by = [f"{s.name} {errors[f'{s.name} {few}']}% and {errors[f'{s.name} {some}']}%" for s in STARTS]
    losses = {name: m["loss"][a, SOME, END].mean() for name, a in (("random", RANDOM), ("stack", RBMS))}
    return {
        "by start": "; ".join(by),
        "few": f"{few:,}",
        "some": f"{some:,}",
        "loss random": f"{losses['random']:.4f}",
        "loss stack": f"{losses['stack']:.4f}",
        "last gain": f"{gain(m, RBMS, len(LABELS) - 1).value:.2f}",
        "most": f"{m['labels'][-1]:,}",
    }


SECTION = "pre-entrenamiento"


def _gain_part(name: str, statement: str, start: int, labels: int, source, over: int = RANDOM) -> Part:
    """A start has a smaller test error than another."""
    return Part(
        name,
        statement,
        what=f"test error of “{STARTS[over].name}” minus that of “{STARTS[start].name}”, "
        f"{LABELS[labels]:,} labels, points",
        effect=lambda m: gain(m, start, labels, over=over),
        rule=Above(0.0),
        source=source,
        learned=Plateau(half=lambda m: gain(m, start, labels, HALF, over)),
    )


CLAIM = Claim(
    id="P14.4",
    statement="Where labels are few, a network that starts from layers learned without labels makes fewer "
    "test "
    "errors, and no fewer training errors; the more labels, the less it gains.",
    source="notes, «pre-entrenamiento»; Goodfellow et al. 2016, 15.1",
    options=FewLabels,
    measure=measure,
    draw=draw,
    method="Each member has {options.images} images of MNIST of its own, the first of them with labels, "
    "each class "
    f"equally often ({LABELS[0]} to {LABELS[-2]:,} labels, then all). A perceptron of two hidden layers of "
    "{options.width} units learns the labels by Adam in "
    "{options.steps} steps with 100 labels (as the cube root of their number with others) of at most "
    "{options.batch_size} images; the rate falls to zero half-way and at the end. It starts at random "
    "(sigmoid: "
    "Glorot's rule times four; ReLU: He's), or from two layers learned greedily from all images of the "
    "member "
    "without labels, {options.epochs} epochs each: restricted Boltzmann machines (one step of contrastive "
    "divergence), denoising autoencoders (three in ten pixels left out) or sparse coders (their learned "
    "step). Of "
    f"{len(RATES)} rates the best of each start and number of labels is chosen by "
    "{options.validation} validation images with "
    "{options.tuning_seeds} other members: more labels than some arms learn from, and as many for all arms. "
    "{options.seeds} members are judged on {options.test} test images, which no stack has seen; intervals "
    "cover "
    "members, each with its own images and start.",
    parts=(
        Part(
            "overfitting",
            f"Trained on {LABELS[FEW]} labels alone, a network makes many more errors on new images than "
            "on those.",
            what="test error minus training error of the random start, points",
            effect=overfit,
            rule=Above(10.0),
            source=notes(SECTION, "training on the labelled subset alone usually overfits severely"),
            learned=Plateau(half=lambda m: overfit(m, HALF)),
        ),
        _gain_part(
            "few labels",
            f"With {LABELS[FEW]} labels a stack of Boltzmann machines as a start lowers the test error.",
            RBMS,
            FEW,
            notes(
                SECTION, "good representations can be learned from data without labels and used for the task"
            ),
        ),
        _gain_part(
            "more labels",
            f"So it does with {LABELS[SOME]:,} labels.",
            RBMS,
            SOME,
            notes(SECTION, "as a regularizer it lowers the test error"),
        ),
        Part(
            "not the training error",
            f"With {LABELS[SOME]:,} labels it does not lower the training error by more than a tenth of a "
            "point.",
            what="training error of the random start minus that of the pretrained network, points",
            effect=fitted,
            rule=Below(0.1),
            source=notes(SECTION, "without lowering the training error"),
            learned=Plateau(half=lambda m: fitted(m, HALF)),
        ),
        Part(
            "less with more labels",
            "The gain falls as labels become more.",
            what="slope of the gain over the logarithm of the number of labels, points for ten times as many",
            effect=fall,
            rule=Below(0.0),
            source=notes(SECTION, "there are few labelled data as a rule, and pretraining makes up for them"),
            learned=Plateau(half=lambda m: fall(m, HALF)),
        ),
        _gain_part(
            "read-out",
            f"With {LABELS[FEW]} labels a linear classifier on the stack's features is ahead of the "
            "network that "
            "starts at random.",
            READ_OUT,
            FEW,
            notes(SECTION, "a simple classifier on top of the features learned in pretraining"),
        ),
        _gain_part(
            "all layers against read-out",
            f"With {LABELS[MANY]:,} labels fine-tuning of all layers is better than a read-out.",
            RBMS,
            MANY,
            ours("the notes name both and rank neither"),
            over=READ_OUT,
        ),
        _gain_part(
            "against ReLU",
            f"With {LABELS[FEW]} labels the stack is ahead of ReLUs that start at random.",
            RBMS,
            FEW,
            ours("the rival of today, which needs no pretraining to learn"),
            over=RELU,
        ),
        _gain_part(
            "against ReLU, more labels",
            f"With {LABELS[SOME]:,} labels too.",
            RBMS,
            SOME,
            ours("the rival of today, which needs no pretraining to learn"),
            over=RELU,
        ),
        _gain_part(
            "autoencoders",
            f"With {LABELS[FEW]} labels a stack of denoising autoencoders lowers the test error.",
            AUTOENCODERS,
            FEW,
            ours("the notes name them as learners; which is best they do not say"),
        ),
        _gain_part(
            "sparse coding",
            f"With {LABELS[FEW]} labels a stack of sparse coders lowers that of ReLUs.",
            SPARSE,
            FEW,
            ours("the notes name it as a learner; its learned step is a layer of ReLUs"),
            over=RELU,
        ),
    ),
    facts=_facts,
    reading="Test errors with {facts[few]} and with {facts[some]} labels: {facts[by start]}. With "
    "{facts[some]} "
    "labels the training loss ends at {facts[loss random]} nats from the random start and at "
    "{facts[loss stack]} from the stack. With all {facts[most]} images labelled the gain is "
    "{facts[last gain]} "
    "points.",
)
