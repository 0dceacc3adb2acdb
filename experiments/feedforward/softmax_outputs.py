"""Softmax outputs: what they compute, what they learn, and what keeps them from learning.

The notes: softmax does not change when a constant is added to its arguments, so it may be computed from
z − max z; under −log p the right logit always has a gradient, while squared error can fail to change
answers that are confidently wrong; unregularised maximum likelihood makes it predict the observed
frequencies, as far as the model's capacity and the optimizer allow; n logits are one more than needed,
and n − 1 with one of them fixed give the same distributions with other dynamics, in practice with little
difference.

Measured: identities on random logits against float64. Linear models of digits that learned wrong labels
(see `wrong_starts`) on their way back, by either loss. Frequencies of the digits at each grey value of
one pixel, a new pixel for each seed: 17 values of x, each seen many times, so the observed fractions are
a table; the full model has logits for each value, the other is linear in the grey value. And networks on
digits with ten logits against nine, from the same start, each with the rate that is best on validation.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field
from scipy import special

from dlnotes import data, models, outputs
from dlnotes.data.dataset import Examples
from dlnotes.experiment.claims import (
    Above,
    Below,
    Claim,
    Measured,
    Options,
    Part,
    Plot,
    Within,
    exact,
    mean,
    paired,
    ratio,
    share,
)
from dlnotes.experiment.figure_style import BLUE, GREY, ORANGE, new_figure, set_title
from dlnotes.experiment.fitting import fit, predict
from dlnotes.models.feedforward import MLP
from dlnotes.models.model import Model
from dlnotes.training import schedules
from dlnotes.training.optimizers import optimizer
from dlnotes.training.state import Hyper, Recipe
from dlnotes.typing import Array, PRNGKey

from .wrong_starts import recover

LEADS = np.array([2, 4, 8, 16, 32], np.float32)
"""Median logits by which a wrong class leads the right one at the start."""
RATES = np.array([0.01, 0.1, 1, 10, 100])
EIGHT, MOST = 2, 4
NLL, SQUARED = range(2)
NAMES = ("−log p", "squared error")
NETWORK_RATES = np.array([0.1, 0.3, 1, 3])
GREYS = 17
"""A pixel of digits is a count of 0 to 16."""


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


def measure_frequencies(options: SoftmaxOutputs) -> dict[str, Any]:
    """Distance of learned probabilities from observed fractions, a pixel a seed."""
    digits = data.load("digits", standardize=False)
    grey = np.round(digits.train.x * (GREYS - 1)).astype(int).reshape(-1, 64)
    y = digits.train.y
    varied = np.flatnonzero([len(np.unique(column)) >= GREYS - 1 for column in grey.T])
    pixels = np.random.default_rng(0).choice(varied, options.seeds, replace=options.seeds > len(varied))
    counts = np.zeros((options.seeds, GREYS, 10))
    for seed, pixel in enumerate(pixels):
        np.add.at(counts[seed], (grey[:, pixel], y), 1)
    seen = counts.sum(-1, keepdims=True)  # (seeds, greys, 1)
    observed = counts / np.maximum(seen, 1)
    every_value = np.arange(GREYS)
    found: dict[str, Any] = {"counts": counts, "pixels": pixels}
    for name, features in (("full", np.eye(GREYS)), ("limited", every_value[:, None] / (GREYS - 1) - 0.5)):
        x = features.astype(np.float32)
        model = models.linear(x.shape[1], 10, init_scale=0.0)
        result = fit(
            Recipe(
                model,
                outputs.cross_entropy,
                {},
                optimizer("adam", 0.1, factor=schedules.cosine(options.frequency_steps)),
            ),
            Examples(x[grey[:, pixels].T], np.broadcast_to(y, (options.seeds, len(y)))),
            steps=options.frequency_steps,
            seeds=range(options.seeds),
            record=options.frequency_steps,
            data_per_member=True,
        )
        p = special.softmax(predict(model, result.params, x).astype(np.float64), axis=-1)
        off = np.abs(p - observed) * (seen > 0)
        found[f"{name}_probabilities"] = p
        found[f"{name}_largest"] = off.max((1, 2))
        found[f"{name}_mean"] = (off.sum(-1) / 2 * seen[..., 0]).sum(-1) / seen.sum((1, 2))
    return found


def fixing(network: Model, fixed: Array) -> Model:
    """The network with its last logit held at 0 where ``fixed`` is 1.

    The column that is not used gets no gradient: where it starts at 0 it stays there.
    """

    def apply(params, x, /, *, key: PRNGKey | None = None, mask: Array | None = None) -> Array:
        z = network.apply(params, x, key=key, mask=mask)
        return jnp.where((jnp.arange(10) == 9) & (fixed == 1), 0.0, z)

    return Model(network.init, apply)


def without_last(params: MLP) -> MLP:
    """Parameters ``(members, ...)`` of the same distributions, last logit 0: it is taken from all."""
    W, b = params.output
    return params._replace(output=params.output._replace(W=W - W[..., -1:], b=b - b[..., -1:]))


def measure_networks(options: SoftmaxOutputs) -> dict[str, Any]:
    """Ten logits and nine: test accuracy, steps to 90%, and how far apart the training takes them."""
    digits = data.load("digits")
    network = models.mlp((8, 8, 1), (32,), 10, activation="tanh")
    shape = (2, len(NETWORK_RATES), options.networks)
    ten = jax.vmap(lambda seed: network.init(jax.random.key(seed)))(jnp.arange(options.networks))
    starts = jax.tree.map(
        lambda a, b: np.broadcast_to(np.stack([a, b])[:, None], (*shape[:2], *a.shape)).reshape(
            -1, *a.shape[1:]
        ),
        ten,
        without_last(ten),
    )

    def recipe(hyper: Hyper) -> Recipe:
        descent = optimizer("sgd", hyper["learning_rate"])
        return Recipe(fixing(network, hyper["fixed"]), outputs.cross_entropy, {}, descent)

    def look(params: MLP) -> tuple[Array, Array, Array]:
        validation, test = digits.split("validation"), digits.split("test")
        z = network.apply(params, validation.x)
        test_right = jnp.mean(jnp.argmax(network.apply(params, test.x), -1) == test.y)
        return jnp.mean(jnp.argmax(z, -1) == validation.y), test_right, jax.nn.softmax(z)

    result = fit(
        recipe,
        digits.train,
        steps=options.network_steps,
        batch_size=32,
        seeds=np.tile(np.arange(options.networks), shape[0] * shape[1]),
        hypers={
            "fixed": np.repeat([0, 1], shape[1] * shape[2]),
            "learning_rate": np.tile(np.repeat(NETWORK_RATES, options.networks), 2),
        },
        start=starts,
        every=options.every,
        probe=look,
        record=options.every,
    )
    validation, test, p = (a.reshape(-1, *shape, *a.shape[2:]) for a in result.probes)
    best = validation[-1].mean(-1).argmax(-1)  # (ten or nine,)
    test = test[:, [0, 1], best]  # (looks, ten or nine, networks)
    reached = test >= 0.9
    late = options.network_steps + options.every
    return {
        "network_rate": NETWORK_RATES[best],
        "network_test": test,
        "network_steps": np.where(reached.any(0), options.every * reached.argmax(0), late),
        # Total variation between their predictions at one rate, (looks, networks).
        "apart": np.abs(p[:, 0, best[0]] - p[:, 1, best[0]]).sum(-1).mean(-1) / 2,
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
    found |= measure_identities(options.points) | measure_frequencies(options) | measure_networks(options)
    return {name: np.asarray(value) for name, value in found.items()}


def at_least(m: Measured, loss: int, lead: int, kind: str = "steps") -> np.ndarray:
    """Steps of each seed, ``(seeds,)``; never counts as one look more than the run has."""
    return np.clip(m[kind][loss, lead], 1, m["longest"])


def draw(options: SoftmaxOutputs, m: Measured) -> Plot:
    """Steps to recover, learned against observed frequencies, ten logits against nine."""
    figure = new_figure(11, 4.2)
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
        ("limited", "linear in the grey value", ORANGE),
        ("full", "logits for each value", BLUE),
    ):
        axes[1].plot(observed[seen], m[f"{name}_probabilities"][seen], ".", ms=3, color=color, alpha=0.5)
        axes[1].plot([], [], "o", color=color, label=label)
        note("frequencies", label, 0, m[f"{name}_mean"])
    axes[1].plot([0, 1], [0, 1], color=GREY, lw=1, ls="--")
    axes[1].set(xlabel="observed fraction of a digit", ylabel="learned probability", ylim=(-0.03, 1.25))
    axes[1].set_title("given one pixel's grey value")
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
    more = "" if np.isfinite(m["steps"][SQUARED, MOST]).all() else "more than "
    set_title(
        figure,
        f"From 32 logits in the wrong −log p recovers in {fast:.0f} steps, squared error in {more}"
        f"{slow:.0f}; softmax learns the observed fractions; nine logits do as ten",
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
    axis.plot([], [], ":", color=GREY, label="best rate for the start")
    axis.axhline(m["longest"], color=GREY, ls="--", lw=1)
    axis.annotate("not within the run", (LEADS[0], m["longest"] * 1.15), color=GREY, fontsize=9)
    axis.set(xscale="log", yscale="log", xlabel="lead of the wrong class at the start (logits)")
    axis.set(xticks=LEADS, xticklabels=[f"{v:g}" for v in LEADS], ylim=(1, 60 * m["longest"]))
    axis.minorticks_off()
    axis.set_ylabel("steps to 80% on digits")
    axis.set_title("from wrong answers")
    axis.legend(fontsize=9, loc="upper left")


CLAIM = Claim(
    id="F2.8",
    statement="Softmax is invariant to a constant and may be computed from z − max z. Squared error can fail "
    "to change confidently wrong answers where −log p does. Unregularised maximum likelihood learns the "
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
            what="largest deviation from float64",
            effect=lambda m: exact(m["stable_error"]),
            rule=Below(1e-5),
        ),
        Part(
            "plain exponentials are not",
            "Without that, exponentials overflow for many of the same logits.",
            what="share of rows that are not finite",
            effect=lambda m: exact(m["plain_broken"]),
            rule=Above(0.0),
        ),
        Part(
            "invariant",
            "A constant added to all logits changes nothing.",
            what="largest difference between softmax(z + c) and softmax(z), |c| up to 1,000",
            effect=lambda m: exact(m["shift_error"]),
            rule=Below(1e-6),
        ),
        Part(
            "log-softmax",
            "−log softmax is right too where the probability itself is rounded to 0.",
            what="largest deviation from float64, relative where it exceeds 1",
            effect=lambda m: exact(m["nll_error"]),
            rule=Below(1e-5),
        ),
        Part(
            "gradient",
            "The gradient of −log p is ŷ − 1_y.",
            what="largest deviation of JAX's gradient from float64",
            effect=lambda m: exact(m["gradient_error"]),
            rule=Below(1e-5),
        ),
        Part(
            "−log p recovers",
            "From 32 logits in the wrong, −log p learns digits.",
            what="share of starts that reach 80%",
            effect=lambda m: share(np.isfinite(m["steps"][NLL, MOST])),
            rule=Above(0.5),
        ),
        Part(
            "squared error is slower",
            "From 8 logits in the wrong, squared error takes more than twice as long at its usual rate.",
            what="steps to 80% on digits, squared error over −log p (never: the whole run)",
            effect=lambda m: ratio(at_least(m, SQUARED, EIGHT), at_least(m, NLL, EIGHT)),
            rule=Above(2),
        ),
        Part(
            "squared error, rate for the start",
            "So it does when each loss has the rate that is best for that very start.",
            what="steps to 80% on digits, squared error over −log p (never: the whole run)",
            effect=lambda m: ratio(
                at_least(m, SQUARED, EIGHT, "steps_best"), at_least(m, NLL, EIGHT, "steps_best")
            ),
            rule=Above(2),
        ),
        Part(
            "squared error fails",
            "From 32 logits in the wrong, squared error fails more often than not.",
            what="share of starts that reach 80% at the usual rate",
            effect=lambda m: share(np.isfinite(m["steps"][SQUARED, MOST])),
            rule=Below(0.5),
        ),
        Part(
            "frequencies",
            "With a logit for every value of x, softmax learns the fractions of the training set.",
            what="largest difference between probability and observed fraction, mean of pixels",
            effect=lambda m: mean(m["full_largest"]),
            rule=Below(0.01),
        ),
        Part(
            "limited capacity",
            "A model that is linear in x only approximates them.",
            what="mean total variation from the observed fractions, linear minus full",
            effect=lambda m: paired(m["limited_mean"], m["full_mean"]),
            rule=Above(0.01),
        ),
        Part(
            "n − 1 logits: same distributions",
            "Holding one logit at 0 loses no distribution.",
            what="largest difference after taking the last logit from all",
            effect=lambda m: exact(m["fixed_error"]),
            rule=Below(1e-5),
        ),
        Part(
            "n − 1 logits: other dynamics",
            "From the same start, data and rate, training takes them elsewhere.",
            what="largest mean total variation between their predictions in training",
            effect=lambda m: mean(m["apart"].max(0)),
            rule=Above(0.01),
        ),
        Part(
            "n − 1 logits: little difference",
            "In the end there is little difference: less than a percentage point.",
            what="test accuracy on digits, ten logits minus nine, each at its best rate",
            effect=lambda m: paired(*m["network_test"][-1]),
            rule=Within(-0.01, 0.01),
        ),
        Part(
            "n − 1 logits: speed",
            "Nor in speed: within a quarter of the steps.",
            what="steps to 90% on digits, ten logits over nine, each at its best rate",
            effect=lambda m: ratio(*m["network_steps"]),
            rule=Within(0.8, 1.25),
        ),
    ),
)
