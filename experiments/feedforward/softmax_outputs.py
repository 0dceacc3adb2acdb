"""Softmax outputs: what they compute, what they learn, and what keeps them from learning.

The notes: softmax does not change when a constant is added to its arguments, so it may be computed from
z − max z; under −log p the right logit always has a gradient, while squared error can fail to change
answers that are confidently wrong; unregularized maximum likelihood makes it predict the observed
frequencies, as far as the model's capacity and the optimizer allow; n logits are one more than needed,
and n − 1 with one of them fixed give the same distributions with other dynamics, in practice with little
difference.

Measured: identities on random logits against float64. Linear models of digits that learned wrong labels (see
`_wrong_starts`) and are trained on the right ones in mini-batches, by either loss. Frequencies of the digits
at each gray value of one pixel, a new pixel for each seed: 17 values of x, each seen many times, so the
observed fractions are a table; the full model has logits for each value, the other is linear in the gray
value. And networks on digits with ten logits against nine, from the same start, each with the rate that is
best on validation.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field
from scipy import special

from dlnotes import data, outputs
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
    notes,
    ours,
    over_cases,
    paired,
    ratio,
    share,
)
from dlnotes.plotting import BLUE, GRAY, ORANGE, new_figure, set_title

from ._fixed_logit import measure_networks
from ._frequencies import measure_frequencies
from ._wrong_starts import recover

LEADS = np.array([2, 4, 8, 16, 32], np.float32)
"""Median logits by which a wrong class leads the right one at the start."""
RATES = np.array([0.01, 0.1, 1, 10, 100])
EIGHT, MOST = 2, 4
NLL, SQUARED = range(2)
NAMES = ("−log p", "squared error")


class SoftmaxOutputs(Options):
    """Sizes of the experiment."""

    seeds: int = Field(10, ge=10, description="wrong starts, and pixels")
    networks: int = Field(30, ge=10, description="networks of ten and of nine logits")
    steps: int = Field(400, ge=10, description="steps from wrong starts, 32 digits each")
    every: int = Field(4, ge=1, description="steps between two looks at the accuracy")
    frequency_steps: int = Field(1000, ge=10, description="steps on the frequencies, all digits each")
    network_steps: int = Field(300, ge=10, description="steps of the networks, 32 digits each")
    points: int = Field(20_000, ge=100, description="random rows of logits of each exact check")


def measure_identities(points: int) -> dict[str, Any]:
    """Largest deviations from float64 over rows of five logits of all sizes up to 10,000."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(points, 5)) * 10 ** rng.uniform(-2, 4, (points, 1))
    z = np.clip(z, -1e4, 1e4).astype(np.float32)
    y = jnp.asarray(rng.integers(0, 5, points))
    p = special.softmax(z.astype(np.float64), axis=1)
    constant = np.round(rng.uniform(-1e3, 1e3, (points, 1))).astype(np.float32)
    # Multiples of 1/8 below 2¹³: adding the constant rounds nothing, so only softmax itself is tested.
    coarse = np.round(np.clip(z, -1e3, 1e3) * 8) / 8
    probabilities = jax.jit(lambda z: outputs.Categorical(z).mean)
    gradient = jax.grad(lambda z: outputs.cross_entropy(z, y).total.sum())(jnp.asarray(z))
    nll = np.asarray(outputs.cross_entropy(jnp.asarray(z), y).total, np.float64)
    closed = -np.take_along_axis(special.log_softmax(z.astype(np.float64), axis=1), np.asarray(y)[:, None], 1)
    with np.errstate(over="ignore", invalid="ignore"):
        plain = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    fixed = z - z[:, -1:]  # n − 1 logits: the last is 0
    return {
        "stable_error": np.abs(probabilities(z) - p).max(),
        "nll_error": np.max(np.abs(nll - closed[:, 0]) / np.maximum(closed[:, 0], 1)),
        "shift_error": np.abs(probabilities(coarse + constant) - probabilities(coarse)).max(),
        "gradient_error": np.abs(gradient - (p - np.eye(5)[np.asarray(y)])).max(),
        "plain_broken": (~np.isfinite(plain)).any(1).mean(),
        "fixed_error": np.abs(probabilities(fixed.astype(np.float32)) - p)[np.abs(z).max(1) < 100].max(),
    }


