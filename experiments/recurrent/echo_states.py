"""Echo state networks: how far back a fixed random net remembers, and how well it predicts a chaotic series.

Jaeger (2001), and the book after him (of the notes only a heading names echo states): learning the recurrent
weights is hard, so set them such that the state holds the history of the inputs well, and learn the output
weights only. The weights are drawn once, scaled to a spectral radius; the read-out is a linear regression,
solved in closed form.

Measured, first, the memory capacity: the input is independent noise, and linear read-outs give back the
input of k steps ago; the sum over k of their squared correlations is at most the number of units. Then
the Mackey-Glass series with τ = 17, by the protocol of the published figures: the net reads the series
for 1000 steps, then runs freely on its own predictions; the error of the 84th over many
pieces of the series, as a root mean square relative to the series' deviation (NRMSE). In double precision.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import layers
from dlnotes.claims import Above, Below, Claim, Measured, Options, Part, Plot, mean, paired, paper
from dlnotes.data.time_series.chaos import mackey_glass_series
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, new_figure, set_title

RADII = (0.5, 0.8, 0.9, 0.95, 0.99)
FADING, LASTING = 0, 3
"""Places in RADII of a short and a long memory."""
HORIZON = 84
PUBLISHED_400 = (0.00012, 0.00028)
"""NRMSE at 84 steps, 400 units: Jaeger 2001."""
PUBLISHED_1000 = 10**-4.2
"""NRMSE at 84 steps, 1000 units: Jaeger and Haas 2004."""
SMALL, LARGE = 0, 1


PREDICTING: dict[str, float] = {
    "spectral_radius": 0.8,
    "connectivity": 0.02,
    "input_scale": 1.0,
    "bias": 0.3,
    "leak": 0.4,
}
"""Of the nets that predict; chosen, with the ridge, on other reservoirs and other pieces of the series."""
FIRST_SEED = 100


class EchoStates(Options):
    """Sizes of the experiment."""

    memory_units: int = Field(50, ge=2, description="units of the nets whose memory is measured")
    memory_steps: int = Field(6000, ge=100, description="inputs; two thirds of them to fit the read-outs")
    input_scale: float = Field(0.1, gt=0, description="of the inputs' weights there, small: nearly linear")
    units: tuple[int, int] = Field((400, 1000), description="units of the nets that predict")
    train: int = Field(3000, ge=100, description="steps of the series that the read-out is fitted to")
    warmup: int = Field(1000, ge=1, description="steps read before: of training and of every test piece")
    pieces: int = Field(50, ge=2, description="test pieces of the series")
    ridge: float = Field(1e-15, ge=0, description="of the predicting read-outs")


def memory(options: EchoStates, seed: int, radius: float) -> np.ndarray:
    """Squared correlations with the input of 1, 2, … steps ago, twice as many as there are units."""
    units, n = options.memory_units, options.memory_steps
    cell, params = layers.reservoir(
        seed, 1, units, spectral_radius=radius, connectivity=0.2, input_scale=options.input_scale
    )
    x = np.random.default_rng(1000 + seed).uniform(-1, 1, n).astype(np.float32)
    states = _states(cell, params, x[None, :, None])[0]
    return layers.memory_curve(states, x, min(2 * units, n // 2), train=2 * n // 3)


def _states(cell: Any, params: Any, x: Any) -> np.ndarray:
    return np.asarray(jax.jit(lambda p, x: layers.unroll(cell, p, x)[1])(params, x))


def series(options: EchoStates) -> np.ndarray:
    """Pieces of the series from histories of their own, (seeds, 1 + pieces, steps); the first to train on."""
    start = np.random.default_rng(0).uniform(0.8, 1.4, options.seeds * (1 + options.pieces))
    n = options.warmup + max(options.train, HORIZON) + 1
    x = mackey_glass_series(n, tau=17.0, start=start, discard=1000, method="euler")
    return x.T.reshape(options.seeds, 1 + options.pieces, n)


def prediction_error(options: EchoStates, x: np.ndarray, seed: int, units: int) -> np.ndarray:
    """NRMSE of the free run after 1, 2, … 84 steps, over the test pieces; the net reads ``tanh(x − 1)``."""
    train, pieces = np.tanh(x[0] - 1), np.tanh(x[1:, : options.warmup + HORIZON] - 1)
    with jax.enable_x64(True):
        cell, params = layers.reservoir(FIRST_SEED + seed, 1, units, dtype=np.float64, **PREDICTING)
        states = _states(cell, params, jnp.asarray(train[None, :-1, None]))[0, options.warmup :]
        fitted = layers.ridge_readout(states, train[options.warmup + 1 :, None], ridge=options.ridge)
        readout = layers.Readout(jnp.asarray(fitted.V), jnp.asarray(fitted.c))

        @jax.jit
        def run(x):
            carry, hs = layers.unroll(cell, params, x[:, : options.warmup, None])
            first = hs[:, -1] @ readout.V + readout.c[None]
            return layers.free_run(cell, params, readout, carry, first, HORIZON - 1)

        found = np.asarray(run(jnp.asarray(pieces)))[..., 0]
    there = 1 + np.arctanh(np.clip(found, -0.999, 0.999))
    wrong = there - x[1:, options.warmup : options.warmup + HORIZON]
    return np.sqrt((wrong**2).mean(0)) / x.std()


def measure(options: EchoStates) -> dict[str, np.ndarray]:
    """Memory curves (radii, seeds, delays) and errors (sizes, seeds, horizons)."""
    curves = np.array([[memory(options, s, r) for s in range(options.seeds)] for r in RADII])
    pieces = series(options)
    errors = np.array(
        [[prediction_error(options, x, s, units) for s, x in enumerate(pieces)] for units in options.units]
    )
    return {"memory": curves, "error": errors}


def draw(options: EchoStates, m: Measured) -> Plot:
    """Memory by delay and by radius above the bound; the error of the free run by horizon."""
    figure = new_figure(11, 3.9)
    first, second, third = figure.subplots(1, 3, width_ratios=[1, 0.8, 1.2])
    delays = np.arange(1, m["memory"].shape[-1] + 1)
    for r, color in ((FADING, ORANGE), (2, GREEN), (LASTING, BLUE)):
        first.plot(delays, m["memory"][r].mean(0), color=color, label=f"radius {RADII[r]:g}")
    first.set(xlabel="input of how many steps ago", ylabel="squared correlation", ylim=(0, 1.03))
    first.legend(fontsize=8.5)
    capacity = m["memory"].sum(-1)
    second.plot(range(len(RADII)), capacity, "o", color=BLUE, alpha=0.4)
    second.axhline(options.memory_units, color=GRAY, lw=1, ls="--")
    second.text(0, options.memory_units, "number of units", va="bottom", color=GRAY, fontsize=9)
    second.set(xlabel="spectral radius", ylabel="memory capacity", ylim=(0, 1.15 * options.memory_units))
    second.set_xticks(range(len(RADII)), [f"{r:g}" for r in RADII])
    steps = np.arange(1, HORIZON + 1)
    for k, color in ((SMALL, ORANGE), (LARGE, BLUE)):
        logs = np.log10(m["error"][k])
        third.fill_between(steps, 10 ** logs.min(0), 10 ** logs.max(0), color=color, alpha=0.18, lw=0)
        third.plot(steps, 10 ** logs.mean(0), color=color, label=f"{options.units[k]} units")
    third.vlines(HORIZON + 2, *PUBLISHED_400, color="black", lw=3, label="published, 400 units")
    third.plot([HORIZON + 2], [PUBLISHED_1000], "k_", ms=9, mew=2, label="published, 1000 units")
    third.set(yscale="log", xlabel="steps predicted freely", ylabel="NRMSE (mean of logs, range of seeds)")
    third.set_xlim(-3, HORIZON + 6)
    third.legend(fontsize=8, loc="upper left")
    at_end = 10 ** np.log10(m["error"][..., -1]).mean(-1)
    set_title(
        figure,
        f"Memory capacity {capacity[LASTING].mean():.0f} of {options.memory_units} units at radius "
        f"{RADII[LASTING]:g}; Mackey-Glass after {HORIZON} free steps: NRMSE {at_end[SMALL]:.5f} with "
        f"{options.units[SMALL]} units, {at_end[LARGE]:.6f} with {options.units[LARGE]}",
    )
    table: dict[str, Any] = {"step": steps}
    table |= {f"nrmse_{n}_units": 10 ** np.log10(m["error"][k]).mean(0) for k, n in enumerate(options.units)}
    return Plot(figure, table)


CLAIM = Claim(
    id="R12.6",
    statement="A fixed recurrent net with a set spectral radius keeps a memory of its inputs, never more "
    "than it has units; with a linear read-out solved in closed form it predicts a chaotic series.",
    source="the notes name echo states in a heading only; Jaeger 2001 and 2002; Jaeger and Haas 2004",
    options=EchoStates,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "bounded by the units",
            "The memory capacity is at most the number of units.",
            what="largest memory capacity over the radii, divided by the number of units, mean over seeds",
            effect=lambda m: mean(m["memory"].sum(-1).max(0) / (m["memory"].shape[-1] / 2)),
            rule=Below(1.0),
            source=paper("Jaeger 2002", "the memory capacity of a net is at most its number of units"),
        ),
        Part(
            "radius near one",
            f"At spectral radius {RADII[LASTING]:g} the memory is larger than at {RADII[FADING]:g}.",
            what=f"memory capacity at radius {RADII[LASTING]:g} minus at {RADII[FADING]:g}, inputs "
            f"remembered",
            effect=lambda m: paired(m["memory"][LASTING].sum(-1), m["memory"][FADING].sum(-1)),
            rule=Above(0.0),
            source=paper("Jaeger 2001", "the nearer the spectral radius is to 1, the slower memory fades"),
        ),
        Part(
            "published error, 400 units",
            "The smaller net predicts 84 steps ahead as well as was published.",
            what="log10 of the NRMSE at 84 steps, net of {options.units[0]} units",
            effect=lambda m: mean(np.log10(m["error"][SMALL, :, -1])),
            rule=Below(float(np.log10(PUBLISHED_400[1]))),
            source=paper("Jaeger 2001", "NRMSE between 0.00012 and 0.00028 at 84 steps with 400 units"),
        ),
        Part(
            "published error, 1000 units",
            "The larger net predicts 84 steps ahead as well as was published.",
            what="log10 of the NRMSE at 84 steps, net of {options.units[1]} units",
            effect=lambda m: mean(np.log10(m["error"][LARGE, :, -1])),
            rule=Below(float(np.log10(PUBLISHED_1000))),
            source=paper("Jaeger & Haas 2004", "NRMSE of 10 to the power of -4.2 at 84 steps, 1000 units"),
        ),
    ),
    method="Reservoirs of random weights; only linear read-outs are fitted, in closed form. Memory: "
    "{options.memory_units} units, {options.memory_steps} steps of noise, five spectral radii. Prediction: "
    "{options.units[0]} and {options.units[1]} units, fitted to {options.train} steps of the Mackey-Glass "
    "series (delay 17), then run freely for 84 steps on {options.pieces} other pieces of it; double "
    "precision. The scales of these nets were chosen on other reservoirs and pieces. {options.seeds} "
    "reservoirs of each kind.",
    reading="The geometric mean of the error of the smaller nets is {facts[small]}; the published range is "
    "{facts[low]} to {facts[high]}. Reservoirs differ by a factor of {facts[spread]}, so the interval "
    "decides only with many more of them: an audit of thirty other reservoirs left the part open too. The "
    "larger nets are at {facts[large]}, the published error is {facts[published]}.",
    facts=lambda m: {
        "small": float(10 ** np.log10(m["error"][SMALL, :, -1]).mean()),
        "large": float(10 ** np.log10(m["error"][LARGE, :, -1]).mean()),
        "spread": float(m["error"][SMALL, :, -1].max() / m["error"][SMALL, :, -1].min()),
        "low": PUBLISHED_400[0],
        "high": PUBLISHED_400[1],
        "published": float(PUBLISHED_1000),
    },
    revised="After an audit the parts name their papers, for the notes say nothing of echo states beyond a "
    "heading. The measurement and the thresholds stayed.",
)