def measure(options: SoftmaxOutputs) -> dict[str, np.ndarray]:
    """All four."""
    recovery = recover(
        data.load("digits"),
        (outputs.cross_entropy, outputs.brier),
        10,
        leads=LEADS,
        rates=RATES,
        seeds=options.seeds,
        steps=options.steps,
        every=options.every,
        accuracy=0.8,
    )
    found = {"longest": np.array(options.steps + options.every), **recovery._asdict()}
    found |= (
        measure_identities(options.points)
        | measure_frequencies(options.seeds, options.frequency_steps)
        | measure_networks(networks=options.networks, steps=options.network_steps, every=options.every)
    )
    return {name: np.asarray(value) for name, value in found.items()}


def at_least(m: Measured, loss: int, lead: int, kind: str = "steps") -> np.ndarray:
    """Steps of each seed, ``(seeds,)``; never counts as one look more than the run has."""
    return np.clip(m[kind][loss, lead], 1, m["longest"])


def draw(options: SoftmaxOutputs, m: Measured) -> Plot:
    """Steps to recover, learned against observed frequencies, ten logits against nine."""
    figure = new_figure(10.5, 4.2)
    axes = figure.subplots(1, 3)
    table: dict[str, list] = {"part": [], "setting": [], "at": [], "seed": [], "value": []}

    def note(part: str, setting: str, at: float, values: np.ndarray) -> None:
        for seed, value in enumerate(values):
            for column, entry in zip(table.values(), (part, setting, at, seed, value)):
                column.append(entry)

    _draw_recovery(axes[0], m, note)
    observed = m["counts"] / np.maximum(m["counts"].sum(-1, keepdims=True), 1)
    seen = np.broadcast_to(m["counts"].sum(-1, keepdims=True) > 0, observed.shape)
    for name, label, color in (
        ("limited", "linear in the gray value", ORANGE),
        ("full", "logits for each value", BLUE),
    ):
        axes[1].plot(observed[seen], m[f"{name}_probabilities"][seen], ".", ms=3, color=color, alpha=0.5)
        axes[1].plot([], [], "o", color=color, label=label)
        note("frequencies", label, 0, m[f"{name}_mean"])
    axes[1].plot([0, 1], [0, 1], color=GRAY, lw=1, ls="--")
    axes[1].set(xlabel="observed fraction of a digit", ylabel="learned probability")
    axes[1].set(xlim=(-0.03, 0.83), ylim=(-0.03, 1.0))
    axes[1].set_title("given one pixel's gray value")
    axes[1].legend(fontsize=9, loc="upper left")

    looks = options.every * np.arange(len(m["network_test"]))
    for i, (label, color, dash) in enumerate((("10 logits", BLUE, "-"), ("9, one fixed", ORANGE, "--"))):
        test = 100 * m["network_test"][:, i]
        axes[2].fill_between(looks, test.min(1), test.max(1), color=color, alpha=0.15, lw=0)
        axes[2].plot(looks, test.mean(1), dash, color=color, label=f"{label}, rate {m['network_rate'][i]:g}")
        note("test accuracy", label, looks[-1], m["network_test"][-1, i])
        note("steps to 90%", label, 0, m["network_steps"][i])
    axes[2].set(xlabel="steps", ylabel="test accuracy on digits (%)", ylim=(0, 103))
    axes[2].set_title(f"networks, band: {options.networks} seeds")
    axes[2].legend(fontsize=9, loc="lower right")
    slow, fast = (np.median(at_least(m, loss, MOST)) for loss in (SQUARED, NLL))
    came = np.isfinite(m["steps"][SQUARED, MOST]).all()
    then = f"{slow:.0f}" if came else f"more than {options.steps}"
    set_title(
        figure,
        f"From 32 logits in the wrong −log p takes {fast:.0f} steps to 80%, squared error {then}; "
        f"softmax learns the observed fractions; nine logits do as well as ten",
    )
    return Plot(figure, table)


def _draw_recovery(axis, m: Measured, note) -> None:
    for loss, (name, color, marker) in enumerate(zip(NAMES, (BLUE, ORANGE), "os")):
        for kind, dash in (("steps", "-"), ("steps_best", ":")):
            found = np.array([at_least(m, loss, i, kind) for i in range(len(LEADS))])
            if kind == "steps":
                axis.fill_between(LEADS, found.min(1), found.max(1), color=color, alpha=0.15, lw=0)
            label = f"{name}, rate {m['rate'][loss]:g}" if kind == "steps" else None
            axis.plot(LEADS, np.median(found, 1), dash, color=color, marker=marker, ms=5, label=label)
            for lead, steps in zip(LEADS, found):
                note("steps to 80%, " + ("usual rate" if kind == "steps" else "best rate"), name, lead, steps)
    axis.plot([], [], ":", color=GRAY, label="best rate for the start")
    axis.axhline(m["longest"], color=GRAY, ls="--", lw=1)
    axis.annotate("not within the run", (LEADS[0], m["longest"] * 1.15), color=GRAY, fontsize=9)
    axis.set(xscale="log", yscale="log", xlabel="lead of the wrong class at the start (logits)")
    axis.set(xticks=LEADS, xticklabels=[f"{v:g}" for v in LEADS], ylim=(1, 60 * m["longest"]))
    axis.minorticks_off()
    axis.set_ylabel("steps to 80% on digits")
    axis.set_title("from wrong answers")
    axis.legend(fontsize=9, loc="upper left")


WHERE = "aprendizaje basado en el descenso de gradiente"
STABLE = notes(
    WHERE,
    "Softmax does not change when a constant is added to its arguments; so a stable version is computed from "
    "z − max z.",
)
POOR = notes(
    WHERE,
    "Objectives without a logarithm to undo the exponential fail to learn when its argument is very "
    "negative; squared error in particular can fail to change confidently wrong answers.",
)
FREQUENCIES = notes(
    WHERE,
    "Unregularized maximum likelihood makes softmax predict the fraction of each outcome observed in the "
    "training set; limited capacity or imperfect optimization make it an approximation.",
)
ONE_FIXED = notes(
    WHERE,
    "n logits and n − 1 with one fixed describe the same probabilities with different learning dynamics; in "
    "practice there is not much difference.",
)
STEPS = "steps to 80% test accuracy on digits, squared error divided by −log p (never: the whole run)"
REACH = "share of starts that reach 80% test accuracy on digits within {options.steps} steps"


def slower(m: Measured, kind: str = "steps") -> Interval:
    """Steps by squared error over steps by −log p, from 8 logits in the wrong."""
    return ratio(at_least(m, SQUARED, EIGHT, kind), at_least(m, NLL, EIGHT, kind))


def ten_less_nine(m: Measured, moment: int) -> Interval:
    """Test accuracy of ten logits less nine, over networks and test cases; moment 0: half of the steps."""
    ten, nine = m["network_right"][moment].astype(np.float64)
    return over_cases(ten - nine)


CLAIM = Claim(
    id="F2.8",
    statement="Softmax is invariant to a constant and may be computed from z − max z. Squared error can fail "
    "to change confidently wrong answers where −log p does. Unregularized maximum likelihood learns the "
    "observed frequencies, approximately when capacity is limited. n logits and n − 1 with one fixed "
    "describe the same distributions with different dynamics; in practice there is little difference.",
    source="notes, «aprendizaje basado en el descenso de gradiente»; Goodfellow et al. 2016, 6.2.2.3",
    options=SoftmaxOutputs,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "stable",
            "Computed from z − max z, probabilities are right for logits up to 10,000.",
            what="largest deviation of a probability from float64",
            effect=lambda m: exact(float(m["stable_error"])),
            rule=Below(1e-5),
            source=STABLE,
        ),
        Part(
            "plain exponentials overflow",
            "Without that, exponentials overflow for many of the same logits.",
            what="share of rows of logits whose probabilities are not finite",
            effect=lambda m: exact(float(m["plain_broken"])),
            rule=Above(0.0),
            source=STABLE,
        ),
        Part(
            "invariant",
            "A constant added to all logits changes nothing.",
            what="largest difference between softmax(z + c) and softmax(z), |c| up to 1,000",
            effect=lambda m: exact(float(m["shift_error"])),
            rule=Below(1e-6),
            source=STABLE,
        ),
        Part(
            "log-softmax",
            "−log softmax is right too where the probability itself is rounded to 0.",
            what="largest deviation from float64, relative where it exceeds 1",
            effect=lambda m: exact(float(m["nll_error"])),
            rule=Below(1e-5),
            source=ours("whether the loss is computed as stably as the probabilities"),
        ),
        Part(
            "gradient",
            "The gradient of −log p is ŷ − 1_y.",
            what="largest deviation of JAX's gradient from float64",
            effect=lambda m: exact(float(m["gradient_error"])),
            rule=Below(1e-5),
            source=ours("the closed form of the gradient"),
        ),
        Part(
            "linear model, −log p",
            "From 32 logits in the wrong, −log p learns digits.",
            what=REACH,
            effect=lambda m: share(np.isfinite(m["steps"][NLL, MOST])),
            rule=Above(0.5),
            source=POOR,
        ),
        Part(
            "linear model, squared error",
            "In mini-batches, from 8 logits in the wrong, squared error takes more than twice as long, each "
            "loss at its usual rate.",
            what=STEPS,
            effect=slower,
            rule=Above(2),
            source=POOR,
        ),
        Part(
            "rate chosen for the start",
            "It takes more than twice as long also when each loss has the rate that is best for that very "
            "start.",
            what=STEPS,
            effect=lambda m: slower(m, "steps_best"),
            rule=Above(2),
            source=ours("whether another learning rate makes up for the small gradient"),
        ),
        Part(
            "squared error fails",
            "From 32 logits in the wrong, squared error does not learn digits in most trainings.",
            what=REACH,
            effect=lambda m: share(np.isfinite(m["steps"][SQUARED, MOST])),
            rule=Below(0.5),
            source=POOR,
        ),
        Part(
            "frequencies",
            "With a logit for every value of x, softmax learns the fractions of the training set.",
            what="largest difference between probability and observed fraction, mean over pixels",
            effect=lambda m: mean(m["full_largest"]),
            rule=Below(0.01),
            source=FREQUENCIES,
        ),
        Part(
            "limited capacity",
            "A model that is linear in x only approximates them.",
            what="mean total variation distance from the observed fractions, linear minus full model",
            effect=lambda m: paired(m["limited_mean"], m["full_mean"]),
            rule=Above(0.01),
            source=FREQUENCIES,
            learned=Plateau(half=lambda m: paired(m["limited_mean_half"], m["full_mean_half"])),
        ),
        Part(
            "n − 1 logits: distributions",
            "Holding one logit at 0 loses no distribution.",
            what="largest difference of a probability after the last logit is subtracted from all",
            effect=lambda m: exact(float(m["fixed_error"])),
            rule=Below(1e-5),
            source=ONE_FIXED,
        ),
        Part(
            "n − 1 logits: dynamics",
            "From the same start, data and rate, training with nine logits takes another path than with ten.",
            what="largest total variation distance between their predictions during training, mean over "
            "validation cases",
            effect=lambda m: mean(m["apart"].max(0)),
            rule=Above(0.01),
            source=ONE_FIXED,
        ),
        Part(
            "n − 1 logits: accuracy",
            "In the end there is little difference: less than a percentage point.",
            what="test accuracy on digits, ten logits minus nine, each at its best rate",
            effect=lambda m: ten_less_nine(m, -1),
            rule=Within(-0.01, 0.01),
            source=ONE_FIXED,
            learned=Plateau(half=lambda m: ten_less_nine(m, 0)),
        ),
        Part(
            "n − 1 logits: speed",
            "There is little difference in speed: less than a quarter of the steps.",
            what="steps to 90% test accuracy on digits, ten logits divided by nine, each at its best rate",
            effect=lambda m: ratio(*m["network_steps"]),
            rule=Within(0.8, 1.25),
            source=ours("whether one of the two learns faster"),
        ),
    ),
    method="Identities on {options.points} random rows of logits against float64. Linear models of "
    "scikit-learn's digits (1,258 to train on, 359 to test) first learn wrong labels and are scaled until "
    "the wrong class leads by 2 to 32 logits; each loss is then trained on the right labels by plain SGD, "
    "{options.steps} steps of 32, {options.seeds} starts, at five rates: the usual one is the best from an "
    "ordinary start, by training loss; the one for the start is chosen on validation images. Frequencies "
    "of digits given one pixel's gray value, {options.seeds} pixels, {options.frequency_steps} full-batch "
    "steps of Adam. {options.networks} networks of 32 tanh units with ten logits and with nine, "
    "{options.network_steps} steps of SGD, the rate of four chosen on validation images.",
    reading="Squared error fails where training starts confidently wrong, which is the notes' condition; "
    "from an ordinary start it is not judged here. In the parts on steps the intervals cover starts and "
    "orders of examples; in the part on accuracy they cover networks and test images.",
    revised="The part on the speed of ten against nine logits was not decided with 10 seeds and a rate "
    "at the grid's edge: it has 30 seeds and a wider grid.",
)
